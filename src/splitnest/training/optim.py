"""Optimizers, parameter groups of weight decay, and the learning-rate scheduler."""

import warnings

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

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
    """Return the trainable parameters in the order of the module: those with weight decay, then those without."""
    exempt = set()
    for layer in module.modules():
        is_norm = isinstance(layer, NORMS)
        for name, parameter in layer.named_parameters(recurse=False):
            if not (train_cfg.decay_norms if is_norm else train_cfg.decay_biases or name != "bias"):
                exempt.add(id(parameter))
    trainable = [p for p in module.parameters() if p.requires_grad]
    decayed, others = ([p for p in trainable if (id(p) in exempt) == is_exempt] for is_exempt in (False, True))
    groups: list[dict[str, object]] = [{"params": decayed, "weight_decay": train_cfg.weight_decay}]
    return [*groups, {"params": others, "weight_decay": 0.0}] if others else groups


def build_scheduler(optimizer: torch.optim.Optimizer, schedule: Schedule) -> LambdaLR:
    """Return the scheduler that sets the learning rate of a schedule; ``step`` it after each step."""
    if schedule.train_cfg.precision == "fp16":  # after an overflow, as in many first steps, the optimizer skips a step
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
    return LambdaLR(optimizer, schedule.factor)
