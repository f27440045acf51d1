"""What takes part in training, and how it comes out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splitnest import recipes
from splitnest.build import build_categories
from splitnest.data.coco import CocoDetection
from splitnest.data.dataset import open_dataset
from splitnest.data.training_set import TrainingSet
from splitnest.data.transforms import prepare
from splitnest.errors import DataError, UsageError
from splitnest.recipe import Data, DetectionRecipe, DetectionTraining, overrides
from splitnest.recipe.data import SceneData

BOXES, MASKS = "faster_rcnn_resnest50_fpn_1x_coco", "mask_rcnn_resnest50_fpn_1x_coco"
TRAIN: dict[str, Any] = {
    "length": 1,
    "learning_rate": 0.1,
    "batch_size": 1,
    "short_sides": (40,),
    "flip": 0.0,
    "workers": 0,
}
SQUARE = [10.0, 10, 30, 10, 30, 30, 10, 30]
RLE = {"size": [40, 50], "counts": [410, 20, 20, 20, 1530]}


def recipe(name: str = f"{MASKS}.mmdet", **train: Any) -> DetectionRecipe:
    found = overrides.apply(recipes.get(name), {"data.classes": ["cat", "dog"]})
    assert isinstance(found, DetectionRecipe)
    return found.model_copy(update={"train": DetectionTraining(**{**TRAIN, **train})})


def annotation(image_id: int = 1, bbox: tuple[float, ...] = (10, 10, 20, 20), **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": list(bbox), "segmentation": [SQUARE], **more}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., CocoDetection]:
    """Write a data set of photographs 50 wide and 40 high, and read it."""

    def write_dataset(annotations: list[dict[str, Any]], num_images: int = 1, **content: Any) -> CocoDetection:
        images = [{"id": n, "file_name": f"{n}.png", "height": 40, "width": 50} for n in range(1, num_images + 1)]
        for image in images:
            pixels = np.random.default_rng(image["id"]).integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / str(image["file_name"]))
        rows = [{"id": id_, **row} for id_, row in enumerate(annotations, start=1)]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        path = tmp_path / "train.json"
        path.write_text(json.dumps({"images": images, "annotations": rows, "categories": categories, **content}))
        return CocoDetection(tmp_path, path)

    return write_dataset


def test_no_photographs(write: Callable[..., CocoDetection]) -> None:
    with pytest.raises(DataError, match=r"train\.json lists no photographs"):
        TrainingSet(write([], num_images=0), recipe())


def test_no_annotations(write: Callable[..., CocoDetection]) -> None:
    for empty_images in (False, True):
        with pytest.raises(DataError, match="has no annotations, so there is nothing to train on"):
            TrainingSet(write([], num_images=3), recipe(empty_images=empty_images))


def test_nothing_left(write: Callable[..., CocoDetection]) -> None:
    dataset = write([annotation(1, iscrowd=1), annotation(2, bbox=(5, 5, 0, 9)), annotation(2, bbox=(5, 5, 2, 9))], 2)
    message = (
        r"left out are: crowd regions \(1\), boxes without area \(1\), boxes under 3 pixels wide or high \(1\), ph"
    )
    for empty_images in (False, True):
        with pytest.raises(DataError, match=message):
            TrainingSet(dataset, recipe(min_box_side=3, empty_images=empty_images))
    with pytest.raises(
        DataError, match=r"crowd regions \(2\), photographs under 100 pixels wide or high \(2\)\. Check"
    ):
        TrainingSet(write([annotation(1, iscrowd=1)] * 2, 2), recipe(min_image_side=100))


def test_a_recipe_without_training(write: Callable[..., CocoDetection]) -> None:
    untrained = recipe().model_copy(update={"train": None})
    with pytest.raises(UsageError, match="has no section train"):
        TrainingSet(write([annotation()]), untrained)


def test_a_sample(write: Callable[..., CocoDetection]) -> None:
    dataset = write([annotation(), annotation(bbox=(0, 5, 60, 10), category_id=2)])
    facts = recipe()
    sample = TrainingSet(dataset, facts)[0, 0]
    assert (sample.name, sample.original_size) == ("1.png", (40, 50))
    short_side_40 = facts.input.model_copy(update={"short_side": 40})
    assert torch.equal(sample.image, prepare(dataset[0].image, short_side_40))
    assert sample.instances.boxes.dtype == torch.float32
    assert sample.instances.boxes.tolist() == [[10, 10, 30, 30], [0, 5, 50, 15]]
    assert sample.instances.labels.tolist() == [0, 1]
    assert sample.instances.masks is not None
    assert [[polygon.tolist() for polygon in mask] for mask in sample.instances.masks] == [[SQUARE], [SQUARE]]
    assert TrainingSet(dataset, recipe(f"{BOXES}.mmdet"))[0, 0].instances.masks is None


def test_annotations_that_take_part(write: Callable[..., CocoDetection]) -> None:
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
    everywhere = {
        "crowd regions": 1,
        "boxes without area": 1,
        "boxes outside of their photograph": 1,
        "boxes under 2 pixels wide or high": 1,
    }
    without_points = {"objects whose polygons have fewer than three points": 1}
    mmdet = TrainingSet(dataset, recipe(min_box_side=2))
    assert mmdet.left_out == {**everywhere, "objects with an RLE for a mask": 1, **without_points}
    assert (len(mmdet), mmdet.num_instances) == (1, 2)
    first, second = mmdet[0, 0].instances.masks or ()
    assert [len(polygon) for polygon in first] == [len(polygon) for polygon in second] == [8]

    detectron2 = TrainingSet(dataset, recipe(f"{MASKS}.detectron2", min_box_side=2))
    assert detectron2.left_out == {**everywhere, **without_points}
    mask = (detectron2[0, 0].instances.masks or ())[1]
    assert isinstance(mask, torch.Tensor)
    assert mask.dtype == torch.bool
    expected = np.zeros((40, 50), bool)
    expected[10:30, 10] = expected[10:30, 11] = True
    np.testing.assert_array_equal(mask, expected)

    boxes = TrainingSet(dataset, recipe(f"{BOXES}.mmdet", min_box_side=2))
    assert boxes.left_out == everywhere
    assert boxes.num_instances == 4
    assert TrainingSet(dataset, recipe(f"{BOXES}.mmdet")).num_instances == 5


def test_photographs_that_take_part(write: Callable[..., CocoDetection]) -> None:
    dataset = write([annotation(2), annotation(4), annotation(3, iscrowd=1)], num_images=4)
    without = TrainingSet(dataset, recipe())
    assert [without[0, index].name for index in range(len(without))] == ["2.png", "4.png"]
    assert without.left_out == {"crowd regions": 1, "photographs without objects": 2}
    assert without.sizes_hw.tolist() == [[40, 50]] * 2
    everything = TrainingSet(dataset, recipe(empty_images=True))
    assert len(everything) == 4
    assert everything.left_out == {"crowd regions": 1}
    empty = everything[0, 2].instances
    assert (len(empty), empty.boxes.shape, empty.masks) == (0, (0, 4), ())


def test_masks_are_needed_by_a_model_with_masks(write: Callable[..., CocoDetection]) -> None:
    dataset = write([annotation(), annotation(segmentation=[])])
    with pytest.raises(
        DataError, match=r"train\.json: annotation 2 of 1\.png has no segmentation, which a model with m"
    ):
        TrainingSet(dataset, recipe())
    assert TrainingSet(dataset, recipe(f"{BOXES}.mmdet")).num_instances == 2
    other_size = write([annotation(segmentation={"size": [50, 40], "counts": [0, 2000]})])
    with pytest.raises(DataError, match=r"annotation 1 of 1\.png has an RLE of another size than its photograph"):
        TrainingSet(other_size, recipe(f"{MASKS}.detectron2"))


def test_a_sample_depends_on_seed_epoch_and_photograph_alone(write: Callable[..., CocoDetection]) -> None:
    dataset = write([annotation(1), annotation(2), annotation(3)], num_images=3)
    changes = {"flip": 0.5, "color_jitter": 0.3, "crop": 0.7, "short_sides": (20, 60), "short_side_sampling": "range"}
    training_set, again = (TrainingSet(dataset, recipe(**changes)) for _ in range(2))
    first = training_set[3, 1]
    for key in ((0, 0), (2, 2)):
        _ = again[key]
    assert torch.equal(again[3, 1].image, first.image)
    assert torch.equal(again[3, 1].instances.boxes, first.instances.boxes)
    others = (training_set[4, 1], training_set[0, 1], TrainingSet(dataset, recipe(**changes, seed=1))[3, 1])
    for other in others:
        assert other.image.shape != first.image.shape or not torch.equal(other.image, first.image)


def test_objects_that_a_crop_leaves_outside_are_gone(write: Callable[..., CocoDetection]) -> None:
    corner = annotation(bbox=(0, 0, 3, 3), segmentation=[[0, 0, 3, 0, 3, 3, 0, 3]])
    other = annotation(bbox=(46, 36, 4, 4), segmentation=[[46, 36, 50, 36, 50, 40, 46, 40]])
    for name in (f"{BOXES}.mmdet", f"{MASKS}.mmdet"):
        training_set = TrainingSet(write([corner, other]), recipe(name, crop=0.4))
        counts = set()
        for epoch in range(20):
            instances = training_set[epoch, 0].instances
            assert (instances.boxes[:, 2:] > instances.boxes[:, :2]).all()
            assert all(len(mask) for mask in instances.masks or ())
            counts.add(len(instances))
        assert 1 in counts <= {1, 2}


def test_real_photographs(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("bccd")
    facts = overrides.apply(
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
    assert isinstance(facts, DetectionRecipe)
    training_set = TrainingSet(open_dataset(facts.data, "train", build_categories(facts)), facts)
    assert (len(training_set), training_set.num_instances) == (205, 2804)
    assert training_set.left_out == {"boxes without area": 1}
    assert training_set[0, 0].image.shape == (3, 40, 53)


def test_real_crowds_and_masks(shared_data: Callable[[str], Path]) -> None:
    root = str(shared_data("coco_mini"))
    facts = overrides.apply(recipe(), {"data.root": root, "data.classes": "coco"})
    assert isinstance(facts, DetectionRecipe)
    training_set = TrainingSet(open_dataset(facts.data, "train", build_categories(facts)), facts)
    assert training_set.left_out == {"crowd regions": 8}
    assert training_set.num_instances == 731
    for index in range(0, len(training_set), 10):
        sample = training_set[0, index]
        for box, mask in zip(sample.instances.boxes, sample.instances.masks or (), strict=True):
            points = np.concatenate([np.asarray(polygon) for polygon in mask]).reshape(-1, 2)
            np.testing.assert_allclose(box, [*points.min(axis=0), *points.max(axis=0)], atol=1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_drawn_scenes(split: Any) -> None:
    from splitnest.data.scenes import THINGS, Scenes

    data = Data(format="scenes", classes=THINGS.names, scenes=SceneData(train_count=3, val_count=2, seed=7))
    dataset = open_dataset(data, split, THINGS)
    scenes = Scenes(3, seed=7) if split == "train" else Scenes(2, seed=8)
    assert len(dataset) == len(scenes)
    assert dataset.check_files() == dataset.problems == []
    facts = overrides.apply(recipe(short_sides=(240,)), {"data.classes": list(THINGS.names)})
    assert isinstance(facts, DetectionRecipe)
    training_set = TrainingSet(dataset, facts)
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(dataset[index].image, scene.image)
        instances = training_set[0, index].instances
        np.testing.assert_array_equal(instances.boxes, [one.box for one in scene.objects])
        assert instances.labels.tolist() == [one.label for one in scene.objects]


def test_scenes_are_evaluated_without_files() -> None:
    from splitnest.data.scenes import THINGS, Scenes
    from splitnest.data.scenes.detection import SceneDetection
    from splitnest.evaluation.coco import CocoEvaluator

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
