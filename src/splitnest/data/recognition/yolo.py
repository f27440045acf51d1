"""Recognition of YOLO datasets: ``data.yaml`` in its variants, or folders of images and text files."""

import os
import re
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.formats.keypoint_points import Points
from splitnest.data.formats.yolo import NAME_LISTS, collect_yolo, read_yolo
from splitnest.data.images.listing import list_images
from splitnest.data.parts import Parts
from splitnest.data.recognition.data_yaml import has_flips, is_data_yaml, read_data_yaml, read_text, yolo_skeleton
from splitnest.data.recognition.instances import recognized_instances
from splitnest.data.recognition.keypoints import joined_points, with_keypoints
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.sampling import MAX_READ, sample_of
from splitnest.data.recognition.tree import Tree, choose_splits, common_folder, split_of, spread
from splitnest.errors import DataError
from splitnest.structures.categories import from_names
from splitnest.structures.flip_pairs import flip_pairs
from splitnest.structures.skeleton import Skeleton

_LINE = re.compile(r"\d+(?:\.0*)?(?:\s+-?[\d.eE+-]+){4,}\s*")


def find_data_yaml(tree: Tree) -> list[str]:
    """Return the files that describe a YOLO dataset, at most two folders deep."""
    return [
        name for name in tree.with_suffix(".yaml", ".yml") if name.count("/") <= 1 and is_data_yaml(tree.root / name)
    ]


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
    skeleton = None if data_yaml is None else yolo_skeleton(tree.root / data_yaml)
    train, val, split_notes = choose_splits(splits, "images")
    if val is not None and val == train:
        notes.append("train and val are the same images: a part of them is taken for validation")
        val = None
    data: dict[str, Any] = {"format": "yolo"}
    contents: list[AnnotationFile | None] = []
    all_names: list[Sequence[str] | None] = []
    read: list[int | None] = []
    points: list[Points | None] = []
    for split, folders in (("train", train), ("val", val)):
        if folders is None:
            contents.append(None)
            all_names.append(None)
            read.append(None)
            points.append(None)
            continue
        keys, content, of_split, every, count = _split(tree, split, folders, names, skeleton)
        data |= keys
        points.append(of_split)
        contents.append(content)
        all_names.append(every)
        read.append(count)
    recognized = recognized_instances(
        "YOLO", tree.root, data, contents, [*notes, *split_notes], class_order=names, all_names=all_names, num_read=read
    )
    if skeleton is None or data_yaml is None:
        return recognized
    recognized = with_keypoints(recognized, contents, points, skeleton.names)
    if not has_flips(tree.root / data_yaml):
        note = (
            f"{data_yaml} has no flip_idx, which says what keypoints a flip swaps, so images are not flipped: write "
            f"flip_idx, or kpt_names with left and right"
        )
        return replace(recognized, can_flip=False, assumed=(*recognized.assumed, note))
    pairs = tuple((skeleton.names[a], skeleton.names[b]) for a, b in enumerate(skeleton.flip_indices) if a < b)
    return replace(recognized, flip_pairs=pairs if pairs != tuple(flip_pairs(skeleton.names)) else None)


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
        names, splits = read_data_yaml(tree, data_yaml, notes)
    else:
        names = _listed_names(tree, label_folders, notes)
    if not splits:
        for folder in label_folders:
            splits.setdefault(split_of(folder) or "all", []).append(_images_of(tree, folder))
    return names, splits


def _split(
    tree: Tree,
    split: str,
    sources: Sequence[str],
    names: Sequence[str],
    skeleton: Skeleton | None,
) -> tuple[dict[str, Any], AnnotationFile, Points, Sequence[str] | None, int | None]:
    """Return keys of the data section, annotations and keypoints, and names of all images and number of those read in a
    sample.
    """
    images: list[str] = []
    labels: list[str] = []
    keys: dict[str, Any] = {}
    files: list[AnnotationFile] = []
    points: list[Points] = []
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
        found = list_images(tree.root / folder).names if listed is None else [
            os.path.relpath(name, folder or ".") for name in listed
        ]  # fmt: skip
        if not found:
            raise DataError(
                f"The {'training' if split == 'train' else 'validation'} split is empty: {tree.root / source} has no "
                f"images. Add images, or remove the split from data.yaml, so that a part of the others is taken."
            )
        labels.append(labels_of(tree, folder))
        only = sample_of(found) if len(found) > MAX_READ or listed is not None else None
        file, of_file = read_labels(tree, labels[-1], folder, names, skeleton, only)
        files.append(file)
        points.append(of_file)
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
    return keys, content, joined_points(files, points), every, count


def read_labels(
    tree: Tree,
    labels: str,
    images: str,
    names: Sequence[str],
    skeleton: Skeleton | None,
    only: Container[str] | None,
) -> tuple[AnnotationFile, Points]:
    """Return the annotations of a folder of images, and their keypoints if the dataset has a skeleton."""
    folders, categories = (tree.root / labels, tree.root / images), from_names(names)
    if skeleton is None:
        return read_yolo(*folders, categories, only), {}
    return collect_yolo(*folders, categories, skeleton, only)


def _listed_names(tree: Tree, label_folders: Sequence[str], notes: list[str]) -> list[str]:
    """Return the class names of a list, or names by number."""
    for name in tree.named(*NAME_LISTS):
        if listed := [line.strip() for line in read_text(tree.root / name).splitlines() if line.strip()]:
            return listed
    largest = 0
    for folder in label_folders:
        files = [name for name in tree.with_suffix(".txt") if os.path.dirname(name) == folder]
        for name in spread(files, MAX_READ):
            for line in read_text(tree.root / name).splitlines():
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
    for number, line in enumerate(read_text(tree.root / source).splitlines(), start=1):
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
            lines = read_text(tree.root / name).splitlines()[:20]
        except DataError:
            return False
        if any(line.strip() and not _LINE.fullmatch(line.strip()) for line in lines):
            return False
        is_any = is_any or any(line.strip() for line in lines)
    return is_any
