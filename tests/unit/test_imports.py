"""The arrows of the architecture, and what must stay out of a quick start."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import splitnest

ROOT = Path(splitnest.__file__).parent
HEAVY = {"torch", "torchvision", "matplotlib", "hotcoco", "supervision"}
MODELS = {
    "backbones",
    "detection",
    "segmentation",
    "pose",
    "classification",
    "build",
    "inference",
    "predictor",
    "evaluator",
    "weights",
    "training",
    "trainer",
}
FORBIDDEN = {
    "layers": MODELS | {"data", "evaluation", "results", "recipe", "recipes"},
    "backbones": MODELS - {"backbones"} | {"data", "evaluation", "results", "recipe", "recipes"},
    "detection": MODELS - {"backbones", "detection"} | {"recipe", "recipes", "evaluation"},
    "segmentation": MODELS - {"backbones", "segmentation"} | {"recipe", "recipes", "evaluation"},
    "pose": MODELS - {"backbones", "pose"} | {"recipe", "recipes", "evaluation"},
    "classification": MODELS - {"backbones", "classification"} | {"recipe", "recipes", "evaluation"},
    "inference": MODELS - {"backbones", "detection", "segmentation", "pose", "classification", "inference"}
    | {"recipes", "evaluation", "cli"},
    "data": MODELS | {"evaluation", "cli"},
    "evaluation": MODELS | {"cli"},
    "training": {"cli", "console", "evaluator", "trainer"},
    "recipe": MODELS | {"data", "evaluation", "results", *HEAVY},
    "recipes": MODELS | {"data", "evaluation", "results", *HEAVY},
    "results": MODELS | {"evaluation"},
    "weights": {
        "detection",
        "segmentation",
        "pose",
        "classification",
        "inference",
        "predictor",
        "evaluator",
        "data",
        "results",
    },
}


def imported(file: Path) -> Iterator[str]:
    """Yield what a file imports: the part of splitnest, or the package."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names]
        for name in names:
            parts = name.split(".")
            yield parts[1] if parts[0] == "splitnest" and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("part", FORBIDDEN)
def test_arrows(part: str) -> None:
    files = list((ROOT / part).rglob("*.py"))
    assert files
    for file in files:
        crossed = FORBIDDEN[part] & set(imported(file))
        assert not crossed, f"{file.relative_to(ROOT)} imports {crossed}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import splitnest", HEAVY | {"numpy", "pydantic"}),
        ("import splitnest; splitnest.list_models()", HEAVY | {"pydantic"}),
        ("import splitnest.recipe, splitnest.recipes; splitnest.recipes.get('resnest50')", HEAVY | {"numpy"}),
        ("import splitnest.predictor", HEAVY - {"torch"}),
    ],
)
def test_quick_start(statement: str, absent: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted({absent!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded


def test_public_names_exist() -> None:
    for name in splitnest.__all__:
        assert getattr(splitnest, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        _ = splitnest.nothing
