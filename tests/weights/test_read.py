"""Checkpoint files: container formats, wrappers, damage, objects beside the weights."""

import pickle
import struct
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.checkpoint_files import ARRAYS, CONTAINERS, Save, check_state, state
from helpers.foreign_classes import CfgNode
from helpers.training_tools import contents, tools
from splitnest.errors import DamagedError, WeightsError
from splitnest.weights.checksum import add_checksum
from splitnest.weights.read import read, read_recipe_json


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"epoch,loss\n1,0.5\n", "is not a checkpoint"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"\x1f\x8b" + bytes(50), "compressed archive"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX file"),
        (b'<?xml version="1.0"?>\n<net name="a">', "program of OpenVINO"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is not a checkpoint"),
        (b"PK\x03\x04" + bytes(200), "damaged or incomplete"),
        (struct.pack("<Q", 50) + b"{" + bytes(5), "damaged or incomplete"),
        (b"\x80\x04\x95", "damaged or incomplete"),
        (b"cos", "damaged or incomplete"),
    ],
)
def test_other_file_is_an_error(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_missing_file_is_an_error(tmp_path: Path, kind: str) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path / "absent" if kind == "absent" else tmp_path)


@pytest.mark.parametrize("content", [{}, [], 3, {"meta": {"epoch": 3}}, {"state_dict": {}}, {"state_dict": {"a": 1}}])
def test_file_without_tensors_is_an_error(path: Path, save: Save, content: object) -> None:
    save(content, path)
    with pytest.raises(WeightsError, match="no named tensors"):
        read(path)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match="no named tensors"):
        read(path)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "blobs"])
def test_wrapped_state_dict(path: Path, save: Save, wrapper: str | None) -> None:
    save({wrapper: state(), "iteration": 3, "optimizer": {"state": {0: torch.ones(9)}}} if wrapper else state(), path)
    checkpoint = read(path)
    assert checkpoint.kind == "torch"
    assert checkpoint.recipe_json is None
    check_state(checkpoint.state)


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema"])
def test_moving_average_of_timm_is_taken(
    path: Path, save: Save, entry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    average = {key: tensor + 1 for key, tensor in state().items()}
    save({"state_dict": state(), entry: average, "epoch": 3}, path)
    assert read(path).state["a.weight"].tolist() == average["a.weight"].tolist()
    note = capsys.readouterr().err
    assert f"{entry} is loaded, the exponential moving average" in note
    assert f"{path}#state_dict" in note
    check_state(read(f"{path}#state_dict").state)
    assert read(f"{path}#{entry}").state["a.weight"].tolist() == average["a.weight"].tolist()
    assert not capsys.readouterr().err  # who chooses needs no note
    save({entry: average}, path)
    assert read(path).state["a.weight"].tolist() == average["a.weight"].tolist()
    save({"state_dict": state(), entry: None}, path)
    check_state(read(path).state)
    assert not capsys.readouterr().err


def test_moving_average_of_mmengine_is_its_state_dict(path: Path, save: Save) -> None:
    """Its hook swaps the two before it saves."""
    save({"state_dict": state(), "ema_state_dict": {key: tensor + 1 for key, tensor in state().items()}}, path)
    check_state(read(path).state)


def test_entries_can_be_chosen(path: Path, save: Save) -> None:
    save({"generator": state(), "other": {}, "epoch": 3}, path)
    check_state(read(f"{path}#generator").state)
    with pytest.raises(WeightsError, match=r"no entry 'absent'\. Its entries are generator, other"):
        read(f"{path}#absent")
    with_sign = path.with_name("a#b.pth")
    save(state(), with_sign)
    check_state(read(with_sign).state)


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_other_entries_are_named(path: Path, save: Save) -> None:
    save({**state(), "epoch": 3, "sparse": torch.eye(2).to_sparse()}, path)
    checkpoint = read(path)
    check_state(checkpoint.state)
    assert checkpoint.not_tensors == ("epoch", "sparse")


def test_safetensors(path: Path) -> None:
    save_file(state(), path, {"format": "pt"})
    checkpoint = read(path)
    assert (checkpoint.kind, checkpoint.recipe_json) == ("safetensors", None)
    assert {key: tensor.tolist() for key, tensor in checkpoint.state.items()} == {
        key: tensor.tolist() for key, tensor in state().items()
    }
    save_file(state(), path, {"format": "splitnest", "recipe": "{}"})
    assert read(path).recipe_json == "{}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("container", [*CONTAINERS, "pickle"])
def test_truncated_file_is_an_error(path: Path, container: str, fraction: float) -> None:
    if container == "pickle":
        path.write_bytes(pickle.dumps({"model": ARRAYS}))
    else:
        CONTAINERS[container]({"state_dict": {"a": torch.ones(5000)}}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(20, int(fraction * len(whole)))])
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


# OpenMMLab


@pytest.mark.parametrize(
    "meta",
    [
        {"CLASSES": ("cat", "dog"), "mmdet_version": "2.4.0", "hook_msgs": {"best": np.float64(0.5)}},
        {"dataset_meta": {"classes": ["cat", "dog"], "palette": [(1, 2, 3)]}, "epoch": 12, "iter": np.int64(3)},
    ],
)
def test_class_names(path: Path, save: Save, meta: dict[str, Any]) -> None:
    save({"meta": meta, "state_dict": OrderedDict(state())}, path)
    checkpoint = read(path)
    assert checkpoint.classes == ("cat", "dog")
    check_state(checkpoint.state)


@pytest.mark.parametrize(
    "meta", [None, {}, {"CLASSES": None}, {"CLASSES": "cat"}, {"dataset_meta": {"classes": [1, 2]}}]
)
def test_without_class_names(path: Path, save: Save, meta: object) -> None:
    save({"meta": meta, "state_dict": state()}, path)
    assert read(path).classes is None


with tools():
    KINDS = list(contents())


@pytest.mark.parametrize("container", [*CONTAINERS, "protocol 4", "pickle"])
@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_training_tools(path: Path, kind: str, container: str) -> None:
    """Tensors are read whatever else is in a file, and nothing of it is called."""
    weights: dict[str, Any] = {key: tensor.numpy() for key, tensor in state().items()}
    with tools():
        other = contents()[kind]
        if container != "pickle":
            content = {"meta": {"seed": 0, "extra": other}, "state_dict": OrderedDict(state()), "more": other}
            (CONTAINERS.get(container) or partial(torch.save, pickle_protocol=4))(content, path)
        elif kind in ("random states", "state of a generator", "sparse tensor"):
            return  # have tensors, which only torch files can have
        else:
            path.write_bytes(pickle.dumps({"model": weights, "extra": other}))
    check_state(read(path).state)


def test_methods_of_the_log_of_mmengine(path: Path, save: Save) -> None:
    """They are pickled as ``getattr(HistoryBuffer, "min")``; ``getattr`` of other objects stays refused."""
    with tools():
        save({"message_hub": contents()["message hub"], "state_dict": state()}, path)
    assert b"getattr" in path.read_bytes()
    check_state(read(path).state)


def test_class_names_in_a_configuration(path: Path, save: Save) -> None:
    with tools():
        meta = {"dataset_meta": CfgNode({"CLASSES": ("cat", "dog")})}
        save({"meta": meta, "state_dict": state()}, path)
    assert read(path).classes == ("cat", "dog")


# checksums of our checkpoints


def test_checkpoint_with_a_checksum(path: Path) -> None:
    with path.open("w+b") as file:
        torch.save({"format": "splitnest", "state_dict": state()}, file)
        add_checksum(file)
    check_state(read(path).state)
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) - 40, len(whole) - 75):  # in the data, the hash, and the text before it
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match="SHA-256 checksum does not match"):
            read(path)
        with pytest.raises(DamagedError):
            read_recipe_json(path)
    path.write_bytes(whole[:-30])
    with pytest.raises(WeightsError):
        read(path)
    torch.save({"format": "splitnest", "state_dict": state()}, path)  # written anew by its user
    check_state(read(path).state)
