"""Checkpoints that a damaged one is replaced by: how many are kept, how damage is seen, what a full disk leaves."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import TinyData, facts, folder_of, recipe_of, start

from splitnest.errors import DamagedError, WeightsError
from splitnest.files import kept, numbered, replacing
from splitnest.training import checkpoint
from splitnest.training.loop import fit
from splitnest.training.run import RunFolder
from splitnest.training.seal import is_sealed, seal
from splitnest.training.state import TrainingState


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str, keep: int | None = None) -> None:
    with replacing(path, keep) as file:
        file.write(text.encode())


def trained(folder: Path, steps: int = 3, **values: object) -> TrainingState:
    """Train a few steps, each with a checkpoint."""
    train = facts(save_every=1, length=steps, **values)
    state, schedule = start(train)
    fit(state, schedule, TinyData(), folder_of(folder, train))
    return state


def test_nothing_is_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "last.pt") == []


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "last.pt"
    for number in range(6):
        write(path, str(number), keep)
    assert [file.read_text() for file in kept(path)] == ["5", "4", "3"][:keep]
    assert kept(path) == [numbered(path, number) for number in range(keep)]
    assert len(names(tmp_path)) == keep


def test_other_files_are_none_of_its_business(tmp_path: Path) -> None:
    others = {"results-1.json": None, "last-x.pt": 2, "last-01.pt": 2, "blast-1.pt": 2, "last-5.txt": 2}
    for name in others:
        write(tmp_path / name, "mine")
    for name in ("results.json", "results.json"):
        write(tmp_path / name, "new")
    for _ in range(4):
        write(tmp_path / "last.pt", "new", 2)
    assert names(tmp_path) == sorted([*others, "results.json", "last.pt", "last-1.pt"])
    write(tmp_path / "last.pt", "new", 1)  # fewer are wanted now
    assert names(tmp_path) == sorted([*others, "results.json", "last.pt"])


def test_one_that_is_not_whole_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for text in ("first", "second"):
        write(path, text, 2)

    def broken() -> None:
        with replacing(path, 2) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        broken()
    assert [file.read_text() for file in kept(path)] == ["second", "first"]


def test_killed_between_two_renames(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for text in ("first", "second"):
        write(path, text, 2)
    path.rename(numbered(path, 1))  # and then the power went
    assert [file.read_text() for file in kept(path)] == ["second"]
    write(path, "third", 2)
    assert [file.read_text() for file in kept(path)] == ["third", "second"]


def test_a_file_without_a_seal(tmp_path: Path) -> None:
    for content in (b"", b"short", bytes(1000)):
        (tmp_path / "a").write_bytes(content)
        with (tmp_path / "a").open("rb") as file:
            assert not is_sealed(file)


def test_every_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with path.open("w+b") as file:
        torch.save({"weight": torch.arange(3000.0)}, file)
        seal(file)
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
            assert is_sealed(file) == (content == whole)
            assert file.tell() == 0 or len(content) < 83


def test_a_training_keeps_two_and_the_best(tmp_path: Path) -> None:
    trained(tmp_path)
    assert [torch.load(file, weights_only=True)["step"] for file in kept(tmp_path / "last.pt")] == [3, 2]
    assert {"last.pt", "last-1.pt"} == {path.name for path in tmp_path.glob("*.pt")}
    trained(tmp_path / "more", 5, keep=4)
    assert [torch.load(file, weights_only=True)["step"] for file in kept(tmp_path / "more" / "last.pt")] == [5, 4, 3, 2]


@pytest.mark.parametrize("how", ["cut short", "a byte changed", "empty", "gone"])
def test_a_damaged_one_is_reported_and_the_one_before_it_used(
    tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = trained(tmp_path)
    path = tmp_path / "last.pt"
    content = bytearray(path.read_bytes())
    match how:
        case "cut short":
            path.write_bytes(content[: len(content) // 2])
        case "a byte changed":
            content[len(content) // 3] ^= 64
            path.write_bytes(content)
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
    train = facts(save_every=1, length=3)
    state, schedule = start(train)
    capsys.readouterr()
    checkpoint.restore_newest(state, path)
    assert state.step == 2
    said = capsys.readouterr().err
    if how == "gone":
        assert said == ""
    else:
        assert said.startswith(f"{path} is cut short or damaged: ")
        assert said.count("\n") == 1
        assert (tmp_path / "last.pt.damaged").exists()
    fit(state, schedule, TinyData(), folder_of(tmp_path, train, state.step))
    assert [torch.load(file, weights_only=True)["step"] for file in kept(path)] == [3, 2]  # the good one is still there
    for key, value in expected.model.state_dict().items():
        assert torch.equal(value, state.model.state_dict()[key])


def test_all_are_damaged(tmp_path: Path) -> None:
    trained(tmp_path)
    for path in kept(tmp_path / "last.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    state, _ = start(facts())
    with pytest.raises(DamagedError, match=r"last\.pt is cut short or damaged"):
        checkpoint.restore(state, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=r"No checkpoint .*last\.pt is whole.*best\.pt"):
        checkpoint.restore_newest(state, tmp_path / "last.pt")
    assert len(kept(tmp_path / "last.pt")) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_loses_no_earlier_checkpoint(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from tiny_training import TinyData, facts, folder_of, start
from splitnest.errors import WeightsError
from splitnest.training.loop import fit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

class Filling(TinyData):
    def steps(self, begin):
        for step, parts in enumerate(super().steps(begin)):
            if step == 4:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
            yield parts

train = facts(save_every=1, length=9)
state, schedule = start(train)
try:
    fit(state, schedule, Filling(), folder_of(Path({str(tmp_path)!r}), train))
except WeightsError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "last.pt cannot be written: File too large. The earlier last.pt is as it was." in output
    steps = []
    for path in kept(tmp_path / "last.pt"):
        state, _ = start(facts())
        checkpoint.restore(state, path)
        steps.append(state.step)
    assert steps == [4, 3]
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in (".last.pt.123.part", ".best.pt.7.part", ".other.123.part"):
        (tmp_path / name).write_bytes(b"half")
    RunFolder(tmp_path, recipe_of(facts()))
    assert [path.name for path in tmp_path.glob(".*")] == [".other.123.part"]
