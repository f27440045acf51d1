"""Folders of images and of label maps with the same file names: ADE20K, CamVid and custom datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitnest.data.formats.label_map_pairs import divide_mixed, pair_names
from splitnest.data.formats.label_maps import LabelEncoding, color_value
from splitnest.data.images.listing import list_images
from splitnest.data.paths import existing_folder
from splitnest.errors import DataError
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories


@dataclass(frozen=True)
class LabelMapFiles:
    """Image files and label map files of a dataset.

    Attributes:
        folder: Image folder.
        images: Image files in or below the folder.
        label_maps: Label map of each image, which may not exist; None for a test set.
        encodings: Encoding of each label map.
        categories: Classes that the labels index.
        others: Paths of files in the image folder that are neither images nor annotations.
        unpaired: Label maps without an image.
    """

    folder: Path
    images: Sequence[Path]
    label_maps: Sequence[Path] | None
    encodings: Sequence[LabelEncoding]
    categories: Categories
    others: Sequence[str] = ()
    unpaired: Sequence[str] = ()


def read_folders(
    images: Path, annotations: Path | None, encoding: LabelEncoding, categories: Categories
) -> LabelMapFiles:
    """List images, and label maps with the same names except for the suffix and words such as ``_mask``.

    Args:
        images: Image folder.
        annotations: Folder of the label maps, which may be the image folder; None for a test set.
        encoding: Encoding of the label maps.
        categories: Classes of the model.

    Raises:
        DataError: A folder does not exist, or two files have the same name.
    """
    listing = list_images(existing_folder(images, "images"), recursive=False)
    names: Sequence[str] = listing.names
    label_maps: list[Path] | None = None
    unpaired: tuple[str, ...] = ()
    if annotations is not None:
        existing_folder(annotations, "label maps")
        if annotations.samefile(images):
            names, maps = divide_mixed(names)
        else:
            maps = list(list_images(annotations, recursive=False).names)
        _check_distinct(maps, annotations)
        map_of = pair_names(names, maps)
        label_maps = [annotations / map_of.get(name, f"{Path(name).stem}.png") for name in names]
        paired = set(map_of.values())
        unpaired = tuple(name for name in maps if name not in paired)
    _check_distinct(names, images)
    files = [images / name for name in names]
    encodings = [encoding] * len(files)
    return LabelMapFiles(images, files, label_maps, encodings, categories, tuple(listing.others), unpaired)


def index_encoding(
    categories: Categories,
    palette: Sequence[tuple[int, int, int]] | None = None,
    ignore_label: int | None = None,
    ignore_colors: Sequence[tuple[int, int, int]] = (),
) -> LabelEncoding:
    """Return the encoding of label maps of class indices, or of the colors of class indices.

    Args:
        categories: Classes of the model.
        palette: Color of each index, for colored label maps; None for label maps of indices.
        ignore_label: Index of unlabeled pixels, besides 255 (65535 from 256 classes on).
        ignore_colors: Colors of unlabeled pixels.
    """
    unlabeled = SemanticSegmentation.unlabeled(categories)
    dtype = SemanticSegmentation.label_dtype(categories)
    label_of = {unlabeled: unlabeled} | {label: label for label in range(len(categories))}
    if ignore_label is not None:
        label_of[ignore_label] = unlabeled
    if palette is None:
        return LabelEncoding(label_of, dtype)
    of_colors = {color_value(*color): label_of[i] for i, color in enumerate(palette)}
    return LabelEncoding(
        dict.fromkeys((color_value(*color) for color in ignore_colors), unlabeled) | of_colors, dtype, is_colored=True
    )


def reduced_zero_encoding(categories: Categories) -> LabelEncoding:
    """Return the encoding of label maps such as ADE20K's: 0 for unlabeled pixels, classes from 1.

    255 is unlabeled too, as in mmsegmentation (``reduce_zero_label``).
    """
    unlabeled = SemanticSegmentation.unlabeled(categories)
    label_of = {0: unlabeled, 255: unlabeled} | {label + 1: label for label in range(len(categories))}
    return LabelEncoding(label_of, SemanticSegmentation.label_dtype(categories))


def _check_distinct(names: Sequence[str], folder: Path) -> None:
    """Raise a DataError if two images of a folder have the same name except for the suffix."""
    found: dict[str, str] = {}
    for name in names:
        if (other := found.setdefault(Path(name).stem, name)) != name:
            raise DataError(f"{folder} has {other} and {name}, which have the same name. Remove one.")
