"""Training augmentation of image classification, built from torchvision transforms.

Sources: ``resnest/torch/transforms/build.py`` and ``scripts/gluon/train.py`` of the ResNeSt repository. The policy is
applied before the crop, as there.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from splitnest.recipe.inputs import ClassificationInput
from splitnest.recipe.training import ClassificationTraining

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Minimum and maximum aspect ratio of the random crop (Szegedy et al. 2014; both scripts)."""

PRINCIPAL_COLORS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
) * torch.tensor([0.2175, 0.0188, 0.0045])
"""Principal components of ImageNet's pixels from 0 to 1, in columns, times their variances (both scripts)."""


class Lighting(v2.Transform):
    """PCA lighting noise: adds a random multiple of each principal color (Krizhevsky et al. 2012, section 4.1).

    Args:
        std: Standard deviation of the factors.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Return an image ``[3, H, W]`` from 0 to 1 with noise added."""
        shift = PRINCIPAL_COLORS @ (torch.randn(3) * self.std)
        return inpt + shift[:, None, None]


class ReverseChannels(v2.Transform):
    """Conversion of RGB to BGR."""

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Return an image ``[3, H, W]`` with its channels in reverse order."""
        return inpt.flip(0)


def crop_augmentation(input_cfg: ClassificationInput, train_cfg: ClassificationTraining) -> v2.Compose:
    """Return the transform from an RGB Pillow image to a crop ``[3, size, size]``, uint8.

    Args:
        input_cfg: Section ``input`` of the recipe.
        train_cfg: Section ``train`` of the recipe.
    """
    size = train_cfg.crop_size or input_cfg.size
    steps: list[torch.nn.Module] = []
    match train_cfg.policy:
        case "auto_augment":
            steps.append(v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET))
        case "rand_augment":
            steps.append(v2.RandAugment(train_cfg.policy_operations, train_cfg.policy_magnitude))
    steps += [
        v2.RandomResizedCrop(size, train_cfg.crop_area, ASPECT_RATIOS, v2.InterpolationMode(input_cfg.interpolation)),
        v2.RandomHorizontalFlip(train_cfg.flip),
        v2.ColorJitter(*[train_cfg.color_jitter] * 3),
        v2.PILToTensor(),
    ]
    return v2.Compose(steps)


def lighting_and_normalization(input_cfg: ClassificationInput, train_cfg: ClassificationTraining) -> v2.Compose:
    """Return the transform from a crop ``[3, size, size]``, uint8, to a normalized image with lighting noise, float32.

    Args:
        input_cfg: Section ``input`` of the recipe.
        train_cfg: Section ``train`` of the recipe.
    """
    scale = input_cfg.pixel_range
    return v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            Lighting(train_cfg.lighting),
            ReverseChannels() if input_cfg.channels == "BGR" else v2.Identity(),
            v2.Normalize([mean / scale for mean in input_cfg.mean], [std / scale for std in input_cfg.std]),
        ]
    )


def mix(images: Tensor, labels: Tensor, num_classes: int, train_cfg: ClassificationTraining) -> tuple[Tensor, Tensor]:
    """Mix the images of a batch by mixup or CutMix, whichever the recipe asks for; one of the two at random if both.

    Args:
        images: ``[N, 3, H, W]``.
        labels: int64 ``[N]``.
        num_classes: Number of classes.
        train_cfg: Section ``train`` of the recipe.

    Returns:
        Images of the same shape, and class probabilities ``[N, num_classes]``.
    """
    methods = [(mixup, train_cfg.mixup), (cutmix, train_cfg.cutmix)]
    asked = [(method, alpha) for method, alpha in methods if alpha]
    method, alpha = asked[int(torch.randint(len(asked), ()))] if len(asked) > 1 else asked[0]
    return method(images, labels, num_classes, alpha)


def mixup(images: Tensor, labels: Tensor, num_classes: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix each image and its label with those of the image before it, all in the same proportion (mixup).

    Args:
        images: ``[N, 3, H, W]``.
        labels: int64 ``[N]``.
        num_classes: Number of classes.
        alpha: Both parameters of the beta distribution of the proportion.

    Returns:
        Images of the same shape, and class probabilities ``[N, num_classes]``.
    """
    mixed: tuple[Tensor, Tensor] = v2.MixUp(alpha=alpha, num_classes=num_classes)(images, labels)
    return mixed


def cutmix(images: Tensor, labels: Tensor, num_classes: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Replace a random rectangle of each image by that of the image before it, and mix labels by area (CutMix).

    Args:
        images: ``[N, 3, H, W]``.
        labels: int64 ``[N]``.
        num_classes: Number of classes.
        alpha: Both parameters of the beta distribution of the area that is kept.

    Returns:
        Images of the same shape, and class probabilities ``[N, num_classes]``.
    """
    mixed: tuple[Tensor, Tensor] = v2.CutMix(alpha=alpha, num_classes=num_classes)(images, labels)
    return mixed
