"""Resolution of model names, files and devices."""

from pathlib import Path

import pytest
import torch

import splitnest
from splitnest.device import pick_device
from splitnest.errors import UsageError, WeightsError
from splitnest.inference.resolve import checkpoint_of_run, read_recipe, resolve


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("resnest50", "resnest50_imagenet.official"),
        (
            "configs/resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py",
            "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
        ),
        ("mask_rcnn_ResNeSt_50_FPN_syncBN_1x.yaml", "mask_rcnn_resnest50_fpn_1x_coco.detectron2"),
    ],
)
def test_names_of_upstream_configurations(name: str, full: str) -> None:
    recipe, checkpoint = resolve(name)
    assert (recipe.name, checkpoint) == (full, None)


def test_existing_configuration_file_counts_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py"
    path.write_text("raise SystemExit")
    assert resolve(path)[0].name == "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


def test_folder_does_not_hide_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resnest50").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("resnest50")[0].name == "resnest50_imagenet.official"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/x/last.pt", r"last\.pt does not exist"),
        ("mine.yaml", r"mine\.yaml cannot be read: it does not exist"),
        (".", r"\. is a folder without best\.pt or last\.pt.*data\.root=\."),
        ("resnest51", "No published model is called 'resnest51'"),
        ("", "No published model is called ''"),
    ],
)
def test_unknown_model_or_file_is_an_error(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(name)


def test_checkpoint_of_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoint_of_run(tmp_path) == tmp_path
    assert checkpoint_of_run("") == ""
    for name in ("last-1.pt", "last.pt", "best.pt"):  # the older checkpoint counts where a process was killed
        (tmp_path / name).touch()
        assert checkpoint_of_run(tmp_path) == tmp_path / name
        assert f"{name} in it is used" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"is a run folder\. Add --resume .*best\.pt to start a new"):
        read_recipe(tmp_path)


def test_run_folder_comes_before_a_model_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "resnest50").mkdir()
    (tmp_path / "resnest50" / "last.pt").touch()
    with pytest.raises(WeightsError, match=r"last\.pt is empty"):
        resolve(tmp_path / "resnest50")


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("weird", "cuda:99", "0", ""):
        with pytest.raises(UsageError, match=f"no device '{name}'. Use auto"):
            splitnest.load("resnest14d", weights=None, device=name)
    with pytest.raises(UsageError, match="no device 'meta'"):
        pick_device("meta")
