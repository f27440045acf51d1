"""Class loss of the user's own, in place of the cross entropy."""

from collections.abc import Callable

from torch import Tensor

from splitnest.errors import UsageError

ClassLoss = Callable[[Tensor, Tensor], Tensor]
"""Function from logits ``[R, K]`` and class indices int64 ``[R]`` to the loss of each row ``[R]``.

Rows are images, labeled pixels, or sampled regions, whose last class is the background. The sum over rows is divided by
the same number as the cross entropy. Where images are mixed (mixup), the second argument has class probabilities.
"""


def rows_of(class_loss: ClassLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of each row, ``[R]``.

    Raises:
        UsageError: The function returns anything else than one loss for each row.
    """
    losses = class_loss(logits, labels)
    if not isinstance(losses, Tensor) or losses.shape != logits.shape[:1]:
        found = f"a tensor {list(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
        raise UsageError(
            f"class_loss returned {found} for logits {list(logits.shape)}. Return the loss of each row, a tensor "
            f"[{len(logits)}], without averaging (reduction='none')."
        )
    return losses


def sum_of(class_loss: ClassLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the losses of all rows.

    Raises:
        UsageError: Same condition as ``rows_of``.
    """
    return rows_of(class_loss, logits, labels).sum()
