"""Training set of semantic segmentation: samples, batches, and evaluation images."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splitnest import zoo
from splitnest.data.images.normalize import normalize
from splitnest.data.loading.evaluation_loader import EvaluationLoader
from splitnest.data.loading.training_loader import TrainingLoader
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.data.semantic.training_set import SemanticTrainingSet
from splitnest.errors import DataError, UsageError
from splitnest.recipe import SemanticRecipe, SemanticTraining
from splitnest.recipe.label_map_data import LabelMapFolderData
from splitnest.structures.batch import collate
from splitnest.structures.categories import Categories, from_names
from splitnest.tasks import task_of

TRAIN: dict[str, Any] = {"epochs": 1, "lr": 0.1, "batch_size": 2, "crop_size": (48, 80), "workers": 0}
PLAIN: dict[str, Any] = {"resize_ratios": (1, 1), "max_class_fraction": 1, "flip": 0, "photometric_distortion": False}


def recipe(short_side: int = 64, **train: Any) -> SemanticRecipe:
    base = zoo.get("fcn_resnest101_d8_cityscapes.mmseg")
    assert isinstance(base, SemanticRecipe)
    input_cfg = base.input.model_copy(update={"short_side": short_side, "long_side": 2 * short_side})
    return base.model_copy(update={"input": input_cfg, "train": training(**train)})


def training(**train: Any) -> SemanticTraining:
    return SemanticTraining(**{**TRAIN, **train})


@pytest.fixture(scope="module")
def scenes() -> SceneSemantic:
    return SceneSemantic(Scenes(5, (64, 96)))


def folders(root: Path, count: int = 4) -> SemanticDataset:
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number in range(count):
        Image.new("RGB", (96, 64), (10 * number, 0, 0)).save(root / "images" / f"{number}.png")
        Image.new("L", (96, 64), number % 2).save(root / "masks" / f"{number}.png")
    paths = {"train_images": "images", "train_annotations": "masks"}
    data = LabelMapFolderData(root=str(root), format="folders", classes=("a", "b"), **paths)
    return open_dataset(data, "train", from_names(data.classes))


def test_dataset_without_images() -> None:
    empty = SceneSemantic(Scenes(0))
    with pytest.raises(DataError, match="scenes has no images, so there is nothing to train on"):
        SemanticTrainingSet(empty, recipe())
    loader = EvaluationLoader(empty.read, len(empty))
    assert len(loader) == 0
    assert list(loader) == []


def test_sample_has_image_and_label_map(scenes: SceneSemantic) -> None:
    sample = SemanticTrainingSet(scenes, recipe(crop_size=(64, 96), **PLAIN))[0, 2]
    assert (sample.name, sample.original_size) == ("scene 2", (64, 96))
    assert torch.equal(sample.image, normalize(scenes.read(2), recipe().input))
    assert sample.image.dtype == torch.float32
    assert sample.semantic is not None
    assert sample.semantic.dtype == torch.uint8
    np.testing.assert_array_equal(sample.semantic, scenes.labels(2))


def test_small_image_is_padded(scenes: SceneSemantic) -> None:
    training_set = SemanticTrainingSet(scenes, recipe(32, **PLAIN))
    sample = training_set[0, 0]
    assert sample.semantic is not None
    assert (sample.image.shape, sample.semantic.shape) == ((3, 48, 80), (48, 80))
    assert (sample.semantic[32:] == 255).all()
    assert (sample.semantic[:, 48:] == 255).all()
    assert (sample.image[:, 32:] == 0).all()
    assert (sample.image[:, :, 48:] == 0).all()
    assert (sample.semantic[:32, :48] != 255).all()
    np.testing.assert_array_equal(training_set.sizes_hw, [[48, 80]] * 5)


def test_sample_depends_on_seed_epoch_and_image_alone(scenes: SceneSemantic) -> None:
    training_set, other_set = (SemanticTrainingSet(scenes, recipe()) for _ in range(2))
    first = training_set[3, 1]
    for key in ((0, 0), (2, 2)):
        _ = other_set[key]
    repeated = other_set[3, 1]
    assert torch.equal(repeated.image, first.image)
    assert first.semantic is not None
    assert repeated.semantic is not None
    assert torch.equal(repeated.semantic, first.semantic)
    for other in (training_set[4, 1], SemanticTrainingSet(scenes, recipe(seed=1))[3, 1]):
        assert not torch.equal(other.image, first.image)


def test_untrainable_recipes_and_datasets_are_rejected(tmp_path: Path, scenes: SceneSemantic) -> None:
    with pytest.raises(UsageError, match="has no section 'train'"):
        SemanticTrainingSet(scenes, recipe().model_copy(update={"train": None}))
    many = SceneSemantic(Scenes(1), Categories((*CATEGORIES.items, *from_names(map(str, range(256))).items[14:])))
    with pytest.raises(UsageError, match=r"data\.classes has 256 classes\. At most 255 can be trained"):
        SemanticTrainingSet(many, recipe())
    dataset = folders(tmp_path, 7)
    for number in range(6):
        (tmp_path / "masks" / f"{number}.png").unlink()
    with pytest.raises(
        DataError, match=r"without a label map: 0\.png, 1\.png, 2\.png, 3\.png, 4\.png and 1 more\. Add"
    ):
        SemanticTrainingSet(dataset, recipe())


def test_samples_are_the_same_for_any_number_of_workers(scenes: SceneSemantic) -> None:
    training_set = SemanticTrainingSet(scenes, recipe())
    expected = [step[0] for step in islice(TrainingLoader(training_set, training()).steps(0), 5)]
    assert [part[0].key[0] for part in expected] == [0, 0, 1, 1, 2]
    steps = list(islice(TrainingLoader(training_set, training(workers=2)).steps(3), 2))
    assert [step[0][0].key[0] for step in steps] == [1, 2]
    for (part,), others in zip(steps, expected[3:], strict=True):
        for loaded, other in zip(part, others, strict=True):
            assert loaded.sample is not None
            assert other.sample is not None
            assert loaded.sample.name == other.sample.name
            assert torch.equal(loaded.sample.image, other.sample.image)
            assert loaded.sample.semantic is not None
            assert other.sample.semantic is not None
            assert torch.equal(loaded.sample.semantic, other.sample.semantic)


def test_label_maps_are_stacked_in_a_batch(scenes: SceneSemantic) -> None:
    (part,) = next(TrainingLoader(SemanticTrainingSet(scenes, recipe()), training()).steps(0))
    samples = [loaded.sample for loaded in part if loaded.sample is not None]
    semantic = [sample.semantic for sample in samples if sample.semantic is not None]
    batch = collate([sample.image for sample in samples], semantic=semantic).to(torch.device("cpu"), torch.float64)
    assert batch.images.shape == (2, 3, 48, 80)
    assert batch.images.dtype == torch.float64
    assert batch.semantic is not None
    assert torch.equal(batch.semantic, torch.stack(semantic))


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_labels_are_a_data_error(tmp_path: Path, workers: int) -> None:
    """A label outside the classes is an error of its file and never reaches the loss."""
    training_set = SemanticTrainingSet(folders(tmp_path), recipe())
    bad = tmp_path / "masks" / "3.png"
    Image.new("L", (96, 64), 2).save(bad)
    with pytest.raises(DataError) as caught:
        list(islice(TrainingLoader(training_set, training(workers=workers)).steps(0), 4))
    assert str(caught.value).startswith(f"{bad} has value 2 in 6144 of 6144 pixels, but the values of classes and ")


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_images(scenes: SceneSemantic, workers: int) -> None:
    small = recipe(32)
    prepare = partial(task_of(small).prepare_item, scenes, recipe=small)
    prepared = list(EvaluationLoader(prepare, len(scenes), workers))
    assert [scenes.name(index) for index in range(len(prepared))] == [f"scene {index}" for index in range(5)]
    for index, image in enumerate(prepared):
        assert image.original_size == (64, 96)
        assert torch.equal(image.inputs, task_of(small).prepare(scenes.read(index), small).inputs)
        assert image.inputs.shape == (1, 3, 32, 48)
    original = next(iter(EvaluationLoader(scenes.read, len(scenes))))
    np.testing.assert_array_equal(original, scenes.read(0))
