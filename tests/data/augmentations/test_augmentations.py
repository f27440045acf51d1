"""The list ``train.augment`` and the augmentation of a user: random numbers, second images, ground truth, errors."""

import pickle
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from helpers.views import boxes_of, square_view
from splitnest import zoo
from splitnest.data.augmentations.augmentations import Augmentations, Views
from splitnest.data.augmentations.view import View
from splitnest.errors import UserCodeError
from splitnest.recipe import overrides

VIEWS = [square_view((30, 40), [(5, 5, 20, 20)], value) for value in (60, 80, 100)]


def augmentations(*entries: Any, seed: int = 0) -> Augmentations:
    recipe: Any = overrides.apply(zoo.get("mask_rcnn_resnest50_fpn_1x_coco.mmdet"), {"train.augment": list(entries)})
    return Augmentations(recipe.train.augment, recipe.input, seed)


def augmented(list_: Augmentations, epoch: int = 0, index: int = 0) -> View:
    return list_(VIEWS[index], Views(lambda other: VIEWS[other], len(VIEWS), "{}.png".format), epoch, index)


def test_empty_list_is_false() -> None:
    assert not augmentations()
    assert augmentations("random_erasing")
    assert augmentations().followed_by(v2.Identity())
    image, target = augmented(augmentations())
    assert image is VIEWS[0][0]
    assert target is VIEWS[0][1]


def test_random_numbers_are_a_function_of_seed_epoch_and_index() -> None:
    list_ = augmentations({"type": "gaussian_noise", "p": 1}, {"type": "mosaic", "p": 1})
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = augmented(list_)[0]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]
    torch.manual_seed(7)
    assert torch.equal(augmented(pickle.loads(pickle.dumps(list_)))[0], first)  # as in a worker that is spawned
    for other in (augmented(list_, 1, 0), augmented(list_, 0, 1)):
        assert not torch.equal(other[0], first)
    changed = augmentations({"type": "gaussian_noise", "p": 1}, {"type": "mosaic", "p": 1}, seed=1)
    assert not torch.equal(augmented(changed)[0], first)


def test_probability_is_that_of_the_entry() -> None:
    list_ = augmentations({"type": "random_invert", "p": 0.3})
    inverted = sum(int(augmented(list_, epoch)[0][0, 0, 0]) != 60 for epoch in range(100))
    assert 0.2 < inverted / 100 < 0.4


def test_second_image_has_the_entries_before() -> None:
    list_ = augmentations({"type": "random_invert", "p": 1}, {"type": "copy_paste", "p": 1})
    image, target = augmented(list_)
    pasted = target["masks"].as_subclass(Tensor)[-1]
    value = image.as_subclass(Tensor)[0][pasted].unique().tolist()
    assert value in [[255 - 110], [255 - 130], [255 - 150]]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "random_affine", "degrees": 30, "translate": [0.2, 0.2], "shear": 10},
        "random_perspective",
        "random_vertical_flip",
    ],
)
def test_ground_truth_moves_with_the_pixels(entry: Any) -> None:
    entry = {"type": entry} if isinstance(entry, str) else entry
    list_ = augmentations({**entry, "p": 1})
    image, target = augmented(list_)
    bright = image.as_subclass(Tensor)[0] >= 100  # the background has 60, and the fill color is brighter
    mask = target["masks"].as_subclass(Tensor)[0]
    known = target["semantic"].as_subclass(Tensor) == 5
    assert 0 < mask.sum() < mask.numel()
    assert (bright != mask)[known].float().mean() < 0.1
    assert image.shape == (3, 30, 40)


def test_erasing_keeps_ground_truth_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, target = augmented(augmentations({"type": "random_erasing", "p": 1, "value": 1}))
    assert (image == 1).any()
    assert target is VIEWS[0][1]


def test_transforms_of_torchvision_and_filters_of_boxes_are_augmentations_of_a_user() -> None:
    own = v2.Compose([v2.RandomHorizontalFlip(1), v2.SanitizeBoundingBoxes(min_size=16)])
    image, target = augmented(augmentations().followed_by(own))
    assert image.shape == (3, 30, 40)
    assert boxes_of(target) == []
    assert len(target["masks"]) == 0
    own = v2.RandomHorizontalFlip(1)
    assert boxes_of(augmented(augmentations("mosaic").followed_by(own), 0, 1)[1])


def test_all_generators_are_seeded_for_a_user() -> None:
    def noise(image: tv_tensors.Image, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        values = [random.randrange(99), int(np.random.randint(99)), int(torch.randint(99, ()))]
        return image + torch.tensor(values, dtype=torch.uint8).view(3, 1, 1), target

    list_ = augmentations().followed_by(noise)
    assert torch.equal(augmented(list_)[0], augmented(list_)[0])
    assert not torch.equal(augmented(list_)[0], augmented(list_, 1)[0])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda image, target: image, "an image and its ground truth, not Image"),
        (lambda image, target: (image.float(), target), r"a uint8 tensor \[3, H, W\], not torch.float32 \[3, 30, 40\]"),
        (lambda image, target: (None, target), "not NoneType"),
        (lambda image, target: (image, None), "as a dict, not NoneType"),
        (lambda image, target: (image, {"boxes": target["boxes"]}), "not one without .'labels', 'masks', 'semantic'."),
        (lambda image, target: (image, target | {"labels": torch.arange(2)}), "different numbers of boxes, labels"),
        (lambda image, target: (image, target | {"masks": None}), "masks as Tensor, not NoneType"),
        (lambda image, target: (image[:, :20], target), r"masks of \[30, 40\] pixels for an image of \[20, 40\]"),
    ],
)
def test_wrong_results_of_a_user_are_plain_errors(result: Any, message: str) -> None:
    with pytest.raises(UserCodeError, match=f"The augmentation .*<lambda> failed for 0.png in epoch 0: it .*{message}"):
        augmented(augmentations().followed_by(result))


class Broken:
    def __call__(self, image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        raise ValueError("no fog today")


def test_exception_of_a_user_names_the_callable_and_the_image() -> None:
    message = r"^The augmentation Broken failed for 1\.png in epoch 2: ValueError: no fog today\. Correct it\.$"
    with pytest.raises(UserCodeError, match=message):
        augmented(augmentations().followed_by(Broken()), 2, 1)
