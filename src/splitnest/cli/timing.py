"""Timing of a model on this machine, from files to results and by stage."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.data.images.read import to_array
from splitnest.data.images.sources import expand_sources
from splitnest.data.scenes import Scenes
from splitnest.errors import UsageError
from splitnest.inference.predictor import Predictor
from splitnest.models.base import Model
from splitnest.models.complexity import complexity
from splitnest.progress import memory_mb

MATMUL_SIZE = 2048
"""Side of the matrices whose product measures the speed of the machine."""

WARMUP_ROUNDS = 2
"""Rounds that are not counted: weights are arranged, memory is allocated, networks are compiled."""

STAGES = ("decode", "preprocess", "network", "postprocess")


@dataclass(frozen=True)
class Timing:
    """Timing of rounds of one batch each.

    Attributes:
        batch_size: Number of images of a batch.
        size_hw: (height, width) of the network's input.
        stages: Stage -> seconds of each round: ``decode``; ``preprocess``; ``network``, the layers; ``postprocess``,
            the code between and after them: proposals, NMS, masks, results.
        peak_mb: Peak memory in 2**20 bytes, of the process or of the GPU.
        gflops: Operations of the layers for a batch in 1e9, twice their multiply-adds.
        matmul_gflops: Operations per second of a matrix product of the network's type in 1e9.
        forward_seconds: Seconds of a forward pass of a peer and of the model, in turn; empty without a peer.
    """

    batch_size: int
    size_hw: tuple[int, int]
    stages: dict[str, list[float]]
    peak_mb: int
    gflops: float
    matmul_gflops: float
    forward_seconds: list[tuple[float, float]]

    @property
    def totals(self) -> list[float]:
        """Seconds of each round."""
        return [sum(seconds) for seconds in zip(*self.stages.values(), strict=True)]

    @property
    def images_per_second(self) -> float:
        """Throughput by the median round."""
        return self.batch_size / statistics.median(self.totals)

    @property
    def efficiency(self) -> float:
        """Speed of the layers relative to the matrix product, by their median."""
        return self.gflops / statistics.median(self.stages["network"]) / self.matmul_gflops


@contextmanager
def bench_sources(sources: Sequence[str] | None) -> Iterator[list[Any]]:
    """Return the images of ``sources``; by default a synthetic scene of 640x480 pixels as a JPEG file.

    Raises:
        DataError: A folder or glob has no images.
    """
    if sources:
        yield expand_sources(list(sources))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.jpg"
        Image.fromarray(Scenes(1, (480, 640))[0].image).save(path, quality=92)
        yield [path]


@torch.inference_mode()
def time_model(
    predictor: Predictor, sources: Sequence[Any], *, batch_size: int = 1, rounds: int = 10, against: str | None = None
) -> Timing:
    """Time a model from files to results, stage by stage, without overlap.

    Args:
        predictor: Model.
        sources: Images, used in turn; for a pose estimator each shows one person.
        batch_size: Number of images of a batch, which have one size unless the model is a detector.
        rounds: Number of timed batches, after ``WARMUP_ROUNDS`` others.
        against: ``"timm"`` to time timm's eager float32 model of the same name in turn.

    Raises:
        UsageError: The peer is unknown, not installed, or does not have the model.
        DataError: An image cannot be read.
    """
    peer = None if against is None else _peer(predictor, against)
    clock = _Clock(predictor.device)
    files = islice(cycle(sources), batch_size * (WARMUP_ROUNDS + rounds))
    stages, forwards = [], []
    with clock.layers(predictor.module) as layer_seconds:
        while chosen := list(islice(files, batch_size)):
            images, decode = clock(_decode, chosen)
            batch, preprocess = clock(predictor.prepared_batch, images)
            layer_seconds.clear()
            _, predict = clock(predictor.module.predict, batch)
            network = sum(layer_seconds)
            stages.append((decode, preprocess, network, predict - network))
            if peer is not None:
                _, theirs = clock(peer, batch.images.float())
                _, ours = clock(predictor.module, batch.images)
                forwards.append((theirs, ours))
    peak = torch.cuda.max_memory_allocated() >> 20 if predictor.device.type == "cuda" else memory_mb()
    size_hw = batch.images.shape[2], batch.images.shape[3]
    passes = predictor.module.num_passes
    return Timing(
        batch_size=batch_size,
        size_hw=size_hw,
        stages={name: [seconds[index] for seconds in stages[WARMUP_ROUNDS:]] for index, name in enumerate(STAGES)},
        peak_mb=peak,
        gflops=2e-9 * passes * batch_size * complexity(predictor.recipe, size_hw).multiply_adds,
        matmul_gflops=_matmul_gflops(predictor, clock),
        forward_seconds=forwards[WARMUP_ROUNDS:],
    )


class _Clock:
    """Clock of function calls; on a GPU until their kernels have finished."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
        start = self.now()
        result = call(*arguments)
        return result, self.now() - start

    @contextmanager
    def layers(self, model: Model) -> Iterator[list[float]]:
        """Return a list to which the seconds of each call of a layer part are appended inside the context."""
        seconds: list[float] = []
        started: list[float] = []
        hooks = []
        for part in model.layer_parts:
            hooks.append(part.register_forward_pre_hook(lambda *_: started.append(self.now())))
            hooks.append(part.register_forward_hook(lambda *_: seconds.append(self.now() - started.pop())))
        yield seconds
        for hook in hooks:
            hook.remove()


def _decode(sources: Sequence[Any]) -> list[NDArray[np.uint8]]:
    return [to_array(source)[0] for source in sources]


def _matmul_gflops(predictor: Predictor, clock: _Clock) -> float:
    """Return the operations per second of a matrix product in 1e9, by the faster of two libraries.

    They are the library of ``torch.mm`` and that of convolutions; on AMD CPUs the first is slower.
    """
    matrix = torch.randn(MATMUL_SIZE, MATMUL_SIZE, dtype=predictor.dtype, device=predictor.device)
    maps = matrix[None, :, :, None].permute(0, 2, 1, 3).contiguous(memory_format=torch.channels_last)
    weight = matrix[:, :, None, None]
    products = ((torch.mm, matrix, matrix), (F.conv2d, maps, weight))
    best = min(clock(*product)[1] for product in products for _ in range(WARMUP_ROUNDS + 3))
    return 2 * MATMUL_SIZE**3 / best / 1e9


def _peer(predictor: Predictor, against: str) -> Callable[[Tensor], Tensor]:
    if against != "timm":
        raise UsageError(f"--against {against} is unknown. Use timm.")
    try:
        import timm
    except ImportError as error:
        raise UsageError("--against timm needs the package timm: pip install timm.") from error
    name = predictor.recipe.name.removesuffix("_imagenet.timm")
    if not timm.is_model(name):
        raise UsageError(f"timm does not have the model {name}. List its models: splitnest list '*.timm'")
    network: nn.Module = timm.create_model(name).eval().to(predictor.device)
    return network
