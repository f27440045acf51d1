"""Time and peak memory of a training step: a small and a full-size model of each task, on the CPU or a GPU.

    python benchmarks/train_step.py [CASE ...] [--steps 5] [--device cpu]

It prints the table of ``docs/performance.md``. Each model runs in a process of its own. It trains by its recipe, except
for the sizes in ``CASES``, from random weights on synthetic scenes of 640x427 pixels. Three batches are made before the
first step and stay in memory, so that a step is the forward and the backward pass and the optimizer, without any wait
for data. The time in which one worker makes a batch (read, decode, resize, augment, collate) is measured separately.
Times are medians, without the first step and batch. Memory is the peak of the steps above that of the process after the
batches were made and before the model was built: weights, gradients, optimizer, activations. On the CPU Linux only: the
peak is ``VmHWM``.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measuring import peak_memory, reset_peak

from splitnest.cli.commands.demo import RECIPE
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import CATEGORIES, STUFF_NAMES, THING_NAMES
from splitnest.device import pick_device
from splitnest.inference.resolve import complete, read_recipe
from splitnest.models.build import build_model
from splitnest.models.layers.drop_block import set_progress
from splitnest.recipe import overrides
from splitnest.training.batches import open_training
from splitnest.training.schedule import Schedule
from splitnest.training.state import initial_state
from splitnest.training.step import Losses, train_step

EXAMPLES = Path(__file__).parents[1] / "examples"
NUM_SCENES, SIZE_HW, NUM_BATCHES = 64, (427, 640), 3

Values = dict[str, Any]


class Case(NamedTuple):
    """Model, and the values of its recipe that differ."""

    task: str
    title: str
    recipe: str | Path
    values: Values


LANDSCAPE: Values = {"train.batch_size": 2, "train.short_sides": [320], "train.long_side": 480}
CASES = {
    "classification-small": Case(
        "classification", "ResNeSt-14, half the width, 32x32", EXAMPLES / "cifar10_small.yaml", {}
    ),
    "classification": Case(
        "classification", "ResNeSt-50, 224x224", "resnest50_imagenet.official", {"train.batch_size": 8}
    ),
    "detection-small": Case(
        "detection", "Faster R-CNN, small ResNeSt-14, 294x440", EXAMPLES / "bccd.yaml", {"train.short_sides": [300]}
    ),
    "detection": Case(
        "detection", "Faster R-CNN ResNeSt-50, 320x480", "faster_rcnn_resnest50_fpn_1x_coco.mmdet", LANDSCAPE
    ),
    "instance-small": Case("instance", "Mask R-CNN, small ResNeSt-14, 173x260", RECIPE, {"train.short_sides": [176]}),
    "instance": Case("instance", "Mask R-CNN ResNeSt-50, 320x480", "mask_rcnn_resnest50_fpn_1x_coco.mmdet", LANDSCAPE),
    "panoptic-small": Case(
        "panoptic",
        "Panoptic FPN, small ResNeSt-14, 187x280",
        EXAMPLES / "scenes_panoptic.yaml",
        {"train.short_sides": [192]},
    ),
    "panoptic": Case(
        "panoptic", "Panoptic FPN ResNeSt-200, 320x480", "panoptic_fpn_resnest200_3x_coco.detectron2", LANDSCAPE
    ),
    "semantic-small": Case("semantic", "DeepLabV3+, small ResNeSt-26, 224x320", EXAMPLES / "camvid.yaml", {}),
    "semantic": Case(
        "semantic",
        "DeepLabV3+ ResNeSt-101, 512x512",
        "deeplabv3plus_resnest101_d8_ade20k.mmseg",
        {"train.batch_size": 2},
    ),
    "pose-small": Case("pose", "SimpleBaseline, small ResNeSt-14, 256x192", EXAMPLES / "pose_coco.yaml", {}),
    "pose": Case(
        "pose",
        "SimpleBaseline ResNeSt-50, 256x192",
        "simplebaseline_resnest50_256x192_coco.mmpose",
        {"train.batch_size": 8},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)}; all by default")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", type=Path, help="folder of the images, for the one case of a process")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if arguments.measure:
        print(json.dumps(measure(CASES[arguments.cases[0]], arguments.measure, arguments.steps, arguments.device)))
        return
    print("| task | model | batch | precision | step | peak memory | batch, one worker |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder))
        for name in arguments.cases or CASES:
            options = ["--steps", str(arguments.steps), "--device", arguments.device, "--measure", folder]
            command = [sys.executable, __file__, name, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(row(CASES[name], json.loads(done.stdout.splitlines()[-1])), flush=True)
    device = pick_device(arguments.device)
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"\n{device}: {processor}; {platform.platform()}, torch {torch.__version__}, {arguments.steps} steps")


def write_dataset(folder: Path) -> None:
    """Write synthetic scenes with labels for every task."""
    Scenes(NUM_SCENES, SIZE_HW).write_coco(folder)
    names = sorted(path.name for path in (folder / "train").iterdir())
    (folder / "classes.txt").write_text("".join(f"{name} {index % 10}\n" for index, name in enumerate(names)))


def data_of(task: str, folder: Path) -> Values:
    """Return overrides of the section ``data`` of a recipe for the written dataset."""
    values = {"root": str(folder), "train_images": "train", "val_images": None, "val_annotations": None}
    coco = {"format": "coco", "classes": THING_NAMES}
    match task:
        case "classification":
            values |= {"classes": "imagenet", "train_annotations": "classes.txt"}
        case "semantic":
            values |= {"format": "folders", "classes": CATEGORIES.names, "train_annotations": "semantic_train"}
            values |= {"palette": None, "ignore_label": None}
        case "pose":
            values |= {"train_annotations": "annotations/person_keypoints_train.json"}
        case "panoptic":
            values |= {**coco, "stuff": STUFF_NAMES, "train_annotations": "annotations/panoptic_train.json"}
            values |= {"train_instances": "annotations/instances_train.json", "val_instances": None}
        case _:
            values |= {**coco, "train_annotations": "annotations/instances_train.json"}
    return {f"data.{key}": value for key, value in values.items()}


def measure(case: Case, folder: Path, num_steps: int, device_name: str) -> Values:
    """Return batch size, precision, and the median seconds and peak bytes of the training steps of a model."""
    torch.manual_seed(0)
    common = {"train.init_from": None, "train.workers": 0}
    recipe, _ = read_recipe(case.recipe)
    recipe = complete(overrides.apply(recipe, {**data_of(case.task, folder), **common, **case.values}))
    assert recipe.train is not None
    data, device = open_training(recipe), pick_device(device_name)
    batch_seconds, batches, steps = [], [], data.steps(0)
    for _ in range(NUM_BATCHES + 1):
        start = time.perf_counter()
        batches.append(next(steps))
        batch_seconds.append(time.perf_counter() - start)
    before = reset_peak(device)
    schedule = Schedule(recipe.train, data.steps_per_epoch)
    state = initial_state(build_model(recipe).to(device), recipe.train, schedule)
    network = Losses(state.model).train()
    seconds = []
    for batch in islice(cycle(batches[1:]), num_steps + 1):
        set_progress(state.model, state.step / schedule.total)
        start = time.perf_counter()
        train_step(network, state, recipe.train, batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {
        "batch_size": recipe.train.batch_size,
        "precision": recipe.train.precision,
        "step": statistics.median(seconds[1:]),
        "batch": statistics.median(batch_seconds[1:]),
        "peak": peak_memory(device) - before,
    }


def row(case: Case, measured: Values) -> str:
    """Return a row of the table."""
    batch = f"{1000 * measured['batch']:.0f} ms"
    step = f"{1000 * measured['step']:.0f} ms" if measured["step"] < 1 else f"{measured['step']:.1f} s"
    memory = f"{measured['peak'] / 1e6:.0f} MB"
    cells = (case.task, case.title, measured["batch_size"], measured["precision"], step, memory, batch)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
