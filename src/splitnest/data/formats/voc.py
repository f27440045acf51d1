"""Reader of Pascal VOC annotations: an XML file for each image."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_json import ImageRow
from splitnest.data.formats.faults import Faults, unknown_classes
from splitnest.data.formats.voc_files import VocFiles, find_annotations, list_voc
from splitnest.data.formats.voc_xml import number_in, parse, text_in
from splitnest.data.formats.xml_elements import Element
from splitnest.data.images.limits import MAX_PIXELS
from splitnest.data.images.size import size_or_default
from splitnest.data.paths import optional_path, required_path, required_root
from splitnest.errors import DataError, first_few
from splitnest.recipe import Split
from splitnest.recipe.data import VocData
from splitnest.structures.categories import Categories

SIDES = ("xmin", "ymin", "xmax", "ymax")

LISTS = "ImageSets"
"""Folder of the lists of image names in the layout of Pascal VOC."""


def read_part(data: VocData, split: Split, categories: Categories) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and the list or folder that names them."""
    images = required_path(data, f"{split}_images", "the image folder")
    source, folder = _source(data, split, images)
    return images, read_voc(source, folder, images, categories), source


def class_names(parts: Sequence[tuple[VocData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names in the XML files of all parts in alphabetical order, without notes."""
    names: set[str] = set()
    for part, split in parts:
        images = required_path(part, f"{split}_images", "the image folder")
        names |= voc_class_names(*_source(part, split, images), images)
    return sorted(names), []


def read_voc(
    source: str | Path,
    annotations_dir: str | Path,
    images_dir: str | Path,
    categories: Categories,
    only: Container[str] | None = None,
) -> AnnotationFile:
    """Read the annotations of one split.

    Pixels are numbered from 1 and a box includes its last pixel (VOC development kit, section 4): it covers
    ``xmin - 1`` to ``xmax``. A box that ends where it starts is a click rather than an instance one pixel wide, and
    gets no area. Difficult instances become crowd regions: detections there are ignored, and they are not trained on.

    Args:
        source: List of image names, such as ``ImageSets/Main/test.txt``; or ``annotations_dir``, to take all images
            that have an XML file.
        annotations_dir: Folder of the files ``<name>.xml``.
        images_dir: Folder of the images ``<name>.jpg``, with any image suffix.
        categories: Classes of the model.
        only: Names of the XML files without suffix that are read, as a sample; None reads all.

    Raises:
        DataError: A file does not exist or is not valid, or an instance has an unknown class.
    """
    source, annotations_dir, images_dir = Path(source), Path(annotations_dir), Path(images_dir)
    faults = Faults(source)
    files = list_voc(source, annotations_dir, images_dir, faults)
    id_of_class = {category.name: category.id for category in categories}
    images: list[ImageRow] = []
    paths: list[Path] = []
    annotations: list[dict[str, Any]] = []
    without_image: list[str] = []
    unknown: list[tuple[str, str]] = []
    for name in files.names:
        if only is not None and name not in only:
            continue
        path = annotations_dir / f"{name}.xml"
        try:
            root = parse(path)
            image = _image(files, name, root)
            if image is None:
                without_image.append(f"{name}.xml")
                continue
            height, width = _size(path, root) or size_or_default(images_dir / image)
        except DataError as error:
            faults.add(str(error))
            continue
        images.append((len(images) + 1, image, height, width))
        paths.append(path)
        for element in root.all("object"):
            try:
                name_of_class, annotation = _object(path, element)
            except DataError as error:
                faults.add(str(error))
                continue
            if name_of_class not in id_of_class:
                unknown.append((name_of_class, f"{path}, line {element.line}"))
            else:
                annotation["category_id"] = id_of_class[name_of_class]
                annotations.append({"image_id": len(images), **annotation})
    if unknown:
        faults.add(unknown_classes(unknown, categories))
    _add_notes(files, without_image, [image[1] for image in images], images_dir, faults)
    pairs = [(category.id, category.name) for category in categories]
    return from_rows(source, images, pairs, annotations, paths=paths, notes=files.notes, faults=faults)


def voc_class_names(
    source: Path, annotations_dir: Path, images_dir: Path, only: Container[str] | None = None
) -> set[str]:
    """Return the names of the classes in the XML files of a split; files that are not valid are passed over here.

    Arguments are those of ``read_voc``.

    Raises:
        DataError: Same conditions as ``list_voc``.
    """
    names: set[str] = set()
    files = list_voc(source, annotations_dir, images_dir, Faults(source))
    for name in files.names:
        if only is not None and name not in only:
            continue
        try:
            root = parse(annotations_dir / f"{name}.xml")
        except DataError:
            continue
        if _image(files, name, root) is not None:
            names |= {label.text for element in root.all("object") for label in element.all("name") if label.text}
    return names


def _image(files: VocFiles, name: str, root: Element) -> str | None:
    """Return the image of an XML file. A listed one without an image keeps a name, so that it is missed."""
    file_name = root.first("filename")
    image = files.image_of(name, "" if file_name is None else file_name.text)
    return f"{name}.jpg" if image is None and files.is_list else image


def _add_notes(files: VocFiles, without_image: list[str], images: list[str], images_dir: Path, faults: Faults) -> None:
    """Add notes on files that are not taken, where all XML files of a folder are."""
    if not files.is_list:
        files.notes["XML file without an image: not read"] = tuple(without_image)
        files.notes["image without an XML file: not read"] = tuple(sorted(files.images - set(images)))
        if without_image and not images:
            faults.add(
                f"None of the {len(without_image)} XML files has an image in {images_dir}: {first_few(without_image)}. "
                f"Correct the image folder."
            )


def _object(path: Path, element: Element) -> tuple[str, dict[str, Any]]:
    """Return the class of an instance, and the instance in COCO's form without a category."""
    name = text_in(path, element, "name")
    box = element.first("bndbox")
    if box is None:
        raise DataError(f"{path}, line {element.line}: this {name} has no bndbox. Add it, or remove the instance.")
    left, top, right, bottom = (number_in(path, box, side) for side in SIDES)
    width = right - left + 1 if right > left else 0
    height = bottom - top + 1 if bottom > top else 0
    difficult = element.first("difficult")  # labelme writes an empty one
    is_difficult = difficult is not None and difficult.text != "" and number_in(path, element, "difficult") != 0
    box_xywh = [left - 1, top - 1, width, height]
    return name, {"bbox": box_xywh, "iscrowd": int(is_difficult), "line": element.line}


def _size(path: Path, root: Element) -> tuple[int, int] | None:
    """Return the (height, width) that the file gives; None if it is absent or 0, as some tools write it."""
    size = root.first("size")
    if size is None:
        return None
    height, width = number_in(path, size, "height"), number_in(path, size, "width")
    if height < 1 or width < 1:
        return None
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{path}, line {size.line}: the size is {width:g} x {height:g}, more than {MAX_PIXELS // 10**6} million "
            f"pixels. Correct it."
        )
    return int(height), int(width)


def _source(data: VocData, split: Split, images: Path) -> tuple[Path, Path]:
    """Return the list of image names, or the folder whose XML files are all taken; and the folder of the XML files."""
    root = required_root(data)
    annotations = optional_path(data, f"{split}_annotations")
    if annotations is not None and annotations.is_dir():
        return annotations, annotations
    if annotations is None and (root / LISTS).is_dir():
        what = "the list of image names, such as ImageSets/Main/test.txt, or the folder of the XML files"
        required_path(data, f"{split}_annotations", what)
    folder = find_annotations(root, images)
    if annotations is not None and not annotations.exists() and not (root / LISTS).is_dir():
        raise DataError(
            f"{annotations} does not exist, and {root} has no lists of image names. Correct "
            f"data.{split}_annotations, or set it to {folder} to take all images that have an XML file."
        )
    return annotations or folder, folder
