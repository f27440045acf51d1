"""Pose estimation with HRNet-W32 against mmpose, in turn in one process: persons of an image, and decoding alone.

    python benchmarks/pose.py [--rounds 9] [--people 8]

mmpose 1.3 runs with ``pip install mmpose mmcv-lite mmengine mmdet pycocotools``; mmcv's compiled operators, which a
top-down estimator does not call, are replaced by empty classes. Both get the same crops, do the flip test and decode.
Weights are those of the parity tests. It prints medians, and ratios of medians.
"""

import argparse
import importlib
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import in_turn, machine, matmul_gflops, variants

TESTS = Path(__file__).resolve().parents[1] / "tests"
NAME = "td-hm_hrnet-w32_8xb64-210e_coco-256x192.mmpose"
PEER = "mmpose"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--people", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print_table(in_turn(estimators(Path(folder), arguments.people), arguments.rounds), "HRNet-W32, seconds")
    for codec in ("DARK", "UDP"):
        print_table(in_turn(decoders(codec), arguments.rounds), f"{codec} decoding of 1,000 heatmaps, seconds")
    print(f"\n{matmul_gflops():.0f} GFLOP/s of a float32 matrix product; {machine()}")


def print_table(medians: dict[str, float], title: str) -> None:
    print(f"| {title} | | times the speed of mmpose |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.4f} | {medians[PEER] / median:.2f} |")


def estimators(folder: Path, people: int) -> dict[str, Callable[[], Any]]:
    """Return title -> function that estimates the poses of crops, flip test and decoding included."""
    sys.path.insert(0, str(TESTS))
    from helpers import oracle
    from splitnest.structures.batch import collate

    weights = oracle.checkpoint(NAME, folder)
    crops = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (people, 3, 256, 192)).astype(np.float32))
    runs: dict[str, Callable[[], Any]] = {PEER: peer(weights, crops)}
    for title, predictor in variants(NAME, weights).items():
        module = predictor.module
        batch = collate(list(crops.to(predictor.dtype).contiguous(memory_format=torch.channels_last)))
        predict = torch.inference_mode()(module.predict)
        runs[title] = lambda predict=predict, batch=batch: predict(batch)
    return runs


def peer(weights: Path, crops: torch.Tensor) -> Callable[[], Any]:
    """Return a function that estimates poses with mmpose."""
    from helpers import oracle

    import_mmpose()
    from mmengine.runner import load_checkpoint
    from mmpose.models import build_pose_estimator
    from mmpose.structures import PoseDataSample

    model = build_pose_estimator({**oracle.recording(NAME)["upstream_model"], "data_preprocessor": None}).eval()
    load_checkpoint(model, str(weights), map_location="cpu")
    samples = []
    for _ in range(len(crops)):
        meta = {"flip_indices": oracle.recording(NAME)["flip_indices"], "input_size": (192, 256)}
        meta |= {"input_center": np.array([96, 128.0]), "input_scale": np.array([192.0, 256])}
        samples.append(PoseDataSample(metainfo=meta))

    @torch.inference_mode()
    def run() -> Any:
        features = [model.extract_feat(crops), model.extract_feat(crops.flip(-1))]
        return model.head.predict(features, samples, test_cfg=model.test_cfg)

    return run


def decoders(codec: str) -> dict[str, Callable[[], Any]]:
    """Return title -> function that decodes 1,000 heatmaps, 17 of each person."""
    import_mmpose()
    from mmpose.codecs import MSRAHeatmap, UDPHeatmap

    from splitnest.models.pose.codec import DARKCodec, UDPCodec

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :48]
    y, x = rng.uniform(4, 60, (1003, 1, 1)), rng.uniform(4, 44, (1003, 1, 1))
    maps = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8) + rng.uniform(0, 0.05, (1003, 64, 48))
    heatmaps = maps.astype(np.float32).reshape(59, 17, 64, 48)
    sizes = (192, 256), (48, 64)
    theirs = MSRAHeatmap(*sizes, 2, unbiased=True) if codec == "DARK" else UDPHeatmap(*sizes)
    ours, tensor = DARKCodec() if codec == "DARK" else UDPCodec(), torch.from_numpy(heatmaps)
    return {
        PEER: lambda: [theirs.decode(person) for person in heatmaps],
        "splitnest": lambda: ours.decode(tensor, (256, 192)),
    }


def import_mmpose() -> None:
    """Import mmpose with an empty module in place of mmcv's compiled operators."""
    if "mmcv.ops" not in sys.modules:
        operators = types.ModuleType("mmcv.ops")
        operators.__file__, operators.__path__ = __file__, []
        operators.__getattr__ = lambda name: type(name, (torch.nn.Module,), {})  # type: ignore[method-assign]
        sys.modules["mmcv.ops"] = operators
        for name in ("mmcv.ops.nms", "mmcv.ops.carafe", "mmcv.ops.roi_align", "mmcv.ops.merge_cells"):
            sys.modules[name] = operators
    for name in ("", ".coco", ".cocoeval", ".mask"):  # xtcocotools has no build for NumPy 2; no metric is computed
        sys.modules.setdefault(f"xtcocotools{name}", importlib.import_module(f"pycocotools{name}"))


if __name__ == "__main__":
    main()
