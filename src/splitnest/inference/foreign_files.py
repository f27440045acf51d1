"""Recognition of files that are neither a recipe nor a checkpoint: what they are, and what to do with them."""

import re
from collections.abc import Mapping
from pathlib import Path

from splitnest.data.images.listing import SUFFIXES as IMAGE_SUFFIXES
from splitnest.errors import UsageError
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.recipe.serialization import SUFFIXES as RECIPE_SUFFIXES

IN_RECIPE = "It belongs into the section data of a recipe (data.root, data.train_annotations)."

BY_SUFFIX: dict[str, str] = {
    **dict.fromkeys(IMAGE_SUFFIXES, "an image. Give the model before the images: splitnest predict MODEL IMAGE"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm"), "a video. Extract its frames, and predict for them"),
    **dict.fromkeys(
        (".zip", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"), "an archive. Unpack it, and give a file of it"
    ),
    **dict.fromkeys(
        (".engine", ".trt", ".tflite", ".mlmodel", ".pb", ".h5", ".keras", ".caffemodel", ".pdparams"),
        "a model of another runtime. Give the PyTorch checkpoint that it was made from",
    ),
    ".pt2": "a file of torch.export, which is only for other programs. Give the checkpoint that it was exported from, "
    "or export it to ONNX, which splitnest reads",
    ".csv": f"a table. {IN_RECIPE.removesuffix('.')}",
    ".txt": f"a text file. {IN_RECIPE.removesuffix('.')}",
    ".xml": f"an XML file, such as an annotation of Pascal VOC. {IN_RECIPE.removesuffix('.')}",
    ".ipynb": "a notebook. Give a recipe (.yaml), a checkpoint, or the name of a published model",
}
"""Suffix of a file -> the kind of its content, and what to do."""

DETECTRON2_KEYS = {"SOLVER", "DATASETS", "DATALOADER", "INPUT", "TEST"}

_HEAD = 1 << 16
"""Number of bytes at either end of a JSON file in which its keys are looked for."""

MAX_CLASSES, MAX_LENGTH = 200, 300
"""Number of classes up to which a message lists all of them, and number of characters of a name or path in it."""


def foreign_file(path: Path) -> UsageError | None:
    """Return the error of a file that was found to be neither a recipe nor a checkpoint; None for an unknown kind.

    Args:
        path: Existing file, which could not be read as a recipe or a checkpoint.
    """
    suffix = path.suffix.lower()
    kind = None
    if suffix in RECIPE_SUFFIXES:
        kind = _yaml_kind(path)
    elif suffix == ".json":
        kind = _json_kind(path)
    elif suffix in BY_SUFFIX:
        kind = f"{BY_SUFFIX[suffix]}."
    return None if kind is None else UsageError(f"{path} is {kind}")


def _yaml_kind(path: Path) -> str | None:
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, UsageError):
        return None
    if not isinstance(content, Mapping) or "base" in content or "task" in content:
        return None
    if content.keys() & DETECTRON2_KEYS:
        return (
            "a part of a configuration of detectron2, without MODEL. Give the whole one, such as the config.yaml "
            "that detectron2 writes beside its checkpoints."
        )
    if "names" in content and content.keys() & {"train", "val", "path", "nc"}:
        return f"a dataset description of YOLO, not a recipe. Write a recipe for the dataset: splitnest new {path}."
    if "nc" in content and content.keys() & {"backbone", "head"}:
        return "a network of Ultralytics, which splitnest does not have. See 'splitnest list' for the models."
    if content.keys() & {"Collections", "Models"}:
        return "an index of published models of OpenMMLab. Give the name of one of them."
    return None


def _json_kind(path: Path) -> str:
    """Return the kind of a JSON file, from the keys at its beginning and end."""
    try:
        with path.open("rb") as file:
            text = file.read(_HEAD)
            file.seek(max(len(text), path.stat().st_size - _HEAD))
            text += file.read(_HEAD)
    except OSError:
        text = b""
    keys = set(re.findall(rb'"(\w+)"\s*:', text))
    if {b"shapes", b"imagePath"} <= keys:
        return (
            f"a labelme annotation of one image. Write a recipe for the folder of such files: splitnest new "
            f"{path.parent}."
        )
    if b"images" in keys and b"failed" in keys:
        return "a file of results of 'splitnest predict'. Give a model: a name, a recipe (.yaml) or a checkpoint."
    if b"images" in keys and keys & {b"annotations", b"categories"}:
        return f"an annotation file of COCO. {IN_RECIPE}"
    if {b"image_id", b"category_id"} <= keys:
        return "a file of detection results of COCO. Give a model: a name, a recipe (.yaml) or a checkpoint."
    return "a JSON file, not a model. Give a name, a recipe (.yaml) or a checkpoint."
