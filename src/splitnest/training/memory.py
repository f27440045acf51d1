"""Memory estimate of a training step, computed on the meta device."""

import os
import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from splitnest.device import on_meta
from splitnest.distributed import world_size
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, Training, required_training
from splitnest.tasks import task_of

USABLE_FRACTION = 0.8
"""Fraction of the memory that an estimated step may take; the rest is for workspaces and libraries."""


class Memory(NamedTuple):
    """Memory of one process in bytes.

    Attributes:
        weights: Parameters and buffers, their EMA, and their copies in half precision.
        gradients: Gradients of the trainable parameters.
        optimizer: States of the optimizer.
        activations: Tensors that the forward pass keeps for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value / 2**20:.0f}" for name, value in self._asdict().items())
        return f"about {sum(self) / 2**20:.0f} MB ({parts})"


def estimate_memory(recipe: Recipe, processes: int | None = None) -> Memory:
    """Estimate the memory of a training step at the largest input size, in one of several processes.

    The layers run on the meta device, and the tensors that autograd keeps are counted once each. A detector is counted
    with as many regions as its losses sample, and of ``checkpoint_stages`` one at a time. Not counted are the libraries
    themselves (about 0.5 GB on a GPU), the workspaces of convolutions, and temporary tensors of a detector's losses.
    """
    train_cfg = required_training(recipe)
    with on_meta():
        module = build_model(recipe).to("meta")  # models of timm may have parts that are not
        images = torch.empty(images_per_forward(train_cfg, processes), 3, *task_of(recipe).max_training_size(recipe))
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    dtype = torch.float32 if train_cfg.precision == "fp32" else torch.bfloat16
    module.to(dtype)
    saved = _SavedTensors(module)
    backbone: Any = module.backbone
    for name in getattr(backbone, "checkpoint_stages", ()):
        saved.recompute(name, backbone.get_submodule(name))
    backbone.checkpoint_stages = frozenset()
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        module.run_training_layers(images.to(dtype))
    return Memory(
        weights=size + (0 if train_cfg.ema_decay is None else size) + (0 if dtype == torch.float32 else size // 2),
        gradients=4 * trainable,
        optimizer=4 * trainable * (1 if train_cfg.optimizer.type == "sgd" else 2),
        activations=saved.total,
    )


def images_per_forward(train_cfg: Training, processes: int | None = None) -> int:
    """Return the maximum number of images in a forward pass of one process; None for the processes of the group."""
    return -(-train_cfg.num_images // (train_cfg.accumulate * (processes or world_size())))


def total_memory(device: torch.device) -> int | None:
    """Return the memory in bytes that a process may use on a device; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return installed if limit == resource.RLIM_INFINITY else min(limit, installed)


class _SavedTensors:
    """Memory of the tensors that autograd keeps, without those of the module itself."""

    def __init__(self, module: nn.Module) -> None:
        self._kept = 0
        self._recomputed: dict[str, int] = {}
        self._stage: str | None = None
        self._tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
        self._known = {StorageWeakRef(tensor.untyped_storage()) for tensor in self._tensors}

    @property
    def total(self) -> int:
        """Memory in bytes. One recomputed stage at a time is in memory."""
        return self._kept + max(self._recomputed.values(), default=0)

    def recompute(self, name: str, stage: nn.Module) -> None:
        """Count the tensors of a stage apart, as it is recomputed in the backward pass from its input."""

        def enter(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.add(inputs[0])
            self._stage = name

        def leave(*_: object) -> None:
            self._stage = None

        stage.register_forward_pre_hook(enter)
        stage.register_forward_hook(leave)

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference in self._known:
            return tensor
        self._known.add(reference)
        self._tensors.append(tensor)  # keeps the storage alive, so that no other one gets its address
        if self._stage is None:
            self._kept += storage.nbytes()
        else:
            self._recomputed[self._stage] = self._recomputed.get(self._stage, 0) + storage.nbytes()
        return tensor
