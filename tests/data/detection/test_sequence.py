"""Detection and panoptic datasets from Python."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from helpers.python_data import SceneItems, SegmentItems
from helpers.tiny_detector import CLASSES, CONTENT
from splitnest import zoo
from splitnest.data.detection.sequence import SequenceDetection, SequencePanoptic
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.data.items import Items
from splitnest.data.scenes.classes import CATEGORIES, THINGS
from splitnest.errors import DataError
from splitnest.metrics.coco import CocoEvaluator
from splitnest.recipe import DetectionRecipe, overrides
from splitnest.structures.instances import Instances

IMAGE = np.zeros((40, 60, 3), np.uint8)


def recipe() -> DetectionRecipe:
    values = {key: value for key, value in CONTENT.items() if key != "base"}
    made = overrides.apply(zoo.get(CONTENT["base"]), values)
    assert isinstance(made, DetectionRecipe)
    return made


def dataset_of(items: Sequence[Any]) -> SequenceDetection:
    return SequenceDetection(Items(items, "data"), THINGS)


def test_images_without_instances() -> None:
    empty = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), ())
    dataset = dataset_of([(IMAGE, empty)])
    assert (len(dataset), len(dataset[0].boxes), dataset.problems) == (1, 0, [])
    with pytest.raises(DataError, match="has no annotations, so there is nothing to train on"):
        DetectionTrainingSet(dataset, recipe())


def test_dense_masks_take_part_in_training() -> None:
    """The recipe drops the RLE masks of files, as mmdetection does."""
    assert recipe().model.conventions.rle_masks == "dropped"
    items = SceneItems(2, dense=True)
    training_set = DetectionTrainingSet(dataset_of(items), recipe())
    assert training_set.num_instances == sum(len(scene.objects) for scene in items.scenes)
    sample = training_set[0, 0]
    assert sample.name == "data[0]"
    assert sample.instances is not None
    assert all(torch.is_tensor(mask) for mask in sample.instances.masks or ())


def test_crowd_regions() -> None:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[2:4, 3:7] = True
    boxes, labels = torch.tensor([[3.0, 2, 7, 4]] * 2), torch.tensor([0, 1])
    dataset = dataset_of([(IMAGE, Instances(boxes, labels, [mask, mask], iscrowd=torch.tensor([False, True])))])
    assert dataset[0].iscrowd.tolist() == [False, True]
    assert dataset[0].areas.tolist() == [8, 8]
    assert DetectionTrainingSet(dataset, recipe()).excluded == {"crowd regions": 1}


def test_classes_have_the_order_of_the_model() -> None:
    assert dataset_of(SceneItems(1)).categories.names == CLASSES


@pytest.mark.parametrize("dense", [False, True])
def test_perfect_detections(dense: bool) -> None:
    dataset = dataset_of(SceneItems(3, dense=dense))
    evaluator = CocoEvaluator(dataset, ("bbox", "segm"))
    for index in range(len(dataset)):
        evaluator.update(dataset.image_id(index), dataset.ground_truth(index, masks=True))
    metrics = evaluator.compute()
    assert (metrics["box_ap"], metrics["mask_ap"]) == (1, 1)


def test_panoptic_segments() -> None:
    items = SegmentItems(2)
    dataset = SequencePanoptic(Items(items, "data"), CATEGORIES)
    assert dataset.categories.names == THINGS.names
    for index, scene in enumerate(items.scenes):
        assert np.array_equal(dataset.labels(index).segments, scene.segments)
        assert dataset.ground_truth(index, masks=True).labels.tolist() == [each.label for each in scene.objects]


def test_other_panoptic_targets_are_refused() -> None:
    with pytest.raises(DataError, match=r"target of data\[0\] is a Instances\. Give splitnest\.PanopticLabels"):
        SequencePanoptic(Items(SceneItems(1), "data"), CATEGORIES)


def test_an_image_of_another_size_is_refused() -> None:
    class Growing(SceneItems):
        def __getitem__(self, index: int) -> Any:
            image, target = super().__getitem__(index)
            return np.pad(image, ((0, self.num_read), (0, 0), (0, 0))), target

    dataset = dataset_of(Growing(2))
    with pytest.raises(DataError, match=r"data\[0\] has an image of 96 x 67 pixels, but its target is for 96 x 65"):
        dataset.read(0)
