"""Image classification result."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from splitnest.structures.categories import Categories
from splitnest.structures.picture import Pictured
from splitnest.structures.supervision import import_supervision
from splitnest.structures.validation import checked_array, checked_image, checked_sizes
from splitnest.visualize import draw_classification


class ClassProbability(NamedTuple):
    """Probability of one class.

    Attributes:
        label: Class index.
        name: Class name.
        probability: Probability from 0 to 1.
    """

    label: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Pictured):
    """Class probabilities of one image. The array is read-only.

    Attributes:
        probabilities: float32 ``[num_classes]``, from 0 to 1.
        image_size: Height and width of the original image in pixels.
        categories: Classes in index order.

    Raises:
        ValueError: A field has another dtype or shape.
    """

    probabilities: np.ndarray
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("Classification", self.image_size, self.categories)
        sizes["num_classes"] = len(self.categories)
        array = checked_array("Classification.probabilities", self.probabilities, np.float32, ("num_classes",), sizes)
        object.__setattr__(self, "probabilities", array)

    def __repr__(self) -> str:
        classes = ", ".join(f"{item.name} {item.probability:.3f}" for item in self.top)
        return f"Classification({classes})"

    def above(self, score: float) -> Self:
        """Return the classification unchanged; it has no detections to filter."""
        return self

    @property
    def top(self) -> tuple[ClassProbability, ...]:
        """The five most probable classes in descending order."""
        return self.topk(5)

    def topk(self, k: int) -> tuple[ClassProbability, ...]:
        """Return the ``k`` most probable classes, or all if there are fewer, in descending order; ties by label."""
        order = np.argsort(-self.probabilities, kind="stable")[:k].tolist()
        return tuple(
            ClassProbability(label, self.categories[label].name, float(self.probabilities[label])) for label in order
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict with the five most probable classes, and all probabilities in index order."""
        top = [
            {
                "label": item.label,
                "id": self.categories[item.label].id,
                "name": item.name,
                "probability": item.probability,
            }
            for item in self.top
        ]
        return {"image_size": list(self.image_size), "top": top, "probabilities": self.probabilities.tolist()}

    def to_supervision(self) -> Any:
        """Convert to ``supervision.Classifications``.

        Raises:
            UsageError: supervision is not installed.
        """
        return import_supervision().Classifications(
            class_id=np.arange(len(self.probabilities)), confidence=self.probabilities.copy()
        )

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw the five most probable classes on a copy of the image.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.

        Returns:
            uint8 RGB ``[H, W, 3]``.
        """
        names, probabilities = [item.name for item in self.top], [item.probability for item in self.top]
        return draw_classification(checked_image(image, self.image_size), names, probabilities)
