"""Label maps as a segmentor is trained and evaluated on them: samples, batches, loaders."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splitnest import recipes
from splitnest.batch import collate
from splitnest.data.categories import Categories, from_names
from splitnest.data.loader import evaluation_loader
from splitnest.data.order import training_loader
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic import SemanticDataset, open_semantic
from splitnest.data.semantic_training import SemanticTrainingSet
from splitnest.data.transforms import prepare
from splitnest.errors import DataError, UsageError
from splitnest.recipe import Data, SemanticRecipe, SemanticTraining

TRAIN: dict[str, Any] = {"length": 1, "learning_rate": 0.1, "batch_size": 2, "crop": (48, 80), "workers": 0}
PLAIN: dict[str, Any] = {"ratios": (1, 1), "max_class_share": 1, "flip": 0, "photometric": False}


def recipe(short_side: int = 64, **train: Any) -> SemanticRecipe:
    found = recipes.get("fcn_resnest101_d8_cityscapes.mmseg")
    assert isinstance(found, SemanticRecipe)
    facts = found.input.model_copy(update={"short_side": short_side, "long_side": 2 * short_side})
    return found.model_copy(update={"input": facts, "train": SemanticTraining(**{**TRAIN, **train})})


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
    data = Data(root=str(root), format="folders", classes=("a", "b"), **paths)
    return open_semantic(data, "train", from_names(data.classes))


def test_no_photographs() -> None:
    with pytest.raises(DataError, match="scenes has no photographs, so there is nothing to train on"):
        SemanticTrainingSet(SceneSemantic(Scenes(0)), recipe())
    loader = evaluation_loader(SceneSemantic(Scenes(0)), recipe().input)
    assert len(loader) == 0
    assert list(loader) == []


def test_a_sample(scenes: SceneSemantic) -> None:
    sample = SemanticTrainingSet(scenes, recipe(crop=(64, 96), **PLAIN))[0, 2]
    assert (sample.name, sample.original_size) == ("scene 2", (64, 96))
    assert torch.equal(sample.image, prepare(scenes.read(2), recipe().input, resize=False))
    assert sample.image.dtype == torch.float32
    assert sample.semantic.dtype == torch.uint8
    np.testing.assert_array_equal(sample.semantic, scenes.labels(2))


def test_a_small_photograph_is_padded(scenes: SceneSemantic) -> None:
    training_set = SemanticTrainingSet(scenes, recipe(32, **PLAIN))
    sample = training_set[0, 0]
    assert (sample.image.shape, sample.semantic.shape) == ((3, 48, 80), (48, 80))
    assert (sample.semantic[32:] == 255).all()
    assert (sample.semantic[:, 48:] == 255).all()
    assert (sample.image[:, 32:] == 0).all()
    assert (sample.image[:, :, 48:] == 0).all()
    assert (sample.semantic[:32, :48] != 255).all()
    np.testing.assert_array_equal(training_set.sizes_hw, [[48, 80]] * 5)


def test_a_sample_depends_on_seed_epoch_and_photograph_alone(scenes: SceneSemantic) -> None:
    training_set, again = (SemanticTrainingSet(scenes, recipe()) for _ in range(2))
    first = training_set[3, 1]
    for key in ((0, 0), (2, 2)):
        _ = again[key]
    assert torch.equal(again[3, 1].image, first.image)
    assert torch.equal(again[3, 1].semantic, first.semantic)
    for other in (training_set[4, 1], SemanticTrainingSet(scenes, recipe(seed=1))[3, 1]):
        assert not torch.equal(other.image, first.image)


def test_what_cannot_be_trained_on(tmp_path: Path, scenes: SceneSemantic) -> None:
    with pytest.raises(UsageError, match="has no section train"):
        SemanticTrainingSet(scenes, recipe().model_copy(update={"train": None}))
    many = SceneSemantic(Scenes(1), Categories((*CATEGORIES.items, *from_names(map(str, range(256))).items[14:])))
    with pytest.raises(UsageError, match=r"data\.classes has 256 classes: 255 is the most to train on"):
        SemanticTrainingSet(many, recipe())
    dataset = folders(tmp_path, 7)
    for number in range(6):
        (tmp_path / "masks" / f"{number}.png").unlink()
    with pytest.raises(
        DataError, match=r"without a label map: 0\.png, 1\.png, 2\.png, 3\.png, 4\.png and 1 more\. Add"
    ):
        SemanticTrainingSet(dataset, recipe())


def test_samples_are_the_same_for_any_number_of_workers(scenes: SceneSemantic) -> None:
    facts = recipe()
    assert facts.train is not None
    training_set = SemanticTrainingSet(scenes, facts)
    expected = list(islice(training_loader(training_set, facts.train), 5))
    assert [epoch for epoch, _ in expected] == [0, 0, 1, 1, 2]
    train = facts.train.model_copy(update={"workers": 2})
    for (epoch, samples), (_, others) in zip(training_loader(training_set, train, 3), expected[3:], strict=False):
        assert epoch in (1, 2)
        for sample, other in zip(samples, others, strict=True):
            assert sample.name == other.name
            assert torch.equal(sample.image, other.image)
            assert torch.equal(sample.semantic, other.semantic)


def test_a_batch(scenes: SceneSemantic) -> None:
    facts = recipe()
    assert facts.train is not None
    _, samples = next(training_loader(SemanticTrainingSet(scenes, facts), facts.train))
    semantic = [sample.semantic for sample in samples]
    batch = collate([sample.image for sample in samples], semantic=semantic).to(torch.device("cpu"), torch.float64)
    assert batch.images.shape == (2, 3, 48, 80)
    assert batch.images.dtype == torch.float64
    assert batch.semantic is not None
    assert torch.equal(batch.semantic, torch.stack(semantic))


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_labels_are_a_plain_error_before_they_reach_a_loss(tmp_path: Path, workers: int) -> None:
    facts = recipe(workers=workers)
    assert facts.train is not None
    training_set = SemanticTrainingSet(folders(tmp_path), facts)
    bad = tmp_path / "masks" / "3.png"
    Image.new("L", (96, 64), 2).save(bad)
    with pytest.raises(DataError) as caught:
        list(islice(training_loader(training_set, facts.train), 4))
    assert str(caught.value).startswith(f"{bad} has value 2 in 6144 of 6144 pixels, but the values of classes, ")


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_images(scenes: SceneSemantic, workers: int) -> None:
    facts = recipe(32).input
    loader = evaluation_loader(scenes, facts, batch_size=2, workers=workers)
    images = [image for batch in loader for image in batch]
    assert [image.image_id for image in images] == [0, 1, 2, 3, 4]
    assert [image.file_name for image in images] == [f"scene {index}" for index in range(5)]
    for index, image in enumerate(images):
        assert image.original_size == (64, 96)
        assert torch.equal(image.image, prepare(scenes.read(index), facts))
        assert image.image.shape == (3, 32, 48)
    (raw,), *_ = evaluation_loader(scenes, None)
    np.testing.assert_array_equal(raw.image, scenes.read(0))
