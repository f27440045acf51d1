"""Outputs of predict: results are kept as they come, no file of others is replaced, odd names are no obstacle."""

import json
import os
import shlex
import signal
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.command_line import Run, start_splitnest

NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


def write_images(folder: Path, *names: str) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} has fewer than {count} lines")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_results_and_the_run_continues(
    run: Run, small_checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    write_images(tmp_path / "images", *(f"{n}.png" for n in range(24)))
    command = ["predict", str(small_checkpoint), "images", "--out", "my out"]
    stderr = tmp_path / "stderr"
    process = start_splitnest(tmp_path, *command, stdout=tmp_path / "stdout", stderr=stderr, OMP_NUM_THREADS="1")
    lines = tmp_path / "my out" / "results.jsonl"
    wait_for_lines(lines, 2)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 75
    rows = lines_of(lines)
    assert 2 <= len(rows) < 24
    assert not (tmp_path / "my out" / "results.json").exists()
    last = stderr.read_text().splitlines()[-1]
    start = f"Interrupted by {number.name}. Results of {len(rows)} images are in my out/results.jsonl. Continue with: "
    assert last.startswith(start)
    assert all(Path(tmp_path, row["picture"]).is_file() for row in rows)
    assert not list(tmp_path.rglob("*.part"))

    before = lines.read_bytes()
    lines.write_bytes(before + before.splitlines()[0][:50])  # a line that was cut
    done = run(*shlex.split(last.removeprefix(start))[1:])
    assert f"{len(rows)} of 24 images have results and are skipped" in done.stdout
    assert lines.read_bytes().startswith(before)
    content = json.loads((tmp_path / "my out" / "results.json").read_text())
    assert sorted(image["file"] for image in content["images"]) == sorted(f"images/{n}.png" for n in range(24))
    assert len({image["picture"] for image in content["images"]}) == 24
    assert [{"model": "small", **image} for image in content["images"]] == lines_of(lines)
    assert len(list((tmp_path / "my out").glob("*.jpg"))) == 24


def test_a_killed_run_continues(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", *(f"{n}.png" for n in range(16)))
    arguments = ("predict", str(small_checkpoint), "images")
    process = start_splitnest(tmp_path, *arguments, stdout=tmp_path / "stdout", stderr=tmp_path / "stderr")
    wait_for_lines(tmp_path / "predictions" / "results.jsonl", 2)
    process.kill()
    process.join(60)
    run(*arguments, "--skip-existing")
    assert len(json.loads((tmp_path / "predictions" / "results.json").read_text())["images"]) == 16
    assert sorted(path.suffix for path in (tmp_path / "predictions").iterdir()) == [".jpg"] * 16 + [".json", ".jsonl"]


def test_unreadable_images_are_tried_again(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    (tmp_path / "b.png").write_text("no image")
    os.mkfifo(tmp_path / "c.png")
    arguments = ("predict", small_checkpoint, "a.png", "b.png", "c.png", "--skip-existing")
    done = run(*arguments, code=3)
    assert "Images that cannot be read (2): b.png, c.png." in done.stderr
    assert "c.png cannot be read: it is a named pipe" in done.stderr
    assert len(lines_of(tmp_path / "predictions" / "results.jsonl")) == 3
    write_images(tmp_path, "b.png")
    (tmp_path / "c.png").unlink()
    write_images(tmp_path, "c.png")
    run(*arguments)
    content = json.loads((tmp_path / "predictions" / "results.json").read_text())
    assert ([image["file"] for image in content["images"]], content["failed"]) == (["a.png", "b.png", "c.png"], [])
    assert "3 of 3 images have results and are skipped" in run(*arguments).stdout


def test_results_of_another_model_are_not_mixed(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    lines = tmp_path / "predictions" / "results.jsonl"
    lines.parent.mkdir()
    lines.write_text('{"model": "other", "file": "b.png", "result": {}}\n')
    done = run("predict", small_checkpoint, "a.png", "--skip-existing", code=2)
    assert "predictions/results.jsonl has results of other, not of small." in done.stderr
    run("predict", small_checkpoint, "a.png")
    assert [row["file"] for row in lines_of(lines)] == ["a.png"]


def test_lines_alone_without_pictures(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.png", "below/a.png")
    done = run("predict", small_checkpoint, "images", "--no-pictures", "--json", "all.jsonl")
    assert "results of 2 images in all.jsonl" in done.stdout
    assert [sorted(row) for row in lines_of(tmp_path / "all.jsonl")] == [["file", "model", "result"]] * 2
    assert not (tmp_path / "predictions").exists()


def test_folders_keep_their_names(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.png", "cats/a.png", "dogs/a.png", "dogs/.a.png", "images/a.png")
    for _ in range(2):  # the second run does not take the pictures of the first
        run("predict", small_checkpoint, "images", "--out", "images/out")
        names = sorted(path.relative_to(tmp_path / "images/out").as_posix() for path in tmp_path.rglob("out/**/*.jpg"))
        assert names == ["a.jpg", "cats/a.jpg", "dogs/a.jpg", "images/a.jpg"]
        content = json.loads((tmp_path / "images" / "out" / "results.json").read_text())
        assert {image["file"]: image["picture"] for image in content["images"]} == {
            f"images/{name}.png": f"images/out/{name}.jpg" for name in ("a", "cats/a", "dogs/a", "images/a")
        }


def test_files_of_others_are_not_replaced(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "dog.png", "dog.jpg")
    before = (tmp_path / "dog.jpg").read_bytes()
    for _ in range(2):
        run("predict", small_checkpoint, "dog.png", "--out", ".")
        assert (tmp_path / "dog.jpg").read_bytes() == before
        assert (tmp_path / "dog-2.jpg").is_file()
        assert not (tmp_path / "dog-3.jpg").exists()


def test_sources_and_other_files_are_no_outputs(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "dog.png")
    (tmp_path / "notes.json").write_text('{"notes": 1}')
    (tmp_path / "link.json").symlink_to("dog.png")
    (tmp_path / "lines.jsonl").write_text("mine\n")
    content = {path: path.read_bytes() for path in (*tmp_path.glob("*.*"), small_checkpoint)}
    for name, reason in (
        ("dog.png", "dog.png is read, so it is not written"),
        ("link.json", "link.json is read, so it is not written"),
        (str(small_checkpoint), "is read, so it is not written"),
        ("notes.json", "notes.json exists and has no results of splitnest predict"),
        ("lines.json", "lines.jsonl exists and has no results of splitnest predict"),
        ("lines.jsonl", "lines.jsonl exists and has no results of splitnest predict"),
    ):
        assert reason in run("predict", small_checkpoint, "dog.png", "--json", name, code=2).stderr
    assert {path: path.read_bytes() for path in content} == content
    assert not (tmp_path / "predictions").exists()


@pytest.mark.parametrize("name", ["folder", "file/all.json", "x" * 300 + ".json", "pipe/x.json"])
def test_a_bad_output_is_found_before_the_model_is_read(run: Run, tmp_path: Path, name: str) -> None:
    write_images(tmp_path, "dog.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    done = run("predict", "no_such_model.pt", "dog.png", "--json", name, code=5)
    assert "cannot be written" in done.stderr


def test_results_on_standard_output(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "dog.png")
    done = run("predict", small_checkpoint, "dog.png", "--json", "/dev/stdout", "--no-pictures")
    assert [image["file"] for image in json.loads(done.stdout)["images"]] == ["dog.png"]
    assert "dog.png: " in done.stderr
    assert len(lines_of(tmp_path / "predictions" / "results.jsonl")) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_stays_a_device(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "dog.png")
    try:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (tmp_path / "null").write_text("")
    except PermissionError:
        pytest.skip("no devices in this file system")
    run("predict", small_checkpoint, "dog.png", "--json", "null")
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


def test_a_pipe_without_a_reader_does_not_hang(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    write_images(tmp_path, "dog.png")
    os.mkfifo(tmp_path / "pipe")
    done = run("predict", small_checkpoint, "dog.png", "--json", "pipe", code=5)
    assert "pipe cannot be written: no process reads this named pipe." in done.stderr
    assert len(lines_of(tmp_path / "predictions" / "results.jsonl")) == 1
    os.mkfifo(tmp_path / "results.jsonl")
    done = run("predict", small_checkpoint, "dog.png", "--out", ".", code=2)
    assert "results.jsonl is no regular file" in done.stderr


LOCALES = {
    "strict UTF-8": {"PYTHONIOENCODING": "utf-8:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_odd_names_do_not_end_the_run(run: Run, small_checkpoint: Path, tmp_path: Path, locale: dict[str, str]) -> None:
    names = ["a.png", NOT_UTF8, "蛇 ü.png", "n\new.png", "x" * 251 + ".png", "z.png"]
    write_images(tmp_path / "images", *names)
    too_long = "y" * 300 + ".png"
    done = run("predict", small_checkpoint, "images", too_long, code=3, fresh=True, **locale)
    assert "Images that cannot be read (1): yyy" in done.stderr
    content = json.loads((tmp_path / "predictions" / "results.json").read_text(encoding="utf-8"))
    files = {image["file"]: image["picture"] for image in content["images"]}
    expected = ["a.png", "caf\\xe9.png", "n\\new.png", "x" * 251 + ".png", "z.png", "蛇 ü.png"]
    assert sorted(files) == sorted(f"images/{name}" for name in expected)
    assert all((tmp_path / picture).is_file() for picture in files.values())
    assert files["images/caf\\xe9.png"] == "predictions/caf_.jpg"
    assert files["images/蛇 ü.png"] == "predictions/蛇 ü.jpg"
    assert [failure["file"] for failure in content["failed"]] == [too_long]
    again = run("predict", small_checkpoint, "images", too_long, "--skip-existing", code=3)
    assert "6 of 7 images have results" in again.stdout


def test_a_picture_that_cannot_be_written_does_not_end_the_run(
    run: Run, small_checkpoint: Path, tmp_path: Path
) -> None:
    write_images(tmp_path / "images", "a.png", "b.png")
    (tmp_path / "out").write_text("a file")
    done = run("predict", small_checkpoint, "images", "--out", "out", "--json", "all.json", code=5)
    assert "Pictures that cannot be written (2): images/a.png, images/b.png." in done.stderr
    content = json.loads((tmp_path / "all.json").read_text())
    assert [image["picture"] for image in content["images"]] == [None, None]


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300, "pipe", "null/x"])
def test_demo_where_nothing_can_be_written(run: Run, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "null").symlink_to("null")
    os.mkfifo(tmp_path / "pipe")
    assert "demo.png cannot be written: " in run("demo", "--out", out, code=5).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "null", "pipe"]
