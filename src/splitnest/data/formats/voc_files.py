"""Files of a Pascal VOC dataset: lists of image names, XML files and images, in the layouts that are common."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from splitnest.data.formats.faults import Faults
from splitnest.data.formats.voc_xml import read
from splitnest.data.images.listing import NOT_AN_IMAGE, is_hidden, is_image, list_files, list_images
from splitnest.data.paths import existing_folder
from splitnest.errors import DataError

ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")
"""Names of the folder of the XML files, in lower case; the first one is that of Pascal VOC."""

_PER_CLASS_LABELS = ("1", "0", "-1")
"""Second fields of the lists of one class, such as ``cat_train.txt``."""


@dataclass
class VocFiles:
    """XML files of one split, and the images they may belong to.

    Attributes:
        names: Paths of the XML files relative to their folder, without suffix.
        is_list: Whether a list names them; otherwise they are all XML files of the folder.
        images: Paths of all images, relative to the image folder.
        notes: Same as ``AnnotationFile.notes``.
    """

    names: list[str]
    is_list: bool
    images: frozenset[str]
    notes: dict[str, tuple[str, ...]]

    @cached_property
    def _by_path(self) -> dict[str, str]:
        return {os.path.splitext(name)[0]: name for name in sorted(self.images)}

    @cached_property
    def _by_stem(self) -> dict[str, str | None]:
        """Image of each file name without suffix; None where several folders have one."""
        by_stem: dict[str, str | None] = {}
        for image in self.images:
            stem = PurePosixPath(image).stem
            by_stem[stem] = None if stem in by_stem else image
        return by_stem

    def image_of(self, name: str, file_name: str) -> str | None:
        """Return the path of the image of an XML file, relative to the image folder; None without one.

        Args:
            name: Path of the XML file without suffix. The image has the same path, or the same name in any folder.
            file_name: File name that the XML file gives, which is used otherwise.
        """
        if (image := self._by_path.get(name) or self._by_stem.get(PurePosixPath(name).name)) is not None:
            return image
        return file_name if file_name in self.images else None


def list_voc(source: Path, annotations_dir: Path, images_dir: Path, faults: Faults) -> VocFiles:
    """Return the files of one split.

    Args:
        source: List of image names, or a folder, whose XML files are all taken.
        annotations_dir: Folder of the XML files.
        images_dir: Image folder.
        faults: Faults, to which those of the list are added.

    Raises:
        DataError: The list or a folder does not exist, or the folder has no XML files.
    """
    images = list_images(existing_folder(images_dir, "images"))
    is_list = not source.is_dir()
    names = list(_listed(source, annotations_dir, faults)) if is_list else _names_in(source)
    notes = {NOT_AN_IMAGE: tuple(images.others)}
    return VocFiles(names, is_list, frozenset(images.names), notes)


def find_annotations(root: Path, images_dir: Path) -> Path:
    """Return the folder of the XML files.

    It is called ``Annotations``, or similarly (see ``ANNOTATION_FOLDERS``) in any case, and is in the root or beside
    the images; or the XML files are beside the images themselves; or one other folder has XML files.

    Raises:
        DataError: There is no such folder.
    """
    bases = list(dict.fromkeys((root, images_dir.parent)))
    folders = [path for base in bases if base.is_dir() for path in sorted(base.iterdir()) if path.is_dir()]
    folders = [path for path in folders if not is_hidden(path.name)]
    for name in ANNOTATION_FOLDERS:
        for folder in folders:
            if folder.name.lower() == name and _has_xml(folder):
                return folder
    with_xml = [folder for folder in (images_dir, *folders, root) if folder.is_dir() and _has_xml(folder)]
    if with_xml and (with_xml[0] == images_dir or len(with_xml) == 1):
        return with_xml[0]
    raise DataError(
        f"{root} has no folder of XML files called Annotations, and there are none beside the images in {images_dir}. "
        f"Set data.train_annotations and data.val_annotations to the folder of the XML files."
    )


def _has_xml(folder: Path) -> bool:
    return any(name.lower().endswith(".xml") and not is_hidden(name) for name in os.listdir(folder))


def _names_in(folder: Path) -> list[str]:
    names = [os.path.splitext(name)[0] for name in list_files(folder, ".xml")]
    if not names:
        raise DataError(f"{folder} has no XML files. Give a list of image names, or the folder of the XML files.")
    return names


def _listed(path: Path, annotations_dir: Path, faults: Faults) -> Iterator[str]:
    """Yield the names in a list, without suffix."""
    for number, line in enumerate(read(path, "a list of image names").splitlines(), start=1):
        name = line.strip()
        fields = name.split()
        if not fields:
            continue
        if (annotations_dir / f"{name}.xml").is_file():
            yield name
        elif len(fields) == 2 and fields[1] in _PER_CLASS_LABELS:
            faults.add(
                f"{path}, line {number}: there should be one image name, not {name!r}. This is a list of one class; "
                f"give the list of all images."
            )
        else:
            yield os.path.splitext(name)[0] if is_image(name) or name.lower().endswith(".xml") else name
