"""Optimizers, parameter groups of weight decay, and the learning-rate scheduler."""

import warnings

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from splitnest.errors import UsageError
from splitnest.recipe import Training
from splitnest.recipe.optimization import SGD, Adam, AdamW
from splitnest.training.schedule import Schedule

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
"""Layers without weight decay in detectron2 (``WEIGHT_DECAY_NORM`` 0) and in image classification."""


def build_optimizer(module: nn.Module, train_cfg: Training) -> torch.optim.Optimizer:
    """Return the optimizer of the trainable parameters of a module."""
    groups = parameter_groups(module, train_cfg)
    match train_cfg.optimizer:
        case Adam():
            return torch.optim.Adam(groups, lr=train_cfg.peak_lr)
        case AdamW():
            return torch.optim.AdamW(groups, lr=train_cfg.peak_lr)
        case SGD(momentum=momentum, nesterov=nesterov):
            return torch.optim.SGD(groups, lr=train_cfg.peak_lr, momentum=momentum, nesterov=nesterov)


def parameter_groups(module: nn.Module, train_cfg: Training) -> list[dict[str, object]]:
    """Return the trainable parameters in the order of the module: those with weight decay, then those without.

    With ``layer_decay`` there are such groups for each stage, from the heads to the stem, and with ``backbone_lr`` for
    heads and backbone.
    """
    exempt = set()
    for layer in module.modules():
        is_norm = isinstance(layer, NORMS)
        for name, parameter in layer.named_parameters(recurse=False):
            if not (train_cfg.decay_norms if is_norm else train_cfg.decay_biases or name != "bias"):
                exempt.add(id(parameter))
    trainable = [p for p in module.parameters() if p.requires_grad]
    if train_cfg.layer_decay is None and train_cfg.backbone_lr == 1:
        return _by_weight_decay(trainable, exempt, train_cfg.weight_decay)
    depths = stage_depths(module)
    if train_cfg.layer_decay is None:
        depths = dict.fromkeys(depths, 1)
    groups: list[dict[str, object]] = []
    for depth in sorted({depths.get(id(p), 0) for p in trainable}):
        of_depth = [p for p in trainable if depths.get(id(p), 0) == depth]
        lr = train_cfg.peak_lr * (train_cfg.layer_decay or 1) ** depth * (train_cfg.backbone_lr if depth else 1)
        groups += [{**group, "lr": lr} for group in _by_weight_decay(of_depth, exempt, train_cfg.weight_decay)]
    return [group for group in groups if group["params"]]


def _by_weight_decay(parameters: list[nn.Parameter], exempt: set[int], weight_decay: float) -> list[dict[str, object]]:
    decayed, others = ([p for p in parameters if (id(p) in exempt) == is_exempt] for is_exempt in (False, True))
    groups: list[dict[str, object]] = [{"params": decayed, "weight_decay": weight_decay}]
    return [*groups, {"params": others, "weight_decay": 0.0}] if others else groups


def stage_depths(module: nn.Module) -> dict[int, int]:
    """Return id of each backbone parameter -> number of its stage, counted from the heads: 1 for c5, 5 for the stem.

    The stages of a backbone are its submodules with parameters, in their order.

    Raises:
        UsageError: The module has no backbone.
    """
    backbone = getattr(module, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise UsageError(
            "train.layer_decay and train.backbone_lr need a model whose submodule 'backbone' has stages. Remove them."
        )
    stages = [child for child in backbone.children() if any(True for _ in child.parameters())]
    while len(stages) == 1 and any(True for _ in stages[0].children()):  # a backbone inside an adapter
        stages = [child for child in stages[0].children() if any(True for _ in child.parameters())]
    depths = {id(p): len(stages) for p in backbone.parameters()}  # parameters outside of stages are of the input
    for depth, stage in enumerate(reversed(stages), start=1):
        depths |= {id(p): depth for p in stage.parameters()}
    return depths


def build_scheduler(optimizer: torch.optim.Optimizer, schedule: Schedule) -> LambdaLR:
    """Return the scheduler that sets the learning rate of a schedule; ``step`` it after each step."""
    if schedule.train_cfg.precision == "fp16":  # after an overflow, as in many first steps, the optimizer skips a step
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
    return LambdaLR(optimizer, schedule.factor)
