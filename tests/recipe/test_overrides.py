"""Overrides of a recipe: keys and values that are accepted, and error messages of those that are not."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe import DETECTRON2, MMDET, DetectionRecipe, Recipe
from splitnest.recipe.aliases import ALIASES, OPTION
from splitnest.recipe.class_tables import ClassTable
from splitnest.recipe.overrides import apply, known_keys, parse
from splitnest.recipe.schema import RECIPE_CLASSES

TABLES = get_args(ClassTable)
NAMED_TABLES = f"{', '.join(map(repr, TABLES[:-1]))} or {TABLES[-1]!r}"

MASK = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


@pytest.fixture
def mask() -> DetectionRecipe:
    recipe = zoo.get(MASK)
    assert isinstance(recipe, DetectionRecipe)
    return recipe


def test_no_overrides_change_nothing(mask: Recipe) -> None:
    assert parse([]) == {}
    assert apply(mask, {}) == mask


def test_dotted_keys_and_mappings_are_the_same(mask: Recipe) -> None:
    dotted = apply(mask, {"data.root": "/data/coco", "input.short_side": 600, "model.backbone.norm": "frozen_bn"})
    nested = apply(
        mask,
        {"data": {"root": "/data/coco"}, "input": {"short_side": 600}, "model": {"backbone.norm": "frozen_bn"}},
    )
    assert dotted == nested
    assert (dotted.data.root, dotted.input.short_side, dotted.model.backbone.norm) == ("/data/coco", 600, "frozen_bn")
    assert dotted.input.long_side == 1333
    assert zoo.get(MASK) == mask
    assert mask.data.root is None


def test_empty_section_is_one_with_its_defaults(mask: DetectionRecipe) -> None:
    changed = apply(mask, {"model": {"pisa": {}, "backbone": {}}})
    assert changed.model.pisa is not None
    assert changed.model.pisa.carl_bias == 0.2
    assert changed.model.backbone == mask.model.backbone
    again = apply(changed, {"model.pisa.carl_bias": 0.4})
    assert apply(again, {"model.pisa": {}}) == again
    with pytest.raises(
        UsageError, match="cascade, pisa and dynamic are trainings of the second stage: set one of them"
    ):
        apply(mask, {"model": {"pisa": {}, "dynamic": {}}})


def test_number_of_classes_follows_class_names(mask: Recipe) -> None:
    assert mask.num_classes == 80
    recipe = apply(mask, parse(["data.classes=[cat, dog, bird]"]))
    assert recipe.data.classes == ("cat", "dog", "bird")
    assert recipe.num_classes == 3


def test_conventions_change_one_by_one_or_all_at_once(mask: DetectionRecipe) -> None:
    one = apply(mask, {"model.conventions.rpn_rank_by": "logits"})
    assert one.model.conventions == MMDET.model_copy(update={"rpn_rank_by": "logits"})
    assert apply(mask, {"model.conventions": "detectron2"}).model.conventions == DETECTRON2
    both = apply(mask, parse(["model.conventions=detectron2", "model.conventions.rpn_rank_by=scores"]))
    assert both.model.conventions == DETECTRON2.model_copy(update={"rpn_rank_by": "scores"})


def test_weights_can_be_removed_and_set(mask: Recipe) -> None:
    without = apply(mask, {"weights": None, "published": {}})
    assert (without.weights, without.published) == (None, {})
    given = apply(without, {"weights.url": "https://example.org/a.pth"})
    assert given.weights is not None
    assert given.weights.sha256 is None


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (MASK, {"name": "mine"}),
        (MASK, {"data.classes": ["cat"]}),
        (MASK, {"model.fpn_channels": 128}),
        (MASK, {"model.backbone.depth": 101}),
        (MASK, {"model.box_norm": None}),
        (MASK, {"task": "detection", "model.mask_convs": 0}),
        ("panoptic_fpn_resnest200_3x_coco", {"data.stuff": ["sky"]}),
        ("panoptic_fpn_resnest200_3x_coco", {"model.panoptic.channels": 64}),
        ("fcn_resnest101_d8_ade20k", {"model.head": "psp"}),
        ("simplebaseline_resnest50_256x192_coco", {"data.keypoints": {"names": ["nose", "tail"]}}),
        ("simplebaseline_resnest50_256x192_coco", {"model.deconv_channels": [256]}),
    ],
)
def test_other_classes_network_or_name_drop_published_weights_and_metrics(base: str, changes: dict[str, Any]) -> None:
    assert zoo.get(base).weights is not None
    assert zoo.get(base).published
    recipe = apply(zoo.get(base), changes)
    assert (recipe.weights, recipe.published) == (None, {})


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (MASK, {"data.root": "/data", "data.train_images": "t", "input.short_side": 64}),
        (MASK, {"train.epochs": 1, "model.backbone.frozen_stages": 0, "model.backbone.norm": "frozen_bn"}),
        (MASK, {"model.conventions": "detectron2", "model.roi_samples": 64, "model.rpn_box_beta": 0.5}),
        (MASK, {"name": MASK, "data.classes": "coco"}),
        ("panoptic_fpn_resnest200_3x_coco", {"model.panoptic.min_score": 0.3}),
        ("fcn_resnest101_d8_ade20k", {"model.dropout": 0.0, "model.norm": "bn"}),
        ("simplebaseline_resnest50_256x192_coco", {"model.sigma": 3.0, "input.height": 512}),
    ],
)
def test_same_network_keeps_published_weights_and_metrics(base: str, changes: dict[str, Any]) -> None:
    recipe, published = apply(zoo.get(base), changes), zoo.get(base)
    assert recipe != published or "name" in changes
    assert (recipe.weights, recipe.published) == (published.weights, published.published)


def test_weights_and_metrics_that_overrides_set_are_kept(mask: Recipe) -> None:
    given = {"url": "https://example.org/mine.pth"}
    recipe = apply(mask, {"name": "mine", "weights": given, "published": {"box_ap": 30.0}})
    assert recipe.weights is not None
    assert (recipe.weights.url, recipe.published) == (given["url"], {"box_ap": 30.0})
    metrics_alone = apply(mask, {"name": "mine", "published": {"box_ap": 30.0}})
    assert (metrics_alone.weights, metrics_alone.published) == (None, {"box_ap": 30.0})


def test_values_are_yaml_and_the_last_one_counts() -> None:
    assert parse(["a=1", "b=[x, 2]", "c=", "d=yes", "e={f: g}", "a.b=x=y", "a=2"]) == {
        "a": 2,
        "b": ["x", 2],
        "c": None,
        "d": True,
        "e": {"f": "g"},
        "a.b": "x=y",
    }


@pytest.mark.parametrize("text", ["", "data.root", "=3", " =3"])
def test_text_without_assignment_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="key=value"):
        parse([text])


@pytest.mark.parametrize("value", ["[1", "a: b: c", "!!python/name:os.system", "@", "2020-99-99", "[\n" * 1000])
def test_value_that_is_not_plain_yaml_is_an_error(value: str) -> None:
    with pytest.raises(UsageError, match=r"data\.root.*not plain YAML"):
        parse([f"data.root={value}"])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.rot=x", "There is no key 'data.rot'; use data.root."),
        ("short_side=600", "There is no key 'short_side'; use input.short_side."),
        ("num_classes=3", "There is no key 'num_classes'; use data.classes."),
        ("lr=1", "There is no key 'lr'; use train.lr."),
        ("epochs=1", "There is no key 'epochs'; use train.epochs."),
        ("batch=1", "There is no key 'batch'; use train.batch_size."),
        ("train.imgsz=640", "There is no key 'train.imgsz'; use input.short_side."),
        ("workers=1", "There is no key 'workers'; use train.workers."),
        ("device=cuda", "There is no key 'device'; use the option --device."),
        ("dcn_stages=[3]", "There is no key 'dcn_stages'; use model.backbone.dcn_stages."),
        ("train.learning_rate=1", "There is no key 'train.learning_rate'; use train.lr."),
        ("train.unit=epoch", "There is no key 'train.unit'; use train.epochs or train.iterations."),
        (
            "model.conventions.rank_by=logits",
            "There is no key 'model.conventions.rank_by'; use model.conventions.rpn_rank_by.",
        ),
        ("input.short_side.x=1", "There is no key 'input.short_side.x'; use input.short_side."),
        ("model={bakbone: 1}", "There is no key 'model.bakbone'; use model.backbone."),
        ("input.short_side=abc", "input.short_side should be a valid integer, not 'abc'."),
        ("input.short_side=-3", "input.short_side should be greater than 0, not -3."),
        ("input.long_side=99999", "input.long_side should be less than or equal to 32768, not 99999."),
        ("train.workers=10000", "train.workers should be less than or equal to 1024, not 10000."),
        ("train.epochs=1e10", "train.epochs should be a valid integer, not '1e10'."),
        ("train.epochs=99999999999", "train.epochs should be less than or equal to 1000000000, not 99999999999."),
        (
            "train.batch_size=1000000",
            "train.batch_size should be less than or equal to 131072 or be 'auto', not 1000000.",
        ),
        ("model.fpn_channels=100000", "model.fpn_channels should be less than or equal to 16384, not 100000."),
        ("input.std=[1, 0, 1]", "input.std[1] should be greater than 0, not 0."),
        ("input.mean=[1, 2]", "input.mean[2] is missing."),
        ("input.mean=[1, 2, .nan]", "input.mean[2] should be a finite number, not nan."),
        ("model.backbone=3", "model.backbone should be a mapping of keys to values, not 3."),
        ("model.rpn_convs=0", "model.rpn_convs should be greater than or equal to 1, not 0."),
        (
            "model.conventions=mmcv",
            "model.conventions: there are no conventions 'mmcv'; use mmdet or detectron2.",
        ),
        ("model.mask_convs=0", "task instance does not match model.mask_convs=0."),
        ("data.stuff=[sky]", "task instance has no data.stuff."),
        ("task=panoptic", "task panoptic needs model.panoptic."),
        ("task=pose", "task should be 'detection', 'instance' or 'panoptic', not 'pose'."),
        ("data.classes=[1]", "data.classes[0] should be a valid string, not 1."),
        ('data.classes=["a\\udce9"]', "data.classes: 'a\\udce9' cannot be written as UTF-8."),
        (
            "data.classes=pascal",
            f"data.classes should be {NAMED_TABLES} or be a list or be 'file', not 'pascal'.",
        ),
    ],
)
def test_error_names_the_key_and_what_was_expected(mask: Recipe, assignment: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        apply(mask, parse([assignment]))
    assert str(caught.value) == message


def test_every_integer_has_an_upper_limit() -> None:
    """Or values that are listed."""
    for cls in RECIPE_CLASSES.values():
        assert list(unlimited(cls.model_json_schema())) == []


def unlimited(schema: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of integers without an upper limit in a JSON schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer" and not schema.keys() & {"maximum", "exclusiveMaximum", "enum", "const"}:
            yield path
        for key, value in schema.items():
            yield from unlimited(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from unlimited(value, f"{path}.{number}")


def test_aliases_of_other_frameworks_lead_to_keys() -> None:
    for alias, targets in ALIASES.items():
        leads = {key for cls in RECIPE_CLASSES.values() for key in targets if key in known_keys(cls)}
        leads |= {key for key in targets if key.startswith(OPTION)}
        assert leads == set(targets), f"{alias} leads to {set(targets) - leads}, which no recipe has"


def test_classes_are_distinct() -> None:
    with pytest.raises(UsageError, match="'cat' is listed more than once"):
        apply(zoo.get(MASK), {"data.classes": ["cat", "dog", "cat"]})
