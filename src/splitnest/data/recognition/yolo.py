"""Recognition of YOLO datasets: ``data.yaml`` in its variants, or folders of images and text files."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.formats.yolo import NAME_LISTS, read_yolo
from splitnest.data.images.listing import list_images
from splitnest.data.parts import Parts
from splitnest.data.recognition.instances import recognized_instances
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.sampling import MAX_READ, sample_of
from splitnest.data.recognition.tree import Tree, choose_splits, common_folder, split_of, spread
from splitnest.errors import DataError, UsageError, first_few
from splitnest.files import open_text
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.structures.categories import from_names

_LINE = re.compile(r"\d+(?:\.0*)?(?:\s+-?[\d.eE+-]+){4,}\s*")
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[\\/]|~")


def find_data_yaml(tree: Tree) -> list[str]:
    """Return the files that describe a YOLO dataset, at most two folders deep."""
    return [
        name for name in tree.with_suffix(".yaml", ".yml") if name.count("/") <= 1 and is_data_yaml(tree.root / name)
    ]


def is_data_yaml(path: Path) -> bool:
    """Return whether a file describes a YOLO dataset: it has class names, and a split or their number."""
    try:
        content = read_yaml(_text(path), str(path))
    except (DataError, UsageError):
        return False
    return isinstance(content, dict) and "names" in content and bool(content.keys() & {"train", "val", "nc", "path"})


def find_label_files(tree: Tree) -> list[str]:
    """Return folders with text files of YOLO's lines, each the folder of images or its counterpart ``labels``."""
    folders: dict[str, list[str]] = {}
    for name in tree.with_suffix(".txt"):
        if os.path.basename(name) not in NAME_LISTS:
            folders.setdefault(os.path.dirname(name), []).append(name)
    return [folder for folder, names in folders.items() if _has_lines(tree, names)]


def recognize_yolo(tree: Tree, data_yaml: str | None, label_folders: Sequence[str] = ()) -> Recognized:
    """Return the dataset of a ``data.yaml``, or of folders of images and text files.

    Args:
        tree: Files of the dataset.
        data_yaml: ``data.yaml``, relative to the root; None without one.
        label_folders: Folders of the text files.

    Raises:
        DataError: A path does not exist, class names are missing, or a file is not valid.
    """
    notes: list[str] = []
    names, splits = yolo_splits(tree, data_yaml, label_folders, notes)
    train, val, split_notes = choose_splits(splits, "images")
    if val is not None and val == train:
        notes.append("train and val are the same images: a part of them is taken for validation")
        val = None
    data: dict[str, Any] = {"format": "yolo"}
    contents: list[AnnotationFile | None] = []
    all_names: list[Sequence[str] | None] = []
    read: list[int | None] = []
    for split, folders in (("train", train), ("val", val)):
        if folders is None:
            contents.append(None)
            all_names.append(None)
            read.append(None)
            continue
        keys, content, every, count = _split(tree, split, folders, names)
        data |= keys
        contents.append(content)
        all_names.append(every)
        read.append(count)
    return recognized_instances(
        "YOLO", tree.root, data, contents, [*notes, *split_notes], class_order=names, all_names=all_names, num_read=read
    )


def yolo_splits(
    tree: Tree, data_yaml: str | None, label_folders: Sequence[str], notes: list[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the class names, and the image folders or lists of images of each split, relative to the root.

    Args:
        tree: Files of the dataset.
        data_yaml: ``data.yaml``, relative to the root; None without one.
        label_folders: Folders of the text files.
        notes: Notes, to which those on missing folders and names are added.

    Raises:
        DataError: A path does not exist, or class names are missing.
    """
    splits: dict[str, list[str]] = {}
    if data_yaml is not None:
        names, splits = _read_data_yaml(tree, data_yaml, notes)
    else:
        names = _listed_names(tree, label_folders, notes)
    if not splits:
        for folder in label_folders:
            splits.setdefault(split_of(folder) or "all", []).append(_images_of(tree, folder))
    return names, splits


def _split(
    tree: Tree, split: str, sources: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, Any], AnnotationFile, Sequence[str] | None, int | None]:
    """Return keys of the data section, annotations, and names of all images and number of those read in a sample."""
    images: list[str] = []
    labels: list[str] = []
    keys: dict[str, Any] = {}
    files: list[AnnotationFile] = []
    every: Sequence[str] | None = None
    count: int | None = None
    for source in sources:
        folder = source
        listed: list[str] | None = None
        if len(sources) > 1 and source.lower().endswith(".txt"):
            raise DataError(f"{tree.root / source} is one of several lists of {split}. Write one list, or folders.")
        if source.lower().endswith(".txt"):
            listed = listed_images(tree, source)
            folder = common_folder(listed)
            keys[f"{split}_list"] = source
        images.append(folder or ".")
        labels.append(labels_of(tree, folder))
        found = list_images(tree.root / folder).names if listed is None else [
            os.path.relpath(name, folder or ".") for name in listed
        ]  # fmt: skip
        if not found:
            raise DataError(
                f"The {'training' if split == 'train' else 'validation'} split is empty: {tree.root / source} has no "
                f"images. Add images, or remove the split from data.yaml, so that a part of the others is taken."
            )
        only = sample_of(found) if len(found) > MAX_READ or listed is not None else None
        files.append(read_yolo(tree.root / labels[-1], tree.root / folder, from_names(names), only))
        if only is not None and len(sources) == 1:
            every, count = found, len(files[-1].image_ids)
    single = len(sources) == 1
    keys |= {f"{split}_images": images[0] if single else images}
    if single and labels[0] == _counterpart(images[0]):
        pass  # the default of the format
    else:
        keys |= {f"{split}_annotations": labels[0] if single else labels}
    parts = Parts([tree.root / each for each in images], [tree.root / each for each in labels])
    content = files[0] if single else concatenate(files, parts)
    return keys, content, every, count


def _read_data_yaml(tree: Tree, data_yaml: str, notes: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the class names, and the image folders or lists of each split, relative to the root."""
    path = tree.root / data_yaml
    try:
        content = read_yaml(_text(path), str(path))
    except UsageError as error:
        raise DataError(str(error)) from error
    assert isinstance(content, dict)
    names = content["names"]
    if isinstance(names, dict):
        numbers = sorted(number for number in names if isinstance(number, int))
        if len(numbers) != len(names) or numbers != list(range(len(names))):
            raise DataError(f"{path}: names has the keys {first_few([*map(str, names)])}, not 0 to {len(names) - 1}.")
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names is not a list of class names. Write names: [apple, pear].")
    if isinstance(content.get("nc"), int) and content["nc"] != len(names):
        raise DataError(f"{path}: nc is {content['nc']}, but names has {len(names)} classes. Correct one of them.")
    splits: dict[str, list[str]] = {}
    for key, split in (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test")):
        values = content.get(key)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value.strip():
                base = str(content.get("path") or "")
                found = _locate(tree, data_yaml, base, value, key)
                if found is not None and (_ABSOLUTE.match(base) or _ABSOLUTE.match(value)):
                    notes.append(f"{data_yaml} names {base or value}, a path of another machine: {found} here is taken")
                if found is None:
                    notes.append(f"{data_yaml} names {value} for {key}, which does not exist: the split is left out")
                else:
                    splits.setdefault(split, []).append(found)
    if content.get("train") and "train" not in splits:
        raise DataError(
            f"{path}: train is {content['train']!r}, which does not exist below {tree.root}. Write the folder of the "
            f"training images, relative to {path.name}, as in train: images/train."
        )
    return [str(name) for name in names], splits


def _locate(tree: Tree, data_yaml: str, base: str, value: str, key: str) -> str | None:
    """Return a path of ``data.yaml`` relative to the root; None for a relative one that does not exist.

    Raises:
        DataError: An absolute path, of another machine, does not exist, and no end of it does.
    """
    folder = (tree.root / data_yaml).parent
    written = value if _ABSOLUTE.match(value) or not base else f"{base}/{value}"
    parts = [part for part in re.split(r"[\\/]+", written) if part not in ("", ".", "..")]
    tails = [PurePosixPath(*parts[first:]) for first in range(len(parts))]
    own = PurePosixPath(*[part for part in re.split(r"[\\/]+", value) if part not in ("", ".", "..")])
    candidates = [folder / value, folder / written, *(folder / tail for tail in tails if len(tail.parts) >= 1)]
    for candidate in (*candidates, folder / own):
        resolved = Path(os.path.normpath(candidate))
        if resolved.exists() and resolved != tree.root and resolved.is_relative_to(tree.root):
            return resolved.relative_to(tree.root).as_posix()
    if (folder / value).exists() and Path(os.path.normpath(folder / value)) == tree.root:
        return ""
    if _ABSOLUTE.match(written):
        raise DataError(
            f"{folder / Path(data_yaml).name}: {key} is {written}, a path of another machine: neither it nor an end of "
            f"it exists in {folder}. Write the folder relative to {Path(data_yaml).name}, as in {key}: images/{key}."
        )
    return None


def _listed_names(tree: Tree, label_folders: Sequence[str], notes: list[str]) -> list[str]:
    """Return the class names of a list, or names by number."""
    for name in tree.named(*NAME_LISTS):
        if listed := [line.strip() for line in _text(tree.root / name).splitlines() if line.strip()]:
            return listed
    largest = 0
    for folder in label_folders:
        files = [name for name in tree.with_suffix(".txt") if os.path.dirname(name) == folder]
        for name in spread(files, MAX_READ):
            for line in _text(tree.root / name).splitlines():
                if _LINE.fullmatch(line.strip()):
                    largest = max(largest, int(float(line.split()[0])))
    notes.append(
        "no file has class names, so they are class_0, class_1, ...: write data.yaml with names, or correct the recipe"
    )
    return [f"class_{number}" for number in range(largest + 1)]


def listed_images(tree: Tree, source: str) -> list[str]:
    """Return the images that a text file lists, relative to the root.

    Raises:
        DataError: An image is not found, or there are none.
    """
    images = frozenset(tree.images)
    found: list[str] = []
    for number, line in enumerate(_text(tree.root / source).splitlines(), start=1):
        parts = [part for part in re.split(r"[\\/]+", line.strip()) if part not in ("", ".", "..")]
        if not parts:
            continue
        ends = ["/".join(parts[first:]) for first in range(len(parts))]
        inside = os.path.dirname(source)
        options = [end for end in ends if end in images] + [f"{inside}/{end}" for end in ends]
        name = next((each for each in options if each in images), None)
        if name is None:
            raise DataError(
                f"{tree.root / source}, line {number}: {line.strip()} is not an image below {tree.root}. Correct it."
            )
        found.append(name)
    if not found:
        raise DataError(f"{tree.root / source} lists no images. Add some, or remove the split from data.yaml.")
    return found


def _counterpart(folder: str) -> str | None:
    """Return the folder ``labels/...`` of a folder ``images/...``."""
    parts = list(PurePosixPath(folder).parts)
    if "images" not in parts:
        return None
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return str(PurePosixPath(*parts))


def labels_of(tree: Tree, folder: str) -> str:
    """Return the folder of the text files of a folder of images."""
    counterpart = _counterpart(folder)
    if counterpart is not None and (tree.root / counterpart).is_dir():
        return counterpart
    for other in (f"{folder}/labels" if folder else "labels", folder):
        if any(name.startswith(f"{other}/" if other else "") for name in tree.with_suffix(".txt")):
            return other or "."
    raise DataError(
        f"{tree.root / folder} has images, and {tree.root / (counterpart or folder)} has no text files. Put the labels "
        f"into a folder labels beside images."
    )


def _images_of(tree: Tree, folder: str) -> str:
    """Return the folder of images of a folder of text files."""
    parts = list(PurePosixPath(folder).parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
        images = str(PurePosixPath(*parts))
        if any(name.startswith(f"{images}/") for name in tree.images):
            return images
    if folder in tree.image_folders:
        return folder
    parent = os.path.dirname(folder)
    if parent in tree.image_folders:
        return parent
    raise DataError(f"{tree.root / folder} has YOLO's text files, and no images beside it. Put them into images.")


def _has_lines(tree: Tree, names: Sequence[str]) -> bool:
    """Return whether a sample of text files has YOLO's lines only, and some."""
    is_any = False
    for name in spread(names, 10):
        try:
            lines = _text(tree.root / name).splitlines()[:20]
        except DataError:
            return False
        if any(line.strip() and not _LINE.fullmatch(line.strip()) for line in lines):
            return False
        is_any = is_any or any(line.strip() for line in lines)
    return is_any


def _text(path: Path) -> str:
    try:
        with open_text(path) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}). Check it.") from error
