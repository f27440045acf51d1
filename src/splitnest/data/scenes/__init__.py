"""Synthetic dataset of drawn scenes with ground truth for every task; identical on any machine."""

from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.scene import Scene, SceneObject

__all__ = ["CATEGORIES", "PERSON", "THINGS", "Scene", "SceneObject", "Scenes"]
