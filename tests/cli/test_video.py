"""predict for a video: annotated video with the same frames and times, results by frame, ids, interruption."""

import json
import os
import signal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.clips import frame, frame_times, square_finder, write_clip
from helpers.command_line import Run, start_splitnest
from helpers.processes import wait_for
from splitnest.cli.results import ResultsFile
from splitnest.cli.videos import write_video_predictions


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    content = json.loads((folder / "results.json").read_text())
    assert content["images"] == [{key: value for key, value in row.items() if key != "model"} for row in lines]
    return lines


def test_frames_and_times(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 16, Fraction(30000, 1001), gap=5)
    done = run("predict", small_checkpoint, clip, "--out", "out", "--score", "0.2", "--batch-size", "4")
    assert "annotated video in out/clip.mp4, results of 16 frames in out/results.json" in done.stdout
    times = frame_times(tmp_path / "out" / "clip.mp4")
    assert np.allclose(times, frame_times(clip), atol=1e-3)
    found = rows(tmp_path / "out")
    assert [row["frame"] for row in found] == list(range(16))
    assert np.allclose([row["time"] for row in found], times, atol=1e-3)
    with_pixels = splitnest.load(small_checkpoint, device="cpu").predict(frame(0))
    assert set(found[0]["result"]) == set(with_pixels[0].to_dict())
    run("predict", small_checkpoint, clip, "--out", "out", "--every", "7", "--no-pictures")
    assert [row["frame"] for row in rows(tmp_path / "out")] == list(range(0, 16, 7))


def predict_squares(tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    clip = write_clip(tmp_path / "clip.mp4", 60)
    with ResultsFile(tmp_path / "results.json", tmp_path) as results:
        (tmp_path / "out").mkdir()
        write_video_predictions(square_finder(), str(clip), tmp_path / "out", results, 0.5, **options)
    assert np.allclose(frame_times(tmp_path / "out" / "clip.mp4"), frame_times(clip), atol=1e-3)
    return rows(tmp_path)


@pytest.mark.parametrize("every", [1, 4])
def test_ids_stay(tmp_path: Path, every: int) -> None:
    found = predict_squares(tmp_path, track=True, every=every)
    ids = {detection["name"]: set() for detection in found[0]["result"]["detections"]}  # type: dict[str, set[int]]
    for row in found:
        for detection in row["result"]["detections"]:
            ids[detection["name"]].add(detection["track"])
    assert list(ids.values()) == [{1}, {2}, {3}]
    assert len(found) == len(range(0, 60, every))


def test_boxes_are_drawn_on_every_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="av is not installed")
    predict_squares(tmp_path, every=5)
    with av.open(str(tmp_path / "out" / "clip.mp4")) as container:
        for index, image in enumerate(container.decode(video=0)):
            difference = np.abs(image.to_ndarray(format="rgb24").astype(int) - frame(index)).max(2)
            assert (difference > 60).sum() > 50


def test_wrong_options(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 2)
    done = run("predict", small_checkpoint, clip, image_file, code=2)
    assert "clip.mp4 is a video: give it alone." in done.stderr
    done = run("predict", small_checkpoint, image_file, "--track", code=2)
    assert "--every and --track belong to a video" in done.stderr
    done = run("predict", small_checkpoint, clip, "--skip-existing", code=2)
    assert "A video is predicted as a whole" in done.stderr
    content = clip.read_bytes()
    done = run("predict", small_checkpoint, clip, "--out", tmp_path, code=2)  # the picture would replace the clip
    assert "clip.mp4 exists, and splitnest did not write it. Give another --out." in done.stderr
    assert clip.read_bytes() == content
    (tmp_path / "text.mp4").write_text("no video")
    assert "text.mp4 cannot be read as a video" in run("predict", small_checkpoint, "text.mp4", code=3).stderr
    done = run("predict", small_checkpoint, "99", code=3)
    assert "99 does not exist. Check the path or the number of the camera." in done.stderr


def test_interruption_completes_the_video(small_checkpoint: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 2000)
    words = ["predict", str(small_checkpoint), str(clip), "--out", "out"]
    process = start_splitnest(tmp_path, *words, stdout=tmp_path / "log", stderr=tmp_path / "errors")
    lines = tmp_path / "out" / "results.jsonl"
    wait_for(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 20, process)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 75
    assert "Interrupted by SIGINT. Results until then are in out/results.jsonl" in (tmp_path / "errors").read_text()
    count = len(frame_times(tmp_path / "out" / "clip.mp4"))
    assert 20 <= count < 2000
    assert abs(lines.read_bytes().count(b"\n") - count) <= 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mp4", "results.jsonl"]
