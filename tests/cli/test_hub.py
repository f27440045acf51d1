"""Cards, pushes and pulls from the command line, against the HTTP interface of a hub in this process."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers.command_line import Run, run_splitnest, write_bright_and_dark
from helpers.hub import Hub, running_hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub_run(hub: Hub, tmp_path: Path) -> Run:
    """Return a function that runs ``splitnest`` with that hub."""
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_secret"}
    return partial(run_splitnest, tmp_path, **environment, HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_XET="1")


def test_card_of_a_run_has_its_metrics(run: Run, tmp_path: Path) -> None:
    write_bright_and_dark(tmp_path, epochs=1, evaluate_every=1)
    run("train", "small.yaml", "--out", "first")
    done = run("card", "first", "--license", "mit", "--out", "card/README.md")
    assert "written to card/README.md" in done.stdout
    text = (tmp_path / "card" / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\n")
    assert "| top1 |" in text
    assert "bright, dark" in text
    assert run("card", "first").stdout.startswith("---\nlibrary_name: splitnest\n")
    assert "is read, so it is not written" in run("card", "small.yaml", "--out", "small.yaml", code=2).stderr


def test_push_and_pull(hub: Hub, hub_run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    done = hub_run("push", small_checkpoint, "name/fruit", "--license", "apache-2.0")
    assert done.stdout.startswith(f"pushed: {hub.url}/name/fruit")
    assert set(hub.files["name/fruit"]) == {"README.md", "model.safetensors"}
    assert hub.files["name/fruit"]["README.md"].startswith(b"---\nlicense: apache-2.0\n")
    assert hub.tokens == {"Bearer hf_secret"}
    hub.files["name/fruit"]["modeling.py"] = b"raise SystemExit"
    hub_run("pull", "name/fruit")
    assert hub.downloads == ["model.safetensors"]
    assert (tmp_path / "fruit.safetensors").read_bytes() == hub.files["name/fruit"]["model.safetensors"]
    for model, out in ((small_checkpoint, "own"), ("fruit.safetensors", "pulled")):
        hub_run("predict", model, image_file, "--out", out, "--no-pictures")
    own, pulled = (json.loads((tmp_path / out / "results.json").read_text())["images"] for out in ("own", "pulled"))
    assert own == pulled


def test_what_is_no_checkpoint_is_refused(hub: Hub, hub_run: Run, tmp_path: Path) -> None:
    hub.files["name/none"] = {"pytorch_model.bin": b"", "README.md": b""}
    assert "has no file model.safetensors" in hub_run("pull", "name/none", code=4).stderr
    assert "name/other does not exist" in hub_run("pull", "name/other", code=4).stderr
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    hub.files["name/pickle"] = {"model.safetensors": (tmp_path / "a.pt").read_bytes()}
    assert "has no recipe of splitnest" in hub_run("pull", "name/pickle", code=4).stderr
    hub.files["name/noise"] = {"model.safetensors": b"0123456789abcdef"}
    hub_run("pull", "name/noise", code=4)
    assert "Write owner/name" in hub_run("pull", "a/b/c", code=2).stderr
    assert "ends in .safetensors" in hub_run("pull", "name/none", "--out", "a.pt2", code=2).stderr
    assert "is not a checkpoint" in hub_run("push", "resnest50_imagenet.official", "name/x", code=2).stderr
    assert not list(tmp_path.glob("*.safetensors*"))


def test_refusals_of_the_hub(hub: Hub, hub_run: Run, small_checkpoint: Path) -> None:
    hub.status = 403
    assert "Check HF_TOKEN" in hub_run("push", small_checkpoint, "name/fruit", code=4).stderr


def test_no_hub(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    assert "error: " in run("push", small_checkpoint, "name/fruit", code=4, **environment).stderr


def test_without_the_extra(run: Run, tmp_path: Path) -> None:
    (tmp_path / "huggingface_hub.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run("pull", "name/fruit", code=2, fresh=True, PYTHONPATH=path)
    assert "pip install 'splitnest[hub]'" in done.stderr
