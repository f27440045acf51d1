"""Video: frames of files, webcams and RTSP streams, their prediction, and annotated videos with the same timing."""

import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.data.images.limits import check_pixels
from splitnest.data.images.video_names import is_live
from splitnest.errors import DataError, UsageError
from splitnest.files import open_regular
from splitnest.inference.predictor import Predictor
from splitnest.structures import Result

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv"
"""Formats of files that are opened. Playlists are not: they refer to other files and addresses."""

_MAX_WAIT_S = 15.0
"""Seconds within which a stream must answer."""

_COMMENT = "Written by splitnest"


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame of a video.

    Attributes:
        index: Index of the frame.
        pts: Presentation time in units of the time base.
        time_s: Presentation time in seconds.
        pixels: uint8 RGB ``[H, W, 3]``.
    """

    index: int
    pts: int
    time_s: float
    pixels: NDArray[np.uint8]


class VideoReader:
    """Frames of a video, one at a time.

    Args:
        source: Video file, number of a webcam, or address of an RTSP stream.

    Attributes:
        name: Name of the source.
        time_base: Seconds of a unit of ``Frame.pts``.
        rate: Average frames per second.
        num_frames: Number of frames that a file claims to have; 0 if unknown.
        is_live: Whether the source is a webcam or a stream.

    Raises:
        DataError: The source cannot be read, or has no video.
        UsageError: The package av is not installed.
    """

    def __init__(self, source: str | Path) -> None:
        self.name = str(source)
        self.is_live = is_live(source)
        self._file: Any = None
        try:
            self._container = self._open()
            self._stream = self._container.streams.video[0]
        except IndexError:
            self._container.close()
            raise DataError(f"{self.name} has no video. Give another file.") from None
        check_pixels(self._stream.width, self._stream.height, sys.maxsize, self.name)
        self._stream.thread_type = "AUTO"
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.time_base = Fraction(self._stream.time_base or 1 / self.rate)
        self.num_frames = 0 if self.is_live else int(self._stream.frames)

    def _open(self) -> Any:
        av = import_av()
        try:
            if self.is_live and self.name.isdecimal():
                return av.open(f"/dev/video{self.name}", format="v4l2")
            if self.is_live:
                return av.open(self.name, options={"rtsp_transport": "tcp"}, timeout=_MAX_WAIT_S)
            self._file = open_regular(self.name)
            return av.open(self._file, options={"format_whitelist": _CONTAINERS})
        except FileNotFoundError as error:
            raise DataError(f"{self.name} does not exist. Check the path or the number of the camera.") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"{self.name} cannot be read as a video ({_reason(error)}). Replace it.") from error

    def __iter__(self) -> Iterator[Frame]:
        av = import_av()
        try:
            for index, frame in enumerate(self._container.decode(self._stream)):
                pts = round(index / self.rate / self.time_base) if frame.pts is None else int(frame.pts)
                pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))  # counterclockwise
                yield Frame(index, pts, float(pts * self.time_base), np.ascontiguousarray(pixels))
        except (av.FFmpegError, ValueError) as error:
            raise DataError(f"{self.name} is damaged after some frames ({_reason(error)}). Replace it.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()
        if self._file is not None:
            self._file.close()


class VideoWriter:
    """Writer of an MP4 file of H.264, or MPEG-4 where there is no encoder for it, with the times of the frames.

    Args:
        path: File to write.
        rate: Average frames per second.
        time_base: Seconds of a unit of the presentation times.
    """

    def __init__(self, path: Path, rate: Fraction, time_base: Fraction) -> None:
        self._av = av = import_av()
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._container = av.open(str(path), "w", format="mp4")
        self._container.metadata["comment"] = _COMMENT
        self._stream = self._container.add_stream(codec, rate=rate)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
        self._stream.codec_context.time_base = time_base
        self._time_base, self._first, self._last = time_base, 0, -1

    def write(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        """Write the picture of a frame at its time after the first one."""
        height, width = picture.shape[:2]
        if self._last < 0:
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._first = frame.pts
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")  # the encoder needs even sides
        image = self._av.VideoFrame.from_ndarray(even, format="rgb24")
        image.pts = self._last = max(self._last + 1, frame.pts - self._first)
        image.time_base = self._time_base
        self._container.mux(self._stream.encode(image))

    def close(self) -> None:
        """Write what the encoder holds, and complete the file."""
        if self._last >= 0:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def predict_frames(
    predictor: Predictor, frames: Iterable[Frame], every: int = 1, **options: Any
) -> Generator[tuple[Frame, Result | None], None, None]:
    """Yield each frame with its result, in order; None for the frames between those that are predicted.

    Args:
        predictor: Model.
        frames: Frames, read in a thread.
        every: Interval of the predicted frames.
        options: Options of ``Predictor.predictions``.
    """
    waiting: deque[Frame] = deque()

    def chosen() -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            waiting.append(frame)
            if frame.index % every == 0:
                yield frame.pixels

    for prediction in predictor.predictions(chosen(), **options):
        while waiting[0].index % every:
            yield waiting.popleft(), None
        yield waiting.popleft(), prediction.result
    while waiting:
        yield waiting.popleft(), None


def is_own_video(path: Path) -> bool:
    """Return whether a file is a video that this package wrote."""
    try:
        with import_av().open(str(path), options={"format_whitelist": _CONTAINERS}) as container:
            return bool(container.metadata.get("comment") == _COMMENT)
    except (import_av().FFmpegError, OSError, ValueError):
        return False


def import_av() -> ModuleType:
    """Import the optional package av.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError("Video needs further packages: pip install 'splitnest[video]'.") from error
    return av


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
