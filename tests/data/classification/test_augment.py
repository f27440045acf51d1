"""Training samples and batches of image classification: augmentation, mixup."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from helpers.image_tree import recipe_of, write_classes
from splitnest.data.classification.augment import (
    Lighting,
    crop_augmentation,
    cutmix,
    lighting_and_normalization,
    mix,
    mixup,
)
from splitnest.data.classification.open import open_dataset
from splitnest.data.classification.training_set import ClassificationTrainingSet
from splitnest.data.images.normalize import center_crop, normalize
from splitnest.data.loading.seeds import torch_seeded
from splitnest.errors import UserCodeError
from splitnest.inference.resolve import complete
from splitnest.models.build import build_categories
from splitnest.recipe import ClassificationRecipe, ClassificationTraining, overrides
from splitnest.recipe.inputs import ClassificationInput
from splitnest.training.batches import open_training

UNCHANGED: dict[str, Any] = {"crop_area": (1.0, 1.0), "flip": 0, "color_jitter": 0, "lighting": 0}


def train_config(**changes: Any) -> ClassificationTraining:
    return ClassificationTraining(**{"epochs": 1, "lr": 0.1, **UNCHANGED, **changes})


def augmentation(input_cfg: ClassificationInput, train_cfg: ClassificationTraining) -> v2.Compose:
    """Return the whole transform of a training image."""
    return v2.Compose([crop_augmentation(input_cfg, train_cfg), lighting_and_normalization(input_cfg, train_cfg)])


def random_image(height: int = 48, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("pixel_range", [1, 255])
def test_augmentation_without_random_changes_equals_preprocessing(channels: str, pixel_range: int) -> None:
    statistics = {"mean": [0.4 * pixel_range, 0.2, 0.1], "std": [0.2 * pixel_range, 1, 2]}
    changes = {"channels": channels, "pixel_range": pixel_range, **statistics}
    input_cfg = recipe_of(None, **{f"input.{key}": value for key, value in changes.items()}).input
    image = augmentation(input_cfg, train_config())(Image.fromarray(random_image()))
    assert torch.allclose(image, normalize(center_crop(random_image(), input_cfg), input_cfg), atol=1e-6)


def test_each_augmentation_changes_the_image() -> None:
    input_cfg = recipe_of(None).input
    plain = augmentation(input_cfg, train_config())(Image.fromarray(random_image()))
    for change in ({"crop_area": (0.1, 0.5)}, {"flip": 1}, {"policy": "auto_augment"}, {"policy": "rand_augment"},
                   {"color_jitter": 0.4}, {"lighting": 0.1}):  # fmt: skip
        augment = augmentation(input_cfg, train_config(**change))
        with torch_seeded(1):
            changed = [augment(Image.fromarray(random_image())) for _ in range(4)]
        assert any(not torch.allclose(image, plain) for image in changed), change
    flipped = augmentation(input_cfg, train_config(flip=1))(Image.fromarray(random_image()))
    assert torch.equal(flipped, plain.flip(2))
    resized = augmentation(input_cfg, train_config(crop_size=20))(Image.fromarray(random_image()))
    assert resized.shape == (3, 20, 20)


def test_lighting_noise_is_along_the_principal_colors() -> None:
    image = torch.rand(3, 4, 5)
    with torch_seeded(2):
        shifts = [(Lighting(0.1)(image) - image) for _ in range(300)]
    means = torch.stack([shift.flatten(1).mean(1) for shift in shifts])
    assert max(shift.flatten(1).std(1).max() for shift in shifts) < 1e-6
    vectors = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    deviations = (means @ vectors).std(0)
    expected = 0.1 * torch.tensor([0.2175, 0.0188, 0.0045])
    assert torch.allclose(deviations, expected, rtol=0.15, atol=1e-5)


def test_sample_is_a_function_of_seed_epoch_and_image(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 2})
    recipe = complete(recipe_of(tmp_path, **{"train.policy": "rand_augment"}))
    assert isinstance(recipe, ClassificationRecipe)
    dataset = open_dataset(recipe.data, "train", build_categories(recipe))
    training_set = ClassificationTrainingSet(dataset, recipe)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = training_set[0, 4]
    assert torch.equal(torch.rand(4), expected)  # the generator of the model is unchanged
    torch.manual_seed(99)
    assert torch.equal(training_set[0, 4].image, first.image)
    assert not torch.equal(training_set[1, 4].image, first.image)
    other = ClassificationTrainingSet(dataset, overrides.apply(recipe, {"train.seed": 1}))  # type: ignore[arg-type]
    assert not torch.equal(other[0, 4].image, first.image)
    assert (first.label, first.name, first.original_size) == (2, "red/train0.png", (36, 40))
    assert training_set.sizes_hw.tolist() == [[32, 32]] * 6


def test_mixup_follows_the_formula() -> None:
    images, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 2])
    with torch_seeded(5):
        mixed, probabilities = mixup(images, labels, 3, 0.2)
    proportion = probabilities[0, 0].item()
    assert 0 < proportion < 1
    one_hot = nn.functional.one_hot(labels, 3).float()
    assert torch.allclose(probabilities, proportion * one_hot + (1 - proportion) * one_hot.roll(1, 0))
    assert torch.allclose(mixed, proportion * images + (1 - proportion) * images.roll(1, 0), atol=1e-6)


def test_cutmix_labels_are_the_areas() -> None:
    images, labels = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8), torch.tensor([0, 1, 1, 2])
    with torch_seeded(5):
        mixed, probabilities = cutmix(images.clone(), labels, 3, 1.0)
    own = (mixed == images).float().mean((1, 2, 3))
    assert 0 < own[0] < 1
    one_hot = nn.functional.one_hot(labels, 3).float()
    assert torch.allclose(probabilities, own[:, None] * one_hot + (1 - own[:, None]) * one_hot.roll(1, 0))


def test_each_batch_gets_mixup_or_cutmix() -> None:
    images, labels = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).clone(), torch.tensor([0, 1, 1, 2])
    kinds = set()
    for seed in range(8):
        with torch_seeded(seed):
            mixed, _ = mix(images, labels, 3, train_config(mixup=0.8, cutmix=1.0))
        kinds.add("cutmix" if set(mixed.unique().tolist()) <= {0, 1, 2, 3} else "mixup")
    assert kinds == {"mixup", "cutmix"}


def test_list_follows_the_crop_and_keeps_other_random_numbers(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 2})
    values = {"train.mixup": 0, "train.policy": "rand_augment"}
    plain = open_training(complete(recipe_of(tmp_path, **values))).training_set[0, 4]
    entry = {"type": "random_erasing", "p": 1, "value": 0}
    recipe = complete(recipe_of(tmp_path, **values, **{"train.augment": [entry]}))
    erased = open_training(recipe).training_set[0, 4]
    kept = (erased.image == plain.image).all(0)
    assert 0.5 < kept.float().mean() < 1
    own = open_training(recipe, augment=lambda image, target: (image, target | {"label": 0})).training_set[0, 4]
    assert (plain.label, erased.label, own.label) == (2, 2, 0)
    smaller = open_training(recipe, augment=lambda image, target: (image[:, 1:], target)).training_set
    with pytest.raises(UserCodeError, match=r"it returned \[31, 32\] pixels for a crop of \[32, 32\]"):
        smaller[0, 4]


def test_mixup_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 4})
    recipe = complete(recipe_of(tmp_path))
    started, resumed = open_training(recipe).steps(0), open_training(recipe).steps(2)
    batches = [next(started)[0] for _ in range(3)]
    (again,) = next(resumed)
    assert torch.equal(batches[2].images, again.images)
    assert batches[2].labels is not None
    assert again.labels is not None
    assert torch.equal(batches[2].labels, again.labels)
    assert again.labels.shape == (6, 3)
    assert torch.allclose(again.labels.sum(1), torch.ones(6))
    (plain,) = next(open_training(overrides.apply(recipe, {"train.mixup": 0})).steps(2))
    assert plain.labels is not None
    assert plain.labels.dtype == torch.int64
