"""Recordings of the original frameworks: rebuilding of their weights, and comparison of their stages.

A recording has the keys and shapes of a checkpoint, and 256 values of each stage. Weights are computed from key and
shape by a formula (``formula.py``). They are written in the format of their source and read by the public loader.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import splitnest
from helpers.formula import formula_state_dict
from helpers.paths import INPUTS, RECORDINGS
from splitnest import zoo
from splitnest.recipe.serialization import dump_yaml
from splitnest.structures import Detections
from splitnest.weights.key_maps.translate import translate

NUM_VALUES = 256
BACKBONE = ("backbone.stem", "backbone.layer", "backbone.bottom_up")


def source_of(name: str) -> str:
    """Return the code base of a recording, also of ``<model>.train`` and ``<model>.e2e``."""
    return name.removesuffix(".train").removesuffix(".e2e").rpartition(".")[2]


def exists(name: str) -> bool:
    """Return whether there is a recording of this name."""
    return (RECORDINGS / source_of(name) / f"{name}.json").exists()


@cache
def recording(name: str) -> dict[str, Any]:
    """Return the recording ``<name>.json``."""
    return json.loads((RECORDINGS / source_of(name) / f"{name}.json").read_text())


@cache
def results(name: str) -> dict[str, np.ndarray]:
    """Return the recorded arrays ``<name>.npz``."""
    with np.load(RECORDINGS / source_of(name) / f"{name}.npz") as arrays:
        return dict(arrays)


def checkpoint(name: str, folder: Path) -> Path:
    """Write the weights of a recording in the format of their source, and return the file."""
    record = recording(name)
    arrays = formula_state_dict(record["state_dict"], record["gains"], record.get("aliases", ()))
    state: dict[str, Any] = {key: torch.from_numpy(array) for key, array in arrays.items()}
    for pattern, replacement in record.get("published_rename", ()):
        state = {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}
    match source_of(name):
        case "mmdet" | "mmseg" | "mmpose":
            state = {"meta": {"mmdet_version": "2.10.0"}, "state_dict": state}
        case "detectron2":
            state = {"model": state}
    path = folder / f"{name}.pth"
    torch.save(state, path)
    return path


def model(name: str, folder: Path, changes: Mapping[str, Any] | None = None) -> splitnest.Predictor:
    """Return the model of a recording with its weights.

    Args:
        name: Name of the recording.
        folder: Folder for the weights.
        changes: Overrides of the recipe.
    """
    path = checkpoint(name, folder)
    if name in zoo.list_models():
        return splitnest.load(name, weights=path, device="cpu", overrides=changes)
    from helpers import ordinary

    recipe = folder / "recipe.yaml"
    recipe.write_text(dump_yaml(ordinary.recipe_of(name)))
    return splitnest.load(recipe, weights=path, device="cpu", overrides=changes)


def image(name: str) -> np.ndarray:
    """Return an input scene as uint8 RGB; ``mosaic`` is scenes a and c, and c and a below them."""
    if name == "mosaic":
        above = np.hstack([image("scene_a"), image("scene_c")])
        return np.vstack([above, np.roll(above, above.shape[1] // 2, axis=1)])
    return np.asarray(Image.open(INPUTS / f"{name}.png").convert("RGB"))


def record_outputs(**parts: nn.Module) -> dict[str, Any]:
    """Return a dictionary that receives the output of the first call of each part of a network, by name."""
    outputs: dict[str, Any] = {}

    def hook(name: str) -> Callable[..., None]:
        def record(_part: nn.Module, _inputs: Any, output: Any) -> None:
            outputs.setdefault(name, output)

        return record

    for name, part in parts.items():
        part.register_forward_hook(hook(name))
    return outputs


def distance(stage: Tensor, recorded: dict[str, Any]) -> float:
    """Return the maximum difference from the recorded values, in standard deviations of the stage."""
    if recorded.get("of") == "every second row and column":
        stage = stage[..., ::2, ::2]
    assert list(stage.shape) == recorded["shape"]
    flat = stage.flatten()
    values = flat[torch.linspace(0, flat.numel() - 1, NUM_VALUES).long()]
    return float((values - torch.tensor(recorded["values"])).abs().max()) / recorded["std"]


def check_gradients(module: nn.Module, name: str) -> None:
    """Compare the gradient norms of a network with a recording: at 1e-4, in the backbone and in total at 2e-3."""
    recorded = recording(f"{name}.train")
    ours = {source: key for key, source in translate(list(recording(name)["state_dict"])).sources.items()}
    norms = {key: p.grad.norm() for key, p in module.named_parameters() if p.grad is not None}
    assert len(norms) == recorded["trainable"]
    for key, value in recorded["grad_norms"].items():
        bound = 2e-3 if key.startswith(BACKBONE) else 1e-4
        assert norms[ours[key]].item() == pytest.approx(value, rel=bound), key
    total = torch.stack(list(norms.values())).norm().item()
    assert total == pytest.approx(recorded["grad_norm_total"], rel=2e-3)


def unpacked(packed: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Return recorded masks as bool ``[N, H, W]``."""
    return np.unpackbits(packed, axis=-1)[..., : shape[2]].astype(bool)


def matches(detections: Detections, boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return for each recorded detection the index of ours: same class, IoU over 0.98, score within 2e-3; else -1."""
    corners = (
        np.maximum(boxes[:, None, :2], detections.boxes[None, :, :2]),
        np.minimum(boxes[:, None, 2:], detections.boxes[None, :, 2:]),
    )
    overlap = (corners[1] - corners[0]).clip(min=0).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, detections.boxes)]
    iou = overlap / (areas[0][:, None] + areas[1] - overlap)
    close = (
        (iou > 0.98) & (np.abs(scores[:, None] - detections.scores) < 2e-3) & (classes[:, None] == detections.labels)
    )
    return np.where(close.any(1), np.where(close, iou, 0).argmax(1), -1)
