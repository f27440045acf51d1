"""Several panoptic datasets as one."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from splitnest.data.class_counts import ClassCounts
from splitnest.data.detection.panoptic import CocoPanoptic, PanopticDataset
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.parts import Parts
from splitnest.structures.categories import things_of
from splitnest.structures.panoptic_labels import PanopticLabels


class ConcatenatedPanoptic(PanopticDataset):
    """Images of several datasets with the classes of one model, in their order.

    Args:
        datasets: Datasets, of which all or none have annotations.

    Raises:
        DataError: Two datasets have the same image, or some have annotations and others have none.
    """

    def __init__(self, datasets: Sequence[CocoPanoptic]) -> None:
        parts = Parts([each.images_dir for each in datasets], [Path(each.source) for each in datasets])
        self._datasets = datasets
        self._ends = list(accumulate(map(len, datasets)))
        self.panoptic_categories = datasets[0].panoptic_categories
        things = things_of(self.panoptic_categories)
        super().__init__(
            parts.folder, concatenate([each.file for each in datasets], parts, things), parts.source, things
        )
        self.inputs = tuple(path for each in datasets for path in each.inputs)

    def labels(self, index: int) -> PanopticLabels:
        """Read the segments of one image."""
        number = bisect_right(self._ends, index)
        return self._datasets[number].labels(index - (self._ends[number - 1] if number else 0))

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of instances by thing class, and of segments by stuff class."""
        kinds = zip(*(each.class_counts() for each in self._datasets), strict=True)
        return [
            replace(
                each[0],
                source=self.source,
                counts={name: sum(part.counts[name] for part in each) for name in each[0].counts},
            )
            for each in kinds
        ]

    def check_files(self) -> list[str]:
        """Return the paths of images and PNG files that do not exist."""
        return [path for each in self._datasets for path in each.check_files()]
