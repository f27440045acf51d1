"""Device and dtype selection, and construction of networks on the meta device."""

import errno
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from splitnest.distributed import local_rank
from splitnest.errors import UsageError

_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|Cannot allocate memory|bad_alloc|bad allocation|out of memory"
    r"|ALLOC_FAILED|could not create a primitive(?! descriptor)|could not execute a primitive"
)
"""Messages of torch's allocators, of mmap, of C++, of CUDA's libraries, and of oneDNN, which cannot allocate code."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""dtype of each precision."""


def pick_device(device: str | torch.device) -> torch.device:
    """Return a device.

    Args:
        device: Name of the device; ``auto`` is the CUDA device of this process if CUDA is available, otherwise the CPU.

    Raises:
        UsageError: The device does not exist, or torch cannot use it.
    """
    if device == "auto":
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        chosen = torch.empty(0, device=device).device
        if chosen.type != "meta" and (chosen.type != "cpu" or not chosen.index):
            return chosen
        error: Exception = RuntimeError(f"{chosen} cannot run a network")
    except (RuntimeError, AssertionError) as failure:  # AssertionError: CPU-only build of torch
        error = failure
    raise UsageError(f"There is no device {str(device)!r}. Use {_devices()}.") from error


def _devices() -> str:
    """Return the names of the devices of this machine for a message."""
    count = torch.cuda.device_count()
    if not count:
        return "auto or cpu: torch finds no CUDA device here ('splitnest doctor' shows what it finds)"
    return ", ".join(("auto", "cpu", "cuda", *(f"cuda:{index}" for index in range(count))))


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of a precision.

    Args:
        precision: Name of the precision.
        device: Device that runs the network.

    Raises:
        UsageError: There is no such precision, or it is slower than fp32 on this device.
    """
    if precision not in DTYPES:
        raise UsageError(f"There is no precision {precision!r}. Use {', '.join(DTYPES)}.")
    if device.type == "cpu" and not _is_fast_on_cpu(precision):
        raise UsageError(f"This CPU has no {precision} instructions, so {precision} is slower than fp32. Use fp32.")
    return DTYPES[precision]


def _is_fast_on_cpu(precision: str) -> bool:
    match precision:
        case "bf16":
            return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        case "fp16":
            return torch.cpu._is_amx_fp16_supported()
        case _:
            return True


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a GPU or of the machine ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


@contextmanager
def float32_matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Set torch's precision of float32 matrix products inside this context, for a CUDA device only.

    Args:
        precision: ``highest``, ``high`` (TensorFloat32) or ``medium`` (bfloat16).
        device: Device that runs the network; nothing changes on a CPU.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.set_float32_matmul_precision(before)


@contextmanager
def on_meta() -> Iterator[None]:
    """Construct networks on the meta device inside this context: shapes and dtypes without memory or initialization."""
    with torch.device("meta"), _SkipNormalInit():
        yield


class _SkipNormalInit(TorchFunctionMode):
    """Mode that skips ``normal_`` on the meta device: a no-op that takes a second to import torch's compiler."""

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
