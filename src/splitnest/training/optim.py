"""Optimizers, and which parameters they let decay."""

import warnings

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from splitnest.recipe import Training
from splitnest.training.schedule import Schedule

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
"""Layers whose parameters do not decay in detectron2 (``WEIGHT_DECAY_NORM`` 0) and in classification."""


def make_optimizer(module: nn.Module, facts: Training) -> torch.optim.Optimizer:
    """Return the optimizer of the parameters that train.

    The betas and the eps of Adam and AdamW are torch's, 0.9, 0.999 and 1e-8.
    """
    groups = parameter_groups(module, facts)
    match facts.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=facts.peak_rate)
        case "adamw":
            return torch.optim.AdamW(groups, lr=facts.peak_rate)
        case "sgd":
            return torch.optim.SGD(groups, lr=facts.peak_rate, momentum=facts.momentum, nesterov=facts.nesterov)


def parameter_groups(module: nn.Module, facts: Training) -> list[dict[str, object]]:
    """Return the parameters that train, in the order of the module: those that decay, and those that do not if any."""
    exempt = set()
    for layer in module.modules():
        is_norm = isinstance(layer, NORMS)
        for name, parameter in layer.named_parameters(recurse=False):
            if not (facts.decay_norms if is_norm else facts.decay_biases or name != "bias"):
                exempt.add(id(parameter))
    trained = [p for p in module.parameters() if p.requires_grad]
    decaying, kept = ([p for p in trained if (id(p) in exempt) == free] for free in (False, True))
    groups: list[dict[str, object]] = [{"params": decaying, "weight_decay": facts.weight_decay}]
    return [*groups, {"params": kept, "weight_decay": 0.0}] if kept else groups


def make_scheduler(optimizer: torch.optim.Optimizer, schedule: Schedule) -> LambdaLR:
    """Return what sets the learning rate of every group to that of the schedule; ``step`` it after each step."""
    if schedule.facts.precision == "fp16":  # gradients often overflow at first, and the optimizer skips that step
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
    return LambdaLR(optimizer, schedule.factor)
