"""Lock of a run folder, and folders that hold files of others."""

import os
import signal
import threading
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from helpers import image_tree
from helpers.command_line import Run, run_splitnest
from helpers.processes import start, start_function, wait_for
from helpers.tiny_training import make_run_folder, recipe_of, train_config
from splitnest.errors import OutputError, UsageError
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.lock import LOCK_FILE, locked
from splitnest.training.run_folder import RUNS, WRITTEN, check_new_folder, new_folder
from splitnest.training.train import train


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs ``splitnest`` in an empty folder and checks the exit code."""
    return partial(run_splitnest, tmp_path)


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe of a small classifier that trains longer than any test."""
    root = tmp_path_factory.mktemp("images")
    image_tree.write_classes(root, {"train": 4, "val": 2})
    values = {"train.epochs": 100_000, "train.evaluate_every": 0, "train.save_every": 1, "train.workers": 1}
    path = root / "small.yaml"
    path.write_text(dump_yaml(image_tree.recipe_of(root, **values)))
    return path


def start_training(recipe_file: Path, folder: Path, log: Path) -> BaseProcess:
    process = start("train", recipe_file, "--out", folder, log=log)
    wait_for(lambda: (folder / "last.pt").exists(), process)
    return process


def test_lock_is_released_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path), pytest.raises(UsageError, match="in use: this process trains in it"), locked(tmp_path):
            pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_another_thread_is_refused(tmp_path: Path) -> None:
    refused = []

    def lock_again() -> None:
        try:
            with locked(tmp_path):
                pass
        except UsageError as error:
            refused.append(error)

    with locked(tmp_path):
        for _ in range(2):
            thread = threading.Thread(target=lock_again)
            thread.start()
            thread.join()
    assert len(refused) == 2


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "absent"):
        pass
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "other")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path):
        pass
    assert not (tmp_path / "other").exists()


def test_running_training_is_left_alone_and_a_killed_one_resumes(run: Run, recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start_training(recipe_file, folder, tmp_path / "log")
    expected = f"{folder} is in use: process {process.pid} on"
    assert expected in run("train", folder, "--resume", code=2).stderr
    (folder / "last.pt").rename(folder / "hidden")  # a run that has no checkpoint yet
    refused = run("train", recipe_file, "--out", folder, code=2).stderr
    assert expected in refused or "has a run already" in refused  # it may have written another one meanwhile
    assert process.is_alive()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)  # its worker lives on for seconds
    process.join(60)
    log = tmp_path / "again"
    again = start("train", folder, "--resume", log=log)
    wait_for(lambda: log.exists() and "/200000, loss" in log.read_text(), again)
    again.terminate()
    again.join(60)
    assert "resuming after step" in log.read_text()
    assert again.exitcode == 75, log.read_text()


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    processes = [start_function(make_run_folder, tmp_path, log=tmp_path / f"log{number}") for number in range(6)]
    for process in processes:
        process.join(60)
    assert len(list((tmp_path / RUNS).iterdir())) == 6


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_files_of_others_are_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="has a run already" if name == "last.pt" else f"would be replaced: {name}"):
        new_folder(recipe_of(train_config()), tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_run_may_start_again_before_its_first_checkpoint(run: Run, recipe_file: Path, tmp_path: Path) -> None:
    own = tmp_path / "recipe.yaml"
    own.write_text(recipe_file.read_text())
    text = run("train", "recipe.yaml", "train.epochs=1", "--out", ".", code=2).stderr
    assert "has files that are not of a run and would be replaced: recipe.yaml. Give a new folder" in text
    assert own.read_text() == recipe_file.read_text()
    values = ("train.epochs=1", "train.workers=0", "data.val_images=null")
    damaged = run("train", "recipe.yaml", *values, "train.init_from=absent.pth", "--out", "new", code=2)
    assert "neither a file nor a model" in damaged.stderr
    (tmp_path / "new").mkdir()
    for name in (LOCK_FILE, "recipe.yaml", "metrics.csv"):
        (tmp_path / "new" / name).touch()
    run("train", "recipe.yaml", *values, "--out", "new")
    for name in {path.name for path in (tmp_path / "new").iterdir()} - {LOCK_FILE}:
        assert name in WRITTEN or name.startswith("events."), name


def test_out_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match="file is not a folder"):
            check_new_folder(out)
    check_new_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_any_file_of_a_run_names_the_run(run: Run, recipe_file: Path, tmp_path: Path) -> None:
    """A later run of the same recipe is not resumed instead."""
    values = {"train.epochs": 2, "train.workers": 0, "data.val_images": None}
    train(recipe_file, values, out=tmp_path / "first", device="cpu")
    name = image_tree.SMALL["name"]
    train(recipe_file, values, out=tmp_path / "runs" / f"{name}-20990102-030405", device="cpu")
    for file in ("last-1.pt", "last.pt", "recipe.yaml"):
        done = run("train", Path("first", file), "--resume")
        assert "first: resuming after step 4 of 4" in done.stdout
        assert ("resumes from its newest checkpoint, last.pt" in done.stdout) == (file == "last-1.pt")
    (tmp_path / "first" / "last-1.pt").rename(tmp_path / "moved.pt")
    assert "moved.pt is not in the folder of a run" in run("train", "moved.pt", "--resume", code=2).stderr
