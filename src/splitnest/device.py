"""Where networks run, and what they compute in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from splitnest.errors import UsageError
from splitnest.processes import local_rank

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""By the names of precisions."""


def pick_device(device: str | torch.device) -> torch.device:
    """Return the device of that name; ``"auto"`` is CUDA where there is one, the process's own, else the CPU.

    Raises:
        UsageError: There is no such device, or torch cannot use it.
    """
    if device == "auto":
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built for the CPU alone
        raise UsageError(f"There is no device {str(device)!r} here; use auto, cpu, cuda or cuda:0.") from error


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of that name.

    Raises:
        UsageError: There is no such type, or the device computes it more slowly than float32.
    """
    if precision not in DTYPES:
        raise UsageError(f"There is no precision {precision!r}; use {', '.join(DTYPES)}.")
    if device.type == "cpu" and not _is_quick_on_cpu(precision):
        raise UsageError(
            f"This processor has no arithmetic for {precision}, which would be slower than fp32: leave precision out."
        )
    return DTYPES[precision]


def _is_quick_on_cpu(precision: str) -> bool:
    match precision:
        case "bf16":
            return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        case "fp16":
            return torch.cpu._is_amx_fp16_supported()
        case _:
            return True


@contextmanager
def on_meta() -> Iterator[None]:
    """Build a network on the meta device: shapes and types, neither memory nor initial values."""
    with torch.device("meta"), _NothingToDraw():
        yield


class _NothingToDraw(TorchFunctionMode):
    """Leaves out ``normal_``, which on the meta device imports torch's compiler for a second, and does nothing then."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.normal_ and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
