"""Models of OpenMMLab's configurations: loading, and the module with the attributes that scripts use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from splitnest.compat.checkpoints import checkpoint_file
from splitnest.compat.mmengine.config import Config
from splitnest.errors import UsageError, tell
from splitnest.inference.load import predictor_of
from splitnest.inference.predictor import Predictor
from splitnest.inference.resolve import CONFIG_SUFFIX, resolve
from splitnest.models.build import build_categories
from splitnest.recipe import Recipe
from splitnest.tasks import task_of
from splitnest.upstream.checkpoint import metadata_of
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import derive
from splitnest.weights.read import read

Configuration = str | Path | Mapping[str, Any]
"""Path of a configuration, name of a published model, or a configuration."""


class OpenMMLabModel(nn.Module):
    """Network with the attributes that OpenMMLab gives to it.

    Attributes:
        predictor: Predictor of the network.
        cfg: Configuration; empty for a published model that was loaded by its name.
        dataset_meta: Class names, colors and keypoints, with the names of mmengine.
    """

    def __init__(self, predictor: Predictor, cfg: Config) -> None:
        super().__init__()
        self.network = predictor.module
        self.predictor = predictor
        self.cfg = cfg
        self.dataset_meta = dataset_meta_of(predictor.recipe)
        self.eval()

    def forward(self, *inputs: Any) -> Any:
        """Return what the network computes from normalized images ``[N, 3, H, W]``."""
        return self.network(*inputs)


def init_model(
    config: Configuration,
    checkpoint: str | Path | None,
    device: str,
    cfg_options: Mapping[str, Any] | None,
    tasks: tuple[str, ...],
) -> OpenMMLabModel:
    """Return the model of a configuration.

    Args:
        config: Configuration.
        checkpoint: Path or address of the checkpoint; None for random weights.
        device: Name of the device.
        cfg_options: Values of the configuration by dotted key, in place of its own.
        tasks: Tasks of the code base whose function this is.

    Raises:
        UsageError: The configuration is not valid, its model is none of the family or of another code base, or there is
            no such device.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """
    path = None if checkpoint is None else checkpoint_file(checkpoint)
    cfg, recipe = _read(config, path, cfg_options)
    check_task(recipe, tasks)
    if path is None:
        tell("note: no checkpoint is given, so the weights are random")
    return OpenMMLabModel(predictor_of(recipe, path, device), cfg)


def check_task(recipe: Recipe, tasks: tuple[str, ...]) -> None:
    """Raise a UsageError for a model of another task."""
    if recipe.task not in tasks:
        raise UsageError(f"{recipe.name} is a model for the task {recipe.task}, not for {' or '.join(tasks)}.")


def _read(config: Configuration, checkpoint: Path | None, options: Mapping[str, Any] | None) -> tuple[Config, Recipe]:
    """Return the configuration, with the options, and its recipe."""
    if isinstance(config, str | Path):
        path = Path(config)
        if path.suffix != CONFIG_SUFFIX or not path.is_file():
            return Config(), _by_name(config, options)
        cfg, name, origin = Config.fromfile(path), path.stem, str(path)
    else:
        name, origin = "model", "the configuration"
        if not isinstance(config, Mapping):  # such as mmengine's own
            config = config.to_dict() if hasattr(config, "to_dict") else {}
        if not config:
            raise UsageError("config is neither a path, a name nor a configuration. Give the path of a .py file.")
        cfg = Config(config)
    if options:
        cfg.merge_from_dict(options)
    metadata = Metadata() if checkpoint is None else metadata_of(read(checkpoint, shapes_only=True))
    found = derive(cfg.to_dict(), name, origin, metadata)
    for note in found.notes:
        tell(f"note: {note}")
    return cfg, found.recipe


def _by_name(name: str | Path, options: Mapping[str, Any] | None) -> Recipe:
    recipe, checkpoint = resolve(name)
    if checkpoint is not None:
        raise UsageError(f"{name} is a checkpoint. Give its configuration first, and the checkpoint after it.")
    if options:
        raise UsageError(f"{name} is not the path of a configuration, so cfg_options have no values to override.")
    return recipe


def dataset_meta_of(recipe: Recipe) -> dict[str, Any]:
    """Return class names and colors of a model, and its keypoints, with the names of mmengine."""
    categories = build_categories(recipe)
    meta: dict[str, Any] = {"classes": categories.names, "palette": [category.color for category in categories]}
    if (skeleton := task_of(recipe).skeleton(recipe)) is not None:
        meta |= {
            "num_keypoints": len(skeleton.names),
            "keypoint_id2name": dict(enumerate(skeleton.names)),
            "keypoint_name2id": {name: number for number, name in enumerate(skeleton.names)},
            "keypoint_colors": list(skeleton.colors),
            "flip_indices": list(skeleton.flip_indices),
            "skeleton_links": list(skeleton.pairs),
            "sigmas": list(skeleton.sigmas),
        }
    return meta
