"""Two processes on gloo train and evaluate like one, for every task."""

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import image_tree
from helpers.processes import start_function
from helpers.tiny_training import assert_equal_tensors
from helpers.two_processes import Job, run_jobs
from splitnest.data.loading.batch_sampler import process_share
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.recipe import PoseTraining
from splitnest.training import memory

SCENES = {"format": "scenes", "train_count": 12, "val_count": 5, "height": 64, "width": 96}
BACKBONE = {"depth": 14, "planes": 8, "stem_width": 8, "norm": "frozen_bn", "frozen_stages": 0}


def run(folder: Path, world_size: int, task: str, jobs: dict[str, Job]) -> list[dict[str, Any]]:
    """Run jobs one after the other in a group of processes; return the results of each process by job."""
    outs = [folder / f"{task}-{rank}-of-{world_size}.pt" for rank in range(world_size)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [
        start_function(run_jobs, task, jobs, rank, world_size, port, out, log=out.with_suffix(".log"))
        for rank, out in enumerate(outs)
    ]
    try:
        for process, out in zip(processes, outs, strict=True):
            process.join(200)
            assert process.exitcode == 0, out.with_suffix(".log").read_text()
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [torch.load(out, weights_only=True) for out in outs]


def detector(base: str, **model: Any) -> Job:
    train = {"batch_size": 5, "short_sides": [48, 64], "short_side_sampling": "range", "long_side": 100,
             "init_from": None, "workers": 0, "lr": 0.01, "warmup_iterations": 0, "precise_bn_batches": 0,
             "crop": None}  # fmt: skip
    return {
        "recipe": base,
        "overrides": {
            "data": {**SCENES, "classes": list(THING_NAMES)},
            "model": {"backbone": BACKBONE, "fpn_norm": None, "box_norm": None, "mask_norm": None, "fpn_channels": 8,
                      "box_conv_channels": 8, "box_fc_channels": 8, "mask_channels": 8, "roi_samples": 32,
                      "rpn_samples": 32, **model},
            "input": {"short_side": 64, "long_side": 96},
            "train": train,
        },
    }  # fmt: skip


def panoptic() -> Job:
    job = detector(
        "panoptic_fpn_resnest200_3x_coco.detectron2", panoptic={"channels": 8, "norm": None, "min_stuff_area": 10}
    )
    job["overrides"]["data"]["stuff"] = list(STUFF_NAMES)
    return job


def semantic() -> Job:
    return {
        "recipe": "pspnet_resnest101_d8_cityscapes.mmseg",
        "overrides": {
            "data": {**SCENES, "classes": [*THING_NAMES, *STUFF_NAMES]},
            "model": {"backbone": BACKBONE, "head_channels": 8, "auxiliary_channels": 8, "norm": "frozen_bn",
                      "dropout": 0},
            "input": {"short_side": 64, "long_side": 96},
            "train": {"batch_size": 5, "crop_size": [48, 48], "workers": 0, "init_from": None},
        },
    }  # fmt: skip


def pose() -> Job:
    return {
        "recipe": "simplebaseline_resnest50_256x192_coco.mmpose",
        "overrides": {
            "data": {**SCENES, "keypoints": "coco"},
            "model": {"backbone": BACKBONE, "deconv_channels": [8, 8, 8], "norm": "frozen_bn"},
            "input": {"height": 64, "width": 64},
            "train": {"batch_size": 5, "workers": 0, "init_from": None, "warmup_iterations": 0},
        },
    }


def classification(folder: Path) -> Job:
    image_tree.write_classes(folder, {"train": 4, "val": 3})
    not_random = {"mixup": 0, "drop_block": 0}
    return {
        "recipe": "resnest50_imagenet.official",
        "overrides": {
            "data": {"root": str(folder), "classes": list(image_tree.COLORS)},
            "model": {"backbone": {**BACKBONE, "stem_stride": 1}},
            "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
            "train": {
                "batch_size": 5,
                "workers": 0,
                "zero_init_last": False,
                "warmup_epochs": 0,
                "lr": 0.05,
                **not_random,
            },
        },
    }


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, Job]:
    return {
        "detection": detector("faster_rcnn_resnest50_fpn_1x_coco.mmdet"),
        "instance": detector("cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2"),
        "panoptic": panoptic(),
        "semantic": semantic(),
        "pose": pose(),
        "classification": classification(tmp_path / "data"),
    }


def test_two_processes_train_as_one(jobs: dict[str, Job], tmp_path: Path) -> None:
    """A batch of 5 has three images in one process and two in the other, of different sizes, with the same sampling."""
    jobs["without instances"] = without_instances(tmp_path / "instances")
    (single,) = run(tmp_path, 1, "train", jobs)
    for results in run(tmp_path, 2, "train", jobs):
        for task, expected in single.items():
            check_equal(results[task], expected, task)


def check_equal(result: dict[str, Any], single: dict[str, Any], task: str) -> None:
    for kind in ("gradients", "weights"):
        assert result[kind].keys() == single[kind].keys()
        for name, expected in single[kind].items():
            difference = (result[kind][name] - expected).abs().max()
            assert difference <= 1e-6 * max(expected.abs().max().item(), 1e-3), (task, kind, name)
    for losses, expected_losses in zip(result["losses"], single["losses"], strict=True):
        assert losses == pytest.approx(expected_losses, rel=1e-6), task
    assert any(gradient.abs().max() > 1e-4 for gradient in single["gradients"].values())


def test_two_processes_measure_the_metrics_of_one(jobs: dict[str, Job], tmp_path: Path) -> None:
    """One process has three of five images, and the other two."""
    (single,) = run(tmp_path, 1, "measure", jobs)
    assert run(tmp_path, 2, "measure", jobs) == [single, single]
    assert single["detection"]["box_ap"] > 0
    assert 0 < single["semantic"]["miou"] < 1
    assert 0 < single["classification"]["top1"] < 1


def test_two_processes_resume_exactly(tmp_path: Path) -> None:
    """The random numbers of dropout and DropBlock differ between the processes."""
    job = classification(tmp_path / "data")
    job["overrides"]["train"] |= {"epochs": 3, "save_every": 1, "dropout": 0.2, "drop_block": 0.2, "mixup": 0.2}
    for results in run(tmp_path, 2, "resume", {"small": {**job, "folder": str(tmp_path)}}):
        assert_equal_tensors(results["small"]["whole"], results["small"]["resumed"])


@pytest.mark.parity
def test_two_processes_train_a_module_from_python_as_one(tmp_path: Path) -> None:
    """Each process gives a module with other weights, and those of the first are used, for the EMA too."""
    job = semantic()
    job["overrides"]["train"] |= {"batch_size": 2, "iterations": 4, "evaluate_every": 2, "save_every": 1,
                                  "ema_decay": 0.9}  # fmt: skip
    jobs: dict[str, Job] = {"pixels": {**job, "folder": str(tmp_path)}}
    (single,) = run(tmp_path, 1, "own", jobs)
    expected = single["pixels"]
    assert_equal_tensors(expected["whole"], expected["resumed"])
    for results in run(tmp_path, 2, "own", jobs):
        found = results["pixels"]
        assert_equal_tensors(found["whole"], found["resumed"])
        assert found["metrics"]["miou"] == pytest.approx(expected["metrics"]["miou"], abs=1e-3)
        for kind in ("weights", "whole"):
            for name, tensor in expected[kind].items():
                torch.testing.assert_close(found[kind][name], tensor, rtol=1e-4, atol=1e-6)


def without_instances(folder: Path) -> Job:
    """Return a job whose first batch has no instances in the second process."""
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
    (folder / "instances.json").write_text(json.dumps(content))
    job = detector("mask_rcnn_resnest50_fpn_1x_coco.mmdet")
    job["overrides"]["data"] = {"root": str(folder), "classes": ["square"], "train_images": "images",
                                "train_annotations": "instances.json", "val_images": None}  # fmt: skip
    job["overrides"]["train"] |= {"keep_empty_images": True, "group_by_aspect_ratio": False}
    return job


def test_images_per_forward_is_the_largest_share_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process evaluates as many images together, and its memory is estimated for as many."""
    train_cfg = PoseTraining(epochs=1, lr=0.1, batch_size=20, accumulate=2)
    for count, expected in ((1, 10), (3, 4), (4, 3), (5, 2)):
        monkeypatch.setattr(memory, "world_size", lambda count=count: count)
        assert memory.images_per_forward(train_cfg) == expected
        assert max(len(process_share(list(range(20)), 2, n, count)[0]) for n in range(count)) == expected


def test_shares_of_all_processes_are_the_batch() -> None:
    assert process_share([0, 1, 2, 3, 4], 1, 0, 1) == [[0, 1, 2, 3, 4]]
    assert [process_share([0, 1, 2, 3, 4], 1, n, 2) for n in range(2)] == [[[0, 1, 2]], [[3, 4]]]
    assert [process_share(list(range(8)), 2, n, 2) for n in range(2)] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    for size in range(1, 12):
        for count in range(1, 5):
            shares = [process_share(list(range(size)), 1, n, count)[0] for n in range(count)]
            assert [index for share in shares for index in share] == list(range(size))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
