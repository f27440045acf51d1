"""Memory estimate of a training step, computed on the meta device."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from splitnest.device import on_meta
from splitnest.distributed import world_size
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, Training, required_training
from splitnest.tasks import task_of


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


def estimate_memory(recipe: Recipe) -> Memory:
    """Estimate the memory of a training step at the largest input size.

    The layers run on the meta device, and the tensors that autograd keeps are counted once each. A detector is counted
    with as many regions as its losses sample. Not counted are the libraries themselves (about 0.5 GB on a GPU), the
    workspaces of convolutions, and temporary tensors of a detector's losses.
    """
    train_cfg = required_training(recipe)
    with on_meta():
        module = build_model(recipe).to("meta")  # models of timm may have parts that are not
        images = torch.empty(images_per_forward(train_cfg), 3, *task_of(recipe).max_training_size(recipe))
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    dtype = torch.float32 if train_cfg.precision == "fp32" else torch.bfloat16
    module.to(dtype)
    saved = _SavedTensors(module)
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        module.run_training_layers(images.to(dtype))
    return Memory(
        weights=size + (0 if train_cfg.ema_decay is None else size) + (0 if dtype == torch.float32 else size // 2),
        gradients=4 * trainable,
        optimizer=4 * trainable * (1 if train_cfg.optimizer.type == "sgd" else 2),
        activations=saved.total,
    )


def images_per_forward(train_cfg: Training) -> int:
    """Return the maximum number of images in a forward pass of one process."""
    return -(-train_cfg.batch_size // (train_cfg.accumulate * world_size()))


class _SavedTensors:
    """Total memory of the tensors that autograd keeps, without those of the module itself."""

    def __init__(self, module: nn.Module) -> None:
        self.total = 0
        self._tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
        self._known = {StorageWeakRef(tensor.untyped_storage()) for tensor in self._tensors}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference not in self._known:
            self._known.add(reference)
            self._tensors.append(tensor)  # keeps the storage alive, so that no other one gets its address
            self.total += storage.nbytes()
        return tensor
