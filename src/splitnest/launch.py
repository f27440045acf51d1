"""Starting several processes on this machine: torch's elastic launcher, which is what ``torchrun`` is."""

import os
import sys
from collections.abc import Sequence

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from splitnest.errors import Interrupted, SplitnestError, UsageError


class ProcessFailedError(SplitnestError):
    """One of several processes ended with an error, which it has printed; the others were ended."""


def launch(count: int, arguments: Sequence[str]) -> None:
    """Run the command line in several processes, without ``--devices``, and wait for them.

    Args:
        count: Processes; on a machine with GPUs one for each.
        arguments: Of the command line, behind its name.

    Raises:
        UsageError: There are fewer GPUs.
        Interrupted: This process got a signal, and the others, to which it passed it on, have ended.
        ProcessFailedError: A process failed. It has the exit code of the first one that did.
    """
    gpus = torch.cuda.device_count()
    if gpus and count > gpus:
        raise UsageError(f"--devices {count}: this machine has {gpus} GPUs. Give at most so many.")
    # As torchrun does: else each of the processes on a CPU would take all of its cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(1 if gpus else max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="splitnest",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "splitnest", *_without_devices(arguments))
    except SignalException as error:
        raise Interrupted(f"Interrupted by {error.sigval.name}; what the processes saved stands above.") from error
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        failed = ProcessFailedError(f"Process {number} of {count} ended with exit code {failure.exitcode}; see above.")
        failed.exit_code = failure.exitcode if failure.exitcode > 0 else 1
        raise failed from error


def _without_devices(arguments: Sequence[str]) -> list[str]:
    kept, skips = [], False
    for argument in arguments:
        if not skips and argument != "--devices" and not argument.startswith("--devices="):
            kept.append(argument)
        skips = argument == "--devices"
    return kept
