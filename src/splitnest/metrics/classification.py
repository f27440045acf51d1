"""Top-1 and top-5 accuracy of image classification, confusion matrix, and the worst mistakes.

Shapes: I images, K classes.
"""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.files import write_text
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.report.classification import Predictions, analyze_classification
from splitnest.metrics.statistics.accuracy import AccuracyStatistics
from splitnest.structures import Classification
from splitnest.visualize.confusion import draw_confusion
from splitnest.visualize.sheet import contact_sheet
from splitnest.visualize.write import write_image

NUM_KEPT = 5
"""Number of predictions that are kept for each image (ILSVRC protocol)."""

NUM_MISTAKES = 32
"""Number of mistakes in the picture of the worst ones."""

State = tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
"""Indices of images; their top classes and probabilities; probability of their true class."""


class ClassificationEvaluator(Evaluator):
    """Accuracy of the five most probable classes of each image.

    Args:
        dataset: Images with or without classes.
    """

    def __init__(self, dataset: ClassificationDataset) -> None:
        self._dataset = dataset
        count = min(NUM_KEPT, len(dataset.categories))
        self._top = np.full((len(dataset), count), -1, np.int64)
        self._probabilities = np.zeros((len(dataset), count), np.float32)
        self._true_probability = np.zeros(len(dataset), np.float32)

    def update(self, image_id: int, result: Classification) -> None:
        """Add the probabilities of the image with this index.

        Raises:
            ValueError: There is no such image, or it was added before.
        """
        if not 0 <= image_id < len(self._dataset) or self._top[image_id, 0] >= 0:
            raise ValueError(f"there is no image {image_id}, or it was added before")
        best = result.topk(self._top.shape[1])
        self._top[image_id] = [entry.label for entry in best]
        self._probabilities[image_id] = [entry.probability for entry in best]
        if self._dataset.has_annotations:
            self._true_probability[image_id] = result.probabilities[self._dataset.labels[image_id]]

    def state(self) -> State:
        """Return the predictions of the images that were added."""
        seen = self._seen()
        return seen, self._top[seen], self._probabilities[seen], self._true_probability[seen]

    def merge(self, state: State) -> None:
        """Add other images."""
        seen, self._top[seen], self._probabilities[seen], self._true_probability[seen] = state[0], *state[1:]

    def compute(self) -> dict[str, float]:
        """Return ``top1`` and, with more than five classes, ``top5``, from 0 to 1; -1 without images.

        ``mean_class_top1`` is the mean of ``top1`` over the classes that occur.
        """
        is_correct = self._is_correct()
        names = ["top1", "top5"] if len(self._dataset.categories) > NUM_KEPT else ["top1"]
        if not len(is_correct):
            return dict.fromkeys([*names, "mean_class_top1"], -1.0)
        accuracy = {"top1": float(is_correct[:, 0].mean()), "top5": float(is_correct.any(axis=1).mean())}
        confusion = self.confusion()
        counts = confusion.sum(axis=1)
        recall = confusion.diagonal()[counts > 0] / counts[counts > 0]
        return {name: accuracy[name] for name in names} | {"mean_class_top1": float(recall.mean())}

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``top1`` (recall) and ``precision`` of each class by its name; -1 where undefined."""
        confusion = self.confusion()
        correct, actual, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        return {
            name: {
                "top1": float(correct[label] / actual[label]) if actual[label] else -1.0,
                "precision": float(correct[label] / predicted[label]) if predicted[label] else -1.0,
            }
            for label, name in enumerate(self._dataset.categories.names)
        }

    def confusion(self) -> NDArray[np.int64]:
        """Return the confusion matrix, true classes in rows and predicted ones in columns, ``[K, K]``."""
        num_classes = len(self._dataset.categories)
        seen = self._seen()
        pairs = self._dataset.labels[seen] * num_classes + self._top[seen, 0]
        return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """Return the confusion matrix, and the images whose true class has the lowest probability, by file name.

        Raises:
            DataError: An image cannot be read.
        """
        if not self._dataset.has_annotations:
            return {}
        dataset, seen = self._dataset, self._seen()
        names = dataset.categories.names
        pictures = {"confusion_matrix.png": draw_confusion(self.confusion(), names)}
        wrong = seen[self._top[seen, 0] != dataset.labels[seen]]
        worst = wrong[np.argsort(self._true_probability[wrong], kind="stable")][:NUM_MISTAKES].tolist()
        titles = [
            f"{names[dataset.labels[i]]} {self._true_probability[i]:.2f}, predicted {names[self._top[i, 0]]} "
            f"{self._probabilities[i, 0]:.2f}"
            for i in worst
        ]
        if worst:
            pictures["mistakes.jpg"] = contact_sheet(
                [dataset.read(i) for i in worst], titles, columns=8, cell_width=220
            )
        return pictures

    def result(self, image_id: int) -> Classification | None:
        """Return None: only the most probable classes are kept, and a report names them."""
        return None

    def statistics(self) -> AccuracyStatistics:
        """Return the correct images. Images that were not added count as wrong."""
        has_top5 = len(self._dataset.categories) > NUM_KEPT
        is_correct = self._top == self._dataset.labels[:, None]
        return AccuracyStatistics(self._dataset.labels, is_correct, self._true_probability, has_top5)

    def analyze(self, slices: Slices) -> Analysis:
        """Return accuracy by class, confusions, calibration, confident mistakes and likely label errors."""
        seen = self._seen()
        predictions = Predictions(
            image_ids=seen,
            labels=self._dataset.labels[seen],
            predicted=self._top[seen, 0],
            probabilities=self._probabilities[seen, 0],
            true_probabilities=self._true_probability[seen],
        )
        of_seen = self.statistics().of(seen)
        return analyze_classification(predictions, self.confusion(), self.per_class(), of_seen, slices)

    def write(self, path: str | Path) -> None:
        """Write ``predictions.csv`` and the pictures into a folder.

        Raises:
            OutputError: A file cannot be written.
            DataError: An image cannot be read.
        """
        write_text(Path(path, "predictions.csv"), self._csv())
        for name, pixels in self.pictures().items():
            write_image(Path(path, name), pixels)

    def _csv(self) -> str:
        names = self._dataset.categories.names
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        numbers = range(1, self._top.shape[1] + 1)
        header = [column for n in numbers for column in (f"class_{n}", f"probability_{n}")]
        true_class = ["true_class"] if self._dataset.has_annotations else []
        writer.writerow(["file", *true_class, *header])
        for index in self._seen().tolist():
            truth = [names[self._dataset.labels[index]]] if true_class else []
            top = zip(self._top[index].tolist(), self._probabilities[index].tolist(), strict=True)
            cells = [cell for label, probability in top for cell in (names[label], f"{probability:.6g}")]
            writer.writerow([self._dataset.name(index), *truth, *cells])
        return text.getvalue()

    def _seen(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._top[:, 0] >= 0)

    def _is_correct(self) -> NDArray[np.bool_]:
        """Return whether each of the top classes is the true one, ``[I, 5]``, for the images that were added."""
        seen = self._seen()
        return self._top[seen] == self._dataset.labels[seen, None]
