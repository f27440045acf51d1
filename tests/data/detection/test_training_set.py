"""Training set of detection: which annotations and images take part, and the samples."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splitnest import zoo
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.open import open_dataset
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.errors import DataError, UsageError
from splitnest.models.build import build_categories
from splitnest.recipe import DetectionRecipe, DetectionTraining, overrides
from splitnest.recipe.data import SceneData
from splitnest.structures.instances import Instances
from splitnest.tasks import task_of

BOXES, MASKS = "faster_rcnn_resnest50_fpn_1x_coco", "mask_rcnn_resnest50_fpn_1x_coco"
TRAIN: dict[str, Any] = {
    "epochs": 1,
    "lr": 0.1,
    "batch_size": 1,
    "short_sides": (40,),
    "flip": 0.0,
    "workers": 0,
}
SQUARE = [10.0, 10, 30, 10, 30, 30, 10, 30]
RLE = {"size": [40, 50], "counts": [410, 20, 20, 20, 1530]}


def recipe(name: str = f"{MASKS}.mmdet", **train: Any) -> DetectionRecipe:
    base = overrides.apply(zoo.get(name), {"data.classes": ["cat", "dog"]})
    assert isinstance(base, DetectionRecipe)
    return base.model_copy(update={"train": DetectionTraining(**{**TRAIN, **train})})


def instances_of(training_set: DetectionTrainingSet, epoch: int, index: int) -> Instances:
    instances = training_set[epoch, index].instances
    assert instances is not None
    return instances


def annotation(image_id: int = 1, bbox: tuple[float, ...] = (10, 10, 20, 20), **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": list(bbox), "segmentation": [SQUARE], **more}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., DetectionDataset]:
    """Return a function that writes a dataset of images 50 wide and 40 high, and reads it."""

    def write_dataset(annotations: list[dict[str, Any]], num_images: int = 1, **content: Any) -> DetectionDataset:
        images = [{"id": n, "file_name": f"{n}.png", "height": 40, "width": 50} for n in range(1, num_images + 1)]
        for image in images:
            pixels = np.random.default_rng(image["id"]).integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / str(image["file_name"]))
        rows = [{"id": id_, **row} for id_, row in enumerate(annotations, start=1)]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        path = tmp_path / "train.json"
        path.write_text(json.dumps({"images": images, "annotations": rows, "categories": categories, **content}))
        return DetectionDataset.from_coco(tmp_path, path)

    return write_dataset


def test_dataset_without_images_is_rejected(write: Callable[..., DetectionDataset]) -> None:
    with pytest.raises(DataError, match=r"train\.json lists no images"):
        DetectionTrainingSet(write([], num_images=0), recipe())


def test_dataset_without_annotations_is_rejected(write: Callable[..., DetectionDataset]) -> None:
    for keep_empty_images in (False, True):
        with pytest.raises(DataError, match="has no annotations, so there is nothing to train on"):
            DetectionTrainingSet(write([], num_images=3), recipe(keep_empty_images=keep_empty_images))


def test_error_lists_the_reasons_when_nothing_is_left(write: Callable[..., DetectionDataset]) -> None:
    dataset = write([annotation(1, iscrowd=1), annotation(2, bbox=(5, 5, 0, 9)), annotation(2, bbox=(5, 5, 2, 9))], 2)
    message = (
        r"Excluded are crowd regions \(1\), boxes without area \(1\), boxes narrower or lower than 3 pixels \(1\), im"
    )
    for keep_empty_images in (False, True):
        with pytest.raises(DataError, match=message):
            DetectionTrainingSet(dataset, recipe(min_box_side=3, keep_empty_images=keep_empty_images))
    with pytest.raises(DataError, match=r"crowd regions \(2\), images narrower or lower than 100 pixels \(2\)\. Check"):
        DetectionTrainingSet(write([annotation(1, iscrowd=1)] * 2, 2), recipe(min_image_side=100))


def test_recipe_without_training_section_is_rejected(write: Callable[..., DetectionDataset]) -> None:
    untrained = recipe().model_copy(update={"train": None})
    with pytest.raises(UsageError, match="has no section 'train'"):
        DetectionTrainingSet(write([annotation()]), untrained)


def test_sample_has_image_boxes_and_masks(write: Callable[..., DetectionDataset]) -> None:
    dataset = write([annotation(), annotation(bbox=(0, 5, 60, 10), category_id=2)])
    mask_rcnn = recipe()
    sample = DetectionTrainingSet(dataset, mask_rcnn)[0, 0]
    assert (sample.name, sample.original_size) == ("1.png", (40, 50))
    short_side_40 = overrides.apply(mask_rcnn, {"input.short_side": 40})
    prepared = task_of(short_side_40).prepare(dataset[0].image, short_side_40)
    assert torch.equal(sample.image, prepared.inputs[0])
    assert sample.instances is not None
    assert sample.instances.boxes.dtype == torch.float32
    assert sample.instances.boxes.tolist() == [[10, 10, 30, 30], [0, 5, 50, 15]]
    assert sample.instances.labels.tolist() == [0, 1]
    assert sample.instances.masks is not None
    assert [[polygon.tolist() for polygon in mask] for mask in sample.instances.masks] == [[SQUARE], [SQUARE]]
    assert instances_of(DetectionTrainingSet(dataset, recipe(f"{BOXES}.mmdet")), 0, 0).masks is None


def test_annotations_that_are_excluded(write: Callable[..., DetectionDataset]) -> None:
    dataset = write(
        [
            annotation(category_id=2),
            annotation(iscrowd=1, segmentation=RLE),
            annotation(bbox=(10, 10, 0, 5)),
            annotation(bbox=(60, 10, 5, 5)),
            annotation(bbox=(10, 10, 20, 1.5)),
            annotation(segmentation=RLE),
            annotation(segmentation=[[1, 2, 3, 4]]),
            annotation(segmentation=[SQUARE, [1, 2, 3, 4], SQUARE[:7]]),
        ]
    )
    always = {
        "crowd regions": 1,
        "boxes without area": 1,
        "boxes outside the image": 1,
        "boxes narrower or lower than 2 pixels": 1,
    }
    degenerate = {"instances whose polygons have fewer than three vertices": 1}
    mmdet = DetectionTrainingSet(dataset, recipe(min_box_side=2))
    assert mmdet.excluded == {
        **always,
        "instances with RLE masks (model.conventions.rle_masks=kept trains on them)": 1,
        **degenerate,
    }
    assert (len(mmdet), mmdet.num_instances) == (1, 2)
    first, second = instances_of(mmdet, 0, 0).masks or ()
    assert [len(polygon) for polygon in first] == [len(polygon) for polygon in second] == [8]

    detectron2 = DetectionTrainingSet(dataset, recipe(f"{MASKS}.detectron2", min_box_side=2))
    assert detectron2.excluded == {**always, **degenerate}
    mask = (instances_of(detectron2, 0, 0).masks or ())[1]
    assert isinstance(mask, torch.Tensor)
    assert mask.dtype == torch.bool
    expected = np.zeros((40, 50), bool)
    expected[10:30, 10] = expected[10:30, 11] = True
    np.testing.assert_array_equal(mask, expected)

    boxes = DetectionTrainingSet(dataset, recipe(f"{BOXES}.mmdet", min_box_side=2))
    assert boxes.excluded == always
    assert boxes.num_instances == 4
    assert DetectionTrainingSet(dataset, recipe(f"{BOXES}.mmdet")).num_instances == 5


def test_images_that_are_excluded(write: Callable[..., DetectionDataset]) -> None:
    dataset = write([annotation(2), annotation(4), annotation(3, iscrowd=1)], num_images=4)
    without = DetectionTrainingSet(dataset, recipe())
    assert [without[0, index].name for index in range(len(without))] == ["2.png", "4.png"]
    assert without.excluded == {"crowd regions": 1, "images without instances": 2}
    assert without.sizes_hw.tolist() == [[40, 50]] * 2
    everything = DetectionTrainingSet(dataset, recipe(keep_empty_images=True))
    assert len(everything) == 4
    assert everything.excluded == {"crowd regions": 1}
    empty = instances_of(everything, 0, 2)
    assert (len(empty), empty.boxes.shape, empty.masks) == (0, (0, 4), ())


def test_model_with_masks_needs_segmentations(write: Callable[..., DetectionDataset]) -> None:
    dataset = write([annotation(), annotation(segmentation=[])])
    with pytest.raises(
        DataError, match=r"train\.json: 1 of 2 annotations have no segmentation, .* such as annotation 2"
    ):
        DetectionTrainingSet(dataset, recipe())
    assert DetectionTrainingSet(dataset, recipe(f"{BOXES}.mmdet")).num_instances == 2
    skipping = DetectionTrainingSet(dataset, recipe(without_mask="skip"))
    assert (skipping.num_instances, skipping.excluded) == (1, {"instances without a segmentation": 1})
    other_size = write([annotation(segmentation={"size": [50, 40], "counts": [0, 2000]})])
    with pytest.raises(DataError, match=r"annotation 1 of 1\.png has an RLE of 40 x 50 pixels, but its image has 50 x"):
        DetectionTrainingSet(other_size, recipe(f"{MASKS}.detectron2"))


def test_sample_depends_on_seed_epoch_and_image_alone(write: Callable[..., DetectionDataset]) -> None:
    dataset = write([annotation(1), annotation(2), annotation(3)], num_images=3)
    changes = {"flip": 0.5, "color_jitter": 0.3, "crop": 0.7, "short_sides": (20, 60), "short_side_sampling": "range"}
    training_set, again = (DetectionTrainingSet(dataset, recipe(**changes)) for _ in range(2))
    first = training_set[3, 1]
    for key in ((0, 0), (2, 2)):
        _ = again[key]
    assert torch.equal(again[3, 1].image, first.image)
    assert first.instances is not None
    assert torch.equal(instances_of(again, 3, 1).boxes, first.instances.boxes)
    others = (training_set[4, 1], training_set[0, 1], DetectionTrainingSet(dataset, recipe(**changes, seed=1))[3, 1])
    for other in others:
        assert other.image.shape != first.image.shape or not torch.equal(other.image, first.image)


def test_instances_outside_the_crop_are_removed(write: Callable[..., DetectionDataset]) -> None:
    corner = annotation(bbox=(0, 0, 3, 3), segmentation=[[0, 0, 3, 0, 3, 3, 0, 3]])
    other = annotation(bbox=(46, 36, 4, 4), segmentation=[[46, 36, 50, 36, 50, 40, 46, 40]])
    for name in (f"{BOXES}.mmdet", f"{MASKS}.mmdet"):
        training_set = DetectionTrainingSet(write([corner, other]), recipe(name, crop=0.4))
        counts = set()
        for epoch in range(20):
            instances = instances_of(training_set, epoch, 0)
            assert (instances.boxes[:, 2:] > instances.boxes[:, :2]).all()
            assert all(len(mask) for mask in instances.masks or ())
            counts.add(len(instances))
        assert 1 in counts <= {1, 2}


def test_real_voc_images(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("bccd")
    bccd = overrides.apply(
        recipe(f"{BOXES}.mmdet", min_box_side=1),
        {
            "data": {
                "root": str(root),
                "format": "voc",
                "classes": ["RBC", "WBC", "Platelets"],
                "train_images": "JPEGImages",
                "train_annotations": "ImageSets/Main/train.txt",
            }
        },
    )
    assert isinstance(bccd, DetectionRecipe)
    training_set = DetectionTrainingSet(open_dataset(bccd.data, "train", build_categories(bccd)), bccd)
    assert (len(training_set), training_set.num_instances) == (205, 2804)
    assert training_set.excluded == {"boxes without area": 1}
    assert training_set[0, 0].image.shape == (3, 40, 53)


def test_real_coco_images(shared_data: Callable[[str], Path]) -> None:
    root = str(shared_data("coco_mini"))
    coco = overrides.apply(recipe(), {"data.root": root, "data.classes": "coco"})
    assert isinstance(coco, DetectionRecipe)
    training_set = DetectionTrainingSet(open_dataset(coco.data, "train", build_categories(coco)), coco)
    assert training_set.excluded == {"crowd regions": 8}
    assert training_set.num_instances == 731
    for index in range(0, len(training_set), 10):
        instances = instances_of(training_set, 0, index)
        for box, mask in zip(instances.boxes, instances.masks or (), strict=True):
            points = np.concatenate([np.asarray(polygon) for polygon in mask]).reshape(-1, 2)
            np.testing.assert_allclose(box, [*points.min(axis=0), *points.max(axis=0)], atol=1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_scenes_are_opened_by_a_recipe(split: Any) -> None:
    from splitnest.data.scenes import THINGS, Scenes

    data = SceneData(format="scenes", classes=THINGS.names, train_count=3, val_count=2, seed=7)
    dataset = open_dataset(data, split, THINGS)
    scenes = Scenes(3, seed=7) if split == "train" else Scenes(2, seed=8)
    assert len(dataset) == len(scenes)
    assert dataset.check_files() == dataset.problems == []
    of_scenes = overrides.apply(recipe(short_sides=(240,)), {"data.classes": list(THINGS.names)})
    assert isinstance(of_scenes, DetectionRecipe)
    training_set = DetectionTrainingSet(dataset, of_scenes)
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(dataset[index].image, scene.image)
        instances = instances_of(training_set, 0, index)
        np.testing.assert_array_equal(instances.boxes, [instance.box for instance in scene.objects])
        assert instances.labels.tolist() == [instance.label for instance in scene.objects]


def test_scenes_are_evaluated_without_files() -> None:
    from splitnest.data.scenes import THINGS, Scenes
    from splitnest.data.scenes.detection import SceneDetection
    from splitnest.metrics.coco import CocoEvaluator

    scenes = Scenes(3, seed=1)
    dataset = SceneDetection(scenes, THINGS)
    evaluator = CocoEvaluator(dataset)
    for image_id, scene in zip(dataset.image_ids, scenes, strict=True):
        evaluator.update(image_id, scene.detections())
    metrics = evaluator.compute()
    assert metrics["box_ap"] == metrics["mask_ap"] == 1
    with pytest.raises(DataError, match="scenes does not have the classes of the model"):
        SceneDetection(scenes, build_categories(recipe()))
    assert len(SceneDetection(Scenes(0))) == 0
