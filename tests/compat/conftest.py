"""Folders with configuration, checkpoint and image for the quick starts."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageShow

from helpers import oracle
from helpers.quick_starts import (
    DETECTIONS,
    DETECTOR,
    POSE,
    PROPOSALS,
    SEGMENTOR,
    SMALL,
    Recorder,
    small_pipeline,
    write_files,
)


@pytest.fixture(scope="package")
def detector_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = oracle.recording(f"{DETECTOR}.mmdet")
    pipeline = small_pipeline(record["test_pipeline"], SMALL[DETECTOR])
    model = record["upstream_model"]
    limits = {"rpn": PROPOSALS, "rcnn": DETECTIONS}
    test_cfg = {key: {**model["test_cfg"][key], "max_per_img": limit} for key, limit in limits.items()}
    config = {
        "default_scope": "mmdet",
        "model": {**model, "test_cfg": test_cfg},
        "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": pipeline}},
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}]},
    }
    folder = write_files(tmp_path_factory.mktemp("mmdet"), DETECTOR, f"{DETECTOR}.mmdet", config)
    Image.fromarray(oracle.image(Path(record["image"]).stem)).save(folder / "demo" / "demo.jpg")
    return folder


@pytest.fixture(scope="package")
def segmentor_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recording = "pspnet_r50-d32_4xb2-80k_cityscapes-512x1024.mmseg"
    record = oracle.recording(recording)
    model = record["upstream_model"]
    backbone = {**model["backbone"], "strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4)}
    config = {
        "default_scope": "mmseg",
        "model": {**model, "backbone": backbone},
        "test_pipeline": small_pipeline(record["test_pipeline"], SMALL[SEGMENTOR]),
        "test_dataloader": {"dataset": {"type": "CityscapesDataset"}},
    }
    folder = write_files(tmp_path_factory.mktemp("mmseg"), SEGMENTOR, recording, config)
    Image.fromarray(oracle.image("scene_a")).save(folder / "demo" / "demo.png")
    return folder


@pytest.fixture(scope="package")
def pose_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = oracle.recording(f"{POSE}.mmpose")
    config = {
        "default_scope": "mmpose",
        "codec": record["codec"],
        "model": record["upstream_model"],
        "test_pipeline": record["test_pipeline"],
        "test_dataloader": {"dataset": {"type": "CocoDataset"}},
        "visualizer": {"type": "PoseLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}]},
    }
    folder = write_files(tmp_path_factory.mktemp("mmpose"), POSE, f"{POSE}.mmpose", config)
    Image.fromarray(oracle.image("scene_a")).save(folder / "demo.jpg")
    return folder


@pytest.fixture(scope="package")
def detectron2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image, and the published checkpoint in the cache ``home``."""
    folder = tmp_path_factory.mktemp("detectron2")
    (folder / "home" / "weights").mkdir(parents=True)
    name = "mask_rcnn_R_50_FPN_3x.detectron2"
    oracle.checkpoint(name, folder).rename(folder / "home" / "weights" / "model_final_f10217.pkl")
    strip = oracle.image(Path(oracle.recording(name)["image"]).stem)[100:160]  # is resized to few pixels
    Image.fromarray(strip).save(folder / "input.jpg")
    return folder


@pytest.fixture
def viewer() -> Iterator[Recorder]:
    """Return the viewer that is used in place of those of the system."""
    recorder = Recorder()
    ImageShow.register(recorder, 0)
    yield recorder
    ImageShow._viewers.remove(recorder)


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that enters a folder, with the cache ``home`` in it."""

    def change(folder: Path) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("SPLITNEST_HOME", os.fspath(folder / "home"))

    return change
