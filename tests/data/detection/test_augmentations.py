"""Training set of detection with ``train.augment``: masks, boxes, label maps of stuff classes, second images."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from splitnest import zoo
from splitnest.data.augmentations.view import mask_boxes
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.data.images.normalize import normalize
from splitnest.data.loading.corrupt import Replacing
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.errors import DataError
from splitnest.recipe import overrides
from splitnest.structures.instances import dense_masks
from splitnest.tasks import task_of
from splitnest.training.batches import open_training

SMALL: dict[str, Any] = {
    "data": {"format": "scenes", "train_count": 6, "val_count": 1, "height": 64, "width": 96},
    "input": {"short_side": 64, "long_side": 96},
    "train": {"batch_size": 2, "iterations": 4, "schedule": "cosine", "short_sides": [64], "long_side": 96,
              "flip": 0, "workers": 0},
}  # fmt: skip
MASKS, BOXES = "mask_rcnn_resnest50_fpn_1x_coco.mmdet", "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
PANOPTIC = "panoptic_fpn_resnest200_3x_coco.detectron2"


def training_set(*entries: Any, name: str = MASKS, own: Any = None) -> DetectionTrainingSet:
    classes: dict[str, Any] = {"data.classes": list(THING_NAMES)}
    if name == PANOPTIC:
        classes["data.stuff"] = list(STUFF_NAMES)
    recipe = overrides.apply(overrides.apply(zoo.get(name), SMALL | classes), {"train.augment": list(entries)})
    opened = open_training(recipe, augment=own).training_set
    assert isinstance(opened, DetectionTrainingSet)
    return opened


def masks_of(sample: TrainingSample) -> Tensor:
    assert sample.instances is not None
    assert sample.instances.masks is not None
    height, width = sample.image.shape[1:]
    return torch.from_numpy(dense_masks(sample.instances.masks, (height, width)))


def test_changes_of_pixels_keep_polygons_and_boxes() -> None:
    plain = training_set()[0, 1]
    for changed in (
        training_set({"type": "random_invert", "p": 1})[0, 1],
        training_set(own=v2.RandomInvert(1))[0, 1],
        training_set({"type": "mosaic", "p": 0})[0, 1],
    ):
        assert plain.instances is not None
        assert changed.instances is not None
        assert torch.equal(changed.instances.boxes, plain.instances.boxes)
        assert changed.instances.masks is not None
        assert not any(isinstance(mask, Tensor) for mask in changed.instances.masks)
        assert (changed.name, changed.original_size) == (plain.name, plain.original_size)


@pytest.mark.parametrize("entry", ["large_scale_jitter", "mosaic", "copy_paste", "random_affine"])
def test_boxes_are_those_of_the_masks(entry: str) -> None:
    augmented = training_set({"type": entry, "p": 1})
    for index in range(3):
        sample = augmented[0, index]
        assert sample.instances is not None
        assert torch.equal(sample.instances.boxes, mask_boxes(masks_of(sample)).float())
        assert sample.image.shape == (3, 64, 96)
        assert len(sample.instances.labels) == len(sample.instances.boxes)


def test_copy_paste_on_a_fixed_canvas() -> None:
    """Steps of mmdetection: jitter, crop, black padding, and instances of another image at their place."""
    entries = [{"type": "pad", "size": [80, 100]}, {"type": "copy_paste", "p": 1, "placement": "same"}]
    augmented = training_set(*entries)
    sizes = {"resize_ratios": (0.5, 1.0), "crop_size": (80, 100), "pad_size": (96, 128)}
    augmented.train_cfg = augmented.train_cfg.model_copy(update=sizes)
    plain = [len(instances) for index in range(6) if (instances := training_set()[0, index].instances) is not None]
    more = 0
    for index in range(6):
        sample = augmented[0, index]
        assert sample.image.shape == (3, 80, 100)
        black = normalize(np.zeros((1, 1, 3), np.uint8), augmented.input_cfg)
        assert torch.equal(sample.image[:, 64:, 96:], black.expand(3, 16, 4))
        assert sample.instances is not None
        assert torch.equal(sample.instances.boxes, mask_boxes(masks_of(sample)).float())
        assert not masks_of(sample)[:, 64:].any()
        more += len(sample.instances) > plain[index]
        again = augmented[0, index]
        assert torch.equal(again.image, sample.image)
    assert more


def test_batches_have_a_minimum_size() -> None:
    recipe = overrides.apply(zoo.get(MASKS), SMALL | {"data.classes": list(THING_NAMES), "train.pad_size": [70, 90]})
    opened = open_training(recipe)
    batch = next(opened.steps(0))[0]
    assert batch.images.shape == (2, 3, 96, 96)  # the longer side is that of the images
    assert batch.sizes == ((64, 96), (64, 96))
    assert not batch.images[:, :, 64:].any()
    task = task_of(recipe)
    assert task.max_training_size(recipe) == (96, 96)
    recipe = overrides.apply(recipe, {"train.resize_ratios": [1, 4], "train.crop_size": [128, 160]})
    assert task.max_training_size(recipe) == (160, 160)
    recipe = overrides.apply(recipe, {"train.augment": [{"type": "pad", "size": [200, 300]}]})
    assert task.max_training_size(recipe) == (224, 320)


def test_boxes_without_masks_move_too() -> None:
    sample = training_set("mosaic", {"type": "random_vertical_flip", "p": 1}, name=BOXES)[0, 0]
    plain = training_set("mosaic", name=BOXES)[0, 0]
    assert sample.instances is not None
    assert plain.instances is not None
    height = sample.image.shape[1]
    flipped = plain.instances.boxes[:, [0, 3, 2, 1]] * torch.tensor([1, -1, 1, -1]) + torch.tensor(
        [0, height, 0, height]
    )
    assert torch.allclose(sample.instances.boxes, flipped)
    assert sample.instances.masks is None


def test_image_whose_instances_all_end_is_a_sample_without_instances() -> None:
    def clear(image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        none = torch.zeros(len(target["labels"]), dtype=torch.bool)
        return image, {key: value[none] for key, value in target.items()}

    sample = training_set(own=clear)[0, 0]
    assert sample.instances is not None
    assert len(sample.instances) == 0
    assert sample.instances.masks == ()


def test_pasted_things_are_no_stuff() -> None:
    augmented = training_set({"type": "copy_paste", "p": 1}, name=PANOPTIC)
    for index in range(6):
        sample = augmented[0, index]
        assert sample.semantic is not None
        assert sample.semantic.dtype == torch.uint8
        covered = masks_of(sample)
        assert (sample.semantic[covered[-1]] == 0).all()
        assert set(sample.semantic.unique().tolist()) <= {*range(len(STUFF_NAMES) + 1), 255}


def test_unreadable_second_image_replaces_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    augmented = training_set({"type": "mosaic", "p": 1})
    read = augmented.dataset.read

    def damaged(index: int) -> np.ndarray:
        if index == 2:
            raise DataError("scene 2 cannot be read.")
        return read(index)

    monkeypatch.setattr(augmented.dataset, "read", damaged)
    loaded = [Replacing(augmented, 6, 1)[0, index] for index in range(6)]
    assert {error for each in loaded for error in each.errors} == {"scene 2 cannot be read."}
    assert all(each.sample is not None for each in loaded)
    assert sum(bool(each.errors) for each in loaded) > 1  # another sample than scene 2 drew it too
