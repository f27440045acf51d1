"""``setup_logger`` of detectron2."""

import logging
from typing import Any


def setup_logger(output: str | None = None, distributed_rank: int = 0, **options: Any) -> logging.Logger:
    """Return the logger ``splitnest``. Nothing is set up: messages of splitnest go to standard error."""
    return logging.getLogger("splitnest")
