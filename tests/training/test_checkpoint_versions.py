"""Versions of a checkpoint: how many are kept, how damage is detected, and what remains after a full disk."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.processes import run_function
from helpers.tiny_training import TinyData, assert_equal_tensors, fit, new_state, recipe_of, train, train_config
from splitnest.errors import DamagedError, OutputError, WeightsError
from splitnest.files import numbered, replacing, versions
from splitnest.training import checkpoint
from splitnest.training.run_folder import RunFolder
from splitnest.weights.checksum import add_checksum, has_valid_checksum


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str, keep: int | None = None) -> None:
    with replacing(path, keep) as file:
        file.write(text.encode())


def steps_of(path: Path) -> list[int]:
    """Return the step of each version of a checkpoint."""
    return [torch.load(file, weights_only=True)["step"] for file in versions(path)]


def test_missing_file_has_no_versions(tmp_path: Path) -> None:
    assert versions(tmp_path / "last.pt") == []


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_newest_versions_are_kept(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "last.pt"
    for number in range(6):
        write(path, str(number), keep)
    assert [file.read_text() for file in versions(path)] == ["5", "4", "3"][:keep]
    assert versions(path) == [numbered(path, number) for number in range(keep)]
    assert len(names(tmp_path)) == keep


def test_other_files_are_not_versions(tmp_path: Path) -> None:
    others = {"results-1.json": None, "last-x.pt": 2, "last-01.pt": 2, "blast-1.pt": 2, "last-5.txt": 2}
    for name in others:
        write(tmp_path / name, "mine")
    for name in ("results.json", "results.json"):
        write(tmp_path / name, "new")
    for _ in range(4):
        write(tmp_path / "last.pt", "new", 2)
    assert names(tmp_path) == sorted([*others, "results.json", "last.pt", "last-1.pt"])
    write(tmp_path / "last.pt", "new", 1)  # keep fewer
    assert names(tmp_path) == sorted([*others, "results.json", "last.pt"])


def test_incomplete_file_renames_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for text in ("first", "second"):
        write(path, text, 2)

    def fail() -> None:
        with replacing(path, 2) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space"):
        fail()
    assert [file.read_text() for file in versions(path)] == ["second", "first"]


def test_process_killed_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for text in ("first", "second"):
        write(path, text, 2)
    path.rename(numbered(path, 1))  # the process is killed here
    assert [file.read_text() for file in versions(path)] == ["second"]
    write(path, "third", 2)
    assert [file.read_text() for file in versions(path)] == ["third", "second"]


def test_file_without_a_checksum_is_not_valid(tmp_path: Path) -> None:
    for content in (b"", b"short", bytes(1000)):
        (tmp_path / "a").write_bytes(content)
        with (tmp_path / "a").open("rb") as file:
            assert not has_valid_checksum(file)


def test_checksum_detects_every_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with path.open("w+b") as file:
        torch.save({"weight": torch.arange(3000.0)}, file)
        add_checksum(file)
    whole = path.read_bytes()
    assert torch.load(path, weights_only=True)["weight"][-1] == 2999
    assert zipfile.ZipFile(path).testzip() is None
    rng = np.random.default_rng(0)
    changed = [whole[:length] for length in rng.integers(0, len(whole), 50)]
    for place in (*rng.integers(0, len(whole), 200).tolist(), *range(len(whole) - 100, len(whole))):
        changed.append(whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :])
    for content in (whole, *changed, whole + b"\0"):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert has_valid_checksum(file) == (content == whole)
            assert file.tell() == 0 or len(content) < 83


def test_training_keeps_two_checkpoints_by_default(tmp_path: Path) -> None:
    train(tmp_path, save_every=1, iterations=3)
    assert steps_of(tmp_path / "last.pt") == [3, 2]
    assert {"last.pt", "last-1.pt"} == {path.name for path in tmp_path.glob("*.pt")}
    train(tmp_path / "more", save_every=1, iterations=5, keep_checkpoints=4)
    assert steps_of(tmp_path / "more" / "last.pt") == [5, 4, 3, 2]


@pytest.mark.parametrize("damage", ["truncated", "byte changed", "empty", "missing"])
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = train(tmp_path, save_every=1, iterations=3)
    path = tmp_path / "last.pt"
    content = bytearray(path.read_bytes())
    match damage:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "byte changed":
            content[len(content) // 3] ^= 64
            path.write_bytes(content)
        case "empty":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
    state, schedule = new_state(train_config(save_every=1, iterations=3))
    capsys.readouterr()
    checkpoint.restore_newest(state, path)
    assert state.step == 2
    printed = capsys.readouterr().err
    if damage == "missing":
        assert printed == ""
    else:
        assert printed.startswith(f"{path} is truncated or damaged: ")
        assert printed.count("\n") == 1
        assert (tmp_path / "last.pt.damaged").exists()
    fit(state, schedule, TinyData(), tmp_path)
    assert steps_of(path) == [3, 2]  # the undamaged version is still there
    assert_equal_tensors(dict(state.model.state_dict()), dict(expected.model.state_dict()))


def test_all_versions_damaged_is_an_error(tmp_path: Path) -> None:
    train(tmp_path, save_every=1, iterations=3)
    for path in versions(tmp_path / "last.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    state, _ = new_state(train_config())
    with pytest.raises(DamagedError, match=r"last\.pt is truncated or damaged"):
        checkpoint.restore(state, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=r"All versions of .*last\.pt are damaged.*best\.pt"):
        checkpoint.restore_newest(state, tmp_path / "last.pt")
    assert len(versions(tmp_path / "last.pt")) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_disk_that_fills_up_during_a_training_loses_no_checkpoint(tmp_path: Path) -> None:
    from helpers.limited_resources import train_with_limited_file_size

    folder = tmp_path / "run"
    output = run_function(train_with_limited_file_size, folder, log=tmp_path / "log")
    assert "last.pt cannot be written: File too large. The existing file is unchanged." in output
    steps = []
    for path in versions(folder / "last.pt"):
        state, _ = new_state(train_config())
        checkpoint.restore(state, path)
        steps.append(state.step)
    assert steps == [4, 3]
    assert not list(folder.glob(".*"))


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for name in (".last.pt.123.part", ".best.pt.7.part", ".other.123.part"):
        (tmp_path / name).write_bytes(b"half")
    RunFolder(tmp_path, recipe_of(train_config()))
    assert [path.name for path in tmp_path.glob(".*")] == [".other.123.part"]
