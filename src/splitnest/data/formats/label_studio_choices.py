"""Reader of the choices in Label Studio's JSON and JSON-MIN exports: a class for each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitnest.data.formats.collected import CollectedAnnotations
from splitnest.data.formats.image_folders import ClassNames, ImageList
from splitnest.data.formats.label_studio import Region, read_tasks, region_label, region_value
from splitnest.errors import DataError
from splitnest.structures.categories import Categories


@dataclass(frozen=True)
class Choices:
    """Classes of the images of an export.

    Attributes:
        source: The export.
        names: Paths of the images with a choice, relative to the image folder.
        classes: Class name of each of them.
        num_regions: Number of labeled regions in the export.
    """

    source: Path
    names: Sequence[str]
    classes: Sequence[str]
    num_regions: int

    def image_list(self, categories: Categories) -> ImageList:
        """Return the images with their class indices.

        Raises:
            DataError: A class is not one of the model, or no image has a choice.
        """
        lookup = ClassNames(categories)
        labels = [lookup.label(name) for name in self.classes]
        if unknown := [name for name, label in zip(self.classes, labels, strict=True) if label is None]:
            raise lookup.unknown(list(dict.fromkeys(unknown)), str(self.source))
        if not self.names:
            raise DataError(f"{self.source} has no image of the folder with a choice. Check both.")
        return ImageList([*self.names], [label for label in labels if label is not None])


def read_choices(source: Path, images_dir: Path) -> Choices:
    """Read an export of images with one choice each; images without a choice are left out.

    Args:
        source: JSON or JSON-MIN export.
        images_dir: Image folder.

    Raises:
        DataError: The file cannot be read or is not an export, or an image has several choices.
    """
    collected = CollectedAnnotations(source, images_dir, None)
    class_of: dict[str, str] = {}
    num_regions = 0

    def add(collected: CollectedAnnotations, place: str, regions: list[Region]) -> None:
        nonlocal num_regions
        num_regions += sum(region_label(region_value(region)) is not None for region in regions)
        chosen = [choice for region in regions for choice in _choices(region)]
        if len(chosen) > 1:
            collected.faults.add(
                f"{place} has the choices {chosen[0]} and {chosen[1]}. Keep one: a classifier predicts one class."
            )
        elif chosen:
            class_of[collected.image_name] = chosen[0]

    read_tasks(collected, add)
    if not num_regions:
        collected.faults.raise_any()
    return Choices(source, [*class_of], [*class_of.values()], num_regions)


def _choices(region: Region) -> list[str]:
    """Return the choices of a whole image; those of a region have its label or its shape."""
    value = region_value(region)
    choices = value.get("choices")
    if not isinstance(choices, list) or value.keys() & {"x", "points", "rle"}:
        return []
    return [str(choice[-1] if isinstance(choice, list) and choice else choice) for choice in choices]
