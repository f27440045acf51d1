"""Promotion of half precision to float32."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Return float16 and bfloat16 values as float32, and others unchanged.

    Boxes and losses need it under mixed precision: bfloat16 represents integers exactly only up to 256.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
