"""Loading of checkpoints into networks: strict, all or nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.small_networks import (
    DETECTRON2,
    ROWS,
    TORCHVISION,
    build_network,
    copied_state,
    foreign_state,
    has_state,
    small_recipe,
)
from splitnest.errors import WeightsError
from splitnest.models.build import build_model
from splitnest.weights.describe import describe
from splitnest.weights.load import load
from splitnest.weights.save import save


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def test_module_without_tensors_takes_none(path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2, 3)}, path)
    with pytest.raises(WeightsError, match=r"1 unexpected \(fc\.weight\)"):
        load(nn.Identity(), path)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_key_map(row: str, device: str, path: Path) -> None:
    recipe = small_recipe(row)
    source = build_network(recipe).state_dict()
    torch.save(foreign_state(source, ROWS[row][1]), path)
    module = build_network(recipe, seed=1).to(device)
    trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    report = load(module, path)
    assert has_state(module, source)
    assert report.layout == ROWS[row][1].name
    assert not report.dropped
    assert not report.kept
    assert sum(line.values for line in report.loaded) == sum(tensor.numel() for tensor in source.values())
    assert {name: parameter.requires_grad for name, parameter in module.named_parameters()} == trainable
    assert row == "official" or not all(trainable.values())  # detectors have frozen stages


def test_tensors_are_copies(tmp_path: Path) -> None:
    """The network does not depend on the file afterwards."""
    recipe = small_recipe("official")
    path = tmp_path / "own.safetensors"
    source = build_network(recipe)
    save(source, recipe, path)
    module = build_network(recipe, seed=1).to("meta")
    load(module, path)
    path.write_bytes(bytes(path.stat().st_size))
    assert has_state(module, source.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_floating_point_types_are_converted(dtype: torch.dtype, device: str, path: Path) -> None:
    recipe = small_recipe("official")
    source = build_network(recipe).state_dict()
    torch.save({k: t.to(dtype) if t.is_floating_point() else t for k, t in source.items()}, path)
    module = build_model(recipe).to(device)
    load(module, path)
    assert {t.dtype for t in module.state_dict().values()} == {torch.float32, torch.int64}
    assert all(torch.equal(t, source[k].to(dtype).to(t.dtype)) for k, t in module.state_dict().items())
    double = build_model(recipe).double()
    load(double, path)
    assert {p.dtype for p in double.parameters()} == {torch.float64}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_old_files_lack_counters(device: str, path: Path) -> None:
    recipe = small_recipe("detectron2")
    source = build_network(recipe).state_dict()
    state = foreign_state({k: t for k, t in source.items() if not k.endswith("num_batches_tracked")}, DETECTRON2)
    extra = {"pixel_mean": torch.ones(3, 1, 1), "proposal_generator.anchor_generator.cell_anchors.0": torch.ones(3, 4)}
    torch.save({"model": {**state, **extra}}, path)
    module = build_network(recipe, seed=1).to(device)
    report = load(module, path)
    assert has_state(module, {k: torch.zeros_like(t) if k.endswith("tracked") else t for k, t in source.items()})
    assert [(line.module, line.values) for line in report.dropped] == [
        ("pixel_mean", 3),
        ("proposal_generator.anchor_generator", 12),
    ]
    assert all(line.outcome.startswith("dropped: ") for line in report.dropped)


def test_frozen_norms_have_no_counters(path: Path) -> None:
    torch.save(build_network(small_recipe("official")).state_dict(), path)
    module = build_model(small_recipe("official", **{"model.backbone.norm": "frozen_bn"}))
    report = load(module, path)
    assert {line.outcome for line in report.dropped} == {"dropped: frozen batch normalization has no counter"}


def test_every_mismatch_leaves_the_module_unchanged(path: Path) -> None:
    state = build_network(small_recipe("official")).state_dict()
    module = build_network(small_recipe("official"), seed=1)
    before = copied_state(module)
    weight = "backbone.c2.0.conv1.conv.weight"
    for change, words in (
        ({weight: None}, rf"1 missing \({weight}\)"),
        ({"backbone.c2.9.conv1.conv.weight": torch.ones(1)}, r"1 unexpected \(backbone\.c2\.9"),
        (
            {weight: torch.ones(3, 3)},
            r"1 with another shape or type \(.+weight \[3, 3\] in the file, \[8, 8, 1, 1\]",
        ),
        ({weight: torch.ones(8, 8, 1, 1).int()}, r"torch\.int32 in the file, torch\.float32 in the model"),
        ({"fc.bias": torch.ones(2).bool()}, r"fc\.bias torch\.bool in the file"),
        ({"fc.weight": torch.ones(2, 5)}, r"fc\.weight \[2, 5\] in the file"),
        (
            {"decode_head.conv_seg.weight": torch.ones(1)},
            r"1 of its .+ tensors are unknown: decode_head\.conv_seg \(1\)",
        ),
    ):
        changed = {key: tensor for key, tensor in {**state, **change}.items() if tensor is not None}
        torch.save(changed, path)
        with pytest.raises(WeightsError, match=words) as caught:
            load(module, path, allow_class_change=True)
        assert str(path) in str(caught.value)
        assert has_state(module, before)


def test_checkpoint_of_another_model(path: Path) -> None:
    torch.save(build_network(small_recipe("official", **{"model.backbone.depth": 26})).state_dict(), path)
    words = r"another model \(classifier, ResNeSt-26, 2 classes\) than .+ \(classifier, ResNeSt-14, 2 classes\)"
    with pytest.raises(WeightsError, match=words):
        load(build_model(small_recipe("official")), path)
    words = r"than the given one \(Mask R-CNN, ResNeSt-14, 2 classes\)\. Tensors: 72 missing "
    with pytest.raises(WeightsError, match=words):
        load(build_model(small_recipe("mmdet")), path)


def test_plain_resnet_of_torchvision(path: Path) -> None:
    plain = {"radix": 0, "stem": "7x7", "avd": False, "avg_down": False}
    for depth, changes, found in ((14, {}, "ResNet-14"), (14, {"cardinality": 2}, "ResNeXt-14"), (18, {}, "ResNet-18")):
        recipe = small_recipe("official", **{"model.backbone": {**plain, **changes, "depth": depth}})
        state = foreign_state(build_network(recipe).state_dict(), TORCHVISION)
        assert {"conv1.weight", "bn1.bias", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight"} <= set(
            state
        )
        torch.save(state, path)
        module = build_network(recipe, seed=1)
        assert load(module, path).layout == "torchvision"
        assert has_state(module, build_network(recipe).state_dict())
        with pytest.raises(WeightsError, match=rf"another model \(classifier, {found}, 2 classes\) than .+ ResNeSt-14"):
            load(build_model(small_recipe("official")), path)


def test_description_of_incomplete_models() -> None:
    assert describe({}) == "no backbone"
    blocks = {f"backbone.c{stage}.0.conv1.conv.weight": torch.Size([1]) for stage in (2, 3)}
    assert describe(blocks) == "ResNet-8"
    heads = {
        f"roi_heads.{kind}_heads.{i}.logits.bias": torch.Size([81 if kind == "box" else 80])
        for kind in ("box", "mask")
        for i in (0, 1)
    }
    assert describe(heads) == "Cascade Mask R-CNN, no backbone, 80 classes"
