"""Writing of safetensors checkpoints that contain their recipe."""

from pathlib import Path

from torch import nn

from splitnest._version import __version__
from splitnest.errors import OutputError, UsageError
from splitnest.files import replacing_path
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import to_json
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights.read import FORMAT, SCORE_THRESHOLDS

SUFFIX = ".safetensors"


def save(module: nn.Module, recipe: Recipe, path: str | Path, score_thresholds: ScoreThresholds | None = None) -> None:
    """Write the weights of a network and its recipe; ``read`` returns both. The file is complete, or does not appear.

    Args:
        module: Network.
        recipe: Recipe of the network.
        path: Path of the file.
        score_thresholds: Best score thresholds of a detector; None writes none.

    Raises:
        UsageError: The file name does not end in .safetensors.
        OutputError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} is not a file name for a checkpoint. Give one that ends in {SUFFIX}.")
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    metadata = {"format": FORMAT, "version": __version__, "recipe": to_json(recipe)}
    if score_thresholds is not None:
        metadata[SCORE_THRESHOLDS] = score_thresholds.to_json()
    with replacing_path(path) as part:
        try:
            save_file(state, part, metadata)
        except SafetensorError as error:
            raise OutputError(
                f"{path} cannot be written: {error}. Free disk space, or write to another path."
            ) from error
