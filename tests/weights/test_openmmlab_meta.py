"""Metadata of OpenMMLab's checkpoints as plain values, and shapes of a checkpoint whose tensors are not read."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from splitnest.errors import WeightsError
from splitnest.weights import stored_tensors
from splitnest.weights.openmmlab_meta import MAX_VALUES, OpenMMLabMeta, read_meta
from splitnest.weights.read import read


@pytest.mark.parametrize("content", [None, [], {}, {"meta": None}, {"meta": {}}, {"meta": {"cfg": 3, "CLASSES": 3}}])
def test_no_metadata(content: object) -> None:
    meta = read_meta(content)
    assert (meta.classes, meta.config) == (None, None)
    assert not meta.dataset
    assert OpenMMLabMeta() == (None, None, {})


def test_metadata_of_both_generations() -> None:
    new = read_meta({"meta": {"cfg": "a = 1", "dataset_meta": {"classes": ("a",), "palette": [(1, 2, 3)]}}})
    assert (new.classes, new.config, new.dataset["palette"]) == (("a",), "a = 1", [[1, 2, 3]])
    old = read_meta({"meta": {"config": "a = 1", "CLASSES": ["a"], "PALETTE": [[1, 2, 3]]}})
    assert (old.classes, old.config, old.dataset["palette"]) == (("a",), "a = 1", [[1, 2, 3]])


def test_values_of_a_dataset_are_limited(tmp_path: Path) -> None:
    path, nested = tmp_path / "a.pth", [0]
    for _ in range(8):
        nested = [nested] * 100
    dataset_meta = {"large": torch.zeros(MAX_VALUES), "nested": nested, "after": 1}
    torch.save({"meta": {"dataset_meta": dataset_meta}, "state_dict": {"x": torch.zeros(1)}}, path)
    assert read(path).dataset_meta == {}


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_shapes_without_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path, state = tmp_path / "a.pth", {"x": torch.ones(3, 4), "y": torch.ones(2, dtype=torch.int64).expand(5, 2)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({key: value.numpy().copy() for key, value in state.items()}))
    else:
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=kind == "zip")
    monkeypatch.setattr(stored_tensors.Storage, "content", lambda self: pytest.fail("a tensor was read"))
    found = read(path, shapes_only=True).state
    assert all(value.is_meta for value in found.values())
    assert {k: (v.shape, v.dtype) for k, v in found.items()} == {k: (v.shape, v.dtype) for k, v in state.items()}


def test_shapes_of_a_damaged_file(tmp_path: Path) -> None:
    array = np.zeros(2)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"x": array}).replace(b"K\x02", b"K\xff", 1)[:-3])
    with pytest.raises(WeightsError, match="damaged"):
        read(path, shapes_only=True)
