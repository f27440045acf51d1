"""Prediction with a model that was loaded by name or from a file."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.images.read import source_name
from splitnest.data.images.sources import expand_sources, iterate_sources
from splitnest.errors import DataError, UsageError
from splitnest.inference.batching import make_batch
from splitnest.inference.ground_truth import ground_truth_batch
from splitnest.inference.loaded_images import load_images
from splitnest.inference.person_boxes import Boxes, FindPeople, find_people
from splitnest.inference.predict_loaded import input_dtype, predict_loaded, prepare_image
from splitnest.inference.score_filter import AUTO, required_thresholds, score_filter
from splitnest.inference.tiles import Tile, check_tiling
from splitnest.models.base import Model
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.batch import Batch
from splitnest.structures.instances import Instances
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.tasks import task_of


class Prediction(NamedTuple):
    """Image with its result.

    Attributes:
        source: Path, URL or name of the image.
        image: uint8 RGB ``[H, W, 3]``.
        result: Result of the task's type.
    """

    source: str
    image: NDArray[np.uint8]
    result: Result


class Predictor:
    """Network with its recipe, ready to predict.

    Attributes:
        module: Network in evaluation mode. It may be moved to another device or type (``module.double()``).
        recipe: Complete recipe.

    Args:
        module, recipe: Same as the attributes.
        find_score_thresholds: Function that reads the score thresholds of the checkpoint; None for no checkpoint.
    """

    def __init__(
        self,
        module: Model,
        recipe: Recipe,
        find_score_thresholds: Callable[[], ScoreThresholds | None] | None = None,
    ) -> None:
        self.module = module.eval()
        self.recipe = recipe
        self._find_score_thresholds = find_score_thresholds

    def __repr__(self) -> str:
        return f"Predictor({self.recipe.name!r}, device={self.device}, dtype={self.dtype})"

    @overload
    def __call__(self, images: Any, *, stream: Literal[False] = False, **options: Any) -> list[Result]: ...
    @overload
    def __call__(self, images: Any, *, stream: Literal[True], **options: Any) -> Iterator[Result]: ...
    @overload
    def __call__(self, images: Any, *, stream: bool, **options: Any) -> list[Result] | Iterator[Result]: ...
    def __call__(self, images: Any, *, stream: bool = False, **options: Any) -> list[Result] | Iterator[Result]:
        """Predict for images; see ``predict``."""
        return self.predict(images, stream=stream, **options)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the network's weights."""
        return next(self.module.parameters()).dtype

    @cached_property
    def score_thresholds(self) -> ScoreThresholds | None:
        """Score thresholds of a detector with the highest F1 score on its validation data; None if it stores none."""
        found = None if self._find_score_thresholds is None else self._find_score_thresholds()
        return found if found is not None and len(found.by_class) == self.recipe.num_classes else None

    @overload
    def predict(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | Literal["auto"] | None = None,
        stream: Literal[False] = False,
        tta: bool = False,
        tile: Tile | None = None,
        overlap: float | None = None,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
    ) -> list[Result]: ...
    @overload
    def predict(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | Literal["auto"] | None = None,
        stream: Literal[True],
        tta: bool = False,
        tile: Tile | None = None,
        overlap: float | None = None,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
    ) -> Iterator[Result]: ...
    @overload
    def predict(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | Literal["auto"] | None = None,
        stream: bool,
        tta: bool = False,
        tile: Tile | None = None,
        overlap: float | None = None,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
    ) -> list[Result] | Iterator[Result]: ...
    def predict(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | Literal["auto"] | None = None,
        stream: bool = False,
        tta: bool = False,
        tile: Tile | None = None,
        overlap: float | None = None,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
    ) -> list[Result] | Iterator[Result]:
        """Predict for images. Arguments are checked at once, images when they are read.

        Args:
            images: Path, URL, folder with its subfolders, glob, PIL image, uint8 RGB array ``[H, W, 3]``, or a list or
                a generator of these. A generator is advanced in another thread, ``batch_size`` + 1 images ahead.
            batch_size: Maximum number of images, or of persons for a pose estimator, that are processed together. Only
                inputs of one padded size are, so the results do not depend on it.
            resize: Whether to resize as the recipe says; without effect on a pose estimator, whose crops have the input
                size.
            score_threshold: Minimum score of the returned detections, or of the person boxes of a pose estimator; None
                returns all of the published protocol, whose threshold is 0.05. ``"auto"`` takes the threshold of each
                class with the highest F1 score on the validation data, which training stores in the checkpoints of a
                detector.
            stream: Whether to return a generator, which holds at most five batches: the next one, and where images
                differ in size up to four whose images wait for others of their size.
            tta: Whether to use the published test-time augmentation, one image at a time.
            tile: Side, or height and width, of the tiles in pixels that larger images are cut into (detection and
                semantic segmentation only), ``batch_size`` of which are processed together; None processes whole
                images. See ``TiledPrediction``.
            overlap: Overlap of neighboring tiles as a fraction of a tile, 0.2 by default.
            boxes_xywh: Person boxes for a pose estimator: for each image an array ``[P, 4]`` of x, y, width and height
                in pixels, whose order is kept; or a JSON file of COCO detection results, whose ``image_id`` is the
                number in the file name, or of ``splitnest predict`` for a detector; or ``"whole"``, which takes each
                image as the box of one person. None without a detector does the same, with a printed note.
            detector: Detector of the persons instead of boxes; detections with a score of at least 0.3 are used.

        Returns:
            Result of each image, in order.

        Raises:
            DataError: An image or a file of boxes cannot be read, or there are no images.
            UsageError: An argument is out of range, the model has no test-time augmentation or no score thresholds, or
                both person boxes and a detector are given.
        """
        predictions = self.predictions(
            images,
            batch_size=batch_size,
            resize=resize,
            score_threshold=score_threshold,
            tta=tta,
            tile=tile,
            overlap=overlap,
            boxes_xywh=boxes_xywh,
            detector=detector,
        )
        results = (prediction.result for prediction in predictions)
        return results if stream else list(results)

    def predictions(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | Literal["auto"] | None = None,
        tta: bool = False,
        tile: Tile | None = None,
        overlap: float | None = None,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
        on_error: Callable[[str, DataError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Return a generator of each image with its result. Arguments are checked at once, images when they are read.

        Args:
            images, batch_size, resize, score_threshold, tta, tile, overlap, boxes_xywh, detector: Same as in
                ``predict``.
            on_error: Function that is called for an unreadable image, which is then skipped; None raises the error.
        """
        _check_numbers(batch_size, score_threshold)
        check_tiling(tile, overlap, tta)
        keep = score_filter(score_threshold, self.required_score_thresholds)
        if isinstance(score_threshold, str):
            score_threshold = None
        if detector is not None and not isinstance(detector, Predictor):
            raise UsageError(f"detector is a {type(detector).__name__}. Give a detector that splitnest.load returned.")
        is_stream = isinstance(images, Iterator)
        sources = iterate_sources(images) if is_stream else expand_sources(images)
        loaded = load_images(sources, on_error, keeps_pixels=not is_stream)
        names = [source_name(source) for source in sources] if isinstance(sources, list) else None
        find: FindPeople | None = None
        if not tta and tile is None:
            if detector is None:
                find = find_people(self.recipe, names, score_threshold, boxes_xywh)
            else:
                detect = detector.recipe, detector.predict
                find = find_people(self.recipe, names, score_threshold, boxes_xywh, detect)
        results = predict_loaded(
            self.module,
            self.recipe,
            loaded,
            lambda image: image,
            batch_size=batch_size,
            resize=resize,
            tta=tta,
            tile=tile,
            overlap=overlap,
            find_people=find,
        )
        kept = ((image, keep(result)) for image, result in results)
        return (Prediction(image.name, image.pixels, result.on_image(image.read_again)) for image, result in kept)

    def required_score_thresholds(self) -> ScoreThresholds:
        """Return ``score_thresholds``, or raise a UsageError if the model stores none."""
        return required_thresholds(self.score_thresholds, self.recipe.name)

    def batch(
        self,
        images: Sequence[NDArray[np.uint8]],
        instances: Sequence[Instances] | None = None,
        semantic: Sequence[NDArray[np.uint8]] | None = None,
        keypoints: Sequence[NDArray[np.floating]] | None = None,
        labels: Sequence[int] | None = None,
    ) -> Batch:
        """Return a batch of images without resizing, and of ground truth, for example for ``module.loss``.

        Args:
            images: uint8 RGB ``[H, W, 3]``; for a pose estimator crops of one person, and for a classifier, all of one
                size.
            instances: Ground-truth instances of each image, in its pixels.
            semantic: Ground-truth label map of each image, uint8 ``[H, W]``, 255 for unlabeled pixels; for a panoptic
                model 0 for things and stuff classes from 1.
            keypoints: Ground-truth keypoints of the person in each image, ``[K, 3]``: x and y in its pixels, and 0 for
                keypoints that are not labeled.
            labels: Ground-truth class index of each image.

        Raises:
            DataError: A label map has another size than its image, or an unknown class.
        """
        batch = ground_truth_batch(self.recipe, images, self._input_dtype, instances, semantic, keypoints, labels)
        return batch.to(self.device, self.dtype)

    def prepared_batch(self, images: Sequence[NDArray[np.uint8]]) -> Batch:
        """Return a batch of images, preprocessed as ``predict`` does; for a pose estimator each shows one person.

        Args:
            images: uint8 RGB ``[H, W, 3]``.
        """
        prepared = [prepare_image(self.module, self.recipe, image) for image in images]
        return make_batch(task_of(self.recipe), self.recipe, prepared).to(self.device, self.dtype)

    @property
    def uses_person_boxes(self) -> bool:
        """Whether the model is a pose estimator, which takes person boxes."""
        return task_of(self.recipe).uses_person_boxes

    @property
    def _input_dtype(self) -> torch.dtype:
        return input_dtype(self.module)


def _check_numbers(batch_size: int, score_threshold: float | str | None) -> None:
    """Raise a UsageError for a batch size or a threshold that is out of range or no number."""
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise UsageError(f"batch_size is {batch_size!r}. Give an integer of at least 1.")
    if score_threshold is None or score_threshold == AUTO:
        return
    if not isinstance(score_threshold, int | float | np.number) or not 0 <= score_threshold <= 1:
        raise UsageError(f"score_threshold is {score_threshold!r}. Give a probability, from 0 to 1, or 'auto'.")
