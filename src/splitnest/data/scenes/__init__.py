"""A data set of drawn scenes with labels for every task: nothing to download, the same on any machine."""

from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.scene import Scene, SceneObject

__all__ = ["CATEGORIES", "PERSON", "THINGS", "Scene", "SceneObject", "Scenes"]
