"""Machine that a recipe is written for."""

import os
from dataclasses import dataclass

import torch

from splitnest.device import pick_device, pick_dtype
from splitnest.errors import UsageError

SMALL_GPU_GB = 4.0
"""Memory of a GPU under which the small models for CPUs are chosen."""


@dataclass(frozen=True)
class Machine:
    """Computing power of a machine.

    Attributes:
        cores: Number of CPU cores that this process may use.
        gpu_gb: Memory of the GPU in GB; None without one.
        has_bf16: Whether bfloat16 is faster than float32.
    """

    cores: int
    gpu_gb: float | None
    has_bf16: bool

    @property
    def is_small(self) -> bool:
        """Whether small models are chosen, which train on a CPU within minutes."""
        return self.gpu_gb is None or self.gpu_gb < SMALL_GPU_GB

    @property
    def precision(self) -> str:
        """Precision of the training."""
        return "bf16" if self.has_bf16 else "fp32"

    @property
    def workers(self) -> int:
        """Number of data loading processes."""
        return min(8, max(1, self.cores // 2))

    def __str__(self) -> str:
        if self.gpu_gb is not None:
            return f"a GPU with {self.gpu_gb:.0f} GB"
        return f"{self.cores} CPU core{'s' if self.cores > 1 else ''} without a GPU"


def this_machine() -> Machine:
    """Return the machine of this process."""
    device = pick_device("auto")
    gpu_gb = torch.cuda.get_device_properties(device).total_memory / 1e9 if device.type == "cuda" else None
    try:
        pick_dtype("bf16", device)
    except UsageError:
        has_bf16 = False
    else:
        has_bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores, gpu_gb, has_bf16)
