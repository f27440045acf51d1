"""Layout of the package: every import goes to a lower entry of one ordered list, and quick starts stay light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import splitnest

ROOT = Path(splitnest.__file__).parent

ORDER = (
    *("_tag", "_version", "errors", "streams", "files", "urls", "distributed", "progress", "device"),
    *("recipe", "visualize", "structures", "zoo", "weights", "models", "data", "metrics"),
    *("tasks", "upstream", "inference", "scanning", "evaluation", "training", "exporting", "compat", "serving", "cli"),
)
"""Root modules and packages, lowest first: each imports from itself and from entries before it."""

TOP = ("__init__", "__main__")
"""Root modules above all entries: the public interface and ``python -m splitnest``."""

HEAVY = {"torch", "torchvision", "hotcoco", "supervision", "onnx", "onnxruntime"}


def imported_entries(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and entry of each import of the package, deferred and TYPE_CHECKING ones included."""
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "splitnest":
                yield node.lineno, [*name.split("."), "__init__"][1]


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_go_to_lower_entries(file: Path) -> None:
    entry = file.relative_to(ROOT).parts[0].removesuffix(".py")
    if entry in TOP:
        return
    assert entry in ORDER, f"{entry} is not listed: give it a place in ORDER"
    for line, imported in imported_entries(file):
        assert imported in ORDER, f"{file}:{line} imports {imported}, which is not listed"
        assert ORDER.index(imported) <= ORDER.index(entry), f"{file}:{line}: {entry} imports {imported}, which is above"


def test_tasks_are_told_apart_in_their_package_alone() -> None:
    decision = re.compile(r"case \w*Recipe|isinstance\([^)]*Recipe|recipe\.task ==|match \w*recipe\b")
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted(ROOT.rglob("*.py"))
        if file.relative_to(ROOT).parts[0] not in ("recipe", "tasks") and file != ROOT / "models" / "build.py"
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if decision.search(line)
    ]
    assert found == []


def test_entries_exist() -> None:
    found = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert found - {"__pycache__", "py.typed", "_tag"} == {*ORDER, *TOP} - {"_tag"}
    assert len({*ROOT.glob("*.py")} - {ROOT / "_tag.py"}) == 10


def module_of(file: Path) -> str:
    parts = ["splitnest", *file.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_circular_imports() -> None:
    files = {module_of(file): file for file in ROOT.rglob("*.py")}
    imports: dict[str, set[str]] = {}
    for module, file in files.items():
        targets = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in files:
                submodules = {f"{node.module}.{alias.name}" for alias in node.names} & files.keys()
                targets |= submodules or {node.module}
        imports[module] = targets - {module}
    imports["splitnest"] = set()  # the public interface imports when a name is used
    while leaves := {module for module, targets in imports.items() if not targets & imports.keys()}:
        imports = {module: targets for module, targets in imports.items() if module not in leaves}
    assert not imports, f"circular imports among {sorted(imports)}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import splitnest", HEAVY | {"numpy", "pydantic"}),
        ("import splitnest; splitnest.list_models()", HEAVY | {"pydantic"}),
        ("from splitnest.weights.cache import cached_files; cached_files()", HEAVY | {"pydantic"}),
        ("import splitnest.zoo; splitnest.zoo.get('resnest50')", HEAVY | {"numpy"}),
        ("import splitnest.inference.predictor", HEAVY - {"torch"}),
    ],
)
def test_quick_start_is_light(statement: str, absent: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted({absent!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded


def test_public_names_exist() -> None:
    for name in splitnest.__all__:
        assert getattr(splitnest, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        _ = splitnest.nothing
