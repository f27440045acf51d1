"""Classes of other packages, as far as what they write into a pickle depends on them."""

import enum
from typing import Any, ClassVar

import numpy as np


class HistoryBuffer:
    """Log of mmengine 0.7.3 and later (``mmengine/logging/history_buffer.py``): its state has its own methods."""

    _statistics_methods: ClassVar[dict[str, Any]] = {}

    def __init__(self, log_history: list[float], count_history: list[int], max_length: int = 1_000_000) -> None:
        self.max_length = max_length
        self._set_default_statistics()
        self._log_history = np.array(log_history)
        self._count_history = np.array(count_history)

    def _set_default_statistics(self) -> None:
        self._statistics_methods.setdefault("min", HistoryBuffer.min)
        self._statistics_methods.setdefault("max", HistoryBuffer.max)
        self._statistics_methods.setdefault("current", HistoryBuffer.current)
        self._statistics_methods.setdefault("mean", HistoryBuffer.mean)

    def mean(self, window_size: int | None = None) -> np.ndarray:
        """Return the mean."""
        return self._log_history.mean()

    def max(self, window_size: int | None = None) -> np.ndarray:
        """Return the maximum."""
        return self._log_history.max()

    def min(self, window_size: int | None = None) -> np.ndarray:
        """Return the minimum."""
        return self._log_history.min()

    def current(self) -> np.ndarray:
        """Return the last value."""
        return self._log_history[-1]

    def __getstate__(self) -> dict[str, Any]:
        self.__dict__.update(statistics_methods=self._statistics_methods)
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("the state of an object of the file was set")


class ConfigDict(dict[str, Any]):
    """Configuration of mmengine: a dictionary that is rebuilt from its items (``mmengine/config/config.py``)."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (self.__class__, (dict(super().items()),), None, None, None)


class OptimWrapper:
    """Optimizer wrapper with slots."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps = 3


class CfgNode(dict[str, Any]):
    """Configuration of yacs, a dictionary with attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.__dict__["__immutable__"] = False


class DictConfig:
    """Configuration of OmegaConf: its state is set by a method."""

    def __init__(self) -> None:
        self._content = {"lr": 0.1}

    def __getstate__(self) -> dict[str, Any]:
        return {"_content": self._content, "flags": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("the state of an object of the file was set")


class Mode(enum.Enum):
    """Enumeration of a project."""

    TRAIN = "train"
