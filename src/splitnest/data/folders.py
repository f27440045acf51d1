"""A folder of photographs and a folder of label maps of the same names: ADE20K, CamVid, and a user's own."""

from collections.abc import Sequence
from pathlib import Path

from splitnest.data.categories import Categories
from splitnest.data.images import SUFFIXES
from splitnest.data.label_code import LabelCode, color_value
from splitnest.data.label_maps import LabelMaps, existing_folder
from splitnest.data.semantic_labels import unlabelled
from splitnest.errors import DataError
from splitnest.results.semantic import SemanticSegmentation


def read_folders(images: Path, annotations: Path | None, code: LabelCode, classes: Categories) -> LabelMaps:
    """Find photographs, and label maps of the same names but for the suffix.

    Args:
        images: Folder of the photographs.
        annotations: Folder of the label maps; None for photographs alone.
        code: What the values of the label maps mean.
        classes: Classes of the model.

    Raises:
        DataError: A folder does not exist, there are no photographs, or two files have one name.
    """
    photographs = _by_stem(existing_folder(images, "photographs"))
    label_maps = None
    if annotations is not None:
        found = _by_stem(existing_folder(annotations, "label maps"))
        label_maps = [found.get(stem, annotations / f"{stem}.png") for stem in photographs]
    return LabelMaps(images, list(photographs.values()), label_maps, code, classes)


def index_code(
    classes: Categories, palette: Sequence[tuple[int, int, int]] | None = None, ignore_label: int | None = None
) -> LabelCode:
    """Return the code of label maps of class indices, or of colours that stand for them.

    Args:
        classes: Classes of the model.
        palette: The colour of each index, of maps of colours; None for maps of indices.
        ignore_label: Index of pixels without a label, besides 255 (65535 from 256 classes on).
    """
    none, dtype = unlabelled(classes), SemanticSegmentation.label_dtype(classes)
    meaning = {none: none} | {label: label for label in range(len(classes))}
    if ignore_label is not None:
        meaning[ignore_label] = none
    if palette is None:
        return LabelCode(meaning, dtype)
    return LabelCode({color_value(*color): meaning[i] for i, color in enumerate(palette)}, dtype, colored=True)


def ade20k_code(classes: Categories) -> LabelCode:
    """Return the code of ADE20K's label maps: 0 for pixels without a label, 1 for the first class.

    255 has no label either, as in mmsegmentation (``reduce_zero_label``).
    """
    none = unlabelled(classes)
    meaning = {0: none, 255: none} | {label + 1: label for label in range(len(classes))}
    return LabelCode(meaning, SemanticSegmentation.label_dtype(classes))


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by their names without suffix, sorted."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and (other := found.setdefault(path.stem, path)) != path:
            raise DataError(f"{folder} holds {other.name} and {path.name}, which have one name. Take one away.")
    return found
