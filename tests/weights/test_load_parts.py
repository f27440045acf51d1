"""Loading of checkpoints with other classes, and of backbones of any network."""

from pathlib import Path

import pytest
import torch

from helpers.small_networks import ROWS, build_network, copied_state, foreign_state, has_state, small_recipe
from splitnest.errors import WeightsError
from splitnest.models.build import build_backbone, build_model
from splitnest.weights.load import load, load_backbone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("row", ["official", "mmdet"])
def test_other_classes_keep_random_weights(row: str, path: Path) -> None:
    source = build_network(small_recipe(row, ("a", "b", "c"))).state_dict()
    torch.save(foreign_state(source, ROWS[row][1]), path)
    module = build_network(small_recipe(row), seed=1)
    before = copied_state(module)
    with pytest.raises(WeightsError, match=r"other classes \(3 classes in the file, 2 in the model\)"):
        load(module, path)
    assert has_state(module, before)
    report = load(module, path, allow_class_change=True)
    layers = (
        ("fc",)
        if row == "official"
        else ("roi_heads.box_heads.0.logits", "roi_heads.box_heads.0.deltas", "roi_heads.mask_heads.0.logits")
    )
    kept = {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
    assert has_state(module, {key: before[key] if key in kept else tensor for key, tensor in source.items()})
    assert sum(line.tensors for line in report.kept) == len(kept)
    assert {line.outcome for line in report.kept} == {"random weights: 3 classes in the file, 2 in the model"}


def test_random_weights_need_a_real_device(path: Path) -> None:
    torch.save(build_network(small_recipe("official", ("a", "b", "c"))).state_dict(), path)
    module = build_model(small_recipe("official")).to("meta")
    with pytest.raises(ValueError, match=r"fc\.weight is on the meta device"):
        load(module, path, allow_class_change=True)
    assert all(tensor.is_meta for tensor in module.state_dict().values())


@pytest.mark.parametrize("row", ["official", "mmdet", "detectron2", "panoptic"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_backbone_of_any_network(row: str, device: str, path: Path) -> None:
    source = build_network(small_recipe(row)).state_dict()
    others = {"optimizer_step": torch.ones(1), "decode_head.conv_seg.weight": torch.ones(2)}
    torch.save({**foreign_state(source, ROWS[row][1]), **others}, path)
    backbone = build_backbone(small_recipe(row).model.backbone).to(device)
    report = load_backbone(backbone, path)
    prefix = "detector.backbone." if row == "panoptic" else "backbone."
    assert has_state(backbone, {k.removeprefix(prefix): t for k, t in source.items() if k.startswith(prefix)})
    assert {line.outcome for line in report.dropped} == {"dropped: not in the backbone"}
    assert sum(line.values for line in (*report.loaded, *report.dropped)) == 3 + sum(t.numel() for t in source.values())
    torch.save(backbone.state_dict(), path)
    load_backbone(build_backbone(small_recipe(row).model.backbone), path)


def test_backbone_with_another_stem(path: Path) -> None:
    """From depth 101 on, the stem of mmpose is narrower than that of the ImageNet weights."""
    torch.save(build_network(small_recipe("official")).state_dict(), path)
    wide = small_recipe("official", **{"model.backbone.stem_width": 8})
    with pytest.raises(
        WeightsError, match=r"stem\.0\.conv\.weight \[4, 3, 3, 3\] in the file, \[8, 3, 3, 3\] in the model"
    ):
        load_backbone(build_backbone(wide.model.backbone), path)
