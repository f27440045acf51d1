"""Directive ``model-table``: all published models in a table that is searched and sorted in the browser."""

from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from splitnest import zoo
from splitnest.tasks import task_of

MAIN_METRIC = {
    "classification": "top1",
    "detection": "box_ap",
    "instance": "mask_ap",
    "panoptic": "pq",
    "semantic": "miou",
    "pose": "ap",
}
"""Task -> metric by which its models are sorted."""

COLUMNS = ("model", "task", "main metric", "dataset", "backbone", "source", "published, in percent", "weights")


def row(name: str) -> str:
    """Return the HTML row of a model."""
    recipe, file = zoo.get(name), zoo.published(name)
    in_percent = task_of(recipe).published_percent(recipe)
    main = in_percent.get(MAIN_METRIC[recipe.task])
    metrics = ", ".join(f"{key} {value:g}" for key, value in in_percent.items())
    number = f'<td class="number">{"" if main is None else f"{main:g}"}</td>'
    texts = (zoo.dataset_of(name), zoo.backbone_of(name), zoo.source_of(name), metrics)
    cells = [f"<td><code>{escape(name)}</code></td><td>{recipe.task}</td>{number}"]
    cells += [f"<td>{escape(text)}</td>" for text in texts]
    cells.append(f'<td><a href="{escape(file.url)}">{file.sha256 or "file"}</a></td>')
    return f"<tr>{''.join(cells)}</tr>"


class ModelTable(Directive):
    """Table of all published models with a field that filters it."""

    def run(self) -> list[nodes.Node]:
        """Return the table as HTML, complete without JavaScript."""
        names = zoo.list_models()
        options = "".join(f"<option>{task}</option>" for task in zoo.TASKS)
        heads = "".join(
            f'<th scope="col" aria-sort="none"><button type="button">{text}</button></th>' for text in COLUMNS
        )
        html = (
            '<div class="model-table"><p class="model-filter" hidden>'
            '<label>Filter <input type="search" placeholder="mask rcnn r50 cityscapes" autocomplete="off"></label> '
            f'<label>Task <select><option value="">all</option>{options}</select></label> '
            f'<output aria-live="polite">{len(names)} models</output></p>'
            f'<div class="model-scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
            f"<tbody>{''.join(map(row, names))}</tbody></table></div></div>"
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("model-table", ModelTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
