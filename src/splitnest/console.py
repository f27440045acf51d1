"""Tables for people: what a model is, what an evaluation found."""

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from splitnest.build import build_categories
from splitnest.complexity import complexity
from splitnest.errors import UsageError
from splitnest.recipe import ClassificationRecipe, DetectionRecipe, PoseRecipe, Recipe, SemanticRecipe
from splitnest.resolve import resolve

if TYPE_CHECKING:
    from splitnest.bench import Timing
    from splitnest.data.dataset import Split
    from splitnest.data.findings import Findings
    from splitnest.evaluator import Evaluation
    from splitnest.predictor import Predictor


MAX_CLASSES, LOWEST = 200, 25
"""Classes up to which each has a line of its own; of more this many with the lowest metric have."""


def print_info(recipe: Recipe) -> None:
    """Print the facts of a model: size, cost, input, published numbers, weights, conventions."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("model", recipe.name)
    stuff = f", {recipe.data.num_stuff} kinds of stuff" if recipe.data.num_stuff else ""
    table.add_row("task", f"{recipe.task}, {recipe.num_classes} classes{stuff}")
    cost = complexity(recipe)
    table.add_row("parameters", f"{cost.parameters:,} ({cost.parameters / 1e6:.1f} M)")
    heads = f", {cost.regions} regions, {cost.masks} masks" if cost.regions else ""
    at = f"{cost.size_hw[0]}x{cost.size_hw[1]}{heads}"
    table.add_row("GFLOPs", f"{cost.multiply_adds / 1e9:.2f} multiply-adds at {at}")
    table.add_row("input", _fields(recipe.input))
    table.add_row("backbone", _fields(recipe.model.backbone))
    for key, value in recipe.published.items():
        table.add_row("published", f"{key} {value:g}")
    if recipe.weights is not None:
        table.add_row("weights", recipe.weights.url)
        table.add_row("sha256", recipe.weights.sha256 or "not published")
        table.add_row("layout", recipe.weights.layout)
    if isinstance(recipe, DetectionRecipe):
        table.add_row("conventions", _fields(recipe.model.conventions))
    Console(soft_wrap=True, markup=False).print(table)


def print_evaluation(recipe: Recipe, found: "Evaluation", tta: bool = False) -> None:
    """Print the metrics beside the published ones, without and with test-time augmentation, and those of each class.

    With augmentation those of detectors are published of COCO's test-dev alone, and of few models.
    """
    console = Console(soft_wrap=True, markup=False)
    if not found.metrics:
        console.print(
            "The data has no annotations, as that of a test set: no metric can be had from it. "
            "Upload the results to the evaluation server."
        )
        return
    # Published numbers say nothing of a user's own classes.
    data = recipe.data
    own = any(isinstance(names, tuple) for names in (data.classes, data.stuff)) and data.keypoints != "coco"
    published = {} if own else recipe.published
    suffix, of = ("_ms_flip", "") if recipe.task == "semantic" else ("_tta_testdev", ", of test-dev")
    columns = {"published": ""}
    if any(key + suffix in published for key in found.metrics):
        columns[f"published, with TTA{of}"] = suffix
    table = Table("metric", "here, with TTA" if tta else "here", *columns, title=recipe.name)
    shown = _share if recipe.task == "pose" else _percent  # as each is published
    for key, value in found.metrics.items():
        numbers = (published.get(key + ending) for ending in columns.values())
        table.add_row(key, shown(value), *("" if number is None else f"{number:g}" for number in numbers))
    console.print(table)
    if not found.per_class:
        return
    kinds = dict.fromkeys(kind for values in found.per_class.values() for kind in values)
    rows, title = list(found.per_class.items()), "per class"
    if len(rows) > MAX_CLASSES:
        first = next(iter(kinds))
        rows = sorted((row for row in rows if row[1].get(first, -1) >= 0), key=lambda row: row[1][first])[:LOWEST]
        title = f"per class, the {len(rows)} of {len(found.per_class)} with the lowest {first}"
    classes = Table("class", *kinds, title=title)
    for name, values in rows:
        classes.add_row(name, *(_percent(values[kind]) if kind in values else "" for kind in kinds))
    console.print(classes)


def print_data_check(recipe_or_name: str, values: Mapping[str, Any], split: str | None) -> None:
    """Print what ``data.check`` finds in the splits of a recipe's data set.

    Args:
        recipe_or_name: A recipe file or a model's name.
        values: Overrides of the recipe.
        split: ``train`` or ``val``; None for both.

    Raises:
        UsageError: No such split, or a path is not set.
        DataError: Something would stop a training or an evaluation.
    """
    if split not in (None, "train", "val"):
        raise UsageError(f"There is no split {split!r}; the splits are train and val.")
    recipe, _ = resolve(recipe_or_name, values)
    findings = []
    splits: tuple[Split, ...] = ("train", "val")
    for name in splits:
        if split is None and name == "val" and recipe.data.format != "scenes" and recipe.data.val_images is None:
            continue  # a training without evaluation
        if split in (None, name):
            match recipe:
                case ClassificationRecipe():
                    findings.append(_check_images(recipe, name))
                case DetectionRecipe():
                    findings.append(_check_detection(recipe, name))
                case SemanticRecipe():
                    findings.append(_check_semantic(recipe, name))
                case PoseRecipe():
                    findings.append(_check_people(recipe, name))
    for found in findings:
        found.raise_faults()


def _check_images(recipe: ClassificationRecipe, split: "Split") -> "Findings":
    from splitnest.data.image_check import check_images, print_image_report
    from splitnest.data.image_folders import open_image_labels

    report = check_images(open_image_labels(recipe.data, split, build_categories(recipe)))
    print_image_report(report, split)
    return report


def _check_detection(recipe: DetectionRecipe, split: "Split") -> "Findings":
    from splitnest.data.check import check, print_report
    from splitnest.data.dataset import open_dataset
    from splitnest.data.training_set import TrainingSet

    dataset = open_dataset(recipe.data, split, build_categories(recipe))
    report = check(dataset)
    print_report(report, split)
    if split == "train" and recipe.train is not None and not report.faults:
        for reason, count in TrainingSet(dataset, recipe).left_out.items():
            print(f"left out of training: {count} {reason}")
    return report


def _check_semantic(recipe: SemanticRecipe, split: "Split") -> "Findings":
    from splitnest.data.semantic import open_semantic
    from splitnest.data.semantic_check import check_semantic, print_semantic_report

    report = check_semantic(open_semantic(recipe.data, split, build_categories(recipe)))
    print_semantic_report(report, split)
    return report


def _check_people(recipe: PoseRecipe, split: "Split") -> "Findings":
    from splitnest.data.people import open_people
    from splitnest.data.people_check import check_people, print_people_report

    report = check_people(open_people(recipe, split, build_categories(recipe)))
    print_people_report(report, split)
    return report


def _percent(value: float) -> str:
    return f"{100 * value:.2f}" if value >= 0 else "-"  # -1: nothing of the kind in the data


def _share(value: float) -> str:
    return f"{value:.4f}" if value >= 0 else "-"


def _fields(model: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in model)  # type: ignore[attr-defined]  # a pydantic model


def print_timing(predictor: "Predictor", timing: "Timing") -> None:
    """Print how quick a model is, and where its time goes."""
    console = Console(soft_wrap=True, markup=False)
    height, width = timing.size_hw
    batch = f"{timing.batch_size} image{'s' if timing.batch_size > 1 else ''} of {height}x{width}"
    console.print(f"{predictor.recipe.name}, {batch}, {_where(predictor)}, median of {len(timing.totals)} rounds")
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "milliseconds", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    total = statistics.median(timing.totals)
    for stage, seconds in timing.stages.items():
        median = statistics.median(seconds)
        table.add_row(stage, f"{1000 * median:.1f}", f"{median / total:.0%}")
    console.print(table)
    console.print(f"{timing.images_per_second:.2f} images a second, peak memory {timing.peak_mb} MB")
    percentiles = (f"{p}% {1000 * np.percentile(timing.totals, p):.0f} ms" for p in (50, 90, 99))
    console.print(f"latency of a batch: {', '.join(percentiles)}")
    rate = timing.share * timing.product_gflops
    limit = f"{timing.share:.0%} of the {timing.product_gflops:.0f} of a matrix product"
    console.print(f"the layers reach {rate:.0f} GFLOP/s, {limit}")
    if timing.forwards:
        theirs, ours = map(statistics.median, zip(*timing.forwards, strict=True))
        ratio = f"{theirs / ours:.2f} times as quick"
        console.print(f"forward pass: timm {1000 * theirs:.0f} ms, splitnest {1000 * ours:.0f} ms, {ratio}")


def _where(predictor: "Predictor") -> str:
    device = predictor.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{str(predictor.dtype).removeprefix('torch.')} on {device} ({name})"
