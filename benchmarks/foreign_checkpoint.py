"""Loading of a checkpoint by its own configuration, relative to loading it by the name of its model.

    python benchmarks/foreign_checkpoint.py [--rounds 7]

The file is as mmengine writes it: Mask R-CNN ResNet-50 with the momentum of SGD, the configuration, and the log of a
training of 12 epochs on COCO, 400 MB. Each load is a process of its own, in turn; time and memory are those of
``splitnest.load`` after its imports. Bound: 1.3 times the time and the memory of loading by name. Linux only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine, memory

ROOT = Path(__file__).resolve().parent.parent
MODEL = "mask-rcnn_r50_fpn_1x_coco.mmdet"
BOUND = 1.3
LOGGED = ("loss", "loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "loss_mask", "acc", "lr")
ITERATIONS = 87_960


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--load", nargs=2, metavar=("MODEL", "FILE"), help="load once in this process")
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(*arguments.load)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "epoch_12.pth"
        write(path)
        print(f"{machine()}\n{path.stat().st_size / 1e6:.0f} MB")
        ways = {"by name": (MODEL, str(path)), "by its configuration": (str(path), "auto")}
        runs: dict[str, list[list[float]]] = {title: [] for title in ways}
        for _ in range(arguments.rounds + 1):
            for title, way in ways.items():
                command = [sys.executable, __file__, "--load", *way]
                runs[title].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    report({title: [statistics.median(column) for column in zip(*of[1:], strict=True)] for title, of in runs.items()})


def report(medians: dict[str, list[float]]) -> None:
    print(f"\n| | seconds | processor seconds | peak memory |\n|{'---|' * 4}")
    for title, (seconds, processor, peak) in medians.items():
        print(f"| {title} | {seconds:.2f} | {processor:.2f} | {peak / 1e6:.0f} MB |")
    base, own = medians.values()
    ratios = [f"{ours / theirs:.2f}" for ours, theirs in zip(own, base, strict=True)]
    print(f"| ratio, bound {BOUND} | {' | '.join(ratios)} |")


def load(model: str, file: str) -> tuple[float, float, int]:
    """Return the seconds of a load, those of the processor, and the increase of the peak memory in bytes."""
    from splitnest.inference.load import load as load_model

    before, start, processor = memory("VmRSS"), time.perf_counter(), time.process_time()
    load_model(model, file, "cpu")
    return time.perf_counter() - start, time.process_time() - processor, memory("VmHWM") - before


def write(path: Path) -> None:
    """Write the checkpoint, with the keys of a recorded one of the same network."""
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers import oracle, upstream_configs
    from helpers.foreign_classes import HistoryBuffer
    from helpers.training_tools import tools
    from helpers.upstream_rows import python_text
    from splitnest.structures.class_tables import class_table

    shapes = oracle.recording("mask-rcnn_r50-caffe_fpn_1x_coco.mmdet")["state_dict"]
    state: dict[str, Any] = {key: torch.rand(shape) for key, shape in shapes.items()}
    state |= {key: torch.tensor(9) for key in shapes if key.endswith("num_batches_tracked")}
    weights = [tensor for key, tensor in state.items() if "running_" not in key and tensor.ndim]
    buffers = {index: {"momentum_buffer": tensor.clone()} for index, tensor in enumerate(weights)}
    config = upstream_configs.mmdet3(80)
    for loader in ("train_dataloader", "test_dataloader"):
        del config[loader]["dataset"]["metainfo"]
    meta = {"epoch": 12, "iter": ITERATIONS, "cfg": python_text(config), "mmengine_version": "0.10.4"}
    with tools():
        logs = {name: HistoryBuffer(np.random.rand(ITERATIONS), np.ones(ITERATIONS, int)) for name in LOGGED}
        content = {
            "meta": {**meta, "dataset_meta": {"classes": class_table("coco").names}},
            "state_dict": state,
            "message_hub": {"log_scalars": logs, "runtime_info": {"iter": ITERATIONS}},
            "optimizer": {"state": buffers, "param_groups": [{"lr": np.float64(0.0002), "params": [*buffers]}]},
        }
        torch.save(content, path)


if __name__ == "__main__":
    main()
