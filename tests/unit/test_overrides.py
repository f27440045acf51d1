import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from splitnest import recipes
from splitnest.errors import UsageError
from splitnest.recipe import DETECTRON2, MMDET, DetectionRecipe, Recipe
from splitnest.recipe.overrides import apply, dump_yaml, from_json, load_yaml, parse, to_json

MASK = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


@pytest.fixture
def mask() -> DetectionRecipe:
    recipe = recipes.get(MASK)
    assert isinstance(recipe, DetectionRecipe)
    return recipe


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


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
    assert recipes.get(MASK) == mask
    assert mask.data.root is None


def test_the_number_of_classes_follows_the_class_names(mask: Recipe) -> None:
    assert mask.num_classes == 80
    recipe = apply(mask, parse(["data.classes=[cat, dog, bird]"]))
    assert recipe.data.classes == ("cat", "dog", "bird")
    assert recipe.num_classes == 3


def test_one_convention_or_all_of_them(mask: DetectionRecipe) -> None:
    one = apply(mask, {"model.conventions.rpn_rank_by": "logits"})
    assert one.model.conventions == MMDET.model_copy(update={"rpn_rank_by": "logits"})
    assert apply(mask, {"model.conventions": "detectron2"}).model.conventions == DETECTRON2
    both = apply(mask, parse(["model.conventions=detectron2", "model.conventions.rpn_rank_by=scores"]))
    assert both.model.conventions == DETECTRON2.model_copy(update={"rpn_rank_by": "scores"})


def test_weights_can_be_taken_away_and_given(mask: Recipe) -> None:
    without = apply(mask, {"weights": None, "published": {}})
    assert (without.weights, without.published) == (None, {})
    given = apply(without, {"weights.url": "https://example.org/a.pth", "weights.layout": "mmdet"})
    assert given.weights is not None
    assert given.weights.sha256 is None


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
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(UsageError, match="key=value"):
        parse([text])


@pytest.mark.parametrize("value", ["[1", "a: b: c", "!!python/name:os.system", "@", "2020-99-99", "[" * 10000])
def test_what_is_no_yaml_value(value: str) -> None:
    with pytest.raises(UsageError, match=r"data\.root.*not plain YAML"):
        parse([f"data.root={value}"])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.rot=x", "There is no key 'data.rot'; the nearest is 'data.root'."),
        ("short_side=600", "There is no key 'short_side'; the nearest is 'input.short_side'."),
        ("num_classes=3", "There is no key 'num_classes'; the nearest is 'data.classes'."),
        (
            "model.conventions.rank_by=logits",
            "There is no key 'model.conventions.rank_by'; the nearest is 'model.conventions.rpn_rank_by'.",
        ),
        ("input.short_side.x=1", "There is no key 'input.short_side.x'; the nearest is 'input.short_side'."),
        ("model={bakbone: 1}", "There is no key 'model.bakbone'; the nearest is 'model.backbone'."),
        ("input.short_side=abc", "input.short_side should be a valid integer, not 'abc'."),
        ("input.short_side=-3", "input.short_side should be greater than 0, not -3."),
        ("input.std=[1, 0, 1]", "input.std[1] should be greater than 0, not 0."),
        ("input.mean=[1, 2]", "input.mean[2] is missing."),
        ("input.mean=[1, 2, .nan]", "input.mean[2] should be a finite number, not nan."),
        ("model.backbone=3", "model.backbone should be a mapping of keys to values, not 3."),
        ("model.mask_convs=5", "model.mask_convs should be 0, 4 or 8, not 5."),
        (
            "model.conventions=mmcv",
            "model.conventions: there are no conventions 'mmcv'; there are mmdet and detectron2.",
        ),
        ("model.mask_convs=0", "task instance does not match model.mask_convs=0."),
        ("data.stuff=[sky]", "task instance has no data.stuff."),
        ("task=panoptic", "task panoptic needs model.panoptic."),
        ("task=pose", "task should be 'detection', 'instance' or 'panoptic', not 'pose'."),
        ("data.classes=[1]", "data.classes[0] should be a valid string, not 1."),
        (
            "data.classes=voc",
            "data.classes should be 'imagenet', 'coco', 'cityscapes', 'ade20k' or 'folders' or be a list, not 'voc'.",
        ),
    ],
)
def test_what_cannot_be_names_the_key_and_what_was_expected(mask: Recipe, assignment: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        apply(mask, parse([assignment]))
    assert str(caught.value) == message


def test_a_users_file_is_a_base_and_overrides(tmp_path: Path, mask: Recipe) -> None:
    file = write(
        tmp_path,
        f"base: {MASK}\nname: mine\ndata:\n  root: /data/birds\n  classes: [crow, jay]\n"
        "model.conventions.level_epsilon: 1e-7\n",
    )
    recipe = load_yaml(file)
    assert recipe == apply(
        mask,
        {
            "name": "mine",
            "data.root": "/data/birds",
            "data.classes": ["crow", "jay"],
            "model.conventions.level_epsilon": 1e-7,
        },
    )
    assert load_yaml(str(file)) == recipe


def test_a_base_may_be_an_upstream_name(tmp_path: Path, mask: Recipe) -> None:
    assert load_yaml(write(tmp_path, "base: mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco.py")) == mask


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("[a, b]", "not a mapping"),
        ("just words", "not a mapping"),
        (f"base: {MASK}\ndata:\n\troot: /x\n", "line 3: this is not plain YAML"),
        (f"base: {MASK}\nname: 'mine\n", "line 3: this is not plain YAML"),
        ("base: a\0b", "not plain YAML"),
        ("data: {root: /x}", "there is neither base nor task"),
        ("task: sports", "there is no task 'sports'"),
        ("task: [pose]", r"there is no task \['pose'\]"),
        ("task: pose", "name is missing"),
        ("base: 3", "base should be the name of a published model, not 3"),
        ("base: mine.yaml", "No published model is called 'mine.yaml'"),
        (f"base: {MASK}\ninput: {{short_sid: 3}}", r"no key 'input\.short_sid'; the nearest is 'input\.short_side'"),
        (f"base: {MASK}\ninput.short_side: x", r"input\.short_side should be a valid integer, not 'x'"),
        (f"base: {MASK}\n3: x", "no key '3'"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_yaml(write(tmp_path, text))
    assert "mine.yaml" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml cannot be read: No such file"):
        load_yaml(tmp_path / "absent.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_yaml(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yaml is not UTF-8"):
        load_yaml(tmp_path / "binary.yaml")


@pytest.mark.parametrize("tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir"])
def test_a_file_executes_nothing(tmp_path: Path, tag: str) -> None:
    text = f"base: {MASK}\nname: !!{tag} ['{tmp_path}/made']\n"
    with pytest.raises(UsageError, match=r"line 2: this is not plain YAML.*python/object"):
        load_yaml(write(tmp_path, text))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("key", ["name", "data.classes", "input", "published", "base"])
def test_a_file_of_references_to_references_is_refused_at_once(tmp_path: Path, key: str) -> None:
    levels = [f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    base = "" if key == "base" else f"base: {MASK}\n"
    with pytest.raises(UsageError, match=f"{key}.* should "):
        load_yaml(write(tmp_path, f"{base}{key}: [&a0 [x], {', '.join(levels)}]"))


@pytest.mark.parametrize("name", recipes.names())
def test_every_row_survives_yaml_and_json(tmp_path: Path, name: str) -> None:
    recipe = recipes.get(name)
    assert load_yaml(write(tmp_path, dump_yaml(recipe))) == recipe
    assert from_json(to_json(recipe)) == recipe


@settings(deadline=None, derandomize=True)
@example(classes=["a\x85b", "no", "1", "\u4e2d\u6587"], root="\u2028 x\n", mean=(1e-8, -0.0, 1e300), short_side=1)
@given(
    classes=st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True),
    root=st.none() | st.text(),
    mean=st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3),
    short_side=st.integers(min_value=1),
)
def test_any_recipe_survives_yaml_and_json(
    tmp_path_factory: pytest.TempPathFactory,
    classes: list[str],
    root: str | None,
    mean: tuple[float, float, float],
    short_side: int,
) -> None:
    changes = {"data.classes": classes, "data.root": root, "input.mean": mean, "input.short_side": short_side}
    recipe = apply(recipes.get(MASK), changes)
    assert apply(recipe, changes) == recipe
    assert load_yaml(write(tmp_path_factory.getbasetemp(), dump_yaml(recipe))) == recipe
    assert from_json(to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "there is neither base nor task"),
        ('{"task": "pose", "name": "x", "colour": 1}', "There is no key 'colour'"),
    ],
)
def test_a_wrong_stored_recipe(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        from_json(text)
    assert "The stored recipe" in str(caught.value)


def test_a_stored_recipe_is_checked(mask: Recipe) -> None:
    content = json.loads(to_json(mask))
    content["input"]["short_side"] = 0
    with pytest.raises(UsageError, match=r"The stored recipe: input\.short_side should be greater than 0, not 0\."):
        from_json(json.dumps(content))
    del content["input"]
    with pytest.raises(UsageError, match=r"The stored recipe: input is missing\."):
        from_json(json.dumps(content))


def test_classes_are_distinct() -> None:
    with pytest.raises(UsageError, match="'cat' is more than once"):
        apply(recipes.get(MASK), {"data.classes": ["cat", "dog", "cat"]})
