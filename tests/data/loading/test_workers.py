"""Worker processes with too little shared memory or too few descriptors, and scripts that are imported by them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import image_tree
from helpers.limited_resources import train_with_few_descriptors
from helpers.processes import can_mount, start_function
from splitnest.data.loading.workers import plain_worker_errors
from splitnest.errors import DataError
from splitnest.recipe.serialization import dump_yaml

SMALL_SHM = 'mount -t tmpfs -o size=256k tmpfs /dev/shm && exec "$0" -m splitnest "$@"'
"""Shell command of a process with a small /dev/shm of its own."""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """Recipe of a small classifier whose batch needs 600 KB of shared memory and 48 descriptors."""
    image_tree.write_classes(tmp_path, {"train": 16, "val": 16})
    values = {"train.workers": 1, "train.batch_size": 48, "input.size": 64, "train.epochs": 2}
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_yaml(image_tree.recipe_of(tmp_path, **values)))
    return path


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_small_shared_memory_is_an_error(verb: str, recipe_file: Path, tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("needs the permission to mount")
    options = ["--out", str(tmp_path / "run")] if verb == "train" else ["--weights", "none", "--workers", "1"]
    if verb == "eval":
        options.append("input.size=320")  # one image is sent at a time
    command = ["unshare", "-m", "sh", "-c", SMALL_SHM, sys.executable, verb, str(recipe_file), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert "cannot send its images: unable to allocate shared memory" in done.stderr
    assert "could not send its images; see its message. Shared memory (/dev/shm)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("count", [40, 70])
def test_few_descriptors_are_an_error(count: int, recipe_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start_function(train_with_few_descriptors, recipe_file, tmp_path / "run", count, log=log)
    process.join(60)
    assert process.exitcode == 3, log.read_text()
    assert "ulimit -n" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_error_about_open_files_in_the_main_process_is_plain() -> None:
    for error in (OSError(24, "Too many open files"), RuntimeError("Too many open files. Communication with the ...")):
        with (
            pytest.raises(DataError, match=r"more open files than this process may have.*ulimit -n"),
            plain_worker_errors(),
        ):
            raise error
    with pytest.raises(FileNotFoundError), plain_worker_errors():
        raise FileNotFoundError(2, "No such file")


@pytest.mark.skipif("SPLITNEST_SOAK" not in os.environ, reason="starts three interpreters; make soak runs it")
def test_script_without_guard_is_named(recipe_file: Path, tmp_path: Path) -> None:
    """Where workers are spawned they import the script, and would train too."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\nimport splitnest\nmultiprocessing.set_start_method('spawn', force=True)\n"
        f"splitnest.train({str(recipe_file)!r}, {{'data.val_images': None}}, out={str(tmp_path / 'run')!r})\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "script.py, line 4: data loading workers import this script (start method spawn)" in last
    assert 'under if __name__ == "__main__":' in last
    assert "most likely" not in last
