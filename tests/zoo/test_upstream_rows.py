"""Rows of ordinary backbones: their files are what the scripts write from the recorded configurations."""

import json
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import ROOT
from helpers.upstream_rows import RESCUE, STEPS, lines, python_text, require_recordings
from splitnest import zoo
from splitnest.device import on_meta
from splitnest.models.build import build_categories, build_model
from splitnest.recipe import Recipe
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import derive
from splitnest.upstream.files import read_text
from splitnest.weights.key_maps.translate import translate
from splitnest.zoo import upstream

RECORDINGS = sorted(path for path in RESCUE.glob("*/*.json") if not path.name.endswith((".train.json", ".e2e.json")))


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names of a script in ``tools``."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    return runpy.run_path(str(ROOT / "tools" / f"{name}.py"))


def bare(recipe: Recipe) -> Recipe:
    """Return a recipe without its name, its weights and its metrics."""
    return recipe.model_copy(update={"name": "row", "weights": None, "published": {}})


def test_tables_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    require_recordings()
    for path, content in script("upstream_tables", monkeypatch)["tables"](RESCUE).items():
        assert path.read_text(encoding="utf-8") == content, path


def test_rows_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    require_recordings()
    content, steps, notes = script("upstream_rows", monkeypatch)["rows"](RESCUE)
    assert upstream.FILE.read_text(encoding="utf-8") == content
    assert steps == STEPS
    assert (
        len(notes) == 8 == sum(bool(row.untrained) for row in upstream.ROWS.values())
    )  # rows whose training has a part that splitnest has not


def test_every_row_is_the_recipe_of_its_configuration_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    require_recordings()
    names = script("upstream_rows", monkeypatch)
    tables = {line["table"]: line for line in lines() if "table" in line}
    found: Counter[str] = Counter()
    for line in lines():
        if line.get("step") not in STEPS:
            continue
        row = zoo.get(f"{line['name']}.{line['framework']}")
        table = tables[line["classes"]]
        config = names["configuration"](line)
        if line["framework"] != "detectron2":
            config = read_text(python_text(config), "config")
        classes = None if "keypoints" in table or not isinstance(row.data.classes, tuple) else table["classes"]
        assert bare(derive(config, "row", "config", Metadata(classes)).recipe) == bare(row), row.name
        found[line["step"]] += 1
    assert found == STEPS


def recorded_metadata(recording: dict[str, Any]) -> Metadata:
    """Return the metadata of a file as its code base would write it."""
    if "keypoints" not in recording:
        return Metadata(recording["classes"])
    return Metadata(dataset={key: recording[key] for key in ("keypoints", "flip_indices", "sigmas")})


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recorded_models_are_rows_with_the_recorded_keys(path: Path) -> None:
    recording = json.loads(path.read_text())
    model = recording["upstream_model"]
    config = {key: recording[key] for key in ("test_pipeline", "codec") if key in recording} | {"model": model}
    if path.parent.name == "detectron2":
        config = model if "MODEL" in model else {"MODEL": model}
    else:
        config = read_text(python_text(config), "config")
    found = derive(config, "row", "config", recorded_metadata(recording)).recipe
    if path.stem in zoo.TASK_OF:
        row = zoo.get(path.stem)
        assert found.model == row.model
        assert found.input == row.input
        assert build_categories(found).names == build_categories(row).names
    with on_meta():
        module = build_model(found)
    translation = translate(recording["state_dict"].keys())
    assert not translation.unknown
    ours = {key: list(value.shape) for key, value in module.state_dict().items()}
    theirs = {key: recording["state_dict"][source] for key, source in translation.sources.items()}
    for shapes in (ours, theirs):  # counters of batches, which FrozenBN lacks in one of both
        for key in [key for key in shapes if key.endswith(".num_batches_tracked")]:
            del shapes[key]
    assert ours == theirs
