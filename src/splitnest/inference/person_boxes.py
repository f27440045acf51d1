"""Person boxes for top-down pose estimation: given, read from a file, or detected."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.person_boxes import NO_BOXES, PersonBoxes, is_croppable, read_person_boxes
from splitnest.errors import DataError, UsageError, first_few, tell
from splitnest.inference.loaded_images import LoadedImage
from splitnest.models.build import build_categories
from splitnest.recipe import Recipe
from splitnest.structures import Detections, PanopticSegmentation
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.categories import Categories
from splitnest.tasks import task_of

MIN_DETECTOR_SCORE = 0.3
"""Minimum score of a detector's person boxes (``bbox-thr`` of mmpose's top-down demo)."""

WHOLE_IMAGE = "whole"
"""Value of ``boxes_xywh`` and ``--boxes`` that takes each image as the box of one person."""

NOTE_ON_WHOLE_IMAGES = (
    "note: without person boxes the pose estimator takes each image as the box of one person. Give boxes (boxes_xywh, "
    "--boxes) or a detector (detector, --detector) where images show more, or --boxes whole without this note."
)
"""Note on a prediction without person boxes, which does what ``inference_topdown`` of mmpose does."""

Boxes = str | Path | NDArray[np.floating] | Sequence[NDArray[np.floating]]
"""JSON file, ``WHOLE_IMAGE``, or x, y, width and height ``[P, 4]`` of the persons in one image or each of several."""


FindPeople = Callable[[LoadedImage], PersonBoxes]
"""Function from an image to its person boxes."""


def find_people(
    recipe: Recipe,
    names: Sequence[str] | None,
    min_score: float | None = None,
    boxes_xywh: Boxes | None = None,
    detector: tuple[Recipe, Callable[..., Any]] | None = None,
) -> FindPeople | None:
    """Return the function from an image to its person boxes; None for a model that takes none.

    Args:
        recipe: Recipe of the model.
        names: Names of all images; None if they are not known in advance.
        min_score: Minimum score of the boxes.
        boxes_xywh: Person boxes of the images.
        detector: Recipe and ``predict`` of a detector; None for none.

    Raises:
        UsageError: The model takes no person boxes, the detector does not detect its classes, or the boxes do not match
            the images.
        DataError: The file of boxes cannot be read, or has none of the images.
    """
    if not task_of(recipe).uses_person_boxes:
        if boxes_xywh is not None or detector is not None:
            raise UsageError(
                f"{recipe.name} is no pose estimator, so it takes neither person boxes nor a detector. Omit them."
            )
        return None
    categories = build_categories(recipe)
    if detector is not None:
        check_detector(detector[0], categories.names)
    find = person_finder(categories, names, boxes_xywh, None if detector is None else detector[1])
    return lambda image: find(image).above(min_score or 0.0)


def person_finder(
    categories: Categories,
    names: Sequence[str] | None,
    boxes_xywh: Boxes | None,
    detect: Callable[..., Any] | None,
) -> FindPeople:
    """Return the function from an image to its person boxes.

    Args:
        categories: Classes of the persons.
        names: Names of all images; None for a generator, whose images are not known in advance.
        boxes_xywh: Person boxes of the images; None without ``detect`` takes whole images, with a printed note.
        detect: ``predict`` of a detector that has the class; None takes ``boxes_xywh``.

    Raises:
        UsageError: Both boxes and a detector are given, or the boxes do not match the images.
        DataError: The file of boxes cannot be read, or has none of the images.
    """
    if names is not None and not names:
        return lambda _: NO_BOXES
    if boxes_xywh is not None and detect is not None:
        raise UsageError(
            "Person boxes come from boxes (boxes_xywh, --boxes) or from a detector (detector, --detector). Give one of "
            "them, not both."
        )
    if boxes_xywh is None and detect is None:
        tell(NOTE_ON_WHOLE_IMAGES)
        boxes_xywh = WHOLE_IMAGE
    if detect is not None:
        return lambda image: detected_people(detect(image.pixels)[0], categories)
    if isinstance(boxes_xywh, str | Path) and str(boxes_xywh) == WHOLE_IMAGE:
        return lambda image: PersonBoxes.whole_image((image.pixels.shape[0], image.pixels.shape[1]))
    if isinstance(boxes_xywh, str | Path):
        file = read_person_boxes(boxes_xywh, categories)
        if names is not None and not any(file.look_up(name) is not None for name in names):
            raise DataError(
                f"{boxes_xywh} has none of the {len(names)} images. Images are matched by path, by file name, or by "
                f"the image id in a COCO file name (000000000785.jpg has image_id 785). Give another file."
            )
        return lambda image: file.look_up(image.name) or NO_BOXES
    assert boxes_xywh is not None
    boxes = _from_arrays(boxes_xywh, None if names is None else len(names))
    if names is not None and len(boxes) != len(names):
        raise UsageError(f"boxes_xywh has {len(boxes)} arrays for {len(names)} images. Give one for each image.")
    return lambda image: _boxes_of(image, boxes)


def check_detector(recipe: Recipe, class_names: Sequence[str]) -> None:
    """Raise a UsageError if a model does not detect boxes of at least one of some classes."""
    if not task_of(recipe).has_boxes:
        raise UsageError(f"{recipe.name} is no detector: its task is {recipe.task}. Give a detector.")
    if not set(class_names) & set(build_categories(recipe).names):
        wanted = f"the class {class_names[0]!r}" if len(class_names) == 1 else f"any of {first_few(class_names)}"
        raise UsageError(f"The detector {recipe.name} does not have {wanted}. Give another detector.")


def detected_people(result: Detections | PanopticSegmentation, categories: Categories) -> PersonBoxes:
    """Return the boxes of the persons that a detector found, with a score of at least ``MIN_DETECTOR_SCORE``.

    Args:
        result: Result of the detector.
        categories: Classes of the persons.
    """
    detections = result.detections if isinstance(result, PanopticSegmentation) else result
    assert detections is not None
    boxes = detections.boxes.astype(np.float64)
    names = categories.names
    label_of = [names.index(each.name) if each.name in names else -1 for each in detections.categories]
    labels = np.array(label_of, np.int64)[detections.labels]
    kept = (labels >= 0) & (detections.scores >= MIN_DETECTOR_SCORE) & is_croppable(boxes)
    return PersonBoxes(boxes, detections.scores.astype(np.float64), labels).where(kept)


def _boxes_of(image: LoadedImage, boxes: Sequence[PersonBoxes]) -> PersonBoxes:
    if image.index >= len(boxes):
        raise UsageError(f"boxes_xywh has {len(boxes)} arrays, but there are more images. Give one for each image.")
    return boxes[image.index]


def _from_arrays(boxes_xywh: Any, num_images: int | None) -> list[PersonBoxes]:
    """Return the boxes of each image; for one image they may be given without a list around them."""
    try:
        per_image = list(boxes_xywh)
        are_rows = [np.shape(each) == (4,) for each in per_image]
        if num_images == 1 and (any(are_rows) or np.shape(boxes_xywh) == (0, 4)):
            per_image = [per_image]
        arrays = [np.asarray(each, np.float64) for each in per_image]
    except (TypeError, ValueError) as error:
        raise UsageError(f"boxes_xywh are not boxes ({error}). Give an array [P, 4] for each image.") from error
    people = []
    for number, array in enumerate(arrays):
        boxes = array.reshape(-1, 4) if array.size == 0 else array
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UsageError(
                f"boxes_xywh[{number}] has shape {list(boxes.shape)}. Give [P, 4]: x, y, width and height of each box."
            )
        corners = xywh_to_xyxy(boxes)
        for row in np.flatnonzero(~is_croppable(corners) | ~(boxes[:, 2:] > 0).all(axis=1))[:1].tolist():
            raise UsageError(
                f"boxes_xywh[{number}][{row}] is {boxes[row].tolist()}, which has no area or lies far outside the "
                f"image."
            )
        people.append(PersonBoxes(corners, np.ones(len(boxes))))
    return people
