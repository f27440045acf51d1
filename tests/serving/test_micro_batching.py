"""Micro-batching: groups of one padded size, errors of single images, deadlines, withdrawal, end."""

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from threading import Event
from time import monotonic
from typing import Any

import pytest
import torch
from torch import nn

from splitnest import zoo
from splitnest.inference.predictor import Predictor
from splitnest.serving.limits import Limits
from splitnest.serving.micro_batching import Job, MicroBatcher, StoppedError
from splitnest.serving.statistics import Statistics
from splitnest.structures import Detections, Result
from splitnest.structures.batch import Batch
from splitnest.structures.class_tables import class_table
from splitnest.structures.prepared import PreparedImage

POISON = 7.0


class Recorder(nn.Module):
    """Model that records the sizes of its batches, waits for ``go``, and fails for batches with a poisoned image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[tuple[int, ...]] = []
        self.go, self.started = Event(), Event()

    def predict(self, batch: Batch) -> list[Any]:
        self.started.set()
        assert self.go.wait(30)
        self.batches.append((len(batch), *batch.images.shape[2:]))
        if (batch.images == POISON).any():
            raise RuntimeError("poison")
        return [Detections.empty(size, class_table("coco")) for size in batch.original_sizes]


class Bench:
    """Batcher of a recorder."""

    def __init__(self, **limits: Any) -> None:
        self.network: Any = Recorder()
        self.predictor = Predictor(self.network, zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet"))
        settings = Limits(**limits)
        self.statistics = Statistics(settings.max_batch, lambda: 0, lambda: 0, lambda: 1)
        self.batcher = MicroBatcher("cpu", settings, self.statistics)

    def submit(self, height: int = 32, width: int = 32, value: float = 0, seconds: float = 60) -> "Future[Result]":
        prepared = PreparedImage(torch.full((1, 3, height, width), value), (height, width))
        return self.batcher.submit(Job("model", self.predictor, prepared, monotonic() + seconds))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(max_batch=4, max_wait_ms=0)
    yield bench
    bench.network.go.set()
    bench.batcher.stop()


def occupy(bench: Bench) -> "Future[Result]":
    """Let the thread work on an image until ``go``."""
    future = bench.submit()
    assert bench.network.started.wait(30)
    return future


def test_end_without_images() -> None:
    bench = Bench()
    bench.batcher.stop()
    with pytest.raises(StoppedError):
        bench.submit()


def test_groups_have_one_padded_size(bench: Bench) -> None:
    occupy(bench)
    sizes = [(32, 32), (64, 32), (20, 30), (50, 32), (32, 32), (32, 31), (32, 32)]
    futures = [bench.submit(*size) for size in sizes]
    bench.network.go.set()
    results = [future.result(30) for future in futures]
    assert [result.image_size for result in results] == sizes
    assert bench.network.batches == [(1, 32, 32), (4, 32, 32), (2, 64, 32), (1, 32, 32)]


def test_a_single_image_waits_for_others() -> None:
    bench = Bench(max_batch=2, max_wait_ms=60_000)
    bench.network.go.set()
    first, second = bench.submit(), bench.submit()
    assert first.result(30).image_size == second.result(30).image_size
    assert bench.network.batches == [(2, 32, 32)]
    start = monotonic()
    last = bench.submit()
    bench.batcher.stop()  # what waits is predicted at once
    assert last.done()
    assert monotonic() - start < 30


def test_a_poisoned_image_fails_alone(bench: Bench) -> None:
    occupy(bench)
    good, bad, other = bench.submit(), bench.submit(value=POISON), bench.submit()
    bench.network.go.set()
    assert good.result(30).image_size == other.result(30).image_size == (32, 32)
    with pytest.raises(RuntimeError, match="poison"):
        bad.result(30)
    assert bench.network.batches[1:] == [(3, 32, 32), (1, 32, 32), (1, 32, 32), (1, 32, 32)]


def test_deadline_and_withdrawal(bench: Bench) -> None:
    occupy(bench)
    late, withdrawn, kept = bench.submit(seconds=0), bench.submit(), bench.submit()
    assert withdrawn.cancel()
    bench.network.go.set()
    assert kept.result(30).image_size == (32, 32)
    with pytest.raises(TimeoutError):
        late.result(30)
    with pytest.raises(CancelledError):
        withdrawn.result(30)
    assert bench.network.batches == [(1, 32, 32), (1, 32, 32)]


def test_models_share_no_batch(bench: Bench) -> None:
    occupy(bench)
    other = Predictor(bench.network, bench.predictor.recipe)
    prepared = PreparedImage(torch.zeros(1, 3, 32, 32), (32, 32))
    futures = [bench.submit(), bench.batcher.submit(Job("other", other, prepared, float("inf"))), bench.submit()]
    bench.network.go.set()
    for future in futures:
        future.result(30)
    assert bench.network.batches == [(1, 32, 32), (2, 32, 32), (1, 32, 32)]
