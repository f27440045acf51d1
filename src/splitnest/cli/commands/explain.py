"""Command ``explain``: a heat map of the parts of an image that a prediction is based on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from splitnest.cli.options import As, Config, Device, Model, Weights, named
from splitnest.errors import UsageError, printable

EXAMPLE = "Example: splitnest explain mask_rcnn_resnest50_fpn_1x_coco.mmdet street.jpg --out heat.png --detection 0"


def explain(
    model: Model,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image file or URL.")],
    weights: Weights = "auto",
    config: Config = None,
    name: As = None,
    out: Annotated[Path, typer.Option(help="Picture of the heat map; with the suffix .json, its values.")] = Path(
        "heat.png"
    ),
    method: Annotated[
        Literal["gradcam", "eigencam"],
        typer.Option(help="Grad-CAM, of a class or a detection; or EigenCAM, of the features alone."),
    ] = "gradcam",
    level: Annotated[
        Literal["c2", "c3", "c4", "c5"], typer.Option(help="Feature map of the backbone, from fine to coarse.")
    ] = "c5",
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class to explain; the predicted one by default.")
    ] = None,
    detection: Annotated[
        int | None,
        typer.Option(metavar="N", help="Detection to explain, by its index in the results of predict, from 0."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Draw which parts of an image a prediction is based on (Grad-CAM, EigenCAM)."""
    from splitnest.files import check_output
    from splitnest.inference.explain import explain
    from splitnest.inference.load import load
    from splitnest.visualize.write import is_free

    inputs = [path for path in (model, image, weights, config, name) if path is not None]
    check_output(out, inputs)
    if out.suffix != ".json" and not is_free(out):
        raise UsageError(f"{printable(out)} exists, and splitnest did not write it. Give another path with --out.")
    predictor = load(*named(model, name, weights), device, config=config)
    result = explain(predictor, image, method=method, level=level, class_name=class_name, detection=detection)
    result.save(out)
    print(f"{result.title}: {printable(out)}")
