"""Loading of a model for prediction: by its name, a recipe or a checkpoint."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from splitnest.device import on_meta, pick_device, pick_dtype
from splitnest.errors import UsageError
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.predictor import Predictor
from splitnest.inference.resolve import checkpoint_of_run, resolve
from splitnest.inference.runtimes import open_session
from splitnest.models.base import Model
from splitnest.models.build import build_model
from splitnest.models.own import check_network
from splitnest.models.pretrained import weights_path
from splitnest.recipe import Recipe
from splitnest.weights import load as load_weights
from splitnest.weights.onnx_metadata import ONNX_SUFFIX, read_exported_thresholds
from splitnest.weights.read import read_score_thresholds


def load(
    name_or_path: str | Path,
    weights: str | Path | None = "auto",
    device: str | torch.device = "auto",
    overrides: Mapping[str, Any] | None = None,
    *,
    fast: bool = False,
    precision: str = "fp32",
    compile: bool = False,
    runtime: str = "onnxruntime",
    config: str | Path | None = None,
    model: nn.Module | None = None,
) -> Predictor:
    """Load a model for prediction.

    Args:
        name_or_path: Name of a published model, recipe file (.yaml), exported ONNX file, or checkpoint: of splitnest,
            which has its recipe, or of mmdetection, mmsegmentation, mmpose or detectron2, with its configuration in it
            or as ``config.yaml`` beside it. A configuration file alone needs ``weights``.
        weights: ``"auto"`` for the published weights, or those of the checkpoint; None for random weights; or a
            checkpoint of any code base.
        device: ``"auto"`` for CUDA if available and the CPU otherwise, or a device. ONNX Runtime uses CUDA if its
            package for GPUs (onnxruntime-gpu) is installed; OpenVINO uses the CPU.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.
        fast: Whether to fold normalization into convolutions, fuse layers, and arrange weights for the processor.
            Logits change by rounding only, 1e-6 of their standard deviation; the network cannot be trained or saved.
        precision: Type of the network: ``"fp32"``, or ``"bf16"`` or ``"fp16"`` on devices that compute them faster;
            logits then change by about 0.02 of their standard deviation.
        compile: Whether to compile the layers with ``torch.compile`` in the first prediction, which then takes minutes.
        runtime: Runtime of an ONNX file: ``"onnxruntime"`` or ``"openvino"``.
        config: Configuration (.py or .yaml) of a checkpoint of another code base that does not hold it.
        model: Network from Python instead of the recipe's, such as that of ``build``: a module with ``predict(batch)``.
            It gets the weights of the checkpoint, or keeps its own without one, and is moved to the device.

    Raises:
        UsageError: There is no such model, or the recipe, an override or an option is not valid.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    recipe, checkpoint = resolve(name_or_path, overrides, config)
    if checkpoint is not None and checkpoint.suffix == ONNX_SUFFIX:
        if weights not in ("auto", None) or fast or precision != "fp32" or compile or model is not None:
            raise UsageError(f"{checkpoint} is an exported model. Omit weights, fast, precision, compile and model.")
        session = open_session(checkpoint, runtime, device)
        return Predictor(ExportedModel(recipe, session), recipe, partial(read_exported_thresholds, checkpoint))
    target = pick_device(device)
    dtype = pick_dtype(precision, target)
    network = _build_with_weights(recipe, checkpoint, weights) if model is None else model
    if model is not None:
        _load_own(model, recipe, checkpoint if weights == "auto" else weights)
        if compile and not isinstance(model, Model):
            raise UsageError(f"The layers of {type(model).__name__} are unknown. Compile it before (without compile).")
    stored_in = checkpoint if weights == "auto" else weights
    find = None if stored_in is None else partial(read_score_thresholds, checkpoint_of_run(stored_in))
    predictor = Predictor(cast(Model, network.to(target)), recipe, find)
    if fast:
        from splitnest.inference.fast import make_fast

        make_fast(predictor.module, dtype, pack_weights=not compile)
    predictor.module.to(dtype)
    if compile:
        from splitnest.inference.compiled import compile_layers

        compile_layers(predictor.module)
    return predictor


def predictor_of(recipe: Recipe, weights: str | Path | None, device: str | torch.device = "auto") -> Predictor:
    """Return the predictor of a recipe.

    Args:
        recipe: Complete recipe.
        weights: Same as in ``load``.
        device: Same as in ``load``.

    Raises:
        UsageError: There is no such device.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    target = pick_device(device)
    return Predictor(_build_with_weights(recipe, None, weights).to(target), recipe)


def _build_with_weights(recipe: Recipe, checkpoint: Path | None, weights: str | Path | None) -> Model:
    if weights is None:
        return build_model(recipe)
    with on_meta():
        module = build_model(recipe)
    path = weights_path(recipe, checkpoint) if weights == "auto" else Path(checkpoint_of_run(weights))
    load_weights.load(module, path, classes=recipe.data.class_names)
    return module


def _load_own(model: nn.Module, recipe: Recipe, weights: str | Path | None) -> None:
    """Load a checkpoint into a network from Python; None keeps its weights."""
    check_network(model, predicts=True, trains=False)
    if weights is not None:
        load_weights.load(model, Path(checkpoint_of_run(weights)), classes=recipe.data.class_names)
