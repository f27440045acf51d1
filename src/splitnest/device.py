"""Where networks run."""

import torch

from splitnest.errors import UsageError
from splitnest.processes import local_rank


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
