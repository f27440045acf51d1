"""Export of a network to ONNX or torch.export's ``.pt2``, verified before it is written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from splitnest._version import __version__
from splitnest.data.scenes import Scenes
from splitnest.errors import UsageError, WeightsError
from splitnest.exporting.public import AXES, clean_onnx, drop_stack_traces, without_local_paths
from splitnest.files import check_output, replacing_path
from splitnest.inference.compiled import is_compiled
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.fast import FusedConv2d
from splitnest.inference.predictor import Predictor
from splitnest.inference.runtimes import Session, open_session
from splitnest.models.base import Model
from splitnest.models.build import build_categories
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import to_json
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights.read import FORMAT, SCORE_THRESHOLDS

TOLERANCE = 1e-4
"""Maximum difference of an output, relative to its largest value."""

SUFFIXES = (".onnx", ".pt2")

OPSET = 20
"""ONNX opset; deformable convolutions need 19."""


def export(model: Predictor, out: str | Path, format: str | None = None) -> Path:
    """Export the network of a model to a file, after its outputs were verified.

    The file takes normalized images ``[N, 3, H, W]`` of any number and size, for a detector also their ``sizes`` ``[N,
    2]``, float32 (height, width) without padding, and has the outputs of ``module.forward``. An ONNX file contains the
    recipe, input statistics, resize rule, class names and score thresholds in its metadata, without the folders of this
    machine.

    Args:
        model: Model in float32, neither fast nor compiled.
        out: File to write, .onnx or .pt2.
        format: ``"onnx"`` or ``"pt2"``; None uses the suffix of the file.

    Raises:
        UsageError: The format is unknown, or the model cannot be exported.
        WeightsError: The outputs of the exported network differ from those of the model.
        OutputError: The file cannot be written.
    """
    path = Path(out)
    suffix = path.suffix if format is None else f".{format}"
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} has no known export format. Use the suffix .onnx or .pt2.")
    module = model.module
    if model.dtype != torch.float32 or any(isinstance(part, FusedConv2d) for part in module.modules()):
        raise UsageError("Only a float32 model that is not fast can be exported. Load it without fast and precision.")
    if is_compiled(module):
        raise UsageError("A compiled model cannot be exported. Load it without compile.")
    if not isinstance(module, Model):
        raise UsageError(
            f"The outputs of {type(module).__name__} are unknown. Export a network of a recipe or of splitnest.build, "
            f"or use torch.onnx.export."
        )
    if isinstance(module, ExportedModel):
        raise UsageError(f"{model.recipe.name} is an exported model. Export the model that it was exported from.")
    check_output(path)
    batch = model.prepared_batch([Scenes(1)[0].image])
    inputs = module.forward_inputs(batch)
    program = _trace(module, model.device)
    entries = metadata(without_local_paths(model.recipe), model.score_thresholds)
    with replacing_path(path, suffix) as part:
        if suffix == ".onnx":
            _write_onnx(program, module, entries, part)
            session: Session = open_session(part)
        else:
            torch.export.save(program, part, extra_files={"splitnest.json": json.dumps(entries)})
            session = _session_of(program)
        _verify(module, inputs, session, path)
    return path


def metadata(recipe: Recipe, score_thresholds: ScoreThresholds | None = None) -> dict[str, str]:
    """Return the metadata of an exported file; all but the recipe and the score thresholds is for other programs."""
    entries = {
        "format": FORMAT,
        "version": __version__,
        "recipe": to_json(recipe),
        "model": recipe.name,
        "task": recipe.task,
        "classes": json.dumps(build_categories(recipe).names),
        "input": recipe.input.model_dump_json(),
    }
    if score_thresholds is not None:
        entries[SCORE_THRESHOLDS] = score_thresholds.to_json()
    return entries


def _trace(module: Model, device: torch.device) -> ExportedProgram:
    """Trace a network for any number and size of images."""
    arguments: dict[str, Tensor] = {
        "images": torch.zeros(2, 3, 96, 128, device=device),
        "sizes": torch.tensor([[96.0, 128.0], [90.0, 120.0]], device=device),
    }
    names = module.input_names
    with torch.no_grad():
        program = torch.export.export(
            module if len(module.output_names) == 1 else _PlainOutputs(module),
            tuple(arguments[name] for name in names),
            dynamic_shapes=tuple(dict.fromkeys(AXES[name], Dim.DYNAMIC) for name in names),
            strict=False,
        )
    drop_stack_traces(program.graph_module)
    return program


class _PlainOutputs(nn.Module):
    """Detector whose outputs are a plain tuple, which programs without splitnest can load too."""

    def __init__(self, network: Model) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of ``output_names``."""
        return tuple(pytree.tree_leaves(self.network(images, sizes)))


def _write_onnx(program: ExportedProgram, module: Model, entries: dict[str, str], path: Path) -> None:
    try:
        from splitnest.exporting.onnx_operators import translations
    except ImportError as error:
        raise UsageError("Export to ONNX needs further packages: pip install 'splitnest[export]'.") from error
    with torch.no_grad():
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(module.input_names),
            output_names=list(module.output_names),
            custom_translation_table=translations(),
            verbose=False,
        )
    assert written is not None
    clean_onnx(written.model)
    written.model.metadata_props.update(entries)
    written.save(path, external_data=False)


def _session_of(program: ExportedProgram) -> Session:
    module = program.module()
    return lambda *inputs: pytree.tree_leaves(module(*inputs))


@torch.inference_mode()
def _verify(module: Any, inputs: tuple[Tensor, ...], session: Session, path: Path) -> None:
    """Raise a WeightsError if the exported network has other outputs than the model for a synthetic scene."""
    expected = [output.cpu() for output in pytree.tree_leaves(module(*inputs))]
    actual = [output.cpu() for output in session(*inputs)]
    if len(inputs) > 1:
        expected, actual = _order_free(expected), _order_free(actual)
    for theirs, ours in zip(expected, actual, strict=True):
        scale = max(theirs.abs().max().item(), 1.0) if theirs.numel() else 1.0
        difference = (ours - theirs).abs().max().item() if theirs.numel() else 0.0
        if ours.shape != theirs.shape or not difference <= TOLERANCE * scale:
            raise WeightsError(
                f"{path} was not written: an output of the exported network differs from the model's by "
                f"{difference:g}, at values up to {scale:g}. Report this with the name of the model."
            )


def _order_free(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of a detector reduced to values that do not depend on the order of equal scores."""
    boxes, scores, labels, masks, counts, *semantic = outputs
    sums = boxes.sum((1, 2)), labels.float().sum(1), masks.sum((1, 2, 3))
    return [scores, counts.float(), *sums, *semantic]
