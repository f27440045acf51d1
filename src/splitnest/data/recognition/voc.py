"""Recognition of Pascal VOC datasets, with lists of image names, with folders of splits, or with neither."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.recognition.instances import recognized_instances
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.sampling import MAX_READ, sample_of, sampled_note
from splitnest.data.recognition.tree import Tree, choose_splits, split_of
from splitnest.errors import DataError
from splitnest.structures.categories import from_names

LISTS = ("train.txt", "val.txt", "trainval.txt", "test.txt")
"""Lists of image names; others are of single classes."""


def recognize_voc(tree: Tree, folders: list[str]) -> Recognized:
    """Return the dataset of folders of XML files.

    Args:
        tree: Files of the dataset.
        folders: Folders of the XML files, relative to the root.

    Raises:
        DataError: A file is not valid, or images or a split are missing.
    """
    sources, notes = voc_splits(tree, folders)
    train, val, split_notes = choose_splits(sources, "images")
    notes += split_notes
    data: dict[str, Any] = {"format": "voc"}
    parts: list[tuple[Path, Path, Path, list[str]] | None] = []
    for split, pair in (("train", train), ("val", val)):
        if pair is None:
            parts.append(None)
            continue
        source, folder = pair
        names = voc_names(tree, source, folder)
        if not names:
            raise DataError(
                f"The {'training' if split == 'train' else 'validation'} split is empty: {tree.root / source} names no "
                f"images. Add some, or remove it, so that a part of the other images is taken."
            )
        images = voc_image_folder(tree, folder, names)
        data |= {f"{split}_images": images or ".", f"{split}_annotations": source or "."}
        parts.append((tree.root / source, tree.root / folder, tree.root / images, names))
    only = [None if part is None or len(part[3]) <= MAX_READ else sample_of(part[3]) for part in parts]
    classes: set[str] = set()
    for part, sample in zip(parts, only, strict=True):
        if part is not None:
            classes |= voc_class_names(*part[:3], only=sample)
    order = sorted(classes)
    files = [
        None if part is None else read_voc(*part[:3], from_names(order), only=sample)
        for part, sample in zip(parts, only, strict=True)
    ]
    sampled = [part if sample is not None else None for part, sample in zip(parts, only, strict=True)]
    every = [None if part is None else _all_images(tree, part[2], part[3]) for part in sampled]
    notes += [sampled_note(len(part[3]), "XML files") for part in sampled if part is not None]
    read = [None if file is None or s is None else len(file.image_ids) for file, s in zip(files, only, strict=True)]
    return recognized_instances(
        "Pascal VOC", tree.root, data, files, notes, class_order=order, all_names=every, num_read=read
    )


def voc_splits(tree: Tree, folders: list[str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return split -> list of image names, or folder, and folder of the XML files; and notes.

    Raises:
        DataError: There are several folders of XML files that are no splits.
    """
    by_split: dict[str, list[str]] = {}
    for folder in folders:
        by_split.setdefault(split_of(folder) or "all", []).append(folder)
    by_split = {split: _with_subfolders(each) for split, each in by_split.items()}
    tops = [folder for each in by_split.values() for folder in each]
    sources, notes = _lists(tree, tops) if len(tops) == 1 else ({}, [])
    if not sources:
        several = next((each for each in by_split.values() if len(each) > 1), None)
        if several is not None:
            raise DataError(
                f"{tree.root} has XML files in {several[0]} and {several[1]}, which are not folders of splits. Give "
                f"one of them, or put the files into one folder."
            )
        sources = {split: (each[0], each[0]) for split, each in by_split.items()}
    return sources, notes


def _with_subfolders(folders: list[str]) -> list[str]:
    """Return the folder that contains several, if it is below the root, otherwise all of them."""
    common = os.path.commonpath(folders) if "" not in folders else ""
    return [common] if common or len(folders) == 1 else folders


def _lists(tree: Tree, folders: list[str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the list of image names and the folder of the XML files of each split."""
    found: dict[str, str] = {}
    for name in tree.named(*LISTS):
        if PurePosixPath(name).parent.name in ("Main", "ImageSets") or "/" not in name:
            found.setdefault(PurePosixPath(name).stem, name)
    if not found:
        return {}, []
    notes = []
    if "train" not in found and "trainval" in found:
        found["train"] = found["trainval"]
    if "train" in found and "val" in found and "test" in found:
        notes.append(f"{found['test']} is left for a final evaluation: set data.val_annotations to it")
    return {split: (found[split], folders[0]) for split in ("train", "val", "test") if split in found}, notes


def voc_names(tree: Tree, source: str, folder: str) -> list[str]:
    """Return the names of the XML files of a split without suffix, relative to their folder."""
    start = f"{folder}/" if folder else ""
    of_folder = [os.path.splitext(name[len(start) :])[0] for name in tree.with_suffix(".xml") if name.startswith(start)]
    if source == folder:
        return of_folder
    try:
        lines = (tree.root / source).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{tree.root / source} cannot be read as a list of image names ({error}). Check it.") from error
    return [line.strip() for line in lines if line.strip()]


def voc_image_folder(tree: Tree, folder: str, names: list[str]) -> str:
    """Return the folder of images in which most of the names are."""
    stems = {PurePosixPath(name).name for name in names}
    hits = {
        images: sum(PurePosixPath(name).stem in stems for name in files) for images, files in tree.image_folders.items()
    }
    best = max(hits, key=lambda images: (hits[images], images == folder, -len(images)), default=None)
    if best is None or not hits[best]:
        raise DataError(
            f"{tree.root / folder} has {len(names)} XML files, and {tree.root} has none of their images, "
            f"{PurePosixPath(names[0]).name}.jpg for example. Add the images."
        )
    if any("/" in name for name in names) and hits[best] < len(stems):
        return os.path.commonpath([images for images, count in hits.items() if count])
    return best


def _all_images(tree: Tree, images: Path, names: list[str]) -> list[str]:
    stems = {PurePosixPath(name).name for name in names}
    start = images.relative_to(tree.root).as_posix()
    prefix = "" if start == "." else f"{start}/"
    found = [name[len(prefix) :] for name in tree.images if name.startswith(prefix)]
    return [name for name in found if PurePosixPath(name).stem in stems]
