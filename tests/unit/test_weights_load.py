"""Checkpoints into networks: strict, whole or not at all, in little memory, with a report."""

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from splitnest import recipes
from splitnest.build import build_backbone, build_model
from splitnest.errors import UsageError, WeightsError
from splitnest.recipe import Recipe, overrides
from splitnest.weights.describe import describe
from splitnest.weights.layout import DETECTRON2, MMDET, OFFICIAL, Layout
from splitnest.weights.load import load, load_backbone
from splitnest.weights.read import read
from splitnest.weights.save import save

BACKBONE = {"model.backbone.depth": 14, "model.backbone.planes": 8, "model.backbone.stem_width": 4}
HEADS = {"model.fpn_channels": 8, "model.box_channels": 8, "model.box_features": 8, "model.mask_channels": 8}
ROWS = {
    "official": ("resnest50_imagenet.official", OFFICIAL),
    "mmdet": ("mask_rcnn_resnest50_fpn_1x_coco.mmdet", MMDET),
    "detectron2": ("mask_rcnn_resnest50_fpn_1x_coco.detectron2", DETECTRON2),
    "dcn": ("faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2", DETECTRON2),
}


def small(row: str, classes: tuple[str, ...] = ("cat", "dog"), **changes: Any) -> Recipe:
    recipe = recipes.get(ROWS[row][0])
    heads = {} if row == "official" else HEADS
    return overrides.apply(recipe, {**BACKBONE, **heads, "data.classes": list(classes), **changes})


def build(recipe: Recipe, seed: int = 0) -> nn.Module:
    """A small network with nothing left at its default, counters included."""
    torch.manual_seed(seed)
    module = build_model(recipe)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.fill_(seed + 1)
    return module


def foreign(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The state under the names of another code base: its table, read backwards."""
    backwards = Layout("", {target: source for source, target in reversed(layout.modules.items())}, {})
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{backwards.module(module)}.{leaf}"] = tensor.clone()
    assert len(renamed) == len(state)
    return renamed


def same(one: nn.Module, other: Mapping[str, Tensor]) -> bool:
    state = one.state_dict()
    return state.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in state.items())


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in module.state_dict().items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


# what fits


def test_module_without_tensors(path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2, 3)}, path)
    with pytest.raises(WeightsError, match=r"too many: 1 \(fc\.weight\)"):
        load(nn.Identity(), path)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_layout(row: str, device: str, path: Path) -> None:
    recipe = small(row)
    source = build(recipe).state_dict()
    torch.save(foreign(source, ROWS[row][1]), path)
    module = build(recipe, seed=1).to(device)
    trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    report = load(module, path)
    assert same(module, source)
    assert report.layout == ROWS[row][1].name
    assert not report.dropped
    assert not report.reinitialised
    assert sum(line.values for line in report.loaded) == sum(tensor.numel() for tensor in source.values())
    assert {name: parameter.requires_grad for name, parameter in module.named_parameters()} == trainable
    assert row == "official" or not all(trainable.values())  # the detectors have frozen stages


def test_tensors_are_copies(tmp_path: Path) -> None:
    """What is in the file or in a mapping of it never becomes part of the network."""
    recipe = small("official")
    path = tmp_path / "own.safetensors"
    source = build(recipe)
    save(source, recipe, path)
    module = build(recipe, seed=1).to("meta")
    load(module, path)
    path.write_bytes(bytes(path.stat().st_size))
    assert same(module, source.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_types_are_converted(dtype: torch.dtype, device: str, path: Path) -> None:
    recipe = small("official")
    source = build(recipe).state_dict()
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
    recipe = small("detectron2")
    source = build(recipe).state_dict()
    state = foreign({k: t for k, t in source.items() if not k.endswith("num_batches_tracked")}, DETECTRON2)
    extra = {"pixel_mean": torch.ones(3, 1, 1), "proposal_generator.anchor_generator.cell_anchors.0": torch.ones(3, 4)}
    torch.save({"model": {**state, **extra}}, path)
    module = build(recipe, seed=1).to(device)
    report = load(module, path)
    assert same(module, {k: torch.zeros_like(t) if k.endswith("tracked") else t for k, t in source.items()})
    assert [(line.module, line.values) for line in report.dropped] == [
        ("pixel_mean", 3),
        ("proposal_generator.anchor_generator", 12),
    ]
    assert all(line.fate.startswith("dropped: ") for line in report.dropped)


def test_frozen_norms_have_no_counters(path: Path) -> None:
    torch.save(build(small("official")).state_dict(), path)
    module = build_model(small("official", **{"model.backbone.norm": "frozen_bn"}))
    report = load(module, path)
    assert {line.fate for line in report.dropped} == {"dropped: a frozen norm counts no batches"}


# what does not


def test_every_mismatch_leaves_the_module_alone(path: Path) -> None:
    state = build(small("official")).state_dict()
    module = build(small("official"), seed=1)
    before = snapshot(module)
    weight = "backbone.c2.0.conv1.conv.weight"
    for change, words in (
        ({weight: None}, rf"missing: 1 \({weight}\)"),
        ({"backbone.c2.9.conv1.conv.weight": torch.ones(1)}, r"too many: 1 \(backbone\.c2\.9"),
        (
            {weight: torch.ones(3, 3)},
            r"of another shape or type: 1 \(.+weight \[3, 3\] in the file, \[8, 8, 1, 1\]",
        ),
        ({weight: torch.ones(8, 8, 1, 1).int()}, r"torch\.int32 in the file, torch\.float32 in the model"),
        ({"fc.bias": torch.ones(2).bool()}, r"fc\.bias torch\.bool in the file"),
        ({"fc.weight": torch.ones(2, 5)}, r"fc\.weight \[2, 5\] in the file"),
        (
            {"decode_head.conv_seg.weight": torch.ones(1)},
            r"1 of its .+ tensors have no place: decode_head\.conv_seg \(1\)",
        ),
    ):
        changed = {key: tensor for key, tensor in {**state, **change}.items() if tensor is not None}
        torch.save(changed, path)
        with pytest.raises(WeightsError, match=words) as caught:
            load(module, path, allow_class_change=True)
        assert str(path) in str(caught.value)
        assert same(module, before)


def test_checkpoint_of_another_model(path: Path) -> None:
    torch.save(build(small("official", **{"model.backbone.depth": 26})).state_dict(), path)
    words = r"another model \(classifier, ResNeSt-26, 2 classes\) than .+ \(classifier, ResNeSt-14, 2 classes\)"
    with pytest.raises(WeightsError, match=words):
        load(build_model(small("official")), path)
    with pytest.raises(
        WeightsError, match=r"to be filled \(Mask R-CNN, ResNeSt-14, 2 classes\)\. Tensors missing: 72 "
    ):
        load(build_model(small("mmdet")), path)


def test_plain_resnet_of_torchvision(path: Path) -> None:
    keys = [
        "conv1.weight",
        "bn1.weight",
        "layer1.0.conv2.weight",
        "layer1.0.bn2.weight",
        "layer1.0.downsample.0.weight",
    ]
    torch.save({key: torch.ones(1) for key in keys}, path)
    with pytest.raises(WeightsError, match=r"4 of its 5 tensors have no place: conv1 \(1\), layer1\.0 \(3\)"):
        load(build_model(small("official")), path)


def test_description_of_what_has_no_name() -> None:
    assert describe({}) == "no backbone"
    blocks = {f"backbone.c{stage}.0.conv1.conv.weight": torch.Size([1]) for stage in (2, 3)}
    assert describe(blocks) == "a ResNet of 1-1-0-0 blocks"
    heads = {
        f"roi_heads.{kind}_heads.{i}.logits.bias": torch.Size([81 if kind == "box" else 80])
        for kind in ("box", "mask")
        for i in (0, 1)
    }
    assert describe(heads) == "Cascade Mask R-CNN, no backbone, 80 classes"


# other classes


@pytest.mark.parametrize("row", ["official", "mmdet"])
def test_class_change(row: str, path: Path) -> None:
    source = build(small(row, ("a", "b", "c"))).state_dict()
    torch.save(foreign(source, ROWS[row][1]), path)
    module = build(small(row), seed=1)
    before = snapshot(module)
    with pytest.raises(WeightsError, match=r"other classes \(3 classes in the file, 2 in the model\)"):
        load(module, path)
    assert same(module, before)
    report = load(module, path, allow_class_change=True)
    layers = (
        ("fc",)
        if row == "official"
        else ("roi_heads.box_heads.0.logits", "roi_heads.box_heads.0.deltas", "roi_heads.mask_heads.0.logits")
    )
    kept = {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
    assert same(module, {key: before[key] if key in kept else tensor for key, tensor in source.items()})
    assert sum(line.tensors for line in report.reinitialised) == len(kept)
    assert {line.fate for line in report.reinitialised} == {"re-initialised: 3 classes in the file, 2 in the model"}


def test_initial_values_need_a_real_device(path: Path) -> None:
    torch.save(build(small("official", ("a", "b", "c"))).state_dict(), path)
    module = build_model(small("official")).to("meta")
    with pytest.raises(ValueError, match=r"fc\.weight is on the meta device"):
        load(module, path, allow_class_change=True)
    assert all(tensor.is_meta for tensor in module.state_dict().values())


# backbones


@pytest.mark.parametrize("row", ["official", "mmdet", "detectron2"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_backbone_out_of_any_network(row: str, device: str, path: Path) -> None:
    source = build(small(row)).state_dict()
    others = {"optimizer_step": torch.ones(1), "decode_head.conv_seg.weight": torch.ones(2)}
    torch.save({**foreign(source, ROWS[row][1]), **others}, path)
    backbone = build_backbone(small(row).model.backbone).to(device)
    report = load_backbone(backbone, path)
    assert same(backbone, {k.removeprefix("backbone."): t for k, t in source.items() if k.startswith("backbone.")})
    assert {line.fate for line in report.dropped} == {"dropped: not of the backbone"}
    assert sum(line.values for line in (*report.loaded, *report.dropped)) == 3 + sum(t.numel() for t in source.values())
    torch.save(backbone.state_dict(), path)
    load_backbone(build_backbone(small(row).model.backbone), path)


def test_backbone_with_another_stem(path: Path) -> None:
    """mmpose's stem is narrower than that of the ImageNet weights from depth 101 on."""
    torch.save(build(small("official")).state_dict(), path)
    wide = small("official", **{"model.backbone.stem_width": 8})
    with pytest.raises(
        WeightsError, match=r"stem\.0\.conv\.weight \[4, 3, 3, 3\] in the file, \[8, 3, 3, 3\] in the model"
    ):
        load_backbone(build_backbone(wide.model.backbone), path)


# our own files, and the report


@pytest.mark.parametrize("row", ROWS)
def test_save_and_read_back(row: str, tmp_path: Path) -> None:
    recipe, path = small(row), tmp_path / "new folder" / "own.safetensors"
    module = build(recipe)
    save(module, recipe, path)
    checkpoint = read(path)
    assert checkpoint.recipe_json is not None
    assert overrides.from_json(checkpoint.recipe_json) == recipe
    assert same(module, checkpoint.state)
    copy = build_model(recipe)
    assert load(copy, path).layout == "splitnest"
    assert same(copy, module.state_dict())
    assert [file.name for file in path.parent.iterdir()] == ["own.safetensors"]


def test_save_that_cannot_be(tmp_path: Path) -> None:
    recipe = small("official")
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        save(build_model(recipe), recipe, tmp_path / "own.pth")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be written"):
        save(build_model(recipe), recipe, tmp_path / "file" / "own.safetensors")
    taken = tmp_path / "own.safetensors"
    taken.mkdir()
    with pytest.raises(WeightsError, match="cannot be written"):
        save(build_model(recipe), recipe, taken)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "own.safetensors"]


def test_report_is_a_table(path: Path) -> None:
    state = build(small("official", ("a", "b", "c"))).state_dict()
    torch.save({**foreign(state, OFFICIAL), "layer4.0.dropblock1.i": torch.zeros(1), "epoch": 3}, path)
    report = load(build_model(small("official")), path, allow_class_change=True)
    assert str(report).splitlines() == [
        f"{path} (official layout)",
        "module         tensors   values",
        "backbone.stem       18      607  loaded",
        "backbone.c2         33    2,453  loaded",
        "backbone.c3         33    8,325  loaded",
        "backbone.c4         33   28,261  loaded",
        "backbone.c5         33  103,461  loaded",
        "fc                   2      514  re-initialised: 3 classes in the file, 2 in the model",
        "layer4.0             1        1  dropped: the schedule of DropBlock, which acts in training only",
        "epoch                1        0  dropped: no tensor",
    ]


# memory

MEASURE = """
import ctypes, gc, sys
from pathlib import Path
import numpy, safetensors, torch
from splitnest import recipes
from splitnest.build import build_model
from splitnest.recipe import overrides
from splitnest.weights import load

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def measured(recipe, path):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    with torch.device("meta"):
        module = build_model(recipe)
    load.load(module, path)
    return (memory("VmHWM") - before) / path.stat().st_size

recipe = recipes.get(sys.argv[1])
for path in Path(sys.argv[2]).glob("small-*"):  # what libraries map when they are used for the first time
    measured(overrides.apply(recipe, {"model.backbone.planes": 8}), path)
for path in map(Path, sys.argv[3:]):
    print(path.name, measured(recipe, path))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory(tmp_path: Path) -> None:
    row = "resnest50_imagenet.official"  # 110 MB
    small = overrides.apply(recipes.get(row), {"model.backbone.planes": 8})
    prefixes = {"small-": build_model(small), "": build_model(recipes.get(row))}
    for prefix, module in prefixes.items():
        state = module.state_dict()
        torch.save(state, tmp_path / f"{prefix}zip")
        torch.save(state, tmp_path / f"{prefix}legacy", _use_new_zipfile_serialization=False)
        with (tmp_path / f"{prefix}pickle").open("wb") as file:
            pickle.dump({"model": {key: tensor.numpy() for key, tensor in state.items()}}, file)
        save(module, recipes.get(row), tmp_path / f"{prefix}own.safetensors")
    paths = [tmp_path / name for name in ("zip", "legacy", "pickle", "own.safetensors")]
    command = [sys.executable, "-c", MEASURE, row, str(tmp_path), *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 4
    assert max(float(line.split()[1]) for line in lines) < 2.2, lines
