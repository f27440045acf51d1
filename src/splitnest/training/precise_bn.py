"""Precise BN: statistics of batch normalization recomputed for the current weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from splitnest.distributed import all_reduce_masked_mean


@torch.no_grad()
def recompute_statistics(network: nn.Module, batches: Iterable[Any]) -> None:
    """Replace the running statistics of batch normalization by their mean over batches.

    Running statistics average over the weights of the last steps instead of the current ones (Wu and Johnson 2021,
    "Rethinking 'Batch' in BatchNorm", section 3). The statistics of several processes are averaged. Frozen layers, in
    evaluation mode during training, keep theirs. The network is left in training mode.

    Args:
        network: Network, called with each batch.
        batches: Training batches; without any the statistics are unchanged.
    """
    network.train()
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [layer.momentum for layer in layers]
    reached: set[nn.Module] = set()

    def reset(layer: Any, _: Any) -> None:
        if layer not in reached:  # a layer without input, as of a mask head without instances, keeps its statistics
            reached.add(layer)
            layer.reset_running_stats()

    hooks = [layer.register_forward_pre_hook(reset) for layer in layers]
    for layer in layers:
        layer.momentum = None  # torch then computes the cumulative mean
    for batch in batches:
        network(batch)
    for layer in layers:
        for statistic in (layer.running_mean, layer.running_var):
            if statistic is not None:
                statistic.copy_(all_reduce_masked_mean(statistic, layer in reached))
    for layer, momentum, hook in zip(layers, momenta, hooks, strict=True):
        layer.momentum = momentum
        hook.remove()
