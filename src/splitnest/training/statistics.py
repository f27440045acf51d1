"""Statistics of batch normalisation, as the weights have them now."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from splitnest.processes import mean_where


@torch.no_grad()
def renew_statistics(network: nn.Module, batches: Iterable[Any]) -> None:
    """Replace the running statistics of batch normalisation by their mean over ``batches`` ("precise BN").

    Running statistics are an average over weights of the last steps, not of the weights as they are (Wu and Johnson
    2021, "Rethinking 'Batch' in BatchNorm", section 3). Those of several processes are averaged. Layers that are
    frozen, in evaluation mode while the network trains, keep theirs. The network is left in training mode.

    Args:
        network: Called with each batch.
        batches: Of training data; with none the statistics stay as they are.
    """
    network.train()
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [layer.momentum for layer in layers]
    reached: set[nn.Module] = set()

    def reset(layer: Any, _: Any) -> None:
        if layer not in reached:  # one that no batch reaches, as a mask head without objects, keeps what it has
            reached.add(layer)
            layer.reset_running_stats()

    hooks = [layer.register_forward_pre_hook(reset) for layer in layers]
    for layer in layers:
        layer.momentum = None  # torch then keeps the plain mean
    for batch in batches:
        network(batch)
    for layer in layers:
        for statistic in (layer.running_mean, layer.running_var):
            if statistic is not None:
                statistic.copy_(mean_where(statistic, layer in reached))
    for layer, momentum, hook in zip(layers, momenta, hooks, strict=True):
        layer.momentum = momentum
        hook.remove()
