"""Photographs in files, with label maps in other files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.image_size import image_size
from splitnest.data.images import read_image, read_values
from splitnest.data.label_code import LabelCode, color_values
from splitnest.data.semantic_labels import SemanticDataset
from splitnest.errors import DataError


class LabelMaps(SemanticDataset):
    """Photographs of one folder, each with a label map of its size.

    Args:
        folder: That the photographs are in, or below.
        photographs: Their files.
        label_maps: The file of each, which may be missing; None for a test set.
        code: What the values of the label maps mean.
        categories: Index -> class.

    Raises:
        DataError: There are no photographs.
    """

    def __init__(
        self,
        folder: Path,
        photographs: Sequence[Path],
        label_maps: Sequence[Path] | None,
        code: LabelCode,
        categories: Categories,
    ) -> None:
        if not photographs:
            raise DataError(f"{folder} holds no photographs of the layout that data.format names. Check the path.")
        self.folder, self.code, self.categories = folder, code, categories
        self.source, self.has_annotations = str(folder), label_maps is not None
        self._photographs, self._label_maps = photographs, label_maps or []

    def __len__(self) -> int:
        return len(self._photographs)

    def name(self, index: int) -> str:
        """Return the path of a photograph, relative to the folder."""
        return self._photographs[index].relative_to(self.folder).as_posix()

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of one photograph, uint8 RGB ``[H, W, 3]``."""
        return read_image(self._photographs[index])

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Read the label map of one photograph, ``[H, W]``."""
        if not self.has_annotations:
            raise DataError(f"{self.source} has no label maps: its folder of annotations is not set.")
        photograph, path = self._photographs[index], self._label_maps[index]
        if not path.is_file():
            raise DataError(
                f"{photograph} has no label map: {path} does not exist. Add it, or take the photograph away."
            )
        values = color_values(read_image(path)) if self.code.colored else read_values(path)
        size_hw = image_size(photograph)
        if values.shape != size_hw:
            raise DataError(
                f"{path} is {values.shape[1]} x {values.shape[0]} pixels, but its photograph {photograph} is "
                f"{size_hw[1]} x {size_hw[0]} upright. It is of another picture, or of this one in another size."
            )
        return self.code.decode(values, path)

    def check_files(self) -> list[str]:
        """List the names of photographs whose label map is missing."""
        return [self.name(index) for index, path in enumerate(self._label_maps) if not path.is_file()]


def existing_folder(path: Path, what: str) -> Path:
    """Return the path of a folder.

    Raises:
        DataError: It is none.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder. Give the folder of the {what}.")
    return path
