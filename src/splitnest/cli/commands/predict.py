"""Command ``predict``: annotated images and results of a model."""

import shlex
import sys
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
    Overlap,
    Precision,
    Tiles,
    Tta,
    Weights,
    named,
    tile_size,
    weights_or_none,
)
from splitnest.errors import DataError, OutputError, UsageError, first_few, tell

EXAMPLE = (
    "Example: splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet images/ --out predictions. "
    "Poses: splitnest predict simplebaseline_resnest50_256x192_coco images/ --boxes people.json"
)


def predict(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Image files, folders, globs or URLs; or a video: a file, the number of a webcam or an RTSP address.",
        ),
    ],
    weights: Weights = "auto",
    config: Config = None,
    name: As = None,
    out: Annotated[Path, typer.Option(help="Folder of the annotated images.")] = Path("predictions"),
    json: Annotated[
        Path | None,
        typer.Option(
            help="File of all results; results.json in the folder by default. As they come, results are added to a "
            "file of JSON lines beside it (.jsonl); a name that ends in .jsonl gives the lines alone."
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw annotated images.")] = True,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip images that have results, and continue an interrupted run.")
    ] = False,
    write: Annotated[
        str | None,
        typer.Option(
            help="Formats to write the results in too, separated by commas, each into a subfolder: coco, yolo, voc, "
            "labelme, cvat, label_studio, csv, parquet, crops, masks."
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            metavar="SCORE",
            help="Minimum score of detections and person boxes in pictures and --write, from 0 to 1; 'auto' for the "
            "best one of each class on the validation data, which a trained detector stores.",
        ),
    ] = "0.5",
    batch_size: BatchSize = 1,
    tta: Tta = False,
    tile: Tiles = None,
    overlap: Overlap = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Person boxes for a pose estimator: COCO detection results, results.json of a detector, or 'whole' "
            "where each image shows one person."
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="Detector of the persons for a pose estimator: name of a model or checkpoint of splitnest."),
    ] = None,
    detector_weights: Annotated[str, typer.Option(help="Weights of the detector, as --weights.")] = "auto",
    every: Annotated[int, typer.Option(min=1, help="Interval of the frames of a video that are predicted.")] = 1,
    track: Annotated[
        bool, typer.Option("--track", help="Give the objects of a video ids (ByteTrack), in pictures and results.")
    ] = False,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Predict for images or a video; write annotated images or an annotated video, and one JSON file."""
    from splitnest.cli.interruption import interruptible
    from splitnest.cli.picture_names import named_sources
    from splitnest.cli.results import ResultsFile
    from splitnest.data.writers.formats import check_formats, parse_formats
    from splitnest.inference.score_filter import AUTO, parse_score

    formats = [] if write is None else parse_formats(write)
    min_score = parse_score(score, "--score")
    size = tile_size(tile)
    if detector is None and detector_weights != "auto":
        raise UsageError("--detector-weights has no effect without --detector. Give the detector, or omit both.")
    video = _only_video(sources, every != 1 or track, skip_existing or bool(formats))
    results = ResultsFile(json or out / "results.json", out)

    def how_to_continue() -> str:
        command = ["splitnest", *sys.argv[1:]]
        if video is not None:
            return f"Results until then are in {results.lines}, and the annotated video ends there."
        if not results.done:
            return f"No image is done. Start again with: {shlex.join(command)}"
        command += [] if skip_existing else ["--skip-existing"]
        return f"Results of {len(results.done)} images are in {results.lines}. Continue with: {shlex.join(command)}"

    with interruptible(how_to_continue), results:
        images = named_sources(sources if video is None else [], out)
        inputs = [source for source, _ in images if isinstance(source, str | Path)] if video is None else [video]
        others = (model, name, weights, config, detector, detector_weights, boxes)
        results.check([*inputs, *(path for path in others if path is not None)])

        from splitnest.cli.predictions import write_predictions
        from splitnest.cli.written_formats import check_written, write_formats
        from splitnest.inference.load import load

        check_written(formats, out)
        options: dict[str, Any] = {"device": device, "fast": fast, "precision": precision, "compile": compile}
        predictor = load(*named(model, name, weights), config=config, **options)
        check_formats(formats, predictor.recipe.task)
        thresholds = predictor.required_score_thresholds() if min_score == AUTO else min_score
        shared: dict[str, Any] = {
            "pictures": pictures,
            "batch_size": batch_size,
            "tta": tta,
            "tile": size,
            "overlap": overlap,
            "boxes_xywh": boxes,
            "detector": None if detector is None else load(detector, weights_or_none(detector_weights), **options),
        }
        if video is not None:
            from splitnest.cli.videos import write_video_predictions

            write_video_predictions(predictor, video, out, results, thresholds, every=every, track=track, **shared)
            return
        unwritten = write_predictions(
            predictor, images, out, results, thresholds, skip_existing=skip_existing, **shared
        )
        if formats:
            for line in write_formats(formats, out, results, images, predictor.recipe, thresholds):
                tell(f"note: {line}")
    if failed := results.failed:
        raise DataError(f"Images that cannot be read ({len(failed)}): {first_few(failed)}. See the messages above.")
    if unwritten:
        raise OutputError(
            f"Pictures that cannot be written ({len(unwritten)}): {first_few(unwritten)}. Results are complete."
        )


def _only_video(sources: list[str], needs_video: bool, needs_images: bool) -> str | None:
    """Return the video of a command line; None if there is none.

    Args:
        sources: Sources of the command line.
        needs_video: Whether an option for videos is given.
        needs_images: Whether an option for images is given.

    Raises:
        UsageError: There are several sources, one of which is a video, or an option does not apply.
    """
    from splitnest.data.images.video_names import is_video

    videos = [source for source in sources if is_video(source)]
    if videos and len(sources) > 1:
        raise UsageError(f"{videos[0]} is a video: give it alone.")
    if needs_video and not videos:
        raise UsageError("--every and --track belong to a video. Give a video, or omit them.")
    if needs_images and videos:
        raise UsageError("A video is predicted as a whole, without --skip-existing and --write. Omit them.")
    return videos[0] if videos else None
