"""A training step of Mask R-CNN ResNeSt-50-FPN on two images of 480x320, against detectron2: time and peak memory.

    python benchmarks/detection_step.py [--steps 5] [--turns 2]

``detectron2_peer.py`` says what to install. Both start from the weights of the parity tests, on the same images with
the same instances, with their own samplers, and train by the published recipe in float32. Each runs in processes of its
own, in turn. A step is the forward and the backward pass and the optimizer; times are medians without the first step.
Memory is the peak above that of the process after the images were read and before the model was built. It prints the
table of ``docs/performance.md``. Linux only: the peak is ``VmHWM``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2_peer import NAME, checkpoint, load_peer, peer_config
from measuring import machine, memory, reset_peak
from PIL import Image

INPUTS = Path(__file__).parents[1] / "tests" / "inputs"
FILES = ("scene_a.png", "scene_c.png")

Step = Callable[[], dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--turns", type=int, default=2, help="number of processes of each")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "WEIGHTS"), help="run of one process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.steps)))
        return
    runs: dict[str, list[dict[str, Any]]] = {"detectron2": [], "splitnest": []}
    with tempfile.TemporaryDirectory() as folder:
        weights = checkpoint(Path(folder))
        for _ in range(arguments.turns):
            for name, turns in runs.items():
                command = [sys.executable, __file__, "--steps", str(arguments.steps), "--measure", name, str(weights)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                turns.append(json.loads(done.stdout.splitlines()[-1]))
    print("| | seconds per step | peak memory | losses of the first step |\n|---|---|---|---|")
    medians = {}
    for name, turns in runs.items():
        seconds = statistics.median(second for turn in turns for second in turn["seconds"])
        peak = statistics.median(turn["peak"] for turn in turns)
        medians[name] = seconds, peak
        losses = ", ".join(f"{loss} {value:.4f}" for loss, value in turns[0]["losses"].items())
        print(f"| {name} | {seconds:.2f} | {peak / 1e6:.0f} MB | {losses} |")
    ratios = [ours / theirs for ours, theirs in zip(medians["splitnest"], medians["detectron2"], strict=True)]
    print(f"| splitnest against detectron2 | {ratios[0]:.2f} | {ratios[1]:.2f} | |")
    print(f"\n{machine()}")


def measure(name: str, weights: str, num_steps: int) -> dict[str, Any]:
    """Return the seconds of each step after the first, the peak in bytes, and the losses of the first step."""
    torch.manual_seed(0)
    objects_of = {
        image["file"]: image["objects"] for image in json.loads((INPUTS / "scenes.json").read_text())["images"]
    }
    scenes = [(np.array(Image.open(INPUTS / file).convert("RGB")), objects_of[file]) for file in FILES]
    start: Callable[[Any], Callable[[Path], Step]] = start_peer if name == "detectron2" else start_ours
    build = start(scenes)
    before = reset_peak(torch.device("cpu"))
    step = build(Path(weights))
    losses = step()
    seconds = []
    for _ in range(num_steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "peak": memory("VmHWM") - before, "losses": losses}


def start_peer(scenes: Any) -> Callable[[Path], Step]:
    from detectron2.modeling import build_model
    from detectron2.solver import build_optimizer
    from detectron2.structures import Boxes, Instances, PolygonMasks
    from detectron2.utils.events import EventStorage

    batch = []
    for image, objects in scenes:
        instances = Instances(image.shape[:2])
        instances.gt_boxes = Boxes(torch.tensor([each["box"] for each in objects]))
        instances.gt_classes = torch.tensor([each["class_index"] for each in objects])
        instances.gt_masks = PolygonMasks([list(map(np.array, each["polygons"])) for each in objects])
        size = {"height": image.shape[0], "width": image.shape[1]}
        batch.append({"image": torch.from_numpy(image.transpose(2, 0, 1).copy()), "instances": instances, **size})

    def build(weights: Path) -> Step:
        config = peer_config()
        model = build_model(config).train()
        load_peer(model, weights)
        optimizer = build_optimizer(config, model)

        def step() -> dict[str, float]:
            with EventStorage(0):
                losses = model(batch)
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
            return {name: loss.item() for name, loss in losses.items()}

        return step

    return build


def start_ours(scenes: Any) -> Callable[[Path], Step]:
    from splitnest.inference.predictor import Predictor
    from splitnest.inference.resolve import resolve
    from splitnest.models.build import build_model
    from splitnest.structures.instances import Instances
    from splitnest.training.schedule import Schedule
    from splitnest.training.state import initial_state
    from splitnest.training.step import Losses, train_step
    from splitnest.weights import load

    recipe, _ = resolve(NAME)
    assert recipe.train is not None
    instances = [
        Instances(
            torch.tensor([each["box"] for each in objects]),
            torch.tensor([each["class_index"] for each in objects]),
            tuple(list(map(np.array, each["polygons"])) for each in objects),
        )
        for _, objects in scenes
    ]

    def build(weights: Path) -> Step:
        model = build_model(recipe)
        load.load(model, weights)
        batch = Predictor(model, recipe).batch([image for image, _ in scenes], instances)
        state = initial_state(model, recipe.train, Schedule(recipe.train, 1000))
        network = Losses(model).train()
        return lambda: train_step(network, state, recipe.train, [batch])[0]

    return build


if __name__ == "__main__":
    main()
