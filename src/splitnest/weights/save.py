"""Our own checkpoints: safetensors that carry their recipe."""

import os
from pathlib import Path

from torch import nn

import splitnest
from splitnest.errors import UsageError, WeightsError
from splitnest.recipe import Recipe, overrides
from splitnest.weights.read import FORMAT

SUFFIX = ".safetensors"


def save(module: nn.Module, recipe: Recipe, path: str | Path) -> None:
    """Write the tensors of ``module`` and its recipe to ``path``; ``read`` gives both back.

    The file appears under its name when it is whole.

    Raises:
        UsageError: The name does not end in .safetensors.
        WeightsError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: the name of a checkpoint to write ends in {SUFFIX}.")
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    metadata = {"format": FORMAT, "version": splitnest.__version__, "recipe": overrides.to_json(recipe)}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(state, part, metadata)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be written: {error}.") from error
