"""Sources that are videos: files by their suffix, webcams by number, RTSP streams by address."""

import re
from pathlib import Path

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"})
"""File name suffixes of videos."""

_LIVE = re.compile(r"[0-9]{1,3}|rtsps?://.+", re.IGNORECASE)


def is_live(source: object) -> bool:
    """Return whether a source is the number of a webcam or the address of an RTSP stream, which have no end."""
    return _LIVE.fullmatch(str(source)) is not None


def is_video(source: object) -> bool:
    """Return whether a source is a video file, the number of a webcam, or the address of an RTSP stream."""
    is_web = str(source).lower().startswith(("http://", "https://"))
    return is_live(source) or (not is_web and Path(str(source)).suffix.lower() in SUFFIXES)
