"""A network that several processes train together."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from splitnest import processes


def shared(network: nn.Module, device: torch.device) -> nn.Module:
    """Return ``network`` with its gradients averaged over all processes; of one process the network itself."""
    if processes.world_size() == 1:
        return network
    return DistributedDataParallel(network, [device.index] if device.type == "cuda" else None)


def not_yet_shared(network: nn.Module, is_last: bool) -> AbstractContextManager[None]:
    """Keep the gradients of a part of a batch to this process, unless it is the last part."""
    if is_last or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    unsynchronised: AbstractContextManager[None] = network.no_sync()
    return unsynchronised


def synchronise_norms(module: nn.Module, device: torch.device, num_processes: int) -> nn.Module:
    """Return ``module`` with batch normalisation over the batches of all processes, where that is possible.

    It is on CUDA alone: ``SyncBatchNorm`` refuses the CPU as soon as a process group exists. One process has nothing to
    synchronise. The names of parameters and buffers stay as they are.
    """
    if device.type != "cuda" or num_processes == 1:
        return module
    return nn.SyncBatchNorm.convert_sync_batchnorm(module)
