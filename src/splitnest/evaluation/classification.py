"""Accuracy of a classifier: the share of photographs whose class is its first guess, or among its first five.

I photographs, K classes.
"""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.image_labels import LabelledImages
from splitnest.errors import DataError
from splitnest.files import replacing
from splitnest.results import Classification
from splitnest.visualize.confusion import draw_confusion
from splitnest.visualize.sheet import contact_sheet

GUESSES = 5
"""Guesses that are kept of a photograph (the protocol of ILSVRC)."""

MISTAKES = 32
"""Of the worst, that a picture shows."""


class ClassificationEvaluator:
    """Collects the first five guesses for each photograph, and the probability of its true class.

    Args:
        dataset: Photographs with or without classes.
    """

    def __init__(self, dataset: LabelledImages) -> None:
        self._dataset = dataset
        count = min(GUESSES, len(dataset.categories))
        self._guesses = np.full((len(dataset), count), -1, np.int64)
        self._probabilities = np.zeros((len(dataset), count), np.float32)
        self._of_truth = np.zeros(len(dataset), np.float32)

    def update(self, image_id: int, found: Classification) -> None:
        """Add what was found in the photograph of that index.

        Raises:
            ValueError: There is no such photograph, or it was added before.
        """
        if not 0 <= image_id < len(self._dataset) or self._guesses[image_id, 0] >= 0:
            raise ValueError(f"there is no photograph {image_id}, or it was added before")
        best = found.best(self._guesses.shape[1])
        self._guesses[image_id] = [guess.label for guess in best]
        self._probabilities[image_id] = [guess.probability for guess in best]
        if self._dataset.has_annotations:
            self._of_truth[image_id] = found.probabilities[self._dataset.labels[image_id]]

    def state(self) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Return which photographs were seen, and of them guesses, their probabilities, those of the true classes."""
        seen = self._seen()
        return seen, self._guesses[seen], self._probabilities[seen], self._of_truth[seen]

    def merge(
        self, state: tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
    ) -> None:
        """Add other photographs."""
        seen, self._guesses[seen], self._probabilities[seen], self._of_truth[seen] = state[0], *state[1:]

    def compute(self) -> dict[str, float]:
        """Return ``top1`` and, of more than five classes, ``top5``, from 0 to 1; -1 where there is nothing to measure.

        ``mean_class_top1`` is the mean over the classes that occur, each of which counts alike.
        """
        hits = self._hits()
        names = ["top1", "top5"] if len(self._dataset.categories) > GUESSES else ["top1"]
        if not len(hits):
            return dict.fromkeys([*names, "mean_class_top1"], -1.0)
        found = {"top1": float(hits[:, 0].mean()), "top5": float(hits.any(axis=1).mean())}
        confusion = self.confusion()
        counts = confusion.sum(axis=1)
        of_classes = confusion.diagonal()[counts > 0] / counts[counts > 0]
        return {name: found[name] for name in names} | {"mean_class_top1": float(of_classes.mean())}

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``top1`` and ``precision`` of each class by its name; -1 where there is nothing to measure.

        ``top1`` is the share of the class's photographs that are found, ``precision`` the share of those that are taken
        for it and belong to it.
        """
        confusion = self.confusion()
        right, of_class, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        return {
            name: {
                "top1": float(right[label] / of_class[label]) if of_class[label] else -1.0,
                "precision": float(right[label] / taken[label]) if taken[label] else -1.0,
            }
            for label, name in enumerate(self._dataset.categories.names)
        }

    def confusion(self) -> NDArray[np.int64]:
        """Return how many photographs of each class (rows) were taken for each class (columns), ``[K, K]``."""
        num_classes = len(self._dataset.categories)
        seen = self._seen()
        pairs = self._dataset.labels[seen] * num_classes + self._guesses[seen, 0]
        return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """Return pictures by the name of their file: the confusion matrix, and the worst mistakes if there are any.

        The worst are those whose true class has least probability.

        Raises:
            DataError: A photograph cannot be read.
        """
        dataset, seen = self._dataset, self._seen()
        names = dataset.categories.names
        pictures = {"confusion_matrix.png": draw_confusion(self.confusion(), names)}
        wrong = seen[self._guesses[seen, 0] != dataset.labels[seen]]
        worst = wrong[np.argsort(self._of_truth[wrong], kind="stable")][:MISTAKES].tolist()
        titles = [
            f"{names[dataset.labels[i]]} {self._of_truth[i]:.2f}, said {names[self._guesses[i, 0]]} "
            f"{self._probabilities[i, 0]:.2f}"
            for i in worst
        ]
        if worst:
            pictures["mistakes.jpg"] = contact_sheet(
                [dataset.read(i) for i in worst], titles, columns=8, cell_width=220
            )
        return pictures

    def write(self, path: str | Path) -> None:
        """Write into the folder ``path`` the guesses for each photograph as CSV, and the pictures.

        Raises:
            DataError: A file cannot be written, or a photograph cannot be read.
        """
        folder = Path(path)
        pictures = self.pictures() if self._dataset.has_annotations else {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / "predictions.csv") as file:
                file.write(self._table().encode())
            for name, pixels in pictures.items():
                with replacing(folder / name) as file:
                    Image.fromarray(pixels).save(file, Image.registered_extensions()[Path(name).suffix])
        except OSError as error:
            raise DataError(f"{folder} cannot be written ({error.strerror or error}). Check the folder.") from error

    def _table(self) -> str:
        names = self._dataset.categories.names
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        numbers = range(1, self._guesses.shape[1] + 1)
        header = [column for n in numbers for column in (f"guess_{n}", f"probability_{n}")]
        truth = ["class"] if self._dataset.has_annotations else []
        writer.writerow(["file", *truth, *header])
        for index in self._seen().tolist():
            of_truth = [names[self._dataset.labels[index]]] if truth else []
            guesses = zip(self._guesses[index].tolist(), self._probabilities[index].tolist(), strict=True)
            cells = [cell for label, probability in guesses for cell in (names[label], f"{probability:.6g}")]
            writer.writerow([self._dataset.name(index), *of_truth, *cells])
        return text.getvalue()

    def _seen(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._guesses[:, 0] >= 0)

    def _hits(self) -> NDArray[np.bool_]:
        """Whether each guess is right, ``[I, 5]``, of the photographs that were seen."""
        seen = self._seen()
        return self._guesses[seen] == self._dataset.labels[seen, None]
