"""Networks of the user's own: what training and evaluation need of a module, with plain errors."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from splitnest.errors import UsageError
from splitnest.structures import Result


def check_network(model: object, *, predicts: bool, trains: bool = True) -> None:
    """Check that a module can be trained, and that it can be evaluated.

    Args:
        model: Module that was given.
        predicts: Whether ``predict(batch)`` is needed.
        trains: Whether ``loss(batch)`` is needed.

    Raises:
        UsageError: The model is no module, lacks a method, or has no parameters to train.
    """
    kind = type(model).__name__
    if not isinstance(model, nn.Module):
        raise UsageError(f"model is a {kind}. Give a torch.nn.Module with loss(batch) and predict(batch).")
    if trains and not callable(getattr(model, "loss", None)):
        raise UsageError(
            f"The model {kind} has no method loss(batch). Write it: it returns the losses of a splitnest.Batch, a "
            f"dictionary of scalar tensors."
        )
    if predicts and not callable(getattr(model, "predict", None)):
        raise UsageError(
            f"The model {kind} has no method predict(batch), which an evaluation needs. Write it: it returns a list of "
            f"results, one for each image; or train without a validation set (data.val_images=null)."
        )
    if not any(parameter.requires_grad or not trains for parameter in model.parameters()):
        raise UsageError(f"The model {kind} has no parameters to train. Give one that has.")


def check_losses(losses: Any, model: nn.Module) -> dict[str, Tensor]:
    """Return the losses of a batch.

    Raises:
        UsageError: The losses are no dictionary of scalar tensors, or do not depend on the weights.
    """
    kind = type(model).__name__
    if not isinstance(losses, Mapping) or not losses:
        raise UsageError(f"loss of the model {kind} returned {_text(losses)}. Return a dictionary of scalar tensors.")
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim:
            raise UsageError(f"loss of the model {kind} returned {_text(loss)} as {name!r}. Return a scalar tensor.")
    if torch.is_grad_enabled() and not any(loss.requires_grad for loss in losses.values()):
        raise UsageError(f"loss of the model {kind} does not depend on its weights. Compute it with gradients.")
    return dict(losses)


def check_results(results: Any, number: int, model: nn.Module) -> list[Result]:
    """Return the results of a batch.

    Args:
        results: Return value of ``predict``.
        number: Number of images.
        model: Network.

    Raises:
        UsageError: The results are no list with one for each image.
    """
    is_list = isinstance(results, Sequence) and all(isinstance(result, get_args(Result)) for result in results)
    if not is_list or len(results) != number:
        names = ", ".join(kind.__name__ for kind in get_args(Result))
        raise UsageError(
            f"predict of the model {type(model).__name__} returned {_text(results)} for {number} images. Return a list "
            f"of one result for each ({names})."
        )
    return list(results)


def _text(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        kinds = dict.fromkeys(type(item).__name__ for item in value)
        return f"a {type(value).__name__} of {len(value)} ({', '.join(kinds) or 'empty'})"
    return f"a {type(value).__name__}" if value else f"{value!r}"
