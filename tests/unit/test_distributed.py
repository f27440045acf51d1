"""Two processes on gloo train and evaluate as one does, for every task."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import image_tree
import numpy as np
import pytest
import torch

from splitnest.data.order import own_parts
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.recipe import PoseTraining
from splitnest.training import memory

SCRIPT = Path(__file__).parent / "two_processes.py"
SCENES = {"format": "scenes", "scenes": {"train_count": 12, "val_count": 5, "height": 64, "width": 96}}
BACKBONE = {"depth": 14, "planes": 8, "stem_width": 8, "norm": "frozen_bn", "frozen_stages": 0}


def start(job: Path, count: int) -> list[subprocess.Popen[str]]:
    """Start the processes as ``torchrun`` does."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    of_all = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count), "MASTER_ADDR": "localhost"}
    of_all["MASTER_PORT"] = str(port)
    command = [sys.executable, str(SCRIPT), str(job)]
    return [
        subprocess.Popen(
            command, env={**of_all, "RANK": str(n), "LOCAL_RANK": str(n)}, stderr=subprocess.PIPE, text=True
        )
        for n in range(count)
    ]


def run(folder: Path, count: int, do: str, jobs: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Let ``count`` processes do jobs one after the other; return what each found, by the names of the jobs."""
    out = str(folder / f"{do}-of{count}")
    path = folder / f"{do}-{count}.json"
    path.write_text(json.dumps({"do": do, "jobs": jobs, "out": out}))
    for process in start(path, count):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return [torch.load(f"{out}.{n}", weights_only=True) for n in range(count)]


def detector(base: str, **model: Any) -> dict[str, Any]:
    train = {"batch_size": 5, "short_sides": [48, 64], "short_side_sampling": "range", "long_side": 100, "start": None,
             "workers": 0, "learning_rate": 0.01, "warmup_steps": 0, "precise_bn_steps": 0, "crop": None}  # fmt: skip
    return {
        "recipe": base,
        "overrides": {
            "data": {**SCENES, "classes": list(THING_NAMES)},
            "model": {"backbone": BACKBONE, "fpn_norm": None, "box_norm": None, "mask_norm": None, "fpn_channels": 8,
                      "box_channels": 8, "box_features": 8, "mask_channels": 8, "roi_samples": 32, "rpn_samples": 32,
                      **model},
            "input": {"short_side": 64, "long_side": 96},
            "train": train,
        },
    }  # fmt: skip


def panoptic() -> dict[str, Any]:
    job = detector(
        "panoptic_fpn_resnest200_3x_coco.detectron2", panoptic={"channels": 8, "norm": None, "min_stuff_area": 10}
    )
    job["overrides"]["data"]["stuff"] = list(STUFF_NAMES)
    return job


def semantic() -> dict[str, Any]:
    return {
        "recipe": "pspnet_resnest101_d8_cityscapes.mmseg",
        "overrides": {
            "data": {**SCENES, "classes": [*THING_NAMES, *STUFF_NAMES]},
            "model": {"backbone": BACKBONE, "head_channels": 8, "auxiliary_channels": 8, "norm": "frozen_bn",
                      "dropout": 0},
            "input": {"short_side": 64, "long_side": 96},
            "train": {"batch_size": 5, "crop": [48, 48], "workers": 0, "start": None},
        },
    }  # fmt: skip


def pose() -> dict[str, Any]:
    return {
        "recipe": "simplebaseline_resnest50_256x192_coco.mmpose",
        "overrides": {
            "data": {**SCENES, "val_detections": None},
            "model": {"backbone": BACKBONE, "deconv_channels": [8, 8, 8], "norm": "frozen_bn"},
            "input": {"height": 64, "width": 64},
            "train": {"batch_size": 5, "workers": 0, "start": None, "warmup_steps": 0},
        },
    }


def classification(folder: Path) -> dict[str, Any]:
    image_tree.write_classes(folder, {"train": 4, "val": 3})
    drawn = {"mixup": 0, "drop_block": 0, "zero_init": False, "warmup_epochs": 0, "learning_rate": 0.05}
    return {
        "recipe": "resnest50_imagenet.official",
        "overrides": {
            "data": {"root": str(folder), "classes": list(image_tree.COLORS)},
            "model": {"backbone": {**BACKBONE, "stem_stride": 1}},
            "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
            "train": {"batch_size": 5, "workers": 0, **drawn},
        },
    }


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {
        "detection": detector("faster_rcnn_resnest50_fpn_1x_coco.mmdet"),
        "instance": detector("cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2"),
        "panoptic": panoptic(),
        "semantic": semantic(),
        "pose": pose(),
        "classification": classification(tmp_path / "data"),
    }


def test_two_processes_train_as_one(jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """On batches of 5: three images in one process and two in the other, of different sizes, sampled alike."""
    jobs["without objects"] = without_objects(tmp_path / "objects")
    (alone,) = run(tmp_path, 1, "train", jobs)
    for found in run(tmp_path, 2, "train", jobs):
        for task, expected in alone.items():
            check_equal(found[task], expected, task)


def check_equal(found: dict[str, Any], alone: dict[str, Any], task: str) -> None:
    for kind in ("gradients", "weights"):
        assert found[kind].keys() == alone[kind].keys()
        for name, expected in alone[kind].items():
            difference = (found[kind][name] - expected).abs().max()
            assert difference <= 1e-6 * max(expected.abs().max().item(), 1e-3), (task, kind, name)
    for ours, theirs in zip(found["losses"], alone["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6), task
    assert any(gradient.abs().max() > 1e-4 for gradient in alone["gradients"].values())


def test_two_processes_measure_what_one_does(jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Five photographs, of which one process has three."""
    (alone,) = run(tmp_path, 1, "measure", jobs)
    assert run(tmp_path, 2, "measure", jobs) == [alone, alone]
    assert alone["detection"]["box_ap"] > 0
    assert 0 < alone["semantic"]["miou"] < 1
    assert 0 < alone["classification"]["top1"] < 1


def test_two_processes_resume_to_the_last_bit(tmp_path: Path) -> None:
    """With random numbers that differ between the processes: dropout and DropBlock."""
    job = classification(tmp_path / "data")
    job["overrides"]["train"] |= {"length": 3, "save_every": 1, "dropout": 0.2, "drop_block": 0.2, "mixup": 0.2}
    for found in run(tmp_path, 2, "resume", {"small": {**job, "folder": str(tmp_path)}}):
        whole, stopped = found["small"]["whole"], found["small"]["stopped"]
        assert all(torch.equal(value, stopped[key]) for key, value in whole.items())


def without_objects(folder: Path) -> dict[str, Any]:
    """Return a job whose first batch has no object in the second process."""
    order = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,))).permutation(5)
    images, annotations = [], []
    for index in range(5):
        image_tree.write(folder / "images" / f"{index}.png", size_wh=(96, 64))
        images.append({"id": index, "file_name": f"{index}.png", "height": 64, "width": 96})
        if index not in order[3:]:
            square = [10 + index, 10, 50, 10, 50, 40, 10 + index, 40]
            annotations.append({"id": index + 1, "image_id": index, "category_id": 1, "bbox": [10, 10, 40, 30],
                                "area": 1200, "iscrowd": 0, "segmentation": [square]})  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
    (folder / "objects.json").write_text(json.dumps(content))
    job = detector("mask_rcnn_resnest50_fpn_1x_coco.mmdet")
    job["overrides"]["data"] = {"root": str(folder), "classes": ["square"], "train_images": "images",
                                "train_annotations": "objects.json", "val_images": None}  # fmt: skip
    job["overrides"]["train"] |= {"empty_images": True, "group_by_aspect": False}
    return job


def test_a_process_has_at_once_its_part_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """That many images it evaluates together, too, and that many its memory is estimated for."""
    train = PoseTraining(length=1, learning_rate=0.1, batch_size=20, accumulate=2)
    for count, expected in ((1, 10), (3, 4), (4, 3), (5, 2)):
        monkeypatch.setattr(memory, "world_size", lambda count=count: count)
        assert memory.images_at_once(train) == expected
        assert max(len(own_parts(list(range(20)), 2, n, count)[0]) for n in range(count)) == expected


def test_a_batch_is_dealt_out() -> None:
    assert own_parts([0, 1, 2, 3, 4], 1, 0, 1) == [[0, 1, 2, 3, 4]]
    assert [own_parts([0, 1, 2, 3, 4], 1, n, 2) for n in range(2)] == [[[0, 1, 2]], [[3, 4]]]
    assert [own_parts(list(range(8)), 2, n, 2) for n in range(2)] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    for size in range(1, 12):
        for count in range(1, 5):
            dealt = [own_parts(list(range(size)), 1, n, count)[0] for n in range(count)]
            assert [index for own in dealt for index in own] == list(range(size))
            assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
