"""Cutting people out of photographs as a pose estimator sees them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.person_boxes import PersonBoxes
from splitnest.data.transforms import normalise
from splitnest.data.warp import affine_matrix, warp_opencv
from splitnest.recipe.inputs import PoseInput


@dataclass(frozen=True)
class Region:
    """The part of a photograph that becomes a crop: a rectangle, which may be turned and may pass the border.

    Attributes:
        center: float32 ``[2]``, x and y in pixels of the photograph.
        size: float32 ``[2]``, width and height in the same pixels.
        rotation: Degrees by which it is turned, from x towards y.
    """

    center: NDArray[np.float32]
    size: NDArray[np.float32]
    rotation: float = 0.0

    @classmethod
    def of_box(cls, box: NDArray[np.floating], padding: float) -> Self:
        """Return the region of a box ``[4]``, xyxy in pixels, with its sides times ``padding``."""
        x1y1, x2y2 = box.astype(np.float32).reshape(2, 2)
        return cls((x1y1 + x2y2) * np.float32(0.5), (x2y2 - x1y1) * np.float32(padding))

    def of_shape(self, facts: PoseInput) -> Self:
        """Return the region with one side widened, so that it has the shape of the network's input."""
        ratio, (width, height) = np.float32(facts.width / facts.height), self.size
        wide = width > height * ratio
        size = (width, width / ratio) if wide else (height * ratio, height)
        return type(self)(self.center, np.array(size, np.float32), self.rotation)

    def matrix(self, size_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return the matrix ``[2, 3]`` from the photograph to a crop of this height and width.

        Its middle, pixel (width / 2, height / 2), is that of the region; sides scale alike.
        """
        angle, half = np.deg2rad(self.rotation), float(self.size[0]) / 2
        left_end = self.center + np.array([-half * np.cos(angle), -half * np.sin(angle)])
        height, width = size_hw
        middle, left_middle = np.array([width / 2, height / 2]), np.array([0, height / 2])
        return affine_matrix(_with_third(self.center, left_end), _with_third(middle, left_middle))

    def cut(self, image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the crop ``[h, w, 3]`` of a photograph ``[H, W, 3]``; what is outside of it is black."""
        return warp_opencv(image, self.matrix(size_hw), size_hw)

    def to_photograph(self, points: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """Bring points, float32 ``[..., 2]`` in pixels of an unturned crop of this size, into the photograph."""
        scaled = points / np.array(size_hw[::-1], np.float32) * self.size
        return scaled + self.center - np.float32(0.5) * self.size


@dataclass(frozen=True)
class Person:
    """Somebody to be looked at.

    Attributes:
        region: What is cut out.
        box: float32 ``[4]``, xyxy in pixels of the photograph.
        score: Of the box; 1 for one that was given.
    """

    region: Region
    box: NDArray[np.float32]
    score: float = 1.0


@dataclass(frozen=True)
class PreparedPeople:
    """The people of one photograph as the network takes them.

    Attributes:
        crops: ``[P, 3, h, w]``, normalised.
        people: P of them.
        original_size: (height, width) of the photograph.
    """

    crops: Tensor
    people: tuple[Person, ...]
    original_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.people)


def prepare_people(
    image: NDArray[np.uint8], people: PersonBoxes, facts: PoseInput, dtype: torch.dtype = torch.float32
) -> PreparedPeople:
    """Cut the people of a photograph out.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        people: P of them.
        facts: ``input`` of the network's recipe.
        dtype: Of the crops.
    """
    size_hw = facts.height, facts.width
    found = [
        Person(Region.of_box(box, facts.padding).of_shape(facts), box.astype(np.float32), score)
        for box, score in zip(people.boxes, people.scores.tolist(), strict=True)
    ]
    crops = [normalise(person.region.cut(image, size_hw), facts, dtype) for person in found]
    original_size = image.shape[0], image.shape[1]
    return PreparedPeople(torch.stack(crops), tuple(found), original_size) if found else nobody(original_size, facts)


def nobody(original_size: tuple[int, int], facts: PoseInput) -> PreparedPeople:
    """Return the people of a photograph of this height and width that has none."""
    return PreparedPeople(torch.empty(0, 3, facts.height, facts.width), (), original_size)


def _with_third(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return two points and a third that makes a right angle at the second, float32 ``[3, 2]``."""
    points = np.array([first, second, second], np.float32)
    along = points[0] - points[1]
    points[2] += np.array([-along[1], along[0]], np.float32)
    return points
