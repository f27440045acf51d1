"""Random changes of a photograph for training a classifier, all of torchvision but one.

Sources: ``resnest/torch/transforms/build.py`` and ``scripts/gluon/train.py`` of the ResNeSt repository. The policy
comes before the crop, as there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from splitnest.recipe.inputs import ClassificationInput
from splitnest.recipe.training import ClassificationTraining

RATIOS = (3 / 4, 4 / 3)
"""Width over height of a crop, at least and at most (Szegedy et al. 2014; both scripts)."""

PRINCIPAL_COLORS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
) * torch.tensor([0.2175, 0.0188, 0.0045])
"""Principal components of ImageNet's pixels from 0 to 1, in columns, times their variances (both scripts)."""


class Lighting(v2.Transform):
    """Adds a random multiple of each principal colour to all pixels (Krizhevsky et al. 2012, section 4.1).

    Args:
        deviation: Standard deviation of the factors.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Shift an image ``[3, H, W]`` from 0 to 1."""
        shift = PRINCIPAL_COLORS @ (torch.randn(3) * self.deviation)
        return inpt + shift[:, None, None]


class ReversedChannels(v2.Transform):
    """Turns RGB into BGR."""

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Return an image ``[3, H, W]`` with its channels the other way round."""
        return inpt.flip(0)


def augmentation(facts: ClassificationInput, train: ClassificationTraining) -> v2.Compose:
    """Return what makes a normalised image ``[3, size, size]``, float32, of a Pillow image in RGB.

    Args:
        facts: ``input`` of the recipe: filter, statistics.
        train: ``train`` of the recipe: how much is changed.
    """
    size = train.size or facts.size
    interpolation = v2.InterpolationMode(facts.interpolation)
    steps: list[torch.nn.Module] = []
    match train.policy:
        case "auto_augment":
            steps.append(v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET))
        case "rand_augment":
            steps.append(v2.RandAugment(train.policy_operations, train.policy_magnitude))
    steps += [
        v2.RandomResizedCrop(size, train.area, RATIOS, interpolation),
        v2.RandomHorizontalFlip(train.flip),
        v2.ColorJitter(*[train.color_jitter] * 3),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        Lighting(train.lighting),
        ReversedChannels() if facts.channels == "BGR" else v2.Identity(),
        v2.Normalize([m / facts.pixel_range for m in facts.mean], [s / facts.pixel_range for s in facts.std]),
    ]
    return v2.Compose(steps)


def mix(images: Tensor, labels: Tensor, num_classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it, all in one proportion, and their labels likewise.

    Args:
        images: ``[N, 3, H, W]``.
        labels: int64 ``[N]``.
        num_classes: How many there are.
        strength: The proportion is from Beta(strength, strength).

    Returns:
        Images of the same shape, and the share of each class ``[N, num_classes]``.
    """
    mixed: tuple[Tensor, Tensor] = v2.MixUp(alpha=strength, num_classes=num_classes)(images, labels)
    return mixed


def seed_of(seed: int, *key: int) -> int:
    """Return a seed for torch, of 64 bits, that follows from the seed of a training and a key."""
    words = np.random.SeedSequence(seed, spawn_key=key).generate_state(2, np.uint32).tolist()
    return words[0] << 32 | words[1]


@contextmanager
def seeded(seed: int, *key: int) -> Iterator[None]:
    """Let torch's random numbers on the CPU depend on the seed and the key alone; they are put back afterwards."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed_of(seed, *key))  # torch.manual_seed would seed CUDA, too
    try:
        yield
    finally:
        torch.set_rng_state(before)
