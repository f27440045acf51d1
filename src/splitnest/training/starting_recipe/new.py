"""First recipe for a dataset, written with comments, and the lists of its splits."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitnest import zoo
from splitnest.data.recognition.recognize import recognize
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.splits import training_rows, validation_rows
from splitnest.errors import UsageError, first_few
from splitnest.files import MAX_NAME_BYTES, check_output, write_text
from splitnest.recipe import Recipe
from splitnest.recipe.overrides import apply
from splitnest.training.starting_recipe import classification, detection, pose, semantic
from splitnest.training.starting_recipe.entry import Entry, render, values_of
from splitnest.training.starting_recipe.machine import Machine, this_machine
from splitnest.training.starting_recipe.published_weights import is_available

MAX_LISTED_CLASSES = 500
"""Number of classes up to which a recipe lists them."""

SmallEntries = Callable[[Recognized, int, Machine], Iterator[Entry]]
FullEntries = Callable[[Recognized, int, Machine, Any, str | None], Iterator[Entry]]

_TASKS: dict[str, tuple[str, str, SmallEntries, FullEntries]] = {
    **{
        task: (base, base, detection.small_entries, detection.full_entries) for task, base in detection.BASES.items()
    },
    "semantic": (semantic.BASE, semantic.BASE, semantic.small_entries, semantic.full_entries),
    "classification": (
        classification.BASE, classification.SMALL_BASE, classification.small_entries, classification.full_entries,
    ),
    "pose": (pose.BASE, pose.BASE, pose.small_entries, pose.full_entries),
}  # fmt: skip
"""Task -> published model, base of the small model, and their entries."""

_MODEL_OF_TASK = {
    "detection": "boxes: Faster R-CNN",
    "instance": "polygons or masks: Mask R-CNN",
    "panoptic": "panoptic segments: Panoptic FPN",
    "semantic": "label maps: DeepLabV3+",
    "classification": "classes of images: ResNeSt",
    "pose": "keypoints: SimpleBaseline",
}


@dataclass(frozen=True)
class NewRecipe:
    """Recipe for a dataset.

    Attributes:
        recognized: Recognized dataset.
        recipe: The recipe.
        files: Text of each file to write: the recipe first, then lists of image names.
        notes: Recognized facts and assumptions, a line each.
    """

    recognized: Recognized
    recipe: Recipe
    files: Mapping[Path, str]
    notes: Sequence[str]

    def write(self, force: bool = False) -> None:
        """Write the files.

        Args:
            force: Whether other files of the same names are replaced.

        Raises:
            UsageError: A file exists with another content.
            OutputError: A file cannot be written.
        """
        for path, text in self.files.items():
            if not force and path.exists() and not _has_text(path, text):
                raise UsageError(
                    f"{path} exists with another content. Give another file (--out), or replace it (--force)."
                )
        for path in self.files:
            check_output(path)
        for path, text in reversed([*self.files.items()]):  # the recipe, which names the lists, is last
            write_text(path, text)


def new_recipe(
    path: str | Path,
    out: Path | None = None,
    base: str | None = None,
    *,
    machine: Machine | None = None,
    recognized: Recognized | None = None,
) -> NewRecipe:
    """Return a recipe for a dataset, with comments, and the lists of a validation split that is made.

    Args:
        path: Folder of the dataset, or annotation file; see ``recognize``.
        out: Recipe file; None is ``<name of the folder>.yaml`` in the working directory.
        base: Published model or recipe file to fine-tune; None chooses one by the annotations and the machine.
        machine: Machine to train on; None is this one.
        recognized: Recognized dataset; None recognizes it.

    Raises:
        DataError: The path is no dataset, or cannot be used; see ``recognize``.
        UsageError: The base does not exist or is of another task.
    """
    recognized, machine = recognized or recognize(path), machine or this_machine()
    name = re.sub(r"[^\w.-]+", "_", recognized.root.name).strip("._")[: MAX_NAME_BYTES // 4] or "dataset"
    out = out or Path(f"{name}.yaml")
    folder = Path(os.path.abspath(out.parent))
    notes = [_describe(recognized), *recognized.assumed]
    data, lists, train = _with_split(recognized, folder, out.stem, notes)
    assumed, num_samples = notes[1:], len(train)
    if recognized.task == "pose":
        num_samples = max(1, int(np.isin(recognized.train.pairs[:, 0], train).sum()))
    _, small_base, small_entries, full_entries = _TASKS[recognized.task]
    is_small = base is None and machine.is_small
    chosen = base or (small_base if is_small else _TASKS[recognized.task][0])
    base_recipe = _base(chosen, recognized)
    if is_small:
        model = list(small_entries(recognized, num_samples, machine))
        notes.append(f"model: a small one, from scratch, for a machine with {machine}; --base takes a published one")
    else:
        init_from = chosen if is_available(base_recipe) else None
        if init_from is None:
            notes.append(
                f"weights: those of {chosen} are neither in the cache nor can be downloaded, so the training starts "
                f"from scratch; with a connection, run the command again"
            )
        else:
            notes.append(f"model: {chosen}, from its published weights")
        model = list(full_entries(recognized, num_samples, machine, base_recipe, init_from))
    why = _MODEL_OF_TASK[recognized.task]
    entries = [Entry("base", chosen, f"for {why}"), Entry("name", name), *data, *model]
    values = values_of(entries[1:])
    recipe = apply(base_recipe, values, "The recipe for this dataset: ")
    if recipe.train is None:
        raise UsageError(f"{chosen} has no section 'train'. Give another base.")
    head = [
        f"{recognized.format} in {recognized.root}: {_counts(recognized.train, len(train))}.",
        f"  splitnest train {out}",
        *(f"Assumed: {note}." for note in assumed),
    ]
    files = {out: render(entries, head), **lists}
    return NewRecipe(recognized, recipe, files, notes)


def _base(name: str, recognized: Recognized) -> Recipe:
    from splitnest.inference.resolve import read_recipe

    recipe: Recipe = zoo.get(name) if not Path(name).exists() else read_recipe(name)[0]
    fitting = ("instance", "detection") if recognized.task == "instance" else (recognized.task,)
    if recipe.task not in fitting:
        raise UsageError(
            f"{name} is a model of {recipe.task}, but the annotations are of {recognized.task}. Give another model "
            f"(splitnest list --task {recognized.task})."
        )
    return recipe


def _with_split(
    recognized: Recognized, folder: Path, stem: str, notes: list[str]
) -> tuple[list[Entry], dict[Path, str], Sequence[int]]:
    """Return the entries of the data section, the lists to write, and the indices of the training images."""
    value = recognized.classes_value
    data = dict(recognized.data)
    train: Sequence[int] = range(len(recognized.train))
    lists: dict[Path, str] = {}
    why_val = "found in the dataset"
    if recognized.val is None:
        rows = validation_rows(recognized.train)
        for key in ("images", "annotations", "instances"):
            if f"train_{key}" in data:
                data[f"val_{key}"] = data[f"train_{key}"]
        if rows:
            names = recognized.train.names
            chosen = {"train": training_rows(recognized.train, rows), "val": rows}
            for split, of_split in chosen.items():
                path = folder / f"{stem}_{split}.txt"
                lists[path] = "".join(f"{names[row]}\n" for row in of_split)
                data[f"{split}_list"] = str(path)
            train = chosen["train"]
            total = len(names)
            why_val = f"{len(rows)} of {total} images, taken out of training, with each class in proportion"
            notes.append(
                f"there is no validation split: {why_val}; the lists are {' and '.join(path.name for path in lists)}"
            )
        else:
            why_val = "the training images, too few to split: it shows that training works, not how good the model is"
            notes.append(f"validation: {why_val}")
    entries = [Entry("data.format", data.pop("format")), Entry("data.root", str(recognized.root))]
    if value is None and len(recognized.classes) > MAX_LISTED_CLASSES:
        entries.append(Entry("data.classes", "file", f"{len(recognized.classes)} classes, read from the annotations"))
    else:
        entries.append(Entry("data.classes", value or list(recognized.classes), _why_classes(recognized, value)))
    if recognized.stuff:
        entries.append(Entry("data.stuff", list(recognized.stuff), "classes without instances"))
    for key in sorted(data, key=_order):
        entries.append(Entry(f"data.{key}", data[key], why_val if key == "val_images" else ""))
    if recognized.task == "pose":
        in_file = recognized.data["format"] == "coco"
        keypoints: dict[str, Any] | None = None if in_file else {"names": list(recognized.keypoints)}
        source = "follow from the names"
        if keypoints is not None and recognized.flip_pairs is not None:
            keypoints["flip_pairs"] = [list(pair) for pair in recognized.flip_pairs]
            source = "are those of flip_idx"
        why = f"{len(recognized.keypoints)}, read from the annotations; pairs of left and right {source}"
        entries.append(Entry("data.keypoints", keypoints, why))
        entries.append(Entry("data.val_detections", None, "ground-truth person boxes"))
    return entries, lists, train


_ORDER = ("images", "annotations", "instances", "list")


def _order(key: str) -> tuple[int, int]:
    split, _, kind = key.partition("_")
    known = split in ("train", "val") and kind in _ORDER
    return (1 if split == "train" else 2, _ORDER.index(kind)) if known else (0, 0)


def _why_classes(recognized: Recognized, value: str | None) -> str:
    if value == "folders":
        return f"the names of the folders: {first_few(recognized.classes)}"
    if value is not None:
        return f"the {len(recognized.classes)} classes of this published dataset"
    return "in label order, as found in the annotations"


def _describe(recognized: Recognized) -> str:
    kind = {
        "detection": "boxes", "instance": "polygons or masks", "panoptic": "panoptic segments",
        "semantic": "label maps", "classification": "classes of images",
        "pose": f"{len(recognized.keypoints)} keypoints",
    }[recognized.task]  # fmt: skip
    val = "no validation split" if recognized.val is None else f"{len(recognized.val)} for validation"
    count = len(recognized.classes) + len(recognized.stuff)
    classes = f"{count} class{'' if count == 1 else 'es'}: {first_few(recognized.classes)}"
    sample = " (of a sample)" if recognized.train.is_sample and recognized.train.num_read else ""
    instances = f", {len(recognized.train.pairs)} instances{sample}" if len(recognized.train.boxes_wh) else ""
    return f"{recognized.format}, {kind}: {len(recognized.train)} images for training{instances}, {val}; {classes}"


def _counts(content: SplitContent, num_train: int) -> str:
    return f"{num_train} images for training" + (f" of {len(content)}" if num_train < len(content) else "")


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text("utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
