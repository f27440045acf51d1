"""YOLO's ``data.yaml`` in its variants: class names, splits and keypoints."""

import os
import re
from pathlib import Path, PurePosixPath

from splitnest.data.recognition.tree import Tree, split_of
from splitnest.errors import DataError, UsageError, first_few
from splitnest.files import open_text
from splitnest.recipe import Keypoints
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.structures.skeleton import Skeleton, complete, skeleton_of_table

_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[\\/]|~")
"""Beginning of an absolute path, of any system."""

MAX_KEYPOINTS = 1000
"""Maximum number of keypoints of an instance."""


def is_data_yaml(path: Path) -> bool:
    """Return whether a file describes a YOLO dataset: it has class names, and a split or their number."""
    try:
        content = read_yaml(read_text(path), str(path))
    except (DataError, UsageError):
        return False
    return isinstance(content, dict) and "names" in content and bool(content.keys() & {"train", "val", "nc", "path"})


def read_data_yaml(tree: Tree, data_yaml: str, notes: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the class names, and the image folders or lists of each split, relative to the root."""
    path = tree.root / data_yaml
    try:
        content = read_yaml(read_text(path), str(path))
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
            f"{path}: train is {content['train']!r}, which does not exist below {tree.root}. "
            f"{_what_to_write(tree, data_yaml, 'train')}"
        )
    return [str(name) for name in names], splits


def yolo_skeleton(path: Path) -> Skeleton | None:
    """Return the keypoints of a ``data.yaml`` with ``kpt_shape``; None for one without.

    Names are those of ``kpt_names``, or of COCO's 17 keypoints, or numbers; flip pairs are those of ``flip_idx``, or
    follow from the names.

    Raises:
        DataError: ``kpt_shape``, ``kpt_names`` or ``flip_idx`` is not valid.
    """
    content = read_yaml(read_text(path), str(path))
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    match shape:
        case [int(count), 2 | 3] if 0 < count <= MAX_KEYPOINTS:
            pass
        case _:
            raise DataError(
                f"{path}: kpt_shape is {shape!r}. Write the number of keypoints and of their numbers: [17, 3]."
            )
    flips = _flip_indices(path, content.get("flip_idx"), count)
    given = content.get("kpt_names")
    if isinstance(given, dict):  # class number -> names
        given = next(iter(given.values()), None)
    coco = skeleton_of_table("coco")
    if count == len(coco.names) and given is None and flips in (None, coco.flip_indices):
        return coco
    names = [str(name) for name in given] if isinstance(given, list) else [numbered(n) for n in range(count)]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: kpt_names lists a name more than once. Write different names.")
    if len(names) != count:
        raise DataError(f"{path}: kpt_names has {len(names)} names, and kpt_shape {count} keypoints. Correct one.")
    pairs = None if flips is None else tuple((names[a], names[b]) for a, b in enumerate(flips) if a < b)
    return Skeleton.from_keypoints(complete(Keypoints(names=tuple(names), flip_pairs=pairs))[0])


def has_flips(path: Path) -> bool:
    """Return whether a ``data.yaml`` says which keypoints a horizontal flip swaps: by ``flip_idx``, or by names."""
    content = read_yaml(read_text(path), str(path))
    skeleton = yolo_skeleton(path)
    return content.get("flip_idx") is not None or (skeleton is not None and skeleton.names[0] != numbered(0))


def numbered(keypoint: int) -> str:
    """Return the name of a keypoint that has none."""
    return f"point_{keypoint}"


def _flip_indices(path: Path, value: object, count: int) -> tuple[int, ...] | None:
    """Return ``flip_idx``; None without one.

    Raises:
        DataError: A keypoint has no partner that has it as its own partner.
    """
    if value is None:
        return None
    indices = [index for index in value if type(index) is int] if isinstance(value, list) else []
    if sorted(indices) != list(range(count)) or any(indices[indices[n]] != n for n in range(count)):
        shown = first_few([*map(str, value)]) if isinstance(value, list) else repr(value)
        raise DataError(
            f"{path}: flip_idx is {shown}, which does not give each of the {count} keypoints its partner on the other "
            f"side. Write the partner of each one, or its own number, as in flip_idx: [0, 2, 1]."
        )
    return tuple(indices)


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
            f"it exists in {folder}. {_what_to_write(tree, data_yaml, key)}"
        )
    return None


def _what_to_write(tree: Tree, data_yaml: str, key: str) -> str:
    """Return where images are, and how to name them in ``data.yaml``."""
    folders = [os.path.relpath(folder or ".", os.path.dirname(data_yaml) or ".") for folder in tree.image_folders]
    example = next(
        (folder for folder in folders if split_of(folder) == split_of(key)), (folders or [f"images/{key}"])[0]
    )
    seen = f"Images are in {first_few(folders)}" if folders else "There are no images: add them"
    return f"{seen}. Write their folder relative to {PurePosixPath(data_yaml).name}, as in {key}: {example}."


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with open_text(path) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}). Check it.") from error
