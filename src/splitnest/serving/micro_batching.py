"""Micro-batching: images of several requests are predicted together, in one thread for each device."""

import logging
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic

from splitnest.inference.batching import padded_size, predict_prepared
from splitnest.inference.predictor import Predictor
from splitnest.serving.limits import Limits
from splitnest.serving.statistics import Statistics
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import task_of

_log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Image that arrived after its batcher had been stopped."""


@dataclass(frozen=True, eq=False)
class Job:
    """Image that waits for its prediction.

    Attributes:
        name: Name of the model in statistics.
        predictor: Model.
        prepared: Preprocessed image.
        deadline: Time (``monotonic``) from which the result is of no use.
        future: Result, or the error of this image.
        arrival: Time (``monotonic``) at which it was queued.
        group: Key of the images that may share a batch: the model and the padded size.
    """

    name: str
    predictor: Predictor
    prepared: PreparedImage
    deadline: float
    future: "Future[Result]" = field(default_factory=Future)
    arrival: float = field(default_factory=monotonic)
    group: Hashable = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.predictor.recipe
        size = padded_size(self.prepared.inputs, task_of(recipe).divisor(recipe))
        object.__setattr__(self, "group", (self.name, id(self.predictor), size))


class MicroBatcher:
    """Queue of images, and the thread that predicts them in batches.

    A batch has images of one model and one padded size, so results equal those of ``Predictor.predict``. The group of
    the image that waits longest is next. It is processed when it fills a batch, or when that image has waited for
    ``max_wait_ms``. If a batch fails, its images are predicted one at a time, so an error concerns its own image only.

    Args:
        name: Name of the device.
        limits: Limits of the service.
        statistics: Statistics of the service.
    """

    def __init__(self, name: str, limits: Limits, statistics: Statistics) -> None:
        self._limits, self._statistics = limits, statistics
        self._changed = Condition()
        self._waiting: deque[Job] = deque()
        self._is_stopping = False
        self._thread = Thread(target=self._work, name=f"splitnest-serving-{name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, job: Job) -> "Future[Result]":
        """Queue an image, and return the future of its result. Cancel the future to withdraw the image.

        Raises:
            StoppedError: The batcher was stopped.
        """
        with self._changed:
            if self._is_stopping:
                raise StoppedError
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def stop(self) -> None:
        """Predict the images that wait, and end the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._next_batch():
            running = [job for job in jobs if self._starts(job)]
            if running:
                self._run(running)
            del jobs, running  # while the thread waits, it keeps no image

    def _next_batch(self) -> list[Job]:
        """Wait for images, and return those of the next batch; an empty list at the end."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._is_stopping:
                        return []
                    self._changed.wait()
                    continue
                oldest = self._waiting[0]
                jobs, is_full = self._batch_of(oldest)
                remaining = oldest.arrival + self._limits.max_wait_ms / 1000 - monotonic()
                if is_full or remaining <= 0 or self._is_stopping or oldest.future.cancelled():
                    taken = set(map(id, jobs))
                    self._waiting = deque(job for job in self._waiting if id(job) not in taken)
                    return jobs
                self._changed.wait(remaining)

    def _batch_of(self, oldest: Job) -> tuple[list[Job], bool]:
        """Return the images that may share a batch with the oldest one, and whether they fill it."""
        jobs: list[Job] = []
        num_inputs = 0
        for job in self._waiting:
            if job.group == oldest.group:
                if jobs and num_inputs + len(job.prepared) > self._limits.max_batch:
                    return jobs, True
                jobs.append(job)
                num_inputs += len(job.prepared)
        return jobs, num_inputs >= self._limits.max_batch

    def _starts(self, job: Job) -> bool:
        """Return whether an image is still wanted; it cannot be withdrawn from now on."""
        if not job.future.set_running_or_notify_cancel():
            return False
        now = monotonic()
        if now >= job.deadline:
            job.future.set_exception(TimeoutError())
            return False
        self._statistics.stages.labels(job.name, "queue").observe(now - job.arrival)
        return True

    def _run(self, jobs: Sequence[Job]) -> None:
        try:
            results = self._predict(jobs)
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            _log.warning("a batch of %d images failed (%s); each is predicted alone", len(jobs), error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)
            return
        for job in jobs:
            self._run([job])

    def _predict(self, jobs: Sequence[Job]) -> list[Result]:
        predictor, name = jobs[0].predictor, jobs[0].name
        images = [(index, job.prepared) for index, job in enumerate(jobs)]
        with self._statistics.timed(name, "network"):
            results = predict_prepared(predictor.module, predictor.recipe, images, self._limits.max_batch)
            found = [result for _, result in results]
        self._statistics.batch_sizes.labels(name).observe(len(jobs))
        self._statistics.images.labels(name).inc(len(jobs))
        return found
