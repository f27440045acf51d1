"""Command ``export``: network to ONNX, torch.export's format, or a model repository of Triton."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from splitnest.cli.options import As, Config, Model, Overrides, Weights, named

EXAMPLE = "Example: splitnest export mask_rcnn_resnest50_fpn_1x_coco.mmdet --out mask_rcnn.onnx"


def export(
    model: Model,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .onnx, or .pt2 of torch.export; by default the name of the model and .onnx. With --to "
            "triton the folder of the repository, by default model_repository."
        ),
    ] = None,
    to: Annotated[
        Literal["triton"] | None,
        typer.Option(help="'triton' writes a model repository of Triton Inference Server, or adds the model to one."),
    ] = None,
    weights: Weights = "auto",
    config: Config = None,
    name: As = None,
) -> None:
    """Export a network to ONNX or torch.export's format, after its outputs were verified."""
    from splitnest.exporting.export import export as export_model
    from splitnest.files import check_output
    from splitnest.inference.load import load
    from splitnest.recipe.overrides import parse

    inputs = [path for path in (model, name, weights, config) if path is not None]
    if to is None and out is not None:
        check_output(out, inputs)
    predictor = load(*named(model, name, weights), "cpu", parse(overrides or []), config=config)
    if to == "triton":
        from splitnest.serving.triton import write_repository

        print(f"written to {write_repository(predictor, out or 'model_repository')}")
        return
    if out is None:
        out = Path(f"{predictor.recipe.name}.onnx")
        check_output(out, inputs)
    path = export_model(predictor, out)
    print(f"written to {path}, {path.stat().st_size / 1e6:.1f} MB; its outputs equal those of the model")
