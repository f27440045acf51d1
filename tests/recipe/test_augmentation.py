"""Entries of ``train.augment``: names, arguments, and which task has which."""

from typing import Any

import pytest

from splitnest import zoo
from splitnest.data.augmentations.transforms import TRANSFORMS, build_transform
from splitnest.errors import UsageError
from splitnest.recipe import overrides
from splitnest.recipe.serialization import from_json, to_json
from splitnest.zoo import load_recipe

MASKS, BOXES = "mask_rcnn_resnest50_fpn_1x_coco.mmdet", "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
CLASSIFIER, POSE = "resnest50_imagenet.official", "simplebaseline_resnest50_256x192_coco.mmpose"
SEMANTIC = "fcn_resnest101_d8_cityscapes.mmseg"


def augmented(entries: Any, name: str = MASKS) -> Any:
    return overrides.apply(zoo.get(name), {"train.augment": entries})


def test_published_recipes_have_no_augmentations() -> None:
    for name in (MASKS, BOXES, CLASSIFIER, POSE, SEMANTIC):
        recipe: Any = zoo.get(name)
        assert recipe.train.augment == ()


def test_names_stand_for_defaults_and_survive_storage(tmp_path: Any) -> None:
    recipe = augmented(["large_scale_jitter", {"type": "copy_paste", "p": 0.25, "max_instances": 3}])
    jitter, paste = recipe.train.augment
    assert (jitter.p, jitter.scale, paste.p, paste.max_instances) == (1, (0.1, 2.0), 0.25, 3)
    assert from_json(to_json(recipe)) == recipe
    path = tmp_path / "recipe.yaml"
    path.write_text(f"base: {MASKS}\ntrain:\n  augment:\n  - random_erasing\n  - {{type: mosaic, p: 0.1}}\n")
    train: Any = load_recipe(path).train
    assert [entry.type for entry in train.augment] == ["random_erasing", "mosaic"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("mosaic", "train.augment should be a list, not 'mosaic'"),
        ([3], r"train.augment\[0\] should be a mapping of keys to values, not 3"),
        ([{"p": 1}], r"train.augment\[0\].type is missing"),
        (["mosaic", "os.system"], r"train.augment\[1\].type should be one of 'color_jitter', .*, not 'os.system'"),
        (["cutmix"], "should be one of"),
        ([{"type": "copy_paste", "p": 3}], r"train.augment\[0\].p should be less than or equal to 1, not 3"),
        ([{"type": "copy_paste", "count": 3}], r"There is no key 'train.augment\[0\].count'"),
        ([{"type": "mosaic", "center": [0.7, 0.2]}], r"augment\[0\]: center \[0.7, 0.2\]: give the minimum"),
        ([{"type": "mosaic", "center": [0.2, 7]}], r"train.augment\[0\].center\[1\] should be less than 1, not 7"),
        ([{"type": "gaussian_blur", "kernel_size": 4}], "kernel_size 4 is even. Give an odd one"),
        (["mosaic", "mosaic"], "train.augment: mosaic is listed 2 times. List it once"),
    ],
)
def test_bad_entries_are_plain_errors(entries: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        augmented(entries)


def test_tasks_have_the_augmentations_that_fit_their_ground_truth() -> None:
    with pytest.raises(UsageError, match="copy_paste needs masks, which task detection has not"):
        augmented(["copy_paste"], BOXES)
    for name, entry in ((CLASSIFIER, "mosaic"), (SEMANTIC, "copy_paste"), (POSE, "random_vertical_flip")):
        with pytest.raises(UsageError, match="type should be one of"):
            augmented([entry], name)
        augmented(["random_affine", "random_erasing"], name)
    augmented(["mosaic", "large_scale_jitter"], SEMANTIC)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_name_builds_a_transform(name: str) -> None:
    (entry,) = augmented([name]).train.augment
    assert type(build_transform(entry, (1, 2, 3))).__name__.lower() == name.replace("_", "")
