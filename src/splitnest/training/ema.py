"""Exponential moving average (EMA) of the weights."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def build_ema(model: nn.Module, decay: float) -> AveragedModel:
    """Return an EMA of the parameters and of the statistics of batch normalization; counters are copied.

    After ``n`` steps the decay is ``min(decay, (1 + n) / (10 + n))`` (TensorFlow's ``ExponentialMovingAverage``), so
    that the initial weights do not dominate the average of a short training.
    """

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        if not averages[0].is_floating_point():
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)
            return
        number = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + number) / (10 + number)))(averages, values, count)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
