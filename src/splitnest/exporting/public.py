"""Public content of an exported file: named axes, and no paths of the machine that exported it."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from torch import fx

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe import Recipe

AXES = {"images": {0: "batch", 2: "height", 3: "width"}, "sizes": {0: "batch"}}
"""Names of the dynamic axes of each input."""

_SYMBOL = re.compile(r"[A-Za-z_]\w*")


def without_local_paths(recipe: Recipe) -> Recipe:
    """Return a recipe without the folder of its dataset, other absolute paths, and the file of its initial weights."""
    data = {"root": None, **{key: None for key, value in recipe.data if _has_absolute_path(key, value)}}
    update: dict[str, Any] = {"data": recipe.data.model_copy(update=data)}
    if recipe.train is not None and not _is_published(recipe.train.init_from):
        update["train"] = recipe.train.model_copy(update={"init_from": None})
    return recipe.model_copy(update=update)


def drop_stack_traces(module: fx.GraphModule) -> None:
    """Remove the lines of source code, with their paths, that torch notes for each node of a traced network."""
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            for node in part.graph.nodes:
                node.meta.pop("stack_trace", None)


def clean_onnx(model: Any) -> None:
    """Name the dynamic axes of an ONNX model (onnx_ir) as ``AXES`` says, and remove notes of torch's exporter.

    A size that depends on others is an expression of their names.
    """
    graphs = [model.graph, *model.functions.values()]
    names: dict[str, str] = {}
    for value in model.graph.inputs:
        for axis, name in AXES[value.name].items():
            names[str(value.shape[axis])] = name
    for graph in graphs:
        graph.metadata_props.clear()
        for value in graph.inputs:
            _rename(value, names)
        for node in graph.all_nodes() if hasattr(graph, "all_nodes") else graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
                _rename(value, names)


def _rename(value: Any, names: dict[str, str]) -> None:
    """Rename the symbols of the shape of a value."""
    if value.shape is None:
        return
    for axis, size in enumerate(value.shape):
        if not isinstance(size, int) and size.value is not None:
            value.shape[axis] = _SYMBOL.sub(lambda match: names.get(match[0], match[0]), size.value)


def _has_absolute_path(key: str, value: Any) -> bool:
    """Return whether a value of a data section is an absolute path, or a list of paths with one."""
    is_list = isinstance(value, tuple) and key.endswith(("_images", "_annotations", "_instances"))
    return any(map(_is_absolute, value)) if is_list else _is_absolute(value)


def _is_absolute(value: Any) -> bool:
    return isinstance(value, str) and (
        value.startswith("~") or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
    )


def _is_published(source: str | None) -> bool:
    """Return whether initial weights are a URL or a published model."""
    if source is None or source.startswith(("https://", "http://")):
        return True
    try:
        zoo.get(source)
    except UsageError:
        return False
    return True
