"""Video: frames in order with their results, bounded memory, timing, sources that cannot be read."""

import gc
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.clips import SIZE, frame, frame_times, square_finder, write_clip
from splitnest.data.images.video_names import is_live, is_video
from splitnest.inference.video import Frame, VideoReader, VideoWriter, is_own_video, predict_frames


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("clip.mp4", True), ("A.MOV", True), ("0", True), ("rtsp://camera/1", True), ("RTSPS://camera", True),
        ("a.jpg", False), ("folder", False), ("1234567", False), ("https://example.org/a.mp4", False), ("٣", False),
    ],
)  # fmt: skip
def test_names_of_videos(source: str, expected: bool) -> None:
    assert is_video(source) == expected
    assert is_live(source) == (source == "0" or source.lower().startswith("rtsp"))


def frames(count: int) -> Iterator[Frame]:
    return (Frame(index, index, index / 25, frame(index % 60)) for index in range(count))


def test_no_frames() -> None:
    assert list(predict_frames(square_finder(), frames(0))) == []


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_frames_are_in_order(every: int, batch_size: int) -> None:
    found = list(predict_frames(square_finder(), frames(10), every, batch_size=batch_size))
    assert [each.index for each, _ in found] == list(range(10))
    assert [each.index for each, result in found if result is not None] == list(range(0, 10, every))
    for each, result in found:
        if result is not None:
            x = np.flatnonzero((each.pixels == (220, 30, 30)).all(2).any(0))
            assert result.boxes[0][0] == x[0]


def test_memory_does_not_grow() -> None:
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()

    def counted() -> Iterator[Frame]:
        for each in frames(2000):
            alive.add(each)
            yield each

    most = 0
    for _ in predict_frames(square_finder(), counted(), 4, batch_size=2):
        most = max(most, len(alive))
    gc.collect()
    assert most < 100


@pytest.mark.parametrize("size_hw", [SIZE, (95, 127)])
def test_written_video_has_the_times_of_its_source(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    source = write_clip(tmp_path / "clip.mkv", 30, Fraction(30000, 1001), size_hw, gap=7)
    with VideoReader(source) as reader:
        writer = VideoWriter(tmp_path / "out.mp4", reader.rate, reader.time_base)
        for each in reader:
            assert np.abs(each.pixels.astype(int) - frame(each.index, size_hw)).mean() < 4
            writer.write(each, each.pixels)
        writer.close()
    before, after = frame_times(source), frame_times(tmp_path / "out.mp4")
    assert len(after) == 30
    assert np.allclose(np.array(after) - after[0], np.array(before) - before[0], atol=1e-3)
    assert is_own_video(tmp_path / "out.mp4")
    assert not is_own_video(source)
    assert not is_own_video(tmp_path)


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="av is not installed")
    clip = write_clip(tmp_path / "clip.mp4", 30).read_bytes()
    contents: dict[str, Any] = {
        "text.mp4": b"no video",
        "empty.mp4": b"",
        "cut.mp4": clip[: len(clip) // 2],
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(splitnest.DataError, match=f"{name} (cannot be read|is damaged)"):
            list(VideoReader(tmp_path / name))
    for source in (tmp_path / "absent.mp4", "99"):
        with pytest.raises(splitnest.DataError, match="does not exist"):
            VideoReader(source)
