"""Time and peak memory of a training step: of each task a small model and one of full size, on the CPU or a GPU.

    python benchmarks/train_step.py [CASE ...] [--steps 5] [--device cpu]

Printed is the table of ``docs/performance.md``. Each model runs in a process of its own, and trains by its recipe, but
for the sizes in ``CASES``, from random weights on drawn photographs of 640x427 pixels. Three batches are made before
the first step and stay in memory, so that a step is the forward and the backward pass and the optimizer, without any
wait for data; what one worker needs to make a batch (read, decode, resize, augment, collate) is timed apart. Times are
medians, without that of the first step and batch. Memory is the peak of the steps over what the process had with the
batches made and the model not yet built: weights, gradients, optimizer, activations. Linux only on the CPU: the peak is
``VmHWM``.
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

from splitnest.build import build_model
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import CATEGORIES, STUFF_NAMES, THING_NAMES
from splitnest.demo import RECIPE
from splitnest.device import pick_device
from splitnest.layers.drop_block import set_progress
from splitnest.recipe import overrides
from splitnest.resolve import completed, read_recipe
from splitnest.training.data import open_training
from splitnest.training.loop import Losses, train_step
from splitnest.training.schedule import Schedule
from splitnest.training.state import start_state

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTOGRAPHS, SIZE_HW, BATCHES = 64, (427, 640), 3

Values = dict[str, Any]


class Case(NamedTuple):
    """A model and how it is trained, as far as its recipe does not say."""

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
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all if none is given")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", type=Path, help="what each process does, for one case: the folder of photographs")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if arguments.measure:
        print(json.dumps(measure(CASES[arguments.cases[0]], arguments.measure, arguments.steps, arguments.device)))
        return
    print("| task | model | batch | precision | step | peak memory | a batch, one worker |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for name in arguments.cases or CASES:
            options = ["--steps", str(arguments.steps), "--device", arguments.device, "--measure", folder]
            command = [sys.executable, __file__, name, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(row(CASES[name], json.loads(done.stdout.splitlines()[-1])), flush=True)
    device = pick_device(arguments.device)
    shown = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"\n{device}: {shown}; {platform.platform()}, torch {torch.__version__}, {arguments.steps} steps")


def draw(folder: Path) -> None:
    """Write drawn photographs with labels for every task."""
    Scenes(PHOTOGRAPHS, SIZE_HW).write_coco(folder)
    names = sorted(path.name for path in (folder / "train").iterdir())
    (folder / "classes.txt").write_text("".join(f"{name} {index % 10}\n" for index, name in enumerate(names)))


def data_of(task: str, folder: Path) -> Values:
    """Return the section ``data`` of a recipe that reads what was drawn, as overrides."""
    values = {"root": str(folder), "train_images": "train", "val_images": None, "val_annotations": None}
    objects = {"format": "coco", "scenes": None, "classes": THING_NAMES}
    match task:
        case "classification":
            values |= {"classes": "imagenet", "train_annotations": "classes.txt"}
        case "semantic":
            values |= {"format": "folders", "classes": CATEGORIES.names, "train_annotations": "semantic_train"}
            values |= {"palette": None, "ignore_label": None}
        case "pose":
            values |= {"train_annotations": "annotations/person_keypoints_train.json"}
        case "panoptic":
            values |= {**objects, "stuff": STUFF_NAMES, "train_annotations": "annotations/panoptic_train.json"}
            values |= {"train_instances": "annotations/instances_train.json", "val_instances": None}
        case _:
            values |= {**objects, "train_annotations": "annotations/instances_train.json"}
    return {f"data.{key}": value for key, value in values.items()}


def measure(case: Case, folder: Path, num_steps: int, device_name: str) -> Values:
    """Return batch size, precision, and the medians in seconds and the peak in bytes of the steps of a model."""
    torch.manual_seed(0)
    fixed = {"train.start": None, "train.workers": 0}
    recipe, _ = read_recipe(case.recipe)
    recipe = completed(overrides.apply(recipe, {**data_of(case.task, folder), **fixed, **case.values}))
    assert recipe.train is not None
    data, device = open_training(recipe), pick_device(device_name)
    made, batches, steps = [], [], data.steps(0)
    for _ in range(BATCHES + 1):
        start = time.perf_counter()
        batches.append(next(steps))
        made.append(time.perf_counter() - start)
    before = begin(device)
    schedule = Schedule(recipe.train, data.steps_per_epoch)
    state = start_state(build_model(recipe).to(device), recipe.train, schedule)
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
        "batch": statistics.median(made[1:]),
        "peak": peak(device) - before,
    }


def row(case: Case, found: Values) -> str:
    """Return a row of the table."""
    batch = f"{1000 * found['batch']:.0f} ms"
    step = f"{1000 * found['step']:.0f} ms" if found["step"] < 1 else f"{found['step']:.1f} s"
    shown = f"{found['peak'] / 1e6:.0f} MB"
    cells = (case.task, case.title, found["batch_size"], found["precision"], step, shown, batch)
    return f"| {' | '.join(map(str, cells))} |"


def begin(device: torch.device) -> int:
    """Forget the peak so far; return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else memory("VmHWM")


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
