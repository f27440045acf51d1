"""Affine person crops, the network's input of top-down pose estimation.

Shapes: P persons of one image, h x w pixels of a crop.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.images.normalize import normalize
from splitnest.data.images.warp import affine_matrix, warp_opencv
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.recipe.inputs import PoseInput
from splitnest.structures.person import CropRegion, Person
from splitnest.structures.prepared import PreparedImage


def crop_people(
    image: NDArray[np.uint8], people: PersonBoxes, input_cfg: PoseInput, dtype: torch.dtype = torch.float32
) -> PreparedImage:
    """Crop the persons of an image.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        people: Boxes of the persons.
        input_cfg: Section ``input`` of the recipe.
        dtype: Type of the crops.
    """
    persons = [
        Person(region_of_box(box, input_cfg), box.astype(np.float32), score, label)
        for box, score, label in zip(people.boxes, people.scores.tolist(), people.labels.tolist(), strict=True)
    ]
    original_size = image.shape[0], image.shape[1]
    if not persons:
        return no_people(original_size, input_cfg)
    size_hw = input_cfg.size_hw
    crops = [normalize(crop(image, person.region, size_hw, input_cfg.udp), input_cfg, dtype) for person in persons]
    return PreparedImage(torch.stack(crops), original_size, tuple(persons))


def no_people(original_size: tuple[int, int], input_cfg: PoseInput) -> PreparedImage:
    """Return an image of this height and width without persons."""
    return PreparedImage(torch.empty(0, 3, *input_cfg.size_hw), original_size, ())


def region_of_box(box: NDArray[np.floating], input_cfg: PoseInput) -> CropRegion:
    """Return the crop region of a person box ``[4]``, xyxy in pixels: padded, with the aspect ratio of the input."""
    return CropRegion.from_box(box, input_cfg.padding).with_aspect_ratio(input_cfg.width / input_cfg.height)


def crop(
    image: NDArray[np.uint8], region: CropRegion, size_hw: tuple[int, int], udp: bool = False
) -> NDArray[np.uint8]:
    """Warp a region of an image ``[H, W, 3]`` to a crop ``[h, w, 3]``; pixels outside the image are black."""
    return warp_opencv(image, crop_matrix(region, size_hw, udp), size_hw)


def crop_matrix(region: CropRegion, size_hw: tuple[int, int], udp: bool = False) -> NDArray[np.float64]:
    """Return the affine matrix ``[2, 3]`` from the original image to a crop of this height and width.

    The center of the region maps to pixel (width / 2, height / 2), and both axes have the same scale.

    Args:
        region: Region of the original image.
        size_hw: Height and width of the crop in pixels.
        udp: Whether the region maps to the crop from the center of its first pixel to that of its last, as in UDP.
    """
    if udp:
        return _udp_matrix(region, size_hw)
    angle, half = np.deg2rad(region.rotation), float(region.size[0]) / 2
    left_end = region.center + np.array([-half * np.cos(angle), -half * np.sin(angle)])
    height, width = size_hw
    middle, left_middle = np.array([width / 2, height / 2]), np.array([0, height / 2])
    return affine_matrix(_with_corner(region.center, left_end), _with_corner(middle, left_middle))


def _udp_matrix(region: CropRegion, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return the matrix of UDP, in float32 as mmpose computes it (``get_udp_warp_matrix``)."""
    (x, y), (width, height) = region.center, region.size
    angle = math.radians(-region.rotation)  # turns crops the other way than mmpose's other matrix, which regions follow
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    scale_x, scale_y, half = (size_hw[1] - 1) / width, (size_hw[0] - 1) / height, np.float32(0.5)
    rows = [
        [cosine * scale_x, -sine * scale_x, scale_x * (-x * cosine + y * sine + half * width)],
        [sine * scale_y, cosine * scale_y, scale_y * (-x * sine - y * cosine + half * height)],
    ]
    return np.array(rows, np.float32).astype(np.float64)


def _with_corner(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return two points and a third one at a right angle at the second, float32 ``[3, 2]``."""
    points = np.array([first, second, second], np.float32)
    along = points[0] - points[1]
    points[2] += np.array([-along[1], along[0]], np.float32)
    return points
