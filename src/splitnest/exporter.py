"""From a model to a file that runs without splitnest: ONNX, or torch's own ``.pt2``; compared before it is written."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

import splitnest
from splitnest.build import build_categories
from splitnest.data.scenes import Scenes
from splitnest.detection.rcnn import RCNN
from splitnest.errors import UsageError, WeightsError
from splitnest.exported import ExportedModel
from splitnest.inference.fast import FusedConv2d
from splitnest.predictor import Predictor
from splitnest.recipe import Recipe, overrides
from splitnest.runtimes import OUTPUTS, Session, open_session
from splitnest.weights.read import FORMAT

TOLERANCE = 1e-4
"""Of the outputs of the file, relative to the largest of each output; of detectors of scores."""

FORMATS = (".onnx", ".pt2")

OPSET = 20
"""Of ONNX; from 19 on it has deformable convolutions."""


def export(model: Predictor, out: str | Path, format: str | None = None) -> Path:
    """Write the network of a model to a file, once it was seen to give what the model gives.

    The file takes normalised images ``[N, 3, H, W]`` of any number and size, and gives what ``module.forward`` does.
    That of a detector also takes ``sizes`` ``[N, 2]``, (height, width) of each image without padding, in float32. An
    ONNX file carries the recipe, the input's statistics and resize rule and the names of the classes in its metadata.

    Args:
        model: In float32, neither fast nor compiled.
        out: The file; .onnx or .pt2.
        format: ``"onnx"`` or ``"pt2"``; None goes by the name.

    Raises:
        UsageError: Another format, or a model that cannot be exported.
        WeightsError: What the exported network gives is something else, or the file cannot be written.
    """
    path = Path(out)
    suffix = path.suffix if format is None else f".{format}"
    if suffix not in FORMATS:
        raise UsageError(f"{path}: a network is exported to .onnx or .pt2, not to {suffix or 'a name without ending'}.")
    module: Any = model.module
    if model.dtype != torch.float32 or any(isinstance(part, FusedConv2d) for part in module.modules()):
        raise UsageError("A model that is exported is in float32, and not fast: load it without fast and precision.")
    if isinstance(module, ExportedModel):
        raise UsageError(f"{model.recipe.name} was exported already: export the model that it was made of.")
    program = _program(model)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".onnx":
            _write_onnx(program, model.recipe, part, is_detector=isinstance(module, RCNN))
            session = open_session(part)
        else:
            torch.export.save(program, part, extra_files={"splitnest.json": json.dumps(metadata(model.recipe))})
            session = _session_of(program)
        _compare(model, session, path)
        os.replace(part, path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def metadata(recipe: Recipe) -> dict[str, str]:
    """Return what an exported file says of its model; all but the recipe is for other programs to read."""
    return {
        "format": FORMAT,
        "version": splitnest.__version__,
        "recipe": overrides.to_json(recipe),
        "model": recipe.name,
        "task": recipe.task,
        "classes": json.dumps(build_categories(recipe).names),
        "input": recipe.input.model_dump_json(),
    }


def _program(model: Predictor) -> ExportedProgram:
    """Trace the network; images are of any number and size."""
    images = torch.zeros(2, 3, 96, 128, device=model.device)
    arguments: tuple[Tensor, ...] = (images,)
    shapes: list[dict[int, Any]] = [{0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}]
    if isinstance(model.module, RCNN):
        arguments = images, torch.tensor([[96.0, 128.0], [90.0, 120.0]], device=model.device)
        shapes.append({0: Dim.DYNAMIC})
    with torch.no_grad():
        return torch.export.export(model.module, arguments, dynamic_shapes=tuple(shapes), strict=False)


def _write_onnx(program: ExportedProgram, recipe: Recipe, path: Path, *, is_detector: bool) -> None:
    try:
        from splitnest.onnx_operators import translations
    except ImportError as error:
        raise UsageError("Export to ONNX needs packages that are missing: pip install 'splitnest[export]'.") from error
    with torch.no_grad():
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["images", "sizes"][: 2 if is_detector else 1],
            output_names=OUTPUTS[recipe.task],
            custom_translation_table=translations(),
            verbose=False,
        )
    assert written is not None
    written.model.metadata_props.update(metadata(recipe))
    written.save(path, external_data=False)


def _session_of(program: ExportedProgram) -> Session:
    module = program.module()
    return lambda *inputs: pytree.tree_leaves(module(*inputs))


@torch.inference_mode()
def _compare(model: Predictor, session: Session, path: Path) -> None:
    """Raise a WeightsError if the exported network gives something else for a drawn photograph."""
    batch = model.prepared([Scenes(1)[0].image])
    inputs: tuple[Tensor, ...] = (batch.images,)
    if isinstance(model.module, RCNN):
        inputs = batch.images, torch.tensor(batch.sizes, dtype=torch.float32, device=model.device)
    expected = [output.cpu() for output in pytree.tree_leaves(model.module(*inputs))]
    found = [output.cpu() for output in session(*inputs)]
    if len(inputs) > 1:
        expected, found = _comparable(expected), _comparable(found)
    for theirs, ours in zip(expected, found, strict=True):
        scale = max(theirs.abs().max().item(), 1.0) if theirs.numel() else 1.0
        difference = (ours - theirs).abs().max().item() if theirs.numel() else 0.0
        if ours.shape != theirs.shape or not difference <= TOLERANCE * scale:
            raise WeightsError(
                f"{path} was not written: the exported network's output differs from the model's by {difference:g}, "
                f"of {scale:g}. Please report it with the name of the model."
            )


def _comparable(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what of a detector's outputs does not depend on which of two equal scores comes first."""
    boxes, scores, labels, masks, counts, *semantic = outputs
    sums = boxes.sum((1, 2)), labels.float().sum(1), masks.sum((1, 2, 3))
    return [scores, counts.float(), *sums, *semantic]
