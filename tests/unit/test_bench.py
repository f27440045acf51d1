"""How quick a model is."""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import splitnest
from splitnest.bench import STAGES, bench, photographs
from splitnest.console import print_timing

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from test_families import FAMILIES, photograph


def test_no_photographs_are_a_drawn_one() -> None:
    with photographs([]) as files:
        (path,) = files
        assert path.stat().st_size > 10_000
    assert not path.exists()


@pytest.mark.parametrize(
    "name",
    [
        "resnest50_imagenet.official",
        "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet",
        "fcn_resnest101_d8_ade20k.mmseg",
        "simplebaseline_resnest50_256x192_coco.mmpose",
    ],
)
def test_stages(name: str) -> None:
    model = splitnest.load(name, None, "cpu", FAMILIES[name])
    timing = bench(model, [photograph(80, 120), photograph(80, 120)], batch_size=2, rounds=3)
    assert tuple(timing.stages) == STAGES
    assert all(len(seconds) == 3 and min(seconds) >= 0 for seconds in timing.stages.values())
    assert timing.stages["network"][0] > 0.2 * timing.totals[0]
    assert timing.images_per_second == pytest.approx(2 / sorted(timing.totals)[1])
    assert timing.share > 0
    assert timing.peak_mb > 100
    assert not timing.forwards
    assert not any(part._forward_hooks for part in model.module.modules())
    with redirect_stdout(io.StringIO()) as shown:
        print_timing(model, timing)
    for stage in (*STAGES, "images a second", "latency of a batch", "peak memory"):
        assert stage in shown.getvalue()


def test_against_timm() -> None:
    model = splitnest.load("resnest14d_imagenet.timm", None, "cpu", {"input.size": 64}, fast=True)
    timing = bench(model, [photograph(64, 64)], rounds=2, against="timm")
    assert len(timing.forwards) == 2
    with redirect_stdout(io.StringIO()) as shown:
        print_timing(model, timing)
    assert "timm" in shown.getvalue()


def test_peers_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    model = splitnest.load("resnest50_imagenet.official", None, "cpu", FAMILIES["resnest50_imagenet.official"])
    with pytest.raises(splitnest.UsageError, match="the only peer is timm"):
        bench(model, [photograph(64, 64)], against="gluon")
    with pytest.raises(splitnest.UsageError, match=r"timm has no model resnest50_imagenet.official"):
        bench(model, [photograph(64, 64)], against="timm")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(splitnest.UsageError, match="pip install timm"):
        bench(model, [photograph(64, 64)], against="timm")
