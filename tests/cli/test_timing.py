"""Timing of models."""

import sys

import pytest

import splitnest
from helpers.families import load_small, random_image
from splitnest.cli import timing as timing_module
from splitnest.cli.commands.bench import print_timing
from splitnest.cli.timing import STAGES, bench_sources, time_model


@pytest.fixture(autouse=True)
def _small_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_module, "MATMUL_SIZE", 128)


def test_default_source_is_a_synthetic_scene() -> None:
    with bench_sources([]) as files:
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
def test_stages(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_small(name)
    timing = time_model(model, [random_image(80, 120), random_image(80, 120)], batch_size=2, rounds=3)
    assert tuple(timing.stages) == STAGES
    assert all(len(seconds) == 3 and min(seconds) >= 0 for seconds in timing.stages.values())
    assert timing.stages["network"][0] > 0.2 * timing.totals[0]
    assert timing.images_per_second == pytest.approx(2 / sorted(timing.totals)[1])
    assert timing.efficiency > 0
    assert timing.peak_mb > 100
    assert not timing.forward_seconds
    assert not any(part._forward_hooks for part in model.module.modules())
    print_timing(model, timing)
    shown = capsys.readouterr().out
    for words in (*STAGES, "images per second", "latency of a batch", "peak memory"):
        assert words in shown


def test_timm_is_timed_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    model = splitnest.load("resnest14d_imagenet.timm", None, "cpu", {"input.size": 64}, fast=True)
    timing = time_model(model, [random_image(64, 64)], rounds=2, against="timm")
    assert len(timing.forward_seconds) == 2
    print_timing(model, timing)
    assert "timm" in capsys.readouterr().out


def test_unknown_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_small("resnest50_imagenet.official")
    with pytest.raises(splitnest.UsageError, match=r"--against gluon is unknown\. Use timm"):
        time_model(model, [random_image(64, 64)], against="gluon")
    with pytest.raises(splitnest.UsageError, match=r"timm does not have the model resnest50_imagenet.official"):
        time_model(model, [random_image(64, 64)], against="timm")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(splitnest.UsageError, match="pip install timm"):
        time_model(model, [random_image(64, 64)], against="timm")
