"""Keys that exclude each other, and sections whose keys depend on a choice."""

from typing import Any

import pytest

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe import Recipe, required_training
from splitnest.recipe.optimization import SGD, Adam, Cosine, MultiStep, Poly
from splitnest.recipe.overrides import apply, parse
from splitnest.recipe.serialization import dump_yaml, from_json, to_json

MMDET = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
DETECTRON2 = "mask_rcnn_resnest50_fpn_1x_coco.detectron2"
CLASSIFIER = "resnest50_imagenet.official"
SEGMENTOR = "fcn_resnest101_d8_ade20k.mmseg"
POSE = "simplebaseline_resnest50_256x192_coco.mmpose"


def changed(base: str, *assignments: str) -> Recipe:
    return apply(zoo.get(base), parse(assignments))


def error_of(base: str, *assignments: str) -> str:
    with pytest.raises(UsageError) as caught:
        changed(base, *assignments)
    return str(caught.value)


@pytest.mark.parametrize("assignment", ["train.schedule=cosine", "train.schedule={milestones: [60, 80]}"])
def test_other_unit_replaces_the_length_and_its_intervals(assignment: str) -> None:
    train = required_training(changed(MMDET, "train.iterations=90", assignment))
    assert (train.epochs, train.iterations) == (None, 90)
    assert (train.evaluate_every, train.save_every) == (0, 0)
    train = required_training(changed(DETECTRON2, "train.epochs=12", "train.evaluate_every=3", assignment))
    assert (train.epochs, train.iterations) == (12, None)
    assert (train.evaluate_every, train.save_every) == (3, 0)


def test_same_unit_keeps_intervals_and_milestones() -> None:
    train = required_training(changed(MMDET, "train.epochs=24"))
    assert (train.epochs, train.iterations, train.evaluate_every, train.save_every) == (24, None, 1, 1)
    assert train.schedule == MultiStep(milestones=(8, 11))


def test_milestones_in_the_old_unit_are_an_error() -> None:
    message = error_of(MMDET, "train.iterations=90")
    assert "train.schedule.milestones [8, 11] of the base are epochs" in message
    assert "train.schedule=cosine" in message


def test_other_unit_replaces_the_warmup() -> None:
    train = required_training(changed(MMDET, "train.warmup_epochs=2"))
    assert (train.warmup_epochs, train.warmup_iterations) == (2, 0)
    train = required_training(changed(CLASSIFIER, "train.warmup_iterations=100"))
    assert (train.warmup_epochs, train.warmup_iterations) == (0, 100)
    train = required_training(changed(CLASSIFIER, "train.warmup_iterations=0"))
    assert train.warmup_epochs == 5


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["train.epochs=1", "train.iterations=1"],
            "train: set one of epochs and iterations, the length of the training.",
        ),
        (["train.epochs="], "train: set one of epochs and iterations, the length of the training."),
        (
            ["train.warmup_epochs=1", "train.warmup_iterations=1"],
            "train: set one of warmup_iterations and warmup_epochs.",
        ),
    ],
)
def test_both_or_neither_of_exclusive_keys_are_an_error(assignments: list[str], message: str) -> None:
    assert error_of(MMDET, *assignments) == message


@pytest.mark.parametrize(
    ("base", "assignments", "section"),
    [
        (MMDET, ["train.schedule=cosine"], Cosine()),
        (MMDET, ["train.schedule=poly", "train.schedule.power=2"], Poly(power=2)),
        (MMDET, ["train.schedule={type: poly, min_lr: 0.1}"], Poly(min_lr=0.1)),
        (MMDET, ["train.schedule.gamma=0.5"], MultiStep(milestones=(8, 11), gamma=0.5)),
        (
            MMDET,
            ["train.schedule.type=multi_step", "train.schedule.gamma=0.5"],
            MultiStep(milestones=(8, 11), gamma=0.5),
        ),
        (SEGMENTOR, ["train.schedule=multi_step"], MultiStep()),
        (SEGMENTOR, ["train.schedule.power=1"], Poly(power=1, min_lr=1e-4)),
    ],
)
def test_schedule_is_chosen_by_its_type(base: str, assignments: list[str], section: Any) -> None:
    assert required_training(changed(base, *assignments)).schedule == section


def test_optimizer_is_chosen_by_its_type() -> None:
    assert required_training(changed(CLASSIFIER, "train.optimizer.momentum=0.8")).optimizer == SGD(
        momentum=0.8, nesterov=True
    )
    assert required_training(changed(CLASSIFIER, "train.optimizer=adam")).optimizer == Adam()
    assert required_training(changed(POSE, "train.optimizer={type: sgd, momentum: 0.5}")).optimizer == SGD(momentum=0.5)


def test_other_format_drops_the_keys_of_the_old_one() -> None:
    recipe = changed("panoptic_fpn_resnest200_3x_coco", "data.format=scenes", "data.train_count=4", "data.val_count=2",
                     "data.classes=[circle]", "data.stuff=[floor]")  # fmt: skip
    assert recipe.data.model_dump() == {
        "format": "scenes",
        "root": None,
        "classes": ("circle",),
        "stuff": ("floor",),
        "train_count": 4,
        "val_count": 2,
        "height": 240,
        "width": 320,
        "seed": 0,
    }
    yolo = changed(MMDET, "data={format: yolo, classes: [cat], train_images: images/train}")
    assert yolo.data.format == "yolo"
    assert (yolo.data.train_images, yolo.data.root) == ("images/train", None)


@pytest.mark.parametrize(
    ("base", "assignments", "message"),
    [
        (MMDET, ["data.height=100"], "data.height has no effect with data.format coco. Remove it."),
        (MMDET, ["data.format=voc", "data.seed=1"], "data.seed has no effect with data.format voc. Remove it."),
        (
            MMDET,
            ["data.format=scenes", "data.train_count=1", "data.val_count=1", "data.train_images=x"],
            "data.train_images has no effect with data.format scenes. Remove it.",
        ),
        (
            SEGMENTOR,
            ["data.ignore_label=3"],
            "data.ignore_label has no effect with data.format ade20k. Remove it.",
        ),
        (
            MMDET,
            ["train.schedule=cosine", "train.schedule.milestones=[3]"],
            "train.schedule.milestones has no effect with train.schedule.type cosine. Remove it.",
        ),
        (
            MMDET,
            ["train.schedule.power=2"],
            "train.schedule.power has no effect with train.schedule.type multi_step. Remove it.",
        ),
        (
            POSE,
            ["train.optimizer.momentum=0.5"],
            "train.optimizer.momentum has no effect with train.optimizer.type adam. Remove it.",
        ),
        (
            MMDET,
            ["data.format=lmdb"],
            (
                "data.format should be one of 'coco', 'voc', 'yolo', 'labelme', 'cvat', 'label_studio', 'open_images', "
                "'scenes', not 'lmdb'."
            ),
        ),
        (
            MMDET,
            ["train.optimizer=lamb"],
            "train.optimizer.type should be one of 'sgd', 'adam', 'adamw', not 'lamb'.",
        ),
        (MMDET, ["data.format=scenes"], "data.train_count is missing."),
    ],
)
def test_key_without_effect_is_an_error_that_names_the_choice(base: str, assignments: list[str], message: str) -> None:
    assert error_of(base, *assignments) == message


def test_chosen_sections_survive_storage() -> None:
    recipe = changed(MMDET, "data={format: scenes, train_count: 1, val_count: 1}", "train.schedule={type: poly}",
                     "train.optimizer=adamw")  # fmt: skip
    assert from_json(to_json(recipe)) == recipe
    assert "format: scenes" in dump_yaml(recipe)
