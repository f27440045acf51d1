"""splitnest: every published ResNeSt model, on today's PyTorch.

    model = splitnest.load("mask_rcnn_resnest50_fpn_1x_coco.mmdet")
    results = model.predict("photographs/")

The functions here are the public interface; they are imported when first used, so that ``import splitnest`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from splitnest.conversion import convert
    from splitnest.errors import DataError, Interrupted, SplitnestError, UsageError, WeightsError
    from splitnest.evaluator import evaluate
    from splitnest.exporter import export
    from splitnest.predictor import Predictor, load
    from splitnest.pretrained import backbone
    from splitnest.recipes import names as list_models
    from splitnest.trainer import train

_HOMES = {
    "DataError": ("splitnest.errors", "DataError"),
    "Interrupted": ("splitnest.errors", "Interrupted"),
    "Predictor": ("splitnest.predictor", "Predictor"),
    "SplitnestError": ("splitnest.errors", "SplitnestError"),
    "UsageError": ("splitnest.errors", "UsageError"),
    "WeightsError": ("splitnest.errors", "WeightsError"),
    "backbone": ("splitnest.pretrained", "backbone"),
    "convert": ("splitnest.conversion", "convert"),
    "evaluate": ("splitnest.evaluator", "evaluate"),
    "export": ("splitnest.exporter", "export"),
    "list_models": ("splitnest.recipes", "names"),
    "load": ("splitnest.predictor", "load"),
    "train": ("splitnest.trainer", "train"),
}

__all__ = [
    "DataError",
    "Interrupted",
    "Predictor",
    "SplitnestError",
    "UsageError",
    "WeightsError",
    "__version__",
    "backbone",
    "convert",
    "evaluate",
    "export",
    "list_models",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'splitnest' has no attribute {name!r}")
    home, attribute = _HOMES[name]
    return getattr(import_module(home), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
