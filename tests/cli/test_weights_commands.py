"""``splitnest weights``: cache, downloads, verification and mirrors, with a server on this machine."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from helpers.command_line import Run, Server
from splitnest import zoo
from splitnest.weights.cache import file_name

FIRST, SECOND, HASHED = "resnest14d_imagenet.timm", "resnest26d_imagenet.timm", "resnest50_imagenet.official"
"""Two models without a published SHA-256, whose files may be any checkpoint, and one with."""

FILES = {name: file_name(zoo.published(name).url) for name in (FIRST, SECOND, HASHED)}


@pytest.fixture
def offline(run: Run) -> Run:
    """Return ``run`` for a machine that reaches only itself."""
    return partial(run, https_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1", SPLITNEST_MIRROR="")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "home" / "weights"


def visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def test_empty_cache(offline: Run, cache: Path) -> None:
    done = offline("weights", "list")
    assert (done.stdout, done.stderr) == ("", f"0 files, 0.0 MB, in {cache}\n")
    assert offline("weights", "verify").stdout == ""
    assert "Name the models to mirror, or '*'" in offline("weights", "mirror", "shared", code=2).stderr
    lines = offline("weights", "list", "--all").stdout.splitlines()
    assert len(lines) == len(zoo.TASK_OF)
    (line,) = offline("weights", "list", "resnest50_imagenet*", "--all").stdout.splitlines()
    assert line.split() == ["absent", "-", HASHED, zoo.published(HASHED).url, "sha256", "528c19ca"]
    assert "are not in" in offline("weights", "verify", FIRST, code=4).stderr


def test_get_list_and_verify(offline: Run, serve: Callable[..., Server], small_checkpoint: Path, cache: Path) -> None:
    content = small_checkpoint.read_bytes()
    server = serve(content, drop_after=len(content) // 2)
    got = offline("weights", "get", FIRST, "resnest26d*", "resnest14d", SPLITNEST_MIRROR=server.url)
    assert got.stdout.splitlines() == [f"{name}  {cache / FILES[name]}" for name in (FIRST, SECOND)]
    assert any(header.startswith("bytes=") for header in server.ranges)
    requests = len(server.ranges)
    offline("weights", "get", FIRST, SPLITNEST_MIRROR=server.url)
    assert len(server.ranges) == requests
    (cache / "other.pth").write_bytes(b"")
    (cache / f"{FILES[HASHED]}.part").write_bytes(b"1")
    assert [line.split() for line in offline("weights", "list").stdout.splitlines()] == [
        ["readable", f"{len(content) / 1e6:.1f}", "MB", FIRST, FILES[FIRST]],
        ["readable", f"{len(content) / 1e6:.1f}", "MB", SECOND, FILES[SECOND]],
        ["incomplete", "0.0", "MB", HASHED, f"{FILES[HASHED]}.part"],
        ["unchecked", "0.0", "MB", "(no", "published", "model)", "other.pth"],
    ]
    checked = offline("weights", "verify")
    assert checked.stdout.splitlines() == [
        f"readable, no published SHA-256  {name}  {FILES[name]}" for name in (FIRST, SECOND)
    ]
    assert f"'splitnest weights get {HASHED}' finishes it" in checked.stderr
    assert "other.pth is the file of no published model" in checked.stderr


def test_broken_files_are_named(offline: Run, cache: Path, small_checkpoint: Path) -> None:
    cache.mkdir(parents=True)
    (cache / FILES[HASHED]).write_bytes(b"other")
    (cache / FILES[FIRST]).write_bytes(small_checkpoint.read_bytes()[:-100])
    (cache / FILES[SECOND]).write_bytes(small_checkpoint.read_bytes())
    assert {line.split()[0] for line in offline("weights", "list").stdout.splitlines()} == {"unchecked"}
    done = offline("weights", "verify", code=4)
    assert "2 of 3 files are broken. Delete them, and download them again with 'splitnest weights get" in done.stderr
    assert f"{cache / FILES[HASHED]}: its SHA-256 starts with " in done.stderr
    assert f"{cache / FILES[FIRST]}: is damaged or incomplete" in done.stderr
    states = {line.split()[3]: line.split()[0] for line in offline("weights", "list").stdout.splitlines()}
    assert states == {FIRST: "broken", SECOND: "readable", HASHED: "broken"}
    assert "is not the file of" in offline("weights", "get", HASHED, code=4).stderr
    assert (cache / FILES[HASHED]).read_bytes() == b"other"  # the file of the user is kept
    offline("weights", "verify", SECOND)
    (cache / FILES[FIRST]).write_bytes(small_checkpoint.read_bytes())
    (cache / FILES[HASHED]).unlink()
    offline("weights", "verify")


def test_one_failure_of_several(
    offline: Run, serve: Callable[..., Server], small_checkpoint: Path, cache: Path
) -> None:
    server = serve(small_checkpoint.read_bytes())
    done = offline("weights", "get", HASHED, FIRST, code=4, SPLITNEST_MIRROR=server.url)
    assert done.stdout == f"{FIRST}  {cache / FILES[FIRST]}\n"
    assert f"1 of 2 files are not there.\n  {HASHED}: The published weights cannot be downloaded" in done.stderr
    assert visible(cache) == [FILES[FIRST]]
    assert "The nearest are resnest14d" in offline("weights", "get", "rsnest14d*", FIRST, code=2).stderr
    assert "No published model is called" in offline("weights", "get", "rsnest14d", code=2).stderr
    assert "Use 'splitnest weights get'" in offline("download", FIRST, code=2).stderr


def test_mirror(
    offline: Run, serve: Callable[..., Server], small_checkpoint: Path, tmp_path: Path, cache: Path
) -> None:
    """Of what is in the cache, then of a model that is not; used by its path, by a file URL, and again."""
    content, shared = small_checkpoint.read_bytes(), tmp_path / "shared"
    cache.mkdir(parents=True)
    (cache / FILES[FIRST]).write_bytes(content)
    done = offline("weights", "mirror", "shared/weights")
    assert done.stdout == f"{FIRST}  shared/weights/{FILES[FIRST]}\n"
    server = serve(content, drop_after=len(content) // 2)
    offline("weights", "mirror", shared / "weights", FIRST, SECOND, SPLITNEST_MIRROR=server.url)
    assert visible(shared / "weights") == sorted([FILES[FIRST], FILES[SECOND]])
    assert visible(cache) == [FILES[FIRST]]
    requests = len(server.ranges)
    offline("weights", "mirror", "shared/weights", FIRST, SECOND, SPLITNEST_MIRROR=server.url)
    assert len(server.ranges) == requests
    for home, mirror in (("a", str(shared / "weights")), ("b", f"file://{shared}/weights"), ("c", "shared/weights/")):
        offline("weights", "get", SECOND, SPLITNEST_MIRROR=mirror, SPLITNEST_HOME=str(tmp_path / home))
        assert (tmp_path / home / "weights" / FILES[SECOND]).read_bytes() == content
    error = offline("weights", "get", HASHED, code=4, SPLITNEST_MIRROR="shared/weights").stderr
    assert f"shared/weights/{FILES[HASHED]}: No such file or directory" in error


def test_mirror_that_cannot_be_written(offline: Run, cache: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    cache.mkdir(parents=True)
    (cache / FILES[FIRST]).write_bytes(small_checkpoint.read_bytes())
    (tmp_path / "file").touch()
    assert "cannot be written" in offline("weights", "mirror", "file", code=5).stderr
    (cache / FILES[FIRST]).write_bytes(b"damaged")
    assert f"{cache / FILES[FIRST]}: is not a checkpoint" in offline("weights", "mirror", "shared", code=4).stderr
    assert visible(tmp_path / "shared") == []
