"""What one image shows as a whole."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from splitnest.data.categories import Categories
from splitnest.results.fields import checked_array, checked_sizes
from splitnest.results.interop import import_supervision


class Guess(NamedTuple):
    """One class: index into the categories, its name, and its probability from 0 to 1."""

    label: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False, repr=False)
class Classification:
    """A probability for each class. The array is read-only.

    Attributes:
        probabilities: float32 [num_classes], from 0 to 1.
        image_size: (H, W) of the input image.
        categories: Index -> id, name, colour.

    Raises:
        ValueError: If a field has another dtype or shape.
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
        guesses = ", ".join(f"{guess.name} {guess.probability:.3f}" for guess in self.top)
        return f"Classification({guesses})"

    @property
    def top(self) -> tuple[Guess, ...]:
        """The five most probable classes, the best first."""
        return self.best(5)

    def best(self, count: int) -> tuple[Guess, ...]:
        """The ``count`` most probable classes (fewer where there are fewer), the best first, ties by label."""
        order = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return tuple(Guess(label, self.categories[label].name, float(self.probabilities[label])) for label in order)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: the five best, and all probabilities in the order of the categories."""
        top = [
            {
                "label": guess.label,
                "id": self.categories[guess.label].id,
                "name": guess.name,
                "probability": guess.probability,
            }
            for guess in self.top
        ]
        return {"image_size": list(self.image_size), "top": top, "probabilities": self.probabilities.tolist()}

    def to_supervision(self) -> Any:
        """The same as ``supervision.Classifications``.

        Raises:
            UsageError: If supervision is not installed.
        """
        return import_supervision().Classifications(
            class_id=np.arange(len(self.probabilities)), confidence=self.probabilities.copy()
        )

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw on a copy of the image: see ``splitnest.visualize.draw_classification``."""
        from splitnest.visualize import draw_classification

        return draw_classification(image, self)
