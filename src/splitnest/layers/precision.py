"""Where half precision ends."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Return float16 and bfloat16 values as float32, others as they are.

    Boxes and losses need it under mixed precision: bfloat16 tells pixels apart up to 256 only.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
