"""Model card of the Hugging Face Hub: Markdown with a head of YAML that search and leaderboards read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from splitnest import zoo
from splitnest._version import __version__
from splitnest.errors import printable
from splitnest.inference.resolve import checkpoint_of_run, resolve
from splitnest.metrics.statistics.errors import is_fraction
from splitnest.models.build import build_categories
from splitnest.models.complexity import complexity
from splitnest.recipe import Recipe
from splitnest.tasks import task_of
from splitnest.training.metrics_log import headline
from splitnest.weights.read import read_metrics

CARD, MODEL_FILE = "README.md", "model.safetensors"
"""Files of a repository of the hub."""

MAX_CLASSES = 100
"""Number of class names that a card lists."""

_PIPELINES = {
    "classification": "image-classification",
    "detection": "object-detection",
    "pose": "keypoint-detection",
}
"""Task -> task of the hub; the others are image segmentation."""

_HUB_DATASETS = {"ImageNet": "imagenet-1k"}
"""Dataset of a published model -> its id on the hub, where it is there under its own name."""

_PYTHON = """\
```python
import splitnest

model = splitnest.load("{file}")
(result,) = model.predict("image.jpg")
result.save("predicted.jpg")
```
"""


def card(model: str | Path, license: str | None = None, repository: str | None = None) -> str:
    """Return the card of a model.

    Metrics are those that the source of a published model published, or those of the best evaluation of a training.

    Args:
        model: Published model, recipe file, checkpoint or run folder.
        license: Identifier of the license, such as ``apache-2.0``; None takes that of published weights, and none for
            other models.
        repository: Repository of the hub that the commands of the card pull, such as ``name/fruit``; None for a file.

    Raises:
        UsageError: There is no such model.
        WeightsError: A checkpoint cannot be read.
    """
    path = checkpoint_of_run(model)
    recipe, checkpoint = resolve(path)
    published = zoo.published(recipe.name) if checkpoint is None and recipe.name in zoo.TASK_OF else None
    if published is not None:
        metrics, origin = task_of(recipe).published_percent(recipe), "published by its source"
        dataset = zoo.dataset_of(recipe.name)
        license = license or ("cc-by-sa-3.0" if "dl.fbaipublicfiles.com" in published.url else "apache-2.0")
    else:
        metrics, origin = (
            measured_percent({} if checkpoint is None else read_metrics(checkpoint)),
            "on its validation data",
        )
        dataset = Path(str(getattr(recipe.data, "root", None) or recipe.name)).name
    file = recipe.name if published is not None else MODEL_FILE
    head = yaml.safe_dump(
        _head(recipe, metrics, dataset, license, published is not None), sort_keys=False, allow_unicode=True
    )
    return f"---\n{head}---\n\n{_body(recipe, metrics, origin, dataset, file, repository)}"


def measured_percent(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the main metrics of an evaluation in percent, without undefined ones, losses and EPE."""
    return {
        name: round(100 * value, 2) for name, value in headline(metrics).items() if is_fraction(name) and value >= 0
    }


def _head(
    recipe: Recipe, metrics: Mapping[str, float], dataset: str, license: str | None, is_published: bool
) -> dict[str, Any]:
    """Return the metadata of a card."""
    pipeline = _PIPELINES.get(recipe.task, "image-segmentation")
    head: dict[str, Any] = {} if license is None else {"license": license}
    head |= {"library_name": "splitnest", "pipeline_tag": pipeline, "tags": ["splitnest", "resnest", recipe.task]}
    if is_published and dataset in _HUB_DATASETS:
        head["datasets"] = [_HUB_DATASETS[dataset]]
    if metrics:
        rows = [{"type": name, "name": f"{name}, in percent", "value": value} for name, value in metrics.items()]
        data = {"name": dataset, "type": _HUB_DATASETS.get(dataset, dataset.lower())}
        result = {"task": {"type": pipeline}, "dataset": data, "metrics": rows}
        head["model-index"] = [{"name": recipe.name, "results": [result]}]
    return head


def _body(
    recipe: Recipe, metrics: Mapping[str, float], origin: str, dataset: str, file: str, repository: str | None
) -> str:
    """Return the text of a card."""
    names = [printable(name) for name in build_categories(recipe).names]
    shown = ", ".join(names[:MAX_CLASSES]) + (
        f" and {len(names) - MAX_CLASSES} more" if len(names) > MAX_CLASSES else ""
    )
    file = f"{repository.rpartition('/')[2]}.safetensors" if repository else file
    pull = "" if repository is None else f"splitnest pull {repository} --out {file}\n"
    parameters = complexity(recipe).parameters / 1e6
    about = (
        f"A model for {_TASK_NAMES[recipe.task]} of the ResNeSt family, for splitnest {__version__} and newer: "
        f"{parameters:.1f} million parameters, {len(names)} classes."
    )
    lines = [
        f"# {recipe.name}",
        "",
        about,
        "",
        "## Use",
        "",
        f"```sh\npip install splitnest\n{pull}splitnest predict {file} images/\n```",
        "",
        _PYTHON.format(file=file),
    ]
    if metrics:
        lines += [f"## Metrics, in percent, {origin}", "", f"Dataset: {dataset}", "", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:g} |" for name, value in metrics.items()]
        lines.append("")
    lines += ["## Classes", "", shown, ""]
    return "\n".join(lines)


_TASK_NAMES = {
    "classification": "image classification",
    "detection": "object detection",
    "instance": "instance segmentation",
    "panoptic": "panoptic segmentation",
    "semantic": "semantic segmentation",
    "pose": "pose estimation",
}
