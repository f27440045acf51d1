"""Duplicate images: equal files, and images that look the same (perceptual hash), within and between splits.

A difference hash (dHash) has a bit for each pair of neighbors in 9 x 8 gray values. Resizing, JPEG compression and
changes of brightness turn few of its 64 bits. Pairs with few different bits are confirmed by the correlation of 16 x 16
gray values, since hashes of unrelated images agree by chance. Images without contrast have no hash.

Shapes: I images.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from splitnest.data.dataset import ImageDataset
from splitnest.data.images.read import open_header
from splitnest.errors import DataError
from splitnest.files import open_regular
from splitnest.progress import PROGRESS_FROM, track

MAX_DISTANCE = 6
"""Maximum number of different bits of near duplicates."""

MIN_CORRELATION = 0.95
"""Minimum correlation of their gray values."""

MIN_CONTRAST = 4.0
"""Minimum standard deviation of the gray values, from 0 to 255, of an image with a hash."""

_HASH_SIZE, _GRAY_SIZE, _DRAFT_SIZE = (9, 8), (16, 16), (128, 128)
_HASH_BITS = 64
MAX_PARTNERS = 16
"""Maximum number of similar hashes of one hash that are listed for a band, as thousands of images may look alike."""

_BLOCK = 1024
"""Number of hashes that are compared with all others of a bucket at a time."""


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are the same.

    Attributes:
        images: Indices of two or more images.
        is_exact: Whether the files are equal, byte by byte; otherwise the images look the same.
    """

    images: tuple[int, ...]
    is_exact: bool


def find_duplicates(paths: Sequence[Path]) -> list[DuplicateGroup]:
    """Return the groups of duplicate images, those with equal files first; unreadable images are passed over.

    An image is in one group of each kind at most. Of equal files one is compared with other images.
    """
    exact = _equal_files(paths)
    copies = {index for group in exact for index in group[1:]}
    kept = [index for index in range(len(paths)) if index not in copies]
    hashes, grays, has_hash = _fingerprints([paths[index] for index in kept])
    rows = np.flatnonzero(has_hash)
    pairs = near_pairs(hashes[rows])
    pairs = pairs[_correlations(grays[rows], pairs) >= MIN_CORRELATION]
    near = ([kept[rows[row]] for row in group] for group in _connected(pairs, len(rows)))
    return [DuplicateGroup(tuple(group), True) for group in exact] + [DuplicateGroup(tuple(g), False) for g in near]


def near_pairs(hashes: NDArray[np.uint64], distance: int = MAX_DISTANCE) -> NDArray[np.int64]:
    """Return the pairs of hashes with at most a number of different bits, ``[P, 2]``, sorted.

    The bits are divided into ``distance + 1`` bands, one of which is equal in such a pair, so only hashes with an equal
    band are compared (multi-index hashing). Equal hashes are in pairs of neighbors, not in all pairs, and a hash has at
    most ``MAX_PARTNERS`` others in a band.

    Args:
        hashes: uint64 ``[I]``.
        distance: Maximum number of different bits.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    equal = np.stack([order[:-1], order[1:]], axis=1)[np.diff(inverse[order]) == 0]
    found = [np.sort(equal, axis=1)]
    for low, high in zip(*_band_limits(distance + 1), strict=True):
        mask = np.uint64((1 << int(high - low)) - 1)
        bands = (unique >> np.uint64(low)) & mask
        by_band = np.argsort(bands, kind="stable")
        for bucket in np.split(by_band, np.flatnonzero(np.diff(bands[by_band])) + 1):
            for start in range(0, len(bucket), _BLOCK) if len(bucket) > 1 else ():
                block = bucket[start : start + _BLOCK]
                close = np.bitwise_count(unique[block][:, None] ^ unique[bucket]) <= distance
                close &= np.arange(len(block))[:, None] + start < np.arange(len(bucket))
                one, other = np.nonzero(close & (close.cumsum(axis=1, dtype=np.int32) <= MAX_PARTNERS))
                found.append(np.sort(np.stack([first[block[one]], first[bucket[other]]], axis=1), axis=1))
    codes = np.unique(np.concatenate(found) @ np.array([len(hashes), 1]))
    return np.stack([codes // max(len(hashes), 1), codes % max(len(hashes), 1)], axis=1)


def describe_duplicates(
    groups: Sequence[DuplicateGroup], names: Sequence[str], splits: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return kind of finding -> a line for each group of duplicates.

    Args:
        groups: Groups of ``find_duplicates``.
        names: Name of each of the I images.
        splits: Split of each of the I images.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        same = "the same file" if group.is_exact else "looks the same"
        if len({splits[index] for index in group.images}) > 1:
            shown = " = ".join(f"{splits[index]}: {names[index]}" for index in group.images)
            found[f"image in several splits, so metrics are too high ({same})"].append(shown)
        else:
            found[f"duplicate image ({same})"].append(" = ".join(names[index] for index in group.images))
    return {kind: tuple(lines) for kind, lines in found.items()}


def check_duplicates(datasets: Mapping[str, ImageDataset]) -> dict[str, tuple[str, ...]]:
    """Return the duplicates within and between the splits of a dataset of any task; see ``describe_duplicates``.

    Args:
        datasets: Name of each split -> its images; images that are no files are passed over.
    """
    images = [
        (path, dataset.name(index), split)
        for split, dataset in datasets.items()
        for index in range(len(dataset))
        if (path := dataset.path(index)) is not None
    ]
    groups = find_duplicates([path for path, _, _ in images])
    return describe_duplicates(groups, [name for _, name, _ in images], [split for _, _, split in images])


def _band_limits(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ends = np.linspace(0, _HASH_BITS, count + 1).astype(np.int64)
    return ends[:-1], ends[1:]


def _equal_files(paths: Sequence[Path]) -> list[list[int]]:
    """Return the groups of equal files; only files with the size of another one are read."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        if path.is_file():
            by_size[path.stat().st_size].append(index)
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for indices in by_size.values():
        for index in indices if len(indices) > 1 else ():
            try:
                with open(paths[index], "rb") as file:
                    by_digest[hashlib.file_digest(file, "sha256").digest()].append(index)
            except OSError:
                continue
    return [indices for indices in by_digest.values() if len(indices) > 1]


def _fingerprints(paths: Sequence[Path]) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the hash and the normalized gray values of each image, ``[I]`` and ``[I, G]``, and whether it has them."""
    hashes = np.zeros(len(paths), np.uint64)
    grays = np.zeros((len(paths), _GRAY_SIZE[0] * _GRAY_SIZE[1]), np.float32)
    has_hash = np.zeros(len(paths), bool)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values: Iterator[tuple[np.uint64, NDArray[np.float32]] | None] = pool.map(_fingerprint, paths)
        shown = track(values, len(paths), "comparing images") if len(paths) >= PROGRESS_FROM else values
        for index, value in enumerate(shown):
            if value is not None:
                hashes[index], grays[index] = value
                has_hash[index] = True
    return hashes, grays, has_hash


def _fingerprint(path: Path) -> tuple[np.uint64, NDArray[np.float32]] | None:
    """Return hash and normalized gray values; None for an image without contrast, or that cannot be read."""
    try:
        with open_regular(path) as file, open_header(file, str(path)) as image:
            image.draft("L", _DRAFT_SIZE)  # a JPEG is decoded at a fraction of its size
            upright = ImageOps.exif_transpose(image.convert("L"))
            small = np.asarray(upright.resize(_HASH_SIZE, Image.Resampling.BOX), np.int16)
            gray = np.asarray(upright.resize(_GRAY_SIZE, Image.Resampling.BOX), np.float32).ravel()
    except (DataError, OSError, ValueError, SyntaxError, MemoryError):
        return None
    if gray.std() < MIN_CONTRAST:
        return None
    centered = gray - gray.mean()
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)[0], centered / np.linalg.norm(centered)


def _correlations(grays: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.einsum("pg,pg->p", grays[pairs[:, 0]], grays[pairs[:, 1]])


def _connected(pairs: NDArray[np.int64], count: int) -> list[list[int]]:
    """Return the groups of rows that pairs connect, each sorted."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for row in np.unique(pairs).tolist():
        groups[root(row)].append(row)
    return list(groups.values())
