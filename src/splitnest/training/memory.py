"""How much memory a training step takes, estimated without taking it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from splitnest.batch import Batch
from splitnest.build import build_model
from splitnest.detection import box_head, mask_head
from splitnest.detection.panoptic import PanopticFPN
from splitnest.detection.rcnn import RCNN
from splitnest.detection.roi_loss import POSITIVE_SHARE
from splitnest.detection.semantic_head import semantic_loss
from splitnest.device import on_meta
from splitnest.model import Model
from splitnest.processes import world_size
from splitnest.recipe import (
    ClassificationRecipe,
    ClassificationTraining,
    DetectionRecipe,
    DetectionTraining,
    PoseRecipe,
    Recipe,
    SemanticTraining,
    Training,
)
from splitnest.segmentation.segmentor import Segmentor


class Memory(NamedTuple):
    """Bytes of one process.

    Attributes:
        weights: Parameters and buffers, a moving average of them, and their low-precision copies.
        gradients: Of the parameters that train.
        optimizer: Its states.
        activations: What the forward pass keeps for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value / 2**20:.0f}" for name, value in self._asdict().items())
        return f"about {sum(self) / 2**20:.0f} MB ({parts})"


def estimate(recipe: Recipe, train: Training) -> Memory:
    """Estimate the memory of a training step at the largest input: the crop, or the largest short by the long side.

    The network runs on the meta device, which computes shapes alone, and the tensors that autograd keeps are counted,
    each once: of a detector those of backbone, pyramid and proposals for all images of a part, of the heads for as many
    regions as are sampled; of other models all. What the libraries take for themselves (about 0.5 GB of a GPU), the
    workspace of convolutions and the losses' own tensors of a detector come on top.
    """
    with on_meta():
        module = build_model(recipe)
        images = torch.empty(images_at_once(train), 3, *_largest_size(recipe, train))
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    average = 0 if train.ema_decay is None else size
    low = 0 if train.precision == "fp32" else size // 2
    dtype = torch.float32 if train.precision == "fp32" else torch.bfloat16
    return Memory(
        weights=size + average + low,
        gradients=4 * trained,
        optimizer=4 * trained * (1 if train.optimizer == "sgd" else 2),
        activations=_activations(module.to(dtype), images.to(dtype), recipe),
    )


def images_at_once(train: Training) -> int:
    """Return how many images of a step a process has in a forward pass, at most."""
    return -(-train.batch_size // (train.accumulate * world_size()))


def _activations(module: Model, images: Tensor, recipe: Recipe) -> int:
    kept = _Kept(module)
    with torch.autograd.graph.saved_tensors_hooks(kept.add, lambda tensor: tensor):
        if isinstance(recipe, DetectionRecipe):
            assert isinstance(module, RCNN)
            _run_detector(module, images, recipe.model.roi_samples)
        elif isinstance(module, Segmentor):
            _run_segmentor(module, images)
        else:
            module(images)
    return kept.total


def _run_detector(module: RCNN, images: Tensor, regions: int) -> None:
    levels = module.neck(module.backbone(images))
    module.rpn(levels)
    channels = levels["p2"].shape[1]
    number = regions * len(images)
    for box in module.roi_heads.box_heads:
        box(images.new_empty(number, channels, box_head.POOLED, box_head.POOLED))
    for mask in module.roi_heads.mask_heads:
        pooled = images.new_empty(int(number * POSITIVE_SHARE), channels, mask_head.POOLED, mask_head.POOLED)
        mask(pooled, torch.zeros(len(pooled), dtype=torch.long, device="meta"))
    if isinstance(module, PanopticFPN):
        semantic_loss(module.semantic_head(levels), images.new_zeros(len(images), *images.shape[2:]))


def _run_segmentor(module: Segmentor, images: Tensor) -> None:
    module.hard_pixels = None  # which depend on values, and keep nothing
    sizes = ((images.shape[2], images.shape[3]),) * len(images)
    labels = torch.empty(len(images), *sizes[0], dtype=torch.uint8, device="meta")
    module.loss(Batch(images, sizes, sizes, semantic=labels))


class _Kept:
    """Adds up the memory of the tensors that autograd keeps, without that of the module itself."""

    def __init__(self, module: nn.Module) -> None:
        self.total = 0
        self._tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
        self._known = {StorageWeakRef(tensor.untyped_storage()) for tensor in self._tensors}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference not in self._known:
            self._known.add(reference)
            self._tensors.append(tensor)  # keeps the storage, so that its name is not given to another one
            self.total += storage.nbytes()
        return tensor


def _largest_size(recipe: Recipe, train: Training) -> tuple[int, int]:
    if isinstance(train, SemanticTraining):
        return train.crop
    if isinstance(recipe, PoseRecipe):
        return recipe.input.height, recipe.input.width
    if isinstance(recipe, ClassificationRecipe):
        assert isinstance(train, ClassificationTraining)
        return (train.size or recipe.input.size,) * 2
    assert isinstance(recipe, DetectionRecipe)
    assert isinstance(train, DetectionTraining)
    sides = min(max(train.short_sides), train.long_side), train.long_side
    height, width = (-(-side // recipe.input.divisor) * recipe.input.divisor for side in sides)
    return height, width
