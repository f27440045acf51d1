"""The package as it is built and installed: version by tag, contents, first commands (``make wheel``)."""

import io
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from helpers.paths import ROOT

FALLBACK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["version"]["fallback-version"]
FILES = (
    "splitnest/py.typed",
    "splitnest/_tag.py",
    "splitnest/cli/scenes.yaml",
    "splitnest/serving/page.html",
    "splitnest/zoo/upstream.tsv",
    "splitnest/visualize/dejavu/DejaVuSans.ttf",
)


def test_fallback_is_that_of_the_sources() -> None:
    text = (ROOT / "src" / "splitnest" / "_version.py").read_text()
    assert f'__version__ = "{FALLBACK}"' in text


def git(folder: Path, *arguments: str) -> bytes:
    """Run git with an author, and return what it prints."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "safe.directory=*"]
    return subprocess.run(["git", *author, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def build(folder: Path, *options: str) -> Path:
    """Build the wheel of a folder, by its source distribution if there are no options, and return it."""
    pytest.importorskip("build", reason="build is not installed (make wheel)")
    command = [sys.executable, "-m", "build", *options, "--outdir", str(folder / "built"), str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (wheel,) = (folder / "built").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone without tags."""
    folder = tmp_path_factory.mktemp("clone") / "splitnest"
    git(ROOT, "clone", "--quiet", "--no-tags", f"file://{ROOT}", str(folder))
    return folder


@pytest.mark.wheel
def test_a_clone_without_tags_has_a_version(clone: Path) -> None:
    assert re.match(r"splitnest-0\.\d+(\.\d+)?\.dev\d+\+g\w+-", build(clone, "--wheel").name)


@pytest.mark.wheel
def test_an_archive_has_the_fallback_version(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(git(ROOT, "archive", "HEAD"))) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    assert build(tmp_path / "source", "--wheel").name.startswith(f"splitnest-{FALLBACK}-")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of a tagged clone, by its source distribution."""
    folder = tmp_path_factory.mktemp("tagged") / "splitnest"
    git(ROOT, "clone", "--quiet", "--no-tags", f"file://{ROOT}", str(folder))
    git(folder, "tag", "v3.2.1")
    return build(folder)


@pytest.mark.wheel
def test_contents(wheel: Path) -> None:
    assert wheel.name == "splitnest-3.2.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        assert b'VERSION = "3.2.1"' in file.read("splitnest/_tag.py")
    assert set(FILES) <= set(names)
    assert all(name.startswith(("splitnest/", "splitnest-3.2.1.dist-info/")) for name in names)
    assert "splitnest-3.2.1.dist-info/licenses/LICENSE" in names


@pytest.mark.wheel
def test_first_commands_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    programs = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SPLITNEST_HOME": str(tmp_path / "home")}
    environment["OMP_NUM_THREADS"] = "1"  # two threads that wait for each other beside other work are many times slower
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", wheel], check=True)

    def run(*arguments: str) -> str:
        command = [str(programs / "splitnest"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    assert run("--version") == "splitnest 3.2.1\n"
    assert len(run("list").splitlines()) > 600
    assert "torch" in run("doctor")
    run("demo", "--out", "demo")
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
