"""Names of wrappers in the keys of a state dict."""

from itertools import permutations
from pathlib import Path

import pytest
import torch

from splitnest.weights.read import read
from splitnest.weights.wrappers import PREFIXES, ema_copies, unwrapped_keys

KEYS = ["stem.0.weight", "layer1.0.conv.weight"]


def test_no_keys() -> None:
    assert unwrapped_keys([]) == {}
    assert ema_copies([]) == []


@pytest.mark.parametrize("prefix", ["", *PREFIXES, *map("".join, permutations(PREFIXES[:3]))])
def test_prefixes(prefix: str) -> None:
    assert list(unwrapped_keys([prefix + key for key in KEYS]).values()) == KEYS


def test_wrappers_of_parts() -> None:
    keys = [
        "module.stem.0.weight",
        "module.layer1._fsdp_wrapped_module.0._checkpoint_wrapped_module._orig_mod.conv.weight",
    ]
    assert list(unwrapped_keys(keys).values()) == KEYS


@pytest.mark.parametrize("other", ["b", "modules.b", "module"])
def test_prefix_of_some_keys_stays(other: str) -> None:
    assert list(unwrapped_keys(["module.a", other]).values()) == ["module.a", other]


def test_keys_that_would_be_equal_stay() -> None:
    keys = ["a._orig_mod.b", "a.b"]
    assert list(unwrapped_keys(keys).values()) == keys


def test_copies_of_an_average(tmp_path: Path) -> None:
    """``AveragedModel`` of torch has a counter, and mmcv's ``EMAHook`` a buffer for each weight."""
    path = tmp_path / "a.pth"
    torch.save({"model_ema": {"n_averaged": torch.tensor(3), "module.a.b": torch.ones(1)}}, path)
    checkpoint = read(path)
    assert (list(checkpoint.state), checkpoint.ema_copies) == (["a.b"], ("n_averaged",))
    torch.save({"state_dict": {"a.b": torch.ones(1), "ema_a_b": torch.zeros(1), "ema_c": torch.ones(1)}}, path)
    checkpoint = read(path)
    assert (list(checkpoint.state), checkpoint.ema_copies) == (["a.b", "ema_c"], ("ema_a_b",))
    torch.save({"n_averaged": torch.ones(1)}, path)
    assert list(read(path).state) == ["n_averaged"]
