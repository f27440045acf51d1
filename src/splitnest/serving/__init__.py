"""HTTP service of models: micro-batching, the Open Inference Protocol, and a page to try them.

``app`` and ``Limits`` are the public interface; ``app`` needs the extra ``serve``.
"""

from typing import TYPE_CHECKING, Any

from splitnest.serving.limits import Limits

if TYPE_CHECKING:
    from splitnest.serving.application import app

__all__ = ["Limits", "app"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'splitnest.serving' has no attribute {name!r}")
    from splitnest.serving.application import app

    return app
