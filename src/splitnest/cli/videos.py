"""Annotated video and results of ``splitnest predict`` for a video."""

import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.cli.predictions import shown
from splitnest.cli.results import ResultsFile
from splitnest.errors import UsageError, printable
from splitnest.files import replacing_path
from splitnest.inference.byte_track import ByteTracker
from splitnest.inference.predictor import Predictor
from splitnest.inference.video import Frame, VideoReader, VideoWriter, is_own_video, predict_frames
from splitnest.progress import track as progress
from splitnest.streams import is_standard_output
from splitnest.structures import Detections, Poses, Result
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.visualize import draw_detections
from splitnest.visualize.colors import PALETTE


def write_video_predictions(
    predictor: Predictor,
    source: str,
    folder: Path,
    results: ResultsFile,
    score_threshold: float | ScoreThresholds,
    *,
    every: int = 1,
    track: bool = False,
    pictures: bool = True,
    **options: Any,
) -> None:
    """Predict for the frames of a video; write an annotated video with the same timing, and a JSON line for each frame.

    An interruption ends the video after the frames that were predicted. Frames between those that are predicted have
    the results of the last one.

    Args:
        predictor: Model.
        source: Video file, number of a webcam, or address of an RTSP stream.
        folder: Folder of the annotated video.
        results: File of ``{"file", "frame", "time", "result"}``; with ``track``, detections have the key ``track``.
        score_threshold: Minimum score of drawn detections and person boxes, or that of each class.
        every: Interval of the predicted frames.
        track: Whether objects get ids.
        pictures: Whether to write the annotated video.
        options: Options of ``Predictor.predictions``.

    Raises:
        DataError: The video cannot be read.
        UsageError: The model has no boxes to track, or the annotated video would replace a file of others.
        OutputError: A file cannot be written.
    """
    if track and predictor.recipe.task not in ("detection", "instance", "pose"):
        raise UsageError(f"--track needs boxes, but the task of {predictor.recipe.name} is {predictor.recipe.task}.")
    target = folder / f"{_stem(source)}.mp4"
    if pictures and target.exists() and not is_own_video(target):
        raise UsageError(f"{printable(target)} exists, and splitnest did not write it. Give another --out.")
    messages = sys.stderr if is_standard_output(results.path) else sys.stdout
    with VideoReader(source) as reader:
        run = _Run(results, source, score_threshold, ByteTracker(float(reader.rate) / every) if track else None)
        results.open(predictor.recipe.name, keep=False)
        with closing(predict_frames(predictor, reader, every, **options)) as frames:  # before the reader
            shown_frames = progress(frames, reader.num_frames, "predicting", "frames")
            if pictures:
                _with_video(target, reader, lambda write: run.process(shown_frames, write))
            else:
                run.process(shown_frames, None)
    results.finish()
    drawn = f"annotated video in {printable(target)}, " if pictures else ""
    print(f"{drawn}results of {run.count} frames in {printable(results.path)}", file=messages)


def _with_video(
    target: Path, reader: VideoReader, process: Callable[[Callable[[Frame, NDArray[np.uint8]], None]], None]
) -> None:
    """Write a video, whose frames a function passes on; an interruption completes it with those that it has."""
    interruption: BaseException | None = None
    with replacing_path(target) as part:
        writer = VideoWriter(part, reader.rate, reader.time_base)
        try:
            process(writer.write)
        except Exception:
            with suppress(Exception):
                writer.close()
            raise
        except BaseException as signal:
            interruption = signal
        writer.close()
    if interruption is not None:
        raise interruption


class _Run:
    """Results of the frames of a video.

    Attributes:
        count: Number of predicted frames.
    """

    def __init__(
        self,
        results: ResultsFile,
        source: str,
        score_threshold: float | ScoreThresholds,
        tracker: ByteTracker | None,
    ) -> None:
        self.count = 0
        self._results, self._source = results, printable(source)
        self._score_threshold, self._tracker = score_threshold, tracker

    def process(self, frames: Any, write: Callable[[Frame, NDArray[np.uint8]], None] | None) -> None:
        """Write the results of frames, and pass their pictures on."""
        last: tuple[Result, NDArray[np.int64] | None] | None = None
        for frame, result in frames:
            if result is not None:
                last = result, self._add(frame, result)
            if write is not None and last is not None:
                write(frame, self._draw(frame.pixels, *last))

    def _add(self, frame: Frame, result: Result) -> NDArray[np.int64] | None:
        ids, content = None, result.to_dict()
        if self._tracker is not None and isinstance(result, Detections | Poses):
            scores = result.scores if isinstance(result, Detections) else result.box_scores
            ids = self._tracker.update(result.boxes, scores, result.labels)
            rows = content["detections" if isinstance(result, Detections) else "people"]
            for row, number in zip(rows, ids.tolist(), strict=True):
                row["track"] = number or None
        self._results.add({"file": self._source, "frame": frame.index, "time": frame.time_s, "result": content})
        self.count += 1
        return ids

    def _draw(self, pixels: NDArray[np.uint8], result: Result, ids: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        if isinstance(result, Detections) and ids is not None:
            return _draw_tracks(pixels, result, ids, self._score_threshold)
        visible = shown(result, self._score_threshold)
        if isinstance(visible, Detections | Poses):
            return visible.draw(pixels, score_threshold=0.0)
        return visible.draw(pixels)


def _draw_tracks(
    pixels: NDArray[np.uint8], result: Detections, ids: NDArray[np.int64], score_threshold: float | ScoreThresholds
) -> NDArray[np.uint8]:
    """Draw the detections of tracks with their ids, in a color for each track, at any score."""
    least = score_threshold if isinstance(score_threshold, float) else np.array(score_threshold.by_class)[result.labels]
    kept = (ids > 0) | (result.scores >= least)
    visible, numbers = result[kept], ids[kept].tolist()
    names = [result.categories[label].name for label in visible.labels.tolist()]
    masks = visible.box_masks
    return draw_detections(
        pixels,
        visible.boxes,
        [f"{name} {number}" if number else name for name, number in zip(names, numbers, strict=True)],
        [PALETTE[number % len(PALETTE)] for number in numbers],
        masks=None if masks is None else masks.crops,
        corners=None if masks is None else masks.corners,
        by_class=True,
    )


def _stem(source: str) -> str:
    """Return the name of the annotated video, without suffix."""
    if source.isdecimal():
        return f"camera-{source}"
    return Path(source.rstrip("/")).stem or "video"
