"""Panoptic datasets of a recipe: synthetic scenes, training samples, batches, checks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.panoptic_tree import CLASSES, PIXELS, instances, write
from splitnest import zoo
from splitnest.data.detection.check import StuffCount, check_dataset, print_report
from splitnest.data.detection.open import open_dataset
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError
from splitnest.models.build import build_categories
from splitnest.recipe import DetectionRecipe, DetectionTraining, overrides
from splitnest.recipe.data import CocoData
from splitnest.structures.categories import from_names, with_stuff
from splitnest.structures.panoptic_labels import UNLABELED
from splitnest.training.batches import open_training


def test_stuff_class_of_scenes_is_no_thing_class() -> None:
    mixed = with_stuff(from_names([*THING_NAMES, "sky"]), [name for name in STUFF_NAMES if name != "sky"])
    with pytest.raises(DataError, match="sky is a stuff class in scenes"):
        ScenePanoptic(Scenes(1, (64, 64)), mixed)


def test_written_scenes_are_read_back_unchanged(tmp_path: Path) -> None:
    scenes = Scenes(3, (96, 128), seed=5)
    scenes.write_coco(tmp_path)
    drawn = ScenePanoptic(scenes)
    folder = tmp_path / "annotations"
    for instances_file in (None, folder / "instances_train.json"):
        read = CocoPanoptic(tmp_path / "train", folder / "panoptic_train.json", CATEGORIES, instances_file)
        for index in range(3):
            one, other, scene = drawn.labels(index), read.labels(index), scenes[index]
            np.testing.assert_array_equal(one.segments, scene.segments)
            np.testing.assert_array_equal(other.segments, scene.segments)
            np.testing.assert_array_equal(one.semantic(), scene.semantic)
            assert (one.ids.tolist(), one.labels.tolist()) == (other.ids.tolist(), other.labels.tolist())
            np.testing.assert_array_equal(read[index].boxes, drawn[index].boxes)
            np.testing.assert_array_equal(read[index].labels, drawn[index].labels)
            np.testing.assert_array_equal(read[index].image, scene.image)


def test_scenes_need_a_model_with_their_classes() -> None:
    with pytest.raises(DataError, match="only the file has sky"):
        ScenePanoptic(Scenes(1, (96, 128)), with_stuff(from_names(THING_NAMES), STUFF_NAMES[1:]))
    model = with_stuff(from_names(THING_NAMES), [*STUFF_NAMES, "lava"])
    dataset = ScenePanoptic(Scenes(1, (96, 128)), model)
    assert dataset.panoptic_categories == model
    np.testing.assert_array_equal(dataset.labels(0).semantic(), Scenes(1, (96, 128))[0].semantic)


def recipe_of(classes: Any, stuff: Any, data: dict[str, Any] | None = None, **train: Any) -> DetectionRecipe:
    values = {"data.classes": classes, "data.stuff": stuff, "input.short_side": 64, **(data or {})}
    recipe = overrides.apply(zoo.get("panoptic_fpn_resnest200_3x_coco.detectron2"), values)
    assert isinstance(recipe, DetectionRecipe)
    defaults = {"epochs": 1, "lr": 0.1, "batch_size": 2, "short_sides": (40,), "workers": 0, "flip": 0.0}
    return recipe.model_copy(update={"train": DetectionTraining(**{**defaults, **train})})


def scene_recipe(**train: Any) -> DetectionRecipe:
    data = {"format": "scenes", "train_count": 3, "val_count": 2, "height": 96, "width": 128}
    return recipe_of(THING_NAMES, STUFF_NAMES, {"data": data}, **train)


def test_datasets_are_opened_by_recipe(tmp_path: Path) -> None:
    scenes = scene_recipe()
    dataset = open_dataset(scenes.data, "train", build_categories(scenes))
    assert isinstance(dataset, ScenePanoptic)
    assert dataset.panoptic_categories == build_categories(scenes)
    write(tmp_path)
    paths = {"root": str(tmp_path), "val_images": ".", "val_annotations": "train.json"}
    categories = build_categories(recipe_of(["cat", "dog"], ["sky", "sea"]))
    for instances_file, num_boxes in ((None, 3), (instances(tmp_path).name, 1)):
        data = CocoData(classes=("cat", "dog"), stuff=("sky", "sea"), val_instances=instances_file, **paths)
        dataset = open_dataset(data, "val", categories)
        assert isinstance(dataset, CocoPanoptic)
        assert len(dataset[0].boxes) == num_boxes


def test_training_sample_has_instances_and_stuff_labels(tmp_path: Path) -> None:
    recipe = recipe_of(["cat", "dog"], ["sky", "sea"], short_sides=(6,), keep_empty_images=True, batch_size=1)
    dataset = CocoPanoptic(tmp_path, write(tmp_path), build_categories(recipe))
    training_set = DetectionTrainingSet(dataset, recipe)
    sample = training_set[0, 0]
    assert sample.image.shape == (3, 6, 10)
    assert sample.semantic is not None
    assert type(sample.semantic) is torch.Tensor
    doubled = np.kron(dataset.labels(0).stuff_labels(2), np.ones((2, 2), np.uint8))
    np.testing.assert_array_equal(sample.semantic, doubled)
    assert sample.instances is not None
    assert sample.instances.labels.tolist() == [1, 0]
    assert sample.instances.masks is not None
    np.testing.assert_array_equal(sample.instances.masks[0], np.kron(PIXELS == 300, np.ones((2, 2), bool)))
    empty = training_set[0, 1]
    assert empty.semantic is not None
    assert (empty.semantic == UNLABELED).all()


def test_training_sample_of_a_detector_has_no_stuff_labels(tmp_path: Path) -> None:
    recipe = recipe_of(["cat", "dog"], ["sky", "sea"], batch_size=1)
    detector = recipe.model_copy(
        update={"task": "instance", "model": recipe.model.model_copy(update={"panoptic": None})}
    )
    dataset = CocoPanoptic(tmp_path, write(tmp_path), build_categories(recipe))
    assert DetectionTrainingSet(dataset, detector)[0, 0].semantic is None


@pytest.mark.parametrize("workers", [0, 1])
def test_stuff_labels_of_a_batch_are_padded_like_images(workers: int) -> None:
    recipe = scene_recipe(workers=workers, short_sides=(40, 64), crop=0.6, flip=0.5)
    (batch,) = next(open_training(recipe).steps(0))
    assert batch.semantic is not None
    assert batch.semantic.dtype == torch.uint8
    assert batch.semantic.shape == (2, *batch.images.shape[2:])
    assert batch.instances is not None
    for stuff, (height, width), ground_truth in zip(batch.semantic, batch.sizes, batch.instances, strict=True):
        assert stuff[:height, :width].max() <= len(STUFF_NAMES)  # every pixel of a scene is labeled
        assert (stuff[height:] == UNLABELED).all()
        assert (stuff[:, width:] == UNLABELED).all()
        for x1, y1, x2, y2 in ground_truth.boxes.round().int().tolist():
            assert (stuff[y1:y2, x1:x2] == 0).any()


def test_check_counts_stuff_and_finds_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = CocoPanoptic(tmp_path, write(tmp_path), CLASSES, instances(tmp_path))
    report = check_dataset(dataset)
    assert report.faults == ()
    assert report.stuff == (StuffCount("sky", 0, 0.0), StuffCount("sea", 1, 4 / 30))
    print_report(report, "train")
    assert "13.33%" in capsys.readouterr().out
    (tmp_path / "train" / "2.png").unlink()
    assert check_dataset(dataset).faults == (f"{tmp_path / 'train' / '2.png'} does not exist. Check the path.",)


def test_check_of_a_dataset_without_images(tmp_path: Path) -> None:
    report = check_dataset(CocoPanoptic(tmp_path, write(tmp_path, images=[], annotations=[]), CLASSES))
    assert report.stuff == (StuffCount("sky", 0, 0.0), StuffCount("sea", 0, 0.0))
    assert len(report.faults) == 1
