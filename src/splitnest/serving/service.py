"""Models of a service and the way of an image through it: decoding, preprocessing, batch, result."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from threading import Thread
from time import monotonic
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from splitnest.data.images.read import decode_image
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.data.scenes import Scenes
from splitnest.device import is_out_of_memory
from splitnest.errors import DataError, SplitnestError, UsageError
from splitnest.inference.person_boxes import detected_people
from splitnest.inference.predict_loaded import prepare_image
from splitnest.inference.predictor import Predictor
from splitnest.inference.score_filter import score_filter
from splitnest.serving.limits import IMAGE_FORMATS, Limits
from splitnest.serving.micro_batching import Job, MicroBatcher, StoppedError
from splitnest.serving.served_model import Image, ServedModel
from splitnest.serving.statistics import Statistics
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage

T = TypeVar("T")

Loader = Predictor | Callable[[], Predictor]
"""Model, or a function that loads it."""

DECODING_THREADS = 2
"""Number of threads that decode, resize and encode images: that many images are in memory at their full size."""

SPEED_IMAGES = 32
"""Number of images over which the speed of the service is averaged."""

_log = logging.getLogger(__name__)


class Service:
    """Models, and their prediction for images of requests.

    Args:
        models: Model of each name.
        limits: Limits of the service.
        detector: Detector of the persons for pose estimators.
        on_failure: Function that is called with the error of a model that cannot be loaded.

    Attributes:
        limits: Limits of the service.
        names: Names of all models.
        models: Models that are ready.
        statistics: Statistics of the service.
        num_answered: Number of images that were predicted for requests.
        failure: Error of a model that could not be loaded.
    """

    def __init__(
        self,
        models: Mapping[str, Loader],
        limits: Limits,
        detector: Loader | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self.limits, self.names = limits, tuple(models)
        self.models: dict[str, ServedModel] = {}
        self.failure: Exception | None = None
        self._given, self._detector, self._on_failure = dict(models), detector, on_failure
        self._batchers: dict[str, MicroBatcher] = {}
        self._is_stopping = False
        self.num_answered = self._in_process = self._held_bytes = 0
        self._seconds_per_image = 0.0
        self._last_done = monotonic()
        self.statistics = Statistics(
            limits.max_batch,
            lambda: sum(map(len, self._batchers.values())),
            lambda: self._in_process,
            lambda: self.is_ready,
        )

    @property
    def is_ready(self) -> bool:
        """Whether all models are loaded and warm."""
        return len(self.models) == len(self.names)

    def start(self) -> None:
        """Start loading the models in a thread."""
        self._pool = ThreadPoolExecutor(DECODING_THREADS, "splitnest-serving")
        Thread(target=self._load, name="splitnest-loading", daemon=True).start()

    def stop(self) -> None:
        """Answer the images that wait, and end the threads."""
        self._is_stopping = True
        for batcher in list(self._batchers.values()):
            batcher.stop()
        self._pool.shutdown(cancel_futures=True)

    def _load(self) -> None:
        try:
            detector = None if self._detector is None else _loaded(self._detector)
            if detector is not None:
                self._warm_up("detector", detector)
            for name, given in self._given.items():
                predictor = _loaded(given)
                uses_detector = predictor.uses_person_boxes and detector is not None
                model = ServedModel(name, predictor, detector if uses_detector else None)
                self._warm_up(name, predictor)
                self.models[name] = model
        except Exception as error:  # told to the caller, in whatever thread it waits
            if self._is_stopping:
                return
            self.failure = error
            if self._on_failure is not None:
                self._on_failure(error)
            else:
                _log.error("a model cannot be loaded: %s", error, exc_info=not isinstance(error, SplitnestError))

    def _warm_up(self, name: str, predictor: Predictor) -> None:
        """Predict a generated image in the thread that will predict: memory is allocated, and weights are arranged."""
        device = str(predictor.device)
        if device not in self._batchers:
            self._batchers[device] = MicroBatcher(device, self.limits, self.statistics)
        prepared = prepare_image(predictor.module, predictor.recipe, Scenes(1)[0].image)
        self._batchers[device].submit(Job(name, predictor, prepared, float("inf"))).result()

    def model(self, name: str | None) -> ServedModel:
        """Return a model by name; None is the only one, or the first one.

        Raises:
            HTTPException: There is no such model (404), or it is being loaded (503).
        """
        name = self.names[0] if name is None else name
        if name not in self.names:
            raise HTTPException(404, f"There is no model {name[:100]!r}. The models are {', '.join(self.names)}.")
        if name not in self.models:
            if self.failure is not None:
                raise HTTPException(503, f"The model {name} cannot be loaded: the log of the service has the reason.")
            raise HTTPException(503, f"The model {name} is being loaded. Try again.", {"Retry-After": "5"})
        return self.models[name]

    @contextmanager
    def admitted(self, num_images: int = 1) -> Iterator[None]:
        """Count images as in process inside this context.

        Raises:
            HTTPException: Too many images are in process (429).
        """
        self.check_queue(num_images)
        if not self._in_process:
            self._last_done = monotonic()
        self._in_process += num_images
        try:
            yield
        finally:
            self._in_process -= num_images

    def check_queue(self, num_images: int = 1) -> None:
        """Raise an HTTPException (429) if images cannot be admitted now, or never (413).

        Images that could not be answered within the deadline are refused: otherwise the service would work on images
        that come too late.
        """
        if num_images > self.limits.max_queue:
            raise HTTPException(413, f"The request has {num_images} images. Send at most {self.limits.max_queue}.")
        if self._in_process + num_images > self.limits.max_queue or self._expected_s > self.limits.deadline_s:
            raise self._overloaded()

    @property
    def _expected_s(self) -> float:
        """Seconds until the images in process are answered, by the speed of the last ones."""
        return self._in_process * self._seconds_per_image

    def _count_answered(self) -> None:
        now = monotonic()
        self._seconds_per_image += (now - self._last_done - self._seconds_per_image) / SPEED_IMAGES
        self._last_done = now
        self.num_answered += 1

    def hold(self, num_bytes: int) -> None:
        """Count bytes of a body as held in memory; a negative number releases them.

        Raises:
            HTTPException: Too many bytes are held (429).
        """
        if num_bytes > 0 and self._held_bytes + num_bytes > self.limits.max_held_bytes:
            raise self._overloaded()
        self._held_bytes += num_bytes

    def _overloaded(self) -> HTTPException:
        seconds = str(max(1, ceil(self._expected_s)))
        return HTTPException(
            429, f"The service is busy with {self._in_process} images. Try again.", {"Retry-After": seconds}
        )

    async def predict(self, model: ServedModel, image: Image, deadline: float) -> Result:
        """Return the result of an admitted image.

        Args:
            model: Model.
            image: Image.
            deadline: Time (``monotonic``) until which the result is awaited.

        Raises:
            HTTPException: The image cannot be read (400) or predicted (500, 503), or the deadline passed (504).
        """
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - monotonic()):
                result = await self._predict(model, image, deadline)
        except TimeoutError as error:
            raise HTTPException(
                504, f"The image was not processed within {self.limits.deadline_s:g} s. Try again."
            ) from error
        except DataError as error:
            raise HTTPException(400, f"{error} The service reads JPEG, PNG and WebP.") from error
        except StoppedError as error:
            raise HTTPException(503, "The service is stopping. Try again.", {"Retry-After": "1"}) from error
        except Exception as error:
            raise _failed(model, error) from error
        self._count_answered()
        return result

    async def _predict(self, model: ServedModel, image: Image, deadline: float) -> Result:
        boxes = None
        if model.detector is not None:
            prepared = await self.in_pool(model, "decode", lambda: self._prepare(model.detector, image))
            detections = await self._submit(model, model.detector, prepared, deadline)
            boxes = detected_people(detections, model.categories)  # type: ignore[arg-type]  # a detector's result
        prepared = await self.in_pool(model, "decode", lambda: self._prepare(model.predictor, image, boxes))
        return await self._submit(model, model.predictor, prepared, deadline)

    def _prepare(self, predictor: Predictor | None, image: Image, boxes: PersonBoxes | None = None) -> PreparedImage:
        assert predictor is not None
        return prepare_image(predictor.module, predictor.recipe, self.pixels(image), person_boxes=boxes)

    async def _submit(
        self, model: ServedModel, predictor: Predictor, prepared: PreparedImage, deadline: float
    ) -> Result:
        job = Job(model.name, predictor, prepared, deadline)
        return await asyncio.wrap_future(self._batchers[str(predictor.device)].submit(job))

    async def in_pool(self, model: ServedModel, stage: str, function: Callable[[], T]) -> T:
        """Return the result of a function, called in one of the threads of the service, as a timed stage."""

        def timed() -> T:
            with self.statistics.timed(model.name, stage):
                return function()

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """Return the pixels of an image, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: The image cannot be read.
        """
        return (
            decode_image(image, "The image", IMAGE_FORMATS, self.limits.max_pixels)
            if isinstance(image, bytes)
            else image
        )


def check_score(model: ServedModel, score: float | str | None) -> None:
    """Raise an HTTPException (400) if a model has no score thresholds, and the score is ``auto``."""
    try:
        score_filter(score, model.predictor.required_score_thresholds)
    except UsageError as error:
        raise HTTPException(400, str(error)) from error


def _loaded(given: Loader) -> Predictor:
    return given if isinstance(given, Predictor) else given()


def _failed(model: ServedModel, error: Exception) -> HTTPException:
    """Return the answer to an image whose prediction failed, and log the reason."""
    if is_out_of_memory(error):
        _log.warning("memory ran out in %s", model.name)
        return HTTPException(503, "Memory ran out. Send a smaller image, or try again.", {"Retry-After": "5"})
    _log.error("the prediction of %s failed", model.name, exc_info=error)
    return HTTPException(500, "The prediction of this image failed. The log of the service has the reason.")
