"""Modules that the processes of tests have before they are forked: those of the command line and its libraries."""

import gc
import pkgutil
from contextlib import suppress
from importlib import import_module

from PIL import Image

import splitnest

LIBRARIES = (
    *("pytest", "numpy.ma", "torchvision.ops", "torchvision.transforms.v2", "torch.utils.tensorboard", "hotcoco"),
    *("safetensors.torch", "rich.console", "rich.live", "rich.progress", "rich.table", "typer.rich_utils"),
    *("pyarrow.dataset", "pyarrow.parquet", "xml.sax.saxutils"),
)

for name in (*LIBRARIES, *(module.name for module in pkgutil.walk_packages(splitnest.__path__, "splitnest."))):
    if not name.endswith("__main__"):
        with suppress(ImportError):  # of an extra
            import_module(name)
Image.init()
gc.collect()
gc.freeze()  # a full collection in each forked process would take 0.2 s and copy the memory that they share
