"""Options of a scan that change its results, and the model that it predicts with."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from splitnest.errors import UsageError
from splitnest.inference.load import load
from splitnest.inference.person_boxes import FindPeople, find_people
from splitnest.inference.predictor import Predictor
from splitnest.inference.tiles import Tile

What = Literal["results", "features"]


@dataclass(frozen=True)
class ModelSource:
    """Model by name or file, as each process loads it.

    Attributes:
        name: Same as ``name_or_path`` of ``load``.
        weights, config, fast, precision: Same as in ``load``.
        boxes: Person boxes for a pose estimator: file, or ``whole``; None for a detector, or whole images.
        detector, detector_weights: Detector of the persons of a pose estimator, and its weights; None for none.
    """

    name: str
    weights: str | None = "auto"
    config: str | None = None
    fast: bool = False
    precision: str = "fp32"
    boxes: str | None = None
    detector: str | None = None
    detector_weights: str | None = "auto"

    def __post_init__(self) -> None:
        if self.weights is None or (self.detector is not None and self.detector_weights is None):
            raise UsageError("Random weights differ in each process, so nothing can be scanned. Give a checkpoint.")

    def load(self, device: str) -> Predictor:
        """Load the model.

        Raises:
            UsageError, WeightsError: Same conditions as ``load``.
        """
        return load(self.name, self.weights, device, config=self.config, fast=self.fast, precision=self.precision)

    def load_detector(self, device: str) -> Predictor | None:
        """Load the detector of the persons; None if there is none."""
        if self.detector is None:
            return None
        return load(self.detector, self.detector_weights, device, fast=self.fast, precision=self.precision)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ScanOptions:
    """Options that change results.

    Attributes:
        what: ``results`` of the task, or ``features``: the mean of the backbone's last feature map of each image.
        batch_size, score_threshold, tta, tile, overlap: Same as in ``Predictor.predict``.
    """

    what: What = "results"
    batch_size: int = 1
    score_threshold: float | Literal["auto"] | None = None
    tta: bool = False
    tile: Tile | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        if self.what not in ("results", "features"):
            raise UsageError(f"what is {self.what!r}. Give 'results' or 'features'.")
        if self.what == "features":
            for name, value in (("tta", self.tta), ("tile", self.tile), ("score_threshold", self.score_threshold)):
                if value:
                    raise UsageError(f"{name} has no effect on features. Omit it.")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        fields = asdict(self)
        return {**fields, "tile": list(self.tile) if isinstance(self.tile, tuple) else self.tile}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "ScanOptions":
        """Return the options that ``to_dict`` returned."""
        tile = fields.get("tile")
        return cls(**{**fields, "tile": tuple(tile) if isinstance(tile, list) else tile})


def people_finder(
    predictor: Predictor, detector: Predictor | None, boxes: str | None, options: ScanOptions
) -> FindPeople | None:
    """Return the function from an image to its person boxes; None for a model that takes none.

    Args:
        predictor: Model.
        detector: Detector of the persons; None for none.
        boxes: Same as in ``ModelSource``.
        options: Options of the scan.

    Raises:
        UsageError: The model takes no person boxes, or both boxes and a detector are given.
        DataError: The file of boxes cannot be read.
    """
    if options.what == "features":
        return None
    is_number = isinstance(options.score_threshold, int | float)
    min_score = float(options.score_threshold or 0) if is_number else None
    detect = None if detector is None else (detector.recipe, detector.predict)
    return find_people(predictor.recipe, None, min_score, boxes, detect)
