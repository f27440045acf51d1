"""What is said when memory runs out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import facts, recipe_of

from splitnest.errors import UsageError
from splitnest.training.memory import Memory
from splitnest.training.out_of_memory import explain, is_out_of_memory, plain_memory_errors, total_memory

CPU = torch.device("cpu")
MB = 2**20


def test_other_errors_pass() -> None:
    for error in (RuntimeError("sizes do not match"), ValueError("not enough memory")):
        assert not is_out_of_memory(error)
        with pytest.raises(type(error)), plain_memory_errors(recipe_of(facts()), facts(), CPU):
            raise error


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_errors_of_gpu_and_machine(error: Exception) -> None:
    with (
        pytest.raises(UsageError, match=r"^Memory ran out\. A step with 4 images .* set train\.batch_size=2"),
        plain_memory_errors(recipe_of(facts()), facts(), CPU),
    ):
        raise error


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "total_mb", "expected"),
    [
        (16, 1, 1000, "16 images in a forward pass .* cpu has 1000 MB in all. .*batch_size=5, .*accumulate=4"),
        (16, 2, 1000, "8 images in a forward pass .* 2 would fit: set train.batch_size=4, .*accumulate=8"),
        (12, 1, 1100, "set train.batch_size=4, .*accumulate=3"),
        (16, 1, 9000, "set train.batch_size=8, .*accumulate=2"),  # the estimate says that all fit
        (16, 1, 200, "Not even one image would fit"),
        (16, 1, None, r"activations 1600\). By the estimate 8 would fit"),
        (1, 1, 1000, "Not even one image would fit"),
    ],
)
def test_which_batch_would_fit(batch_size: int, accumulate: int, total_mb: int | None, expected: str) -> None:
    memory = Memory(100 * MB, 100 * MB, 100 * MB, 1600 * MB)
    train = facts(batch_size=batch_size, accumulate=accumulate)
    text = explain(memory, train, CPU, None if total_mb is None else total_mb * MB)
    assert re.search(expected, text), text


def test_the_memory_of_this_machine() -> None:
    total = total_memory(CPU)
    assert total is None or total > 100 * MB


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_is_full() -> None:
    device = torch.device("cuda")
    with pytest.raises(UsageError, match="cuda has"), plain_memory_errors(recipe_of(facts()), facts(), device):
        torch.empty(total_memory(device), dtype=torch.float32, device=device)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_a_training_that_runs_out_of_memory(tmp_path: Path) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import yaml, torch
from pathlib import Path
from test_trainer import CONTENT
from splitnest.trainer import train
from splitnest.errors import UsageError
from splitnest.training import loop
take = loop.train_step

def limited(*arguments):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20, resource.RLIM_INFINITY))
    return take(*arguments)

loop.train_step = limited
path = Path({str(tmp_path)!r}) / "tiny.yaml"
size = {{"data.scenes.height": 640, "data.scenes.width": 960, "train.short_sides": [640], "train.long_side": 960}}
path.write_text(yaml.safe_dump(CONTENT))
try:
    train(path, size, out=path.parent / "run", device="cpu")
except UsageError as error:
    print(error.exit_code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert re.search(
        r"^2 Memory ran out\. A step with 4 images .* takes about \d+ MB .* has \d+ MB", done.stdout, re.M
    ), done
