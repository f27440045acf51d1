"""Command ``predict``: annotated images and results of a model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from splitnest.cli.options import (
    As,
    BatchSize,
    Compile,
    Config,
    Device,
    Fast,
    Model,
    Precision,
    Tta,
    Weights,
    named,
    weights_or_none,
)
from splitnest.errors import DataError, first_few

EXAMPLE = (
    "Example: splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet images/ --out predictions. "
    "Poses: splitnest predict simplebaseline_resnest50_256x192_coco images/ --boxes people.json"
)


def predict(
    model: Model,
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Image files, folders, globs or URLs.")],
    weights: Weights = "auto",
    config: Config = None,
    name: As = None,
    out: Annotated[Path, typer.Option(help="Folder of the annotated images.")] = Path("predictions"),
    json: Annotated[
        Path | None, typer.Option(help="File of all results; results.json in the folder by default.")
    ] = None,
    score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Minimum score of drawn detections and person boxes.")
    ] = 0.5,
    batch_size: BatchSize = 1,
    tta: Tta = False,
    boxes: Annotated[
        Path | None,
        typer.Option(help="Person boxes for a pose estimator: COCO detection results, or results.json of a detector."),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="Detector of the persons for a pose estimator: name of a model or checkpoint of splitnest."),
    ] = None,
    detector_weights: Annotated[str, typer.Option(help="Weights of the detector, as --weights.")] = "auto",
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Predict for images; write annotated images and one JSON file. Unreadable images are reported and skipped."""
    from splitnest.cli.predictions import write_predictions
    from splitnest.inference.predictor import load

    options: dict[str, Any] = {"device": device, "fast": fast, "precision": precision, "compile": compile}
    predictor = load(*named(model, name, weights), config=config, **options)
    failed = write_predictions(
        predictor,
        sources,
        out,
        json or out / "results.json",
        score,
        batch_size=batch_size,
        tta=tta,
        boxes_xywh=boxes,
        detector=None if detector is None else load(detector, weights_or_none(detector_weights), **options),
    )
    if failed:
        raise DataError(f"{len(failed)} images cannot be read: {first_few(failed)}. See the messages above.")
