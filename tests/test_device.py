"""Settings for GPUs, which have no effect on the CPU."""

import torch

from splitnest.device import float32_matmul_precision
from splitnest.structures.instances import Instances, copy_to


def test_matmul_precision_is_left_alone_on_the_cpu() -> None:
    before = torch.get_float32_matmul_precision()
    with float32_matmul_precision("medium", torch.device("cpu")):
        assert torch.get_float32_matmul_precision() == before


def test_matmul_precision_is_restored() -> None:
    before = torch.get_float32_matmul_precision()
    with float32_matmul_precision("medium", torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before


def test_copies_on_the_cpu() -> None:
    tensor = torch.arange(3.0)
    assert copy_to(tensor, torch.device("cpu")) is tensor
    assert copy_to(tensor, torch.device("cpu"), torch.float64).dtype == torch.float64
    masks = torch.ones(2, 4, 4, dtype=torch.bool)
    instances = Instances(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), list(masks))
    moved = instances.to(torch.device("cpu"), torch.float64)
    assert (moved.boxes.dtype, len(moved.masks or ())) == (torch.float64, 2)
