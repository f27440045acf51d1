"""Rules for training in several processes."""

import torch
from torch import nn


def num_processes() -> int:
    """Return how many processes train together; 1 where there is no process group."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def synchronise_norms(module: nn.Module, device: torch.device, processes: int) -> nn.Module:
    """Return ``module`` with batch normalisation over the batches of all processes, where that is possible.

    It is on CUDA alone: ``SyncBatchNorm`` refuses the CPU as soon as a process group exists. One process has nothing to
    synchronise. The names of parameters and buffers stay as they are.
    """
    if device.type != "cuda" or processes == 1:
        return module
    return nn.SyncBatchNorm.convert_sync_batchnorm(module)
