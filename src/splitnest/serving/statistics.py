"""Statistics of a service in the text format of Prometheus."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "STAGES", "Statistics"]

STAGES = ("read", "decode", "queue", "network", "encode")
"""Stages of a request: its body is received, the image is decoded and resized, waits, is predicted, and is answered."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the histograms of times."""


class Statistics:
    """Counters and histograms of a service.

    Args:
        max_batch: Maximum size of a batch.
        queue_length: Function that returns the number of images that wait for a batch.
        in_process: Function that returns the number of images in process.
        is_ready: Function that returns whether all models are ready.

    Attributes:
        requests: Answered requests by endpoint and status.
        images: Predicted images by model.
        batch_sizes: Number of images of each batch by model.
        stages: Seconds of each stage (see ``STAGES``) by model; those of the network count once for each batch.
    """

    def __init__(
        self,
        max_batch: int,
        queue_length: Callable[[], float],
        in_process: Callable[[], float],
        is_ready: Callable[[], float],
    ) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("splitnest_requests", "Answered requests.", ("endpoint", "status"), registry=registry)
        self.images = Counter("splitnest_images", "Predicted images.", ("model",), registry=registry)
        sizes = sorted({max_batch, *(2**power for power in range(11) if 2**power < max_batch)})
        self.batch_sizes = Histogram(
            "splitnest_batch_size", "Images of each batch.", ("model",), registry=registry, buckets=sizes
        )
        self.stages = Histogram(
            "splitnest_stage_seconds", "Seconds of each stage.", ("model", "stage"), registry=registry, buckets=SECONDS
        )
        gauges = {
            "splitnest_queue_length": ("Images that wait for a batch.", queue_length),
            "splitnest_images_in_process": ("Images in process, waiting ones included.", in_process),
            "splitnest_ready": ("Whether all models are ready.", is_ready),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=registry).set_function(value)

    @contextmanager
    def timed(self, model: str, stage: str) -> Iterator[None]:
        """Measure the time of a stage."""
        start = perf_counter()
        yield
        self.stages.labels(model, stage).observe(perf_counter() - start)

    def text(self) -> bytes:
        """Return all values."""
        return generate_latest(self._registry)
