"""Opening of the synthetic scenes that a recipe describes."""

from splitnest.data.scenes.dataset import Scenes
from splitnest.recipe.data import SceneData
from splitnest.recipe.file_data import Split


def open_scenes(data: SceneData, split: Split) -> Scenes:
    """Return the scenes of one split; the splits have different seeds, so no scene is in both."""
    if split == "train":
        return Scenes(data.train_count, (data.height, data.width), data.seed)
    return Scenes(data.val_count, (data.height, data.width), data.seed + 1)
