"""Output for other programs: ``--json`` of list, info, eval and data check."""

import json
from pathlib import Path

import pytest

import splitnest
from helpers import upstream_files
from helpers.command_line import CocoFolder, Run
from splitnest import zoo
from splitnest.recipe.serialization import from_json

NAME = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


def test_list(run: Run) -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == splitnest.list_models()
    row = next(row for row in rows if row["name"] == NAME)
    assert row["metrics"] == zoo.published(NAME).metrics
    assert (row["task"], row["source"], row["dataset"], row["backbone"]) == ("instance", "mmdet", "COCO", "ResNeSt-50")
    assert row["url"].endswith(f"{row['sha256']}.pth")
    none = run("list", "no such model", "--json")
    assert json.loads(none.stdout) == []
    assert "The nearest are" in none.stderr


def test_info(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    facts = json.loads(run("info", small_checkpoint, "--json").stdout)
    assert (facts["model"], facts["classes"]) == ("small", ["circle", "square"])
    assert from_json(json.dumps(facts["recipe"])).name == "small"
    file = upstream_files.write("mmdet 3", tmp_path)
    facts = json.loads(run("info", file.name, "--json").stdout)
    assert facts["framework"] == "mmdet"
    assert facts["tensors"].startswith("all ")


def test_eval_and_data_check(run: Run, small_checkpoint: Path, coco: CocoFolder) -> None:
    values = [f"data.root={coco.write()}"]
    facts = json.loads(run("eval", small_checkpoint, *values, "--json", "--report", "report").stdout)
    assert facts["num_images"] == len(facts["per_class"]) == 2
    assert set(facts["metrics"]) >= {"box_ap", "mask_ap"}
    checked = run("data", "check", small_checkpoint, *values, "--split", "val", "--json")
    assert json.loads(checked.stdout)["splits"]["val"]["num_images"] == 2
    assert "images" in checked.stderr


def test_faults_are_in_the_output_and_the_exit_code(run: Run, small_checkpoint: Path, coco: CocoFolder) -> None:
    values = [f"data.root={coco.write()}"]
    for image in coco.root.rglob("*.png"):
        image.write_bytes(b"no image")
    done = run("data", "check", small_checkpoint, *values, "--split", "val", "--json", code=3)
    found = json.loads(done.stdout)
    assert found["errors"]
    assert found["splits"]["val"]["faults"]


@pytest.mark.parametrize("command", ["list", "info", "eval", "data check"])
def test_option_is_documented(command: str, run: Run) -> None:
    assert "Print JSON" in run(*command.split(), "--help").stdout
