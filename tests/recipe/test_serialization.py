"""Recipe files with and without a base, and the stored forms of a recipe."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe import DetectionRecipe, Recipe
from splitnest.recipe.overrides import apply
from splitnest.recipe.serialization import dump_yaml, from_json, to_json
from splitnest.zoo import load_recipe

MASK = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


@pytest.fixture
def mask() -> DetectionRecipe:
    recipe = zoo.get(MASK)
    assert isinstance(recipe, DetectionRecipe)
    return recipe


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_file_is_a_base_and_overrides(tmp_path: Path, mask: Recipe) -> None:
    file = write(
        tmp_path,
        f"base: {MASK}\nname: mine\ndata:\n  root: /data/birds\n  classes: [crow, jay]\n"
        "model.conventions.level_epsilon: 1e-7\n",
    )
    recipe = load_recipe(file)
    assert recipe == apply(
        mask,
        {
            "name": "mine",
            "data.root": "/data/birds",
            "data.classes": ["crow", "jay"],
            "model.conventions.level_epsilon": 1e-7,
        },
    )
    assert (recipe.weights, recipe.published) == (None, {})
    assert load_recipe(str(file)) == recipe


def test_base_may_be_an_upstream_name(tmp_path: Path, mask: Recipe) -> None:
    assert load_recipe(write(tmp_path, "base: mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco.py")) == mask


def test_base_may_be_a_recipe_file_relative_to_the_file(
    tmp_path: Path, mask: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, f"base: {MASK}\ninput.short_side: 600\ndata.classes: [crow, jay]\n", "common/birds.yml")
    write(tmp_path, "base: birds.yml\ninput.long_side: 700\ninput.divisor: 64\n", "common/small.yaml")
    file = write(tmp_path, "base: ../common/small.yaml\ninput.divisor: 1\n", "runs/mine.yaml")
    inherited = {"input.short_side": 600, "input.long_side": 700, "input.divisor": 1, "data.classes": ["crow", "jay"]}
    assert load_recipe(file) == apply(mask, inherited)
    monkeypatch.chdir(tmp_path / "common")
    assert load_recipe("../runs/mine.yaml") == apply(mask, inherited)
    absolute = write(tmp_path, f"base: {tmp_path / 'common' / 'small.yaml'}\ninput.divisor: 1\n")
    assert load_recipe(absolute) == apply(mask, inherited)


def test_base_may_be_a_complete_recipe_file(tmp_path: Path, mask: Recipe) -> None:
    write(tmp_path, dump_yaml(apply(mask, {"name": "first", "input.short_side": 500})), "first.yaml")
    recipe = load_recipe(write(tmp_path, "base: first.yaml\ndata.root: /data\n"))
    assert recipe == apply(mask, {"name": "first", "input.short_side": 500, "data.root": "/data"})


def test_circle_of_bases_is_an_error(tmp_path: Path) -> None:
    itself = write(tmp_path, "base: mine.yaml\n")
    with pytest.raises(UsageError, match=r"mine\.yaml is its own base.*circle.*Name a published model"):
        load_recipe(itself)
    write(tmp_path, "base: folder/../b.yaml\n", "a.yaml")
    write(tmp_path, "base: c.yaml\n", "b.yaml")
    write(tmp_path, "base: ./a.yaml\n", "c.yaml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"a\.yaml is its own base.*circle"):
        load_recipe(tmp_path / "a.yaml")


def test_error_in_a_base_file_names_that_file(tmp_path: Path) -> None:
    write(tmp_path, f"base: {MASK}\ninput.short_side: x\n", "first.yaml")
    with pytest.raises(UsageError, match=r"first\.yaml: input\.short_side should be a valid integer, not 'x'"):
        load_recipe(write(tmp_path, "base: first.yaml\n"))
    write(tmp_path, f"base: {MASK}\n", "first.yaml")
    with pytest.raises(UsageError, match=r"mine\.yaml: There is no key 'short_side'"):
        load_recipe(write(tmp_path, "base: first.yaml\nshort_side: 3\n"))
    with pytest.raises(UsageError, match=r"mine\.yaml: base: No published model is called 'absent\.yaml'"):
        load_recipe(write(tmp_path, "base: absent.yaml\n"))


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
        ("base: 3", "base should be a published model or a recipe file, not 3"),
        ("base: absent.yaml", "No published model is called 'absent.yaml'"),
        (f"base: {MASK}\ninput: {{short_sid: 3}}", r"no key 'input\.short_sid'; use input\.short_side"),
        (f"base: {MASK}\ninput.short_side: x", r"input\.short_side should be a valid integer, not 'x'"),
        (f"base: {MASK}\n3: x", "no key '3'"),
        (f"base: {MASK}\nname: a\nname: b", r"mine\.yaml, line 3: the key 'name' is in line 2 already\. Remove one"),
        (f"base: {MASK}\ntrain:\n  lr: 1\n  'lr': 2", "line 4: the key 'lr' is in line 3 already"),
        (f"base: {MASK}\ninput: {{short_side: 3, short_side: 3}}", "line 2: the key 'short_side' is in line 2 already"),
        (
            f"base: {MASK}\ninput.short_side: 3\ninput: {{short_side: 4}}",
            r"input\.short_side is given twice",
        ),
        (f"base: {MASK}\n? {'k' * 10**6}\n: 1", "no key 'k{200}'; use"),
    ],
)
def test_error_in_a_file_names_the_file_and_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_recipe(write(tmp_path, text))
    assert "mine.yaml" in str(caught.value)


def test_merged_mapping_may_replace_a_key(tmp_path: Path) -> None:
    text = f"base: {MASK}\ninput: {{<<: {{short_side: 3, long_side: 9}}, short_side: 4}}"
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.input.short_side, recipe.input.long_side) == (4, 9)


def test_many_classes_take_linear_time(tmp_path: Path) -> None:
    names = [f"class{number}" for number in range(20_000)]
    started = time.process_time()
    recipe = load_recipe(write(tmp_path, f"base: {MASK}\nname: many\ndata.classes: [{', '.join(names)}]"))
    assert time.process_time() - started < 5  # quadratic work took 4 s for these, and 100 s for 100,000
    assert recipe.num_classes == 20_000
    with pytest.raises(UsageError, match="'class0', 'class1', 'class2', 'class3', 'class4' and 19995 more is listed"):
        load_recipe(write(tmp_path, f"base: {MASK}\ndata.classes: [{', '.join(names * 2)}]"))


def test_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml cannot be read: it does not exist"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yaml is not UTF-8"):
        load_recipe(tmp_path / "binary.yaml")


@pytest.mark.parametrize("tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir"])
def test_file_executes_nothing(tmp_path: Path, tag: str) -> None:
    text = f"base: {MASK}\nname: !!{tag} ['{tmp_path}/made']\n"
    with pytest.raises(UsageError, match=r"line 2: this is not plain YAML.*python/object"):
        load_recipe(write(tmp_path, text))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("key", ["name", "data.classes", "input", "published", "base"])
def test_exponential_references_are_refused_at_once(tmp_path: Path, key: str) -> None:
    levels = [f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    base = "" if key == "base" else f"base: {MASK}\n"
    with pytest.raises(UsageError, match=f"{key}.* should "):
        load_recipe(write(tmp_path, f"{base}{key}: [&a0 [x], {', '.join(levels)}]"))


def test_rows_survive_yaml_and_json(tmp_path: Path) -> None:
    for name in zoo.list_models()[::5]:
        recipe = zoo.get(name)
        assert load_recipe(write(tmp_path, dump_yaml(recipe))) == recipe, name
        assert from_json(to_json(recipe)) == recipe, name


@settings(deadline=None, derandomize=True, max_examples=30)
@example(classes=["a\x85b", "no", "1", "\u4e2d\u6587"], root="\u2028 x\n", mean=(1e-8, -0.0, 1e300), short_side=1)
@given(
    classes=st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True),
    root=st.none() | st.text(),
    mean=st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3),
    short_side=st.integers(min_value=1, max_value=32_768),
)
def test_any_recipe_survives_yaml_and_json(
    tmp_path_factory: pytest.TempPathFactory,
    classes: list[str],
    root: str | None,
    mean: tuple[float, float, float],
    short_side: int,
) -> None:
    changes = {"data.classes": classes, "data.root": root, "input.mean": mean, "input.short_side": short_side}
    recipe = apply(zoo.get(MASK), changes)
    assert apply(recipe, changes) == recipe
    assert load_recipe(write(tmp_path_factory.getbasetemp(), dump_yaml(recipe))) == recipe
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
def test_text_that_is_not_a_stored_recipe_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        from_json(text)
    assert "The stored recipe" in str(caught.value)


def test_stored_recipe_is_validated(mask: Recipe) -> None:
    content = json.loads(to_json(mask))
    content["input"]["short_side"] = 0
    with pytest.raises(UsageError, match=r"The stored recipe: input\.short_side should be greater than 0, not 0\."):
        from_json(json.dumps(content))
    with pytest.raises(UsageError, match=r"^The recipe in best\.pt: input\.short_side should"):
        from_json(json.dumps(content), "The recipe in best.pt")
    del content["input"]
    with pytest.raises(UsageError, match=r"The stored recipe: input is missing\."):
        from_json(json.dumps(content))
