"""Pairs of images and label maps by file names: ``x.jpg`` with ``x.png``, ``x_mask.png`` or ``x_labelIds.png``."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

MAP_WORDS = (
    *("labeltrainids", "label_train_ids", "labelids", "label_ids", "masks", "mask", "labels", "label"),
    *("segmentation", "seg", "groundtruth", "ground_truth", "gt", "annotations", "annotation", "annot", "l"),
)
"""Words by which names of label maps differ from those of their images, in the order in which they are preferred."""

IMAGE_WORDS = ("leftimg8bit", "images", "image", "imgs", "img", "photo", "rgb", "sat", "im")
"""Words by which names of images differ from those of their label maps."""


def _word(words: Sequence[str]) -> re.Pattern[str]:
    joined = "|".join(words)
    return re.compile(rf"[_\-. ](?:gtfine_)?({joined})$|^({joined})[_\-. ](?=.)", re.IGNORECASE)


_OF_MAP, _OF_IMAGE = _word(MAP_WORDS), _word(IMAGE_WORDS)


def pair_names(images: Iterable[str], maps: Iterable[str]) -> dict[str, str]:
    """Return the label map of each image that has one.

    Args:
        images: File names of images, which differ without their suffix.
        maps: File names of label maps.
    """
    by_stem = {PurePosixPath(name).stem: name for name in maps}
    ranked = sorted(by_stem, key=_rank, reverse=True)
    by_key = {_without(_OF_MAP, stem): by_stem[stem] for stem in ranked}
    found: dict[str, str] = {}
    for name in images:
        stem = PurePosixPath(name).stem
        for known, key in ((by_stem, stem), (by_key, stem), (by_key, _without(_OF_IMAGE, stem))):
            if key in known:
                found[name] = known[key]
                break
    return found


def image_keys(names: Iterable[str]) -> set[str]:
    """Return the names without suffix that the label maps of images may have, with words such as ``_mask`` or not."""
    stems = {PurePosixPath(name).stem for name in names}
    return stems | {_without(_OF_IMAGE, stem) for stem in stems}


def map_keys(names: Iterable[str]) -> set[str]:
    """Return the names without suffix that the images of label maps may have, with words such as ``_image`` or not."""
    stems = {PurePosixPath(name).stem for name in names}
    return stems | {_without(_OF_MAP, stem) for stem in stems}


def divide_mixed(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the images and the label maps of one folder, by their names.

    Label maps are files with a word such as ``_mask`` behind the name of an image, and PNG files with the name of a
    JPEG file.
    """
    stems: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        for key in {path.stem, _without(_OF_IMAGE, path.stem)}:
            stems.setdefault(key, []).append(name)
    maps = set()
    for name in names:
        path = PurePosixPath(name)
        key = _without(_OF_MAP, path.stem)
        of_jpeg = path.suffix.lower() == ".png" and any(
            PurePosixPath(other).suffix.lower() in (".jpg", ".jpeg") for other in stems[path.stem]
        )
        if of_jpeg or (key != path.stem and key in stems):
            maps.add(name)
    return [name for name in names if name not in maps], [name for name in names if name in maps]


def _without(word: re.Pattern[str], stem: str) -> str:
    """Return a name without a word at its end or beginning."""
    return word.sub("", stem, count=1) or stem


def _rank(stem: str) -> int:
    """Return the place of the word of a label map in ``MAP_WORDS``."""
    match = _OF_MAP.search(stem)
    word = next((group for group in match.groups() if group), "").lower() if match else ""
    return MAP_WORDS.index(word) if word in MAP_WORDS else len(MAP_WORDS)
