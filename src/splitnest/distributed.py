"""Distributed training and evaluation: process group, collectives, DDP wrapping, and launch of local processes.

Without a process group every collective returns the value of the only process. Collective functions must be called by
all processes in the same order.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from splitnest.errors import Interrupted, SplitnestError, UsageError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""Time limit of a collective: the main process may be writing a checkpoint or drawing pictures meanwhile."""

PEER_EXIT_GRACE_S = 3.0
"""Delay before a process that lost a peer exits, so that the launcher reports the peer's error first."""


class PeerLostError(SplitnestError):
    """Another process of the group exited during a collective."""


class ProcessFailedError(SplitnestError):
    """A launched process failed. It has printed its error; the other processes were terminated."""


def is_launched() -> bool:
    """Return whether ``torchrun`` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group that ``torchrun`` describes, and destroy it on exit; no effect in a single process.

    CPU tensors use gloo, CUDA tensors NCCL.

    Raises:
        PeerLostError: Another process exited, so collectives cannot complete.
    """
    if not is_launched() or dist.is_initialized():
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank())
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in ("gloo", "NCCL", "Connection")):
            raise
        time.sleep(PEER_EXIT_GRACE_S)
        raise PeerLostError("Another process of the group exited. See its message for the reason.") from error
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return the number of processes of the group; 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Return the rank among the processes of this machine, which is the index of the GPU to use."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main_process() -> bool:
    """Return whether this process has rank 0; it alone writes files and prints."""
    return rank() == 0


def print_once(text: str) -> None:
    """Print a line in the main process only."""
    if is_main_process():
        print(text, flush=True)


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; collective."""
    if not dist.is_initialized():
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def all_reduce_masked_mean(values: Tensor, is_valid: bool) -> Tensor:
    """Return the mean of a tensor over the processes where it is valid; unchanged if there are none; collective."""
    if not dist.is_initialized():
        return values
    total = torch.cat([values.detach().flatten() * is_valid, values.new_tensor([is_valid])])
    dist.all_reduce(total)
    return (total[:-1] / total[-1]).view_as(values) if total[-1] else values


def all_reduce_max(*values: int) -> list[int]:
    """Return the maximum of each integer over all processes; collective."""
    if not dist.is_initialized():
        return list(values)
    maxima = torch.tensor(values)
    dist.all_reduce(maxima, dist.ReduceOp.MAX)
    return maxima.tolist()


def loss_normalizer(count: int | Tensor, like: Tensor, minimum: int = 1) -> Tensor | float:
    """Return the normalizer of a summed loss: the mean over all processes of the number of its terms; collective.

    DistributedDataParallel averages gradients over processes. A sum divided by the mean count therefore has the
    gradient of one process that sees the images of all.

    Args:
        count: Number of terms in this process.
        like: Tensor whose device is used.
        minimum: Lower bound of the total count over all processes.
    """
    if not dist.is_initialized():
        return count.clamp(min=minimum) if isinstance(count, Tensor) else max(count, minimum)
    total = torch.as_tensor(count, dtype=torch.float64, device=like.device).clone()
    dist.all_reduce(total)
    return total.clamp(min=minimum) / world_size()


def gather_to_main(value: T) -> list[T]:
    """Return the values of all processes, in rank order, in the main process; an empty list elsewhere; collective.

    Values are pickled, so they should be compact.
    """
    if not dist.is_initialized():
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main_process() else None
    dist.gather_object(value, values)
    return values or []


def broadcast_from_main(make: Callable[[], T]) -> T:
    """Call ``make`` in the main process and return its result in all processes; collective."""
    if not dist.is_initialized():
        return make()
    values: list[Any] = [make() if is_main_process() else None]
    dist.broadcast_object_list(values)
    value: T = values[0]
    return value


def broadcast_weights(module: nn.Module) -> None:
    """Give a module the parameters and buffers of that of the main process; collective."""
    if dist.is_initialized():
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.detach(), 0)


def wrap_ddp(network: nn.Module, device: torch.device, *, finds_unused: bool = False) -> nn.Module:
    """Return ``network`` wrapped in DistributedDataParallel, or unchanged in a single process.

    Args:
        network: Network on its device.
        device: Device of the network.
        finds_unused: Whether parameters may have no part in the loss, for which each step searches its graph.
    """
    if world_size() == 1:
        return network
    device_ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids, find_unused_parameters=finds_unused)


def no_sync_unless(is_last: bool, network: nn.Module) -> AbstractContextManager[None]:
    """Skip gradient synchronization of a DDP network inside the context, except for the last accumulated part."""
    if is_last or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    no_sync: AbstractContextManager[None] = network.no_sync()
    return no_sync


def convert_sync_batchnorm(module: nn.Module, device: torch.device) -> nn.Module:
    """Convert batch normalization to SyncBatchNorm where several processes train on CUDA.

    SyncBatchNorm refuses CPU tensors once a process group exists. Names of parameters and buffers do not change.
    """
    if device.type != "cuda" or world_size() == 1:
        return module
    return nn.SyncBatchNorm.convert_sync_batchnorm(module)


def check_devices(num_processes: int) -> None:
    """Raise a UsageError if this machine has GPUs, but fewer than a number of processes."""
    gpus = torch.cuda.device_count()
    if gpus and num_processes > gpus:
        raise UsageError(f"--devices {num_processes}: this machine has {gpus} GPUs. Use at most that many.")


def launch(num_processes: int, arguments: Sequence[str]) -> None:
    """Run ``python -m splitnest`` in several local processes through torch's elastic launcher, and wait for them.

    Args:
        num_processes: Number of processes, at most the number of GPUs where there are any.
        arguments: Command line arguments of each process.

    Raises:
        UsageError: The machine has fewer GPUs.
        Interrupted: This process received a signal and forwarded it, and the others have exited.
        ProcessFailedError: A process failed; the error has the exit code of the first one that did.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    check_devices(num_processes)
    gpus = torch.cuda.device_count()
    # As torchrun does; otherwise each process on a CPU would use all of its cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(1 if gpus else max(1, (os.cpu_count() or 1) // num_processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id="splitnest",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "splitnest", *arguments)
    except SignalException as error:
        raise Interrupted(f"Interrupted by {error.sigval.name}; see above for what the processes saved.") from error
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        failed = ProcessFailedError(
            f"Process {number} of {num_processes} exited with code {failure.exitcode}; see above."
        )
        failed.exit_code = failure.exitcode if failure.exitcode > 0 else 1
        raise failed from error
