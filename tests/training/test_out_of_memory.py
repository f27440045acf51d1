"""Errors of exhausted memory, which name a batch size that would fit."""

import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from helpers import image_tree
from helpers.processes import run_function, start_function
from helpers.tiny_detector import CONTENT
from helpers.tiny_training import recipe_of, train_config
from splitnest.device import is_out_of_memory
from splitnest.errors import UsageError
from splitnest.training.memory import Memory
from splitnest.training.out_of_memory import explain, plain_memory_errors, total_memory

CPU = torch.device("cpu")
MB = 2**20
UNTYPED = [RuntimeError("could not create a primitive"), RuntimeError("std::bad_alloc"), OSError(12, "fork")]
"""Errors that say so in their text or number alone; the first is oneDNN's."""


def test_other_errors_are_unchanged() -> None:
    unsupported = RuntimeError("could not create a primitive descriptor for a convolution")
    for error in (RuntimeError("sizes do not match"), ValueError("not enough memory"), OSError(2, "x"), unsupported):
        assert not is_out_of_memory(error)
        with pytest.raises(type(error)), plain_memory_errors(recipe_of(train_config()), CPU):
            raise error


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), *UNTYPED])
def test_memory_errors_name_a_batch_size(error: Exception) -> None:
    with (
        pytest.raises(UsageError, match=r"^Memory ran out\. A step with 4 images .* set train\.batch_size=2"),
        plain_memory_errors(recipe_of(train_config()), CPU),
    ):
        raise error


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "total_mb", "expected"),
    [
        (16, 1, 1000, r"16 images in a forward pass .* cpu has 1000 MB\. .*batch_size=5 .*accumulate=4"),
        (16, 2, 1000, "8 images in a forward pass .* 2 would fit: set train.batch_size=4 .*accumulate=8"),
        (12, 1, 1100, "set train.batch_size=4 .*accumulate=3"),
        (16, 1, 9000, "set train.batch_size=8 .*accumulate=2"),  # the estimate would allow all
        (16, 1, 200, "Not even one image fits"),
        (16, 1, None, r"activations 1600\)\. About 8 would fit"),
        (1, 1, 1000, "Not even one image fits"),
    ],
)
def test_largest_batch_size_that_fits(batch_size: int, accumulate: int, total_mb: int | None, expected: str) -> None:
    memory = Memory(100 * MB, 100 * MB, 100 * MB, 1600 * MB)
    train_cfg = train_config(batch_size=batch_size, accumulate=accumulate)
    text = explain(memory, train_cfg, CPU, None if total_mb is None else total_mb * MB)
    assert re.search(expected, text), text


def test_memory_of_this_machine_is_known() -> None:
    total = total_memory(CPU)
    assert total is None or total > 100 * MB


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_full_gpu_is_a_usage_error() -> None:
    device = torch.device("cuda")
    with pytest.raises(UsageError, match="cuda has"), plain_memory_errors(recipe_of(train_config()), device):
        torch.empty(total_memory(device), dtype=torch.float32, device=device)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_training_without_enough_memory_is_a_usage_error(tmp_path: Path) -> None:
    from helpers.limited_resources import train_with_limited_memory

    output = run_function(train_with_limited_memory, tmp_path, log=tmp_path / "log")
    message = r"^2 Memory ran out\. A step with 4 images .* takes about \d+ MB .* has \d+ MB"
    assert re.search(message, output, re.MULTILINE), output


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_prediction_without_enough_memory_is_a_usage_error(tmp_path: Path) -> None:
    from helpers.limited_resources import predict_with_limited_memory

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONTENT | {"input": {"short_side": 1600, "long_side": 2400}}))
    image_tree.write(tmp_path / "image.png", size_wh=(240, 160))
    process = start_function(
        predict_with_limited_memory, tmp_path / "tiny.yaml", tmp_path / "image.png", log=tmp_path / "log"
    )
    process.join(60)
    text = (tmp_path / "log").read_text()
    assert process.exitcode == 2, text
    assert "error: Memory ran out (" in text
    assert "Traceback" not in text
