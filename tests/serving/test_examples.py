"""Examples of deployments name options, files and paths that exist."""

import ast
import re
from typing import Any

import pytest
import yaml

import splitnest
from helpers.paths import ROOT
from splitnest.serving import app

FOLDER = ROOT / "examples" / "serving"


@pytest.fixture(scope="module")
def options() -> set[str]:
    import typer

    from splitnest.cli.app import app as command_line

    command: Any = typer.main.get_command(command_line)
    return {text for param in command.commands["serve"].params for text in param.opts}


def test_dockerfile(options: set[str]) -> None:
    text = (FOLDER / "Dockerfile").read_text()
    entry = re.search(r"ENTRYPOINT (\[.*\])", text)
    assert entry is not None
    program, command, *arguments = ast.literal_eval(entry[1])
    assert (program, command) == ("splitnest", "serve")
    assert set(arguments[::2]) <= options
    for line in re.findall(r"^COPY (.*)", text, re.M):
        *files, _ = line.split()
        assert all((ROOT / file).exists() for file in files)


def test_kserve_manifest(options: set[str]) -> None:
    service, runtime = yaml.safe_load_all((FOLDER / "kserve.yaml").read_text())
    assert service["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]
    (container,) = runtime["spec"]["containers"]
    assert {word for word in container["args"] if word.startswith("--")} <= options
    paths = {route.path for route in app({"a": lambda: None}).routes}  # type: ignore[dict-item, attr-defined]
    assert container["readinessProbe"]["httpGet"]["path"] in paths
    assert container["livenessProbe"]["httpGet"]["path"] in paths


def test_hugging_face_space() -> None:
    text = (FOLDER / "huggingface_space" / "app.py").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 22
    tree = ast.parse(text)
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {"above", "draw", "to_dict", "predict"} <= names
    assert all(hasattr(splitnest.Detections, name) for name in ("above", "draw", "to_dict"))
