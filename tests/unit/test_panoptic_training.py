"""Panoptic data by recipe: drawn scenes, what a model is trained on, batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from panoptic_tree import CLASSES, PIXELS, instances, write

from splitnest import recipes
from splitnest.build import build_categories
from splitnest.data.categories import from_names, with_stuff
from splitnest.data.check import StuffCount, check, print_report
from splitnest.data.coco_panoptic import CocoPanoptic
from splitnest.data.dataset import open_dataset
from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.data.training_set import TrainingSet
from splitnest.errors import DataError
from splitnest.recipe import Data, DetectionRecipe, DetectionTraining, overrides
from splitnest.recipe.data import SceneData
from splitnest.training.data import TrainingBatches


def test_a_kind_of_stuff_is_no_thing_of_scenes() -> None:
    mixed = with_stuff(from_names([*THING_NAMES, "sky"]), [name for name in STUFF_NAMES if name != "sky"])
    with pytest.raises(DataError, match="sky is stuff in scenes"):
        ScenePanoptic(Scenes(1, (64, 64)), mixed)


def test_scenes_are_what_is_read_back_from_their_files(tmp_path: Path) -> None:
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


def test_scenes_for_a_model_with_classes_of_its_own() -> None:
    with pytest.raises(DataError, match="only the file has sky"):
        ScenePanoptic(Scenes(1, (96, 128)), with_stuff(from_names(THING_NAMES), STUFF_NAMES[1:]))
    model = with_stuff(from_names(THING_NAMES), [*STUFF_NAMES, "lava"])
    dataset = ScenePanoptic(Scenes(1, (96, 128)), model)
    assert dataset.panoptic_categories == model
    np.testing.assert_array_equal(dataset.labels(0).semantic(), Scenes(1, (96, 128))[0].semantic)


def recipe(classes: Any, stuff: Any, data: dict[str, Any] | None = None, **train: Any) -> DetectionRecipe:
    values = {"data.classes": classes, "data.stuff": stuff, "input.short_side": 64, **(data or {})}
    found = overrides.apply(recipes.get("panoptic_fpn_resnest200_3x_coco.detectron2"), values)
    assert isinstance(found, DetectionRecipe)
    facts = {"length": 1, "learning_rate": 0.1, "batch_size": 2, "short_sides": (40,), "workers": 0, "flip": 0.0}
    return found.model_copy(update={"train": DetectionTraining(**{**facts, **train})})


def scene_recipe(**train: Any) -> DetectionRecipe:
    scenes = SceneData(train_count=3, val_count=2, height=96, width=128)
    data = {"data.format": "scenes", "data.scenes": scenes.model_dump()}
    return recipe(list(THING_NAMES), list(STUFF_NAMES), data, **train)


def test_opening_by_recipe(tmp_path: Path) -> None:
    drawn = scene_recipe()
    dataset = open_dataset(drawn.data, "train", build_categories(drawn))
    assert isinstance(dataset, ScenePanoptic)
    assert dataset.panoptic_categories == build_categories(drawn)
    write(tmp_path)
    paths = {"root": str(tmp_path), "val_images": ".", "val_annotations": "train.json"}
    read = recipe(["cat", "dog"], ["sky", "sea"])
    for key, boxes in ((None, 3), (instances(tmp_path).name, 1)):
        data = Data(classes=("cat", "dog"), stuff=("sky", "sea"), val_instances=key, **paths)
        dataset = open_dataset(data, "val", build_categories(read))
        assert isinstance(dataset, CocoPanoptic)
        assert len(dataset[0].boxes) == boxes


def test_what_a_model_is_trained_on(tmp_path: Path) -> None:
    facts = recipe(["cat", "dog"], ["sky", "sea"], short_sides=(6,), empty_images=True, batch_size=1)
    dataset = CocoPanoptic(tmp_path, write(tmp_path), build_categories(facts))
    training_set = TrainingSet(dataset, facts)
    sample = training_set[0, 0]
    assert sample.image.shape == (3, 6, 10)
    assert sample.semantic is not None
    assert type(sample.semantic) is torch.Tensor
    twice = np.kron(dataset.labels(0).separated(2), np.ones((2, 2), np.uint8))
    np.testing.assert_array_equal(sample.semantic, twice)
    assert sample.instances.labels.tolist() == [1, 0]
    assert sample.instances.masks is not None
    np.testing.assert_array_equal(sample.instances.masks[0], np.kron(PIXELS == 300, np.ones((2, 2), bool)))
    empty = training_set[0, 1]
    assert empty.semantic is not None
    assert (empty.semantic == UNLABELLED).all()


def test_a_data_set_for_a_detector_has_no_stuff(tmp_path: Path) -> None:
    facts = recipe(["cat", "dog"], ["sky", "sea"], batch_size=1)
    detector = facts.model_copy(update={"task": "instance"})
    dataset = CocoPanoptic(tmp_path, write(tmp_path), build_categories(facts))
    assert TrainingSet(dataset, detector)[0, 0].semantic is None


@pytest.mark.parametrize("workers", [0, 1])
def test_batches(workers: int) -> None:
    facts = scene_recipe(workers=workers, short_sides=(40, 64), crop=0.6, flip=0.5)
    assert facts.train is not None
    training_set = TrainingSet(open_dataset(facts.data, "train", build_categories(facts)), facts)
    ((batch,),) = [
        parts for parts, _ in zip(TrainingBatches(training_set, facts.train, 32).steps(0), (0,), strict=False)
    ]
    assert batch.semantic is not None
    assert batch.semantic.dtype == torch.uint8
    assert batch.semantic.shape == (2, *batch.images.shape[2:])
    assert batch.instances is not None
    for stuff, (height, width), objects in zip(batch.semantic, batch.sizes, batch.instances, strict=True):
        assert stuff[:height, :width].max() <= len(STUFF_NAMES)  # every pixel of a scene is labelled
        assert (stuff[height:] == UNLABELLED).all()
        assert (stuff[:, width:] == UNLABELLED).all()
        for x1, y1, x2, y2 in objects.boxes.round().int().tolist():
            assert (stuff[y1:y2, x1:x2] == 0).any()


def test_a_data_set_is_looked_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = CocoPanoptic(tmp_path, write(tmp_path), CLASSES, instances(tmp_path))
    report = check(dataset)
    assert report.faults == ()
    assert report.stuff == (StuffCount("sky", 0, 0.0), StuffCount("sea", 1, 4 / 30))
    print_report(report, "train")
    assert "13.33%" in capsys.readouterr().out
    (tmp_path / "train" / "2.png").unlink()
    assert check(dataset).faults == (f"{tmp_path / 'train' / '2.png'} does not exist. Check the path.",)


def test_data_without_photographs_is_looked_over(tmp_path: Path) -> None:
    report = check(CocoPanoptic(tmp_path, write(tmp_path, images=[], annotations=[]), CLASSES))
    assert report.stuff == (StuffCount("sky", 0, 0.0), StuffCount("sea", 0, 0.0))
    assert len(report.faults) == 1
