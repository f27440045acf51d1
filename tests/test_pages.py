"""Pages show what works: commands parse, recipes are valid, Python names exist, links resolve."""

import ast
import inspect
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import splitnest
from helpers.pages import PAGES, Part, anchors, blocks, inline_code, links, own_arguments, parts, prose, shell_lines
from helpers.paths import ROOT
from splitnest import zoo
from splitnest.cli.app import app
from splitnest.recipe import Recipe, overrides
from splitnest.recipe.schema import RECIPE_CLASSES

REPRESENTATIVES = (
    "resnest50_imagenet.official",
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2",
    "panoptic_fpn_resnest200_3x_coco.detectron2",
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    "simplebaseline_resnest50_256x192_coco.mmpose",
    "examples/camvid.yaml",
)
"""Recipes of all tasks and kinds of data. Overrides that name no existing recipe must apply to one of these."""

PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*")
FILE = re.compile(r".*(/|\.(py|yaml|yml|csv|jpg|png|pt|pt2|pth|pkl|safetensors|onnx)$)")
KEY = re.compile(r"(data|model|input|train)(\.[a-z0-9_]+)+")
MODEL = re.compile(r"[a-z0-9_]+\.(mmdet|detectron2|mmseg|mmpose|official|timm)")
OWN_PATH = re.compile(r"(src|tests|docs|examples|benchmarks)/[\w./-]*\w")
KEY_TABLES = ("Configuration keys", "Files of a run")
"""Section of ``docs/migration.md`` with tables of keys, and the one after it."""

NOT_KEYS = ("model.module", "model.recipe")
"""Attributes of a predictor that is called ``model``."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_commands_parse(page: Path) -> None:
    for block in blocks(page, "sh"):
        for command, words in shell_lines(block):
            arguments = own_arguments(words)
            if arguments is None:
                check_other_command(command, words)
            else:
                check_own_command(command, arguments)


@pages
def test_inline_commands_parse(page: Path) -> None:
    for code in inline_code(page):
        if re.match(r"splitnest( |$)|.* -m splitnest ", code.text):
            for command, words in shell_lines(code):
                words = [word for word in words if word != "..."]
                check_own_command(command, own_arguments(words) or [], may_lack=True)


def check_other_command(command: Part, words: list[str]) -> None:
    if words[0] == "make":
        rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[1] in rules, f"{command}: the Makefile has no rule {words[1]}"
    for word in words:
        assert not OWN_PATH.fullmatch(word) or (ROOT / word).exists(), f"{command}: {word} does not exist"


def check_own_command(command: Part, arguments: list[str], *, may_lack: bool = False) -> None:
    """Parse a command line as the application does, without running it, and check model names and overrides.

    Args:
        command: Command line.
        arguments: Arguments of ``splitnest``.
        may_lack: Whether required arguments may be left out, as in a sentence about one option.
    """
    try:
        params = parsed(arguments)
    except Exception as error:  # click's errors; typer may bring its own copy of click
        if may_lack and type(error).__name__ == "MissingParameter":
            return
        pytest.fail(f"{command}: {command.text!r}: {getattr(error, 'message', '') or error}")
    recipe = params.get("recipe") or params.get("model")
    for name in (recipe, params.get("detector")):
        check_model_name(command, name)
    check_overrides(command, recipe, params.get("overrides") or [])


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the parameters of the command that some arguments call; none for a group of commands."""
    command = application()
    context = command.make_context("splitnest", list(arguments), resilient_parsing=not arguments)
    while hasattr(command, "resolve_command"):
        words = [*getattr(context, "_protected_args", []), *context.args]
        if not words:
            return {}
        name, command, rest = command.resolve_command(context, words)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)


@cache
def application() -> Any:
    return typer.main.get_command(app)


def check_model_name(command: Part, name: str | None) -> None:
    if name is None or PLACEHOLDER.fullmatch(name):
        return
    if FILE.match(name):
        assert not OWN_PATH.fullmatch(name) or (ROOT / name).exists(), f"{command}: {name} does not exist"
        return
    try:
        zoo.full_name(name)
    except splitnest.UsageError as error:
        pytest.fail(f"{command}: {command.text!r}: {error}")


def check_overrides(command: Part, recipe: str | None, assignments: list[str]) -> None:
    is_known = recipe is not None and not PLACEHOLDER.fullmatch(recipe) and not is_missing(recipe)
    try:
        changes = overrides.parse(assignments)
        if is_known:
            overrides.apply(recipe_of(str(recipe)), changes)
        else:
            apply_to_some(changes)
    except splitnest.UsageError as error:
        pytest.fail(f"{command}: {command.text!r}: {error}")


def is_missing(name: str) -> bool:
    return FILE.match(name) is not None and not (ROOT / name).is_file()


@cache
def recipe_of(name: str) -> Recipe:
    return zoo.load_recipe(ROOT / name) if FILE.match(name) else zoo.get(name)


def apply_to_some(changes: Mapping[str, Any]) -> Recipe:
    """Return the first representative recipe that overrides apply to, changed by them.

    Raises:
        UsageError: They apply to none; the error is that of a recipe that has the keys, if there is one.
    """
    errors = []
    for name in REPRESENTATIVES:
        try:
            return overrides.apply(recipe_of(name), changes)
        except splitnest.UsageError as error:
            errors.append(error)
    raise min(errors, key=lambda error: "There is no key" in str(error))


@pages
def test_recipes_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block.text)
        try:
            if "base" in content:
                (tmp_path / "recipe.yaml").write_text(block.text, encoding="utf-8")
                zoo.load_recipe(tmp_path / "recipe.yaml")
            else:
                apply_to_some(content)
        except splitnest.UsageError as error:
            pytest.fail(f"{block}: {error}")


@pages
def test_inline_keys_exist(page: Path) -> None:
    key_tables = {line.line for line in key_table_lines()} if page.name == "migration.md" else set()
    for code in inline_code(page):
        if code.line in key_tables:  # with keys of other frameworks, which may look like ours
            continue
        for word in code.text.split():
            key, _, value = word.partition("=")
            if not KEY.fullmatch(key) or FILE.match(key) or key in NOT_KEYS:
                continue
            assert key in all_keys(), f"{code}: no recipe has the key {key}"
            if value and word == code.text and not PLACEHOLDER.fullmatch(value):
                check_overrides(code, None, [word])


def test_key_tables_list_keys() -> None:
    """A table after a line such as ``**Input**, `input.``` has keys of that section in its first column."""
    prefix = ""
    for line in key_table_lines():
        if heading := re.match(r"\*\*[^*]+\*\*, `([a-z.]+)\.`", line.text):
            prefix = heading[1]
        elif line.text.startswith("| `"):
            for code in re.findall(r"`([^`]+)`", line.text.split("|")[1]):
                key = re.split("[:=]", code)[0]
                assert {key, f"{prefix}.{key}"} & all_keys(), f"{line}: no recipe has the key {key} or {prefix}.{key}"


def key_table_lines() -> list[Part]:
    """Return the headings and the rows of the tables of configuration keys."""
    lines = prose(ROOT / "docs" / "migration.md")
    first, last = (next(i for i, line in enumerate(lines) if line.text == f"## {title}") for title in KEY_TABLES)
    return [line for line in lines[first:last] if line.text.startswith(("|", "**"))]


@cache
def all_keys() -> frozenset[str]:
    return frozenset(key for cls in RECIPE_CLASSES.values() for key in overrides.known_keys(cls))


@pages
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link.text):
            continue
        path, _, anchor = link.text.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: {link.text} does not exist"
        if anchor:
            assert anchor in anchors(target.resolve()), f"{link}: {target.name} has no heading #{anchor}"


@pages
def test_files_models_and_extras_exist(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for code in inline_code(page):
        assert not OWN_PATH.fullmatch(code.text) or (ROOT / code.text).exists(), f"{code}: {code.text} does not exist"
        if MODEL.fullmatch(code.text):
            assert code.text in zoo.TASK_OF, f"{code}: there is no model {code.text}"
    for part in parts(page):
        for extra in re.findall(r"splitnest\[(\w+)\]", part.text):
            assert extra in extras, f"{part}: there is no extra {extra}"


@pages
def test_nothing_is_announced(page: Path) -> None:
    for part in parts(page):
        assert "not yet" not in part.text.lower(), f"{part}: {part.text}"


@pages
def test_python_names_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        tree = ast.parse(block.text, str(block))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and "splitnest" in ast.unparse(node):
                try:
                    exec(compile(ast.Module([node], []), str(block), "exec"), {})
                except (ImportError, AttributeError) as error:
                    pytest.fail(f"{block}: {ast.unparse(node)}: {error}")
        check_attributes(block, tree)


def check_attributes(block: Part, tree: ast.Module) -> None:
    """Check attributes and arguments of the package, and of the predictors and runs that a block makes."""
    owners: dict[str, Any] = {"splitnest": splitnest}
    types = {"load": splitnest.Predictor, "train": splitnest.Run}
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name("splitnest"), function))):
                owners[name] = types.get(function)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name(name), attribute) if owners.get(name) is not None:
                fields = [*getattr(owners[name], "__annotations__", {}), "module", "recipe"]  # set by constructors
                known = hasattr(owners[name], attribute) or attribute in fields
                assert known, f"{block}: {name} has no attribute {attribute}"
            case ast.Call(ast.Attribute(ast.Name(name), method)) if owners.get(name) is not None:
                check_arguments(block, getattr(owners[name], method), node, is_method=name != "splitnest")


def check_arguments(block: Part, function: Any, call: ast.Call, *, is_method: bool) -> None:
    keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    try:
        inspect.signature(function).bind(*[None] * (len(call.args) + is_method), **keywords)
    except TypeError as error:
        pytest.fail(f"{block}: {ast.unparse(call)}: {error}")


@pages
def test_python_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that need neither downloads nor files are executed."""
    monkeypatch.chdir(ROOT)
    for block in blocks(page, "python"):
        tree = ast.parse(block.text)
        if any(needs_files(node) for node in ast.walk(tree)):
            continue
        try:
            exec(compile(tree, str(block), "exec"), {})
        except Exception as error:
            pytest.fail(f"{block}: {type(error).__name__}: {error}")


def needs_files(node: ast.AST) -> bool:
    """Return whether code names a file that does not exist, loads published weights, or trains or evaluates."""
    match node:
        case ast.Constant(str(text)):
            return re.search(r"\w\.(jpg|png|pth?|onnx|pt2|safetensors|yaml)$", text) is not None and is_missing(text)
        case ast.Call(ast.Attribute(ast.Name("splitnest"), "load" | "backbone")):
            return not any(keyword.arg == "weights" and is_none(keyword.value) for keyword in node.keywords)
        case ast.Call(
            ast.Attribute(ast.Name("splitnest"), "train" | "evaluate" | "export" | "convert" | "scan" | "read_scan")
        ):
            return True
    return False


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text()
    documented = set(re.findall(r"splitnest\.(\w+)", page)) | {"__version__"}
    assert sorted(set(splitnest.__all__) - documented) == []
