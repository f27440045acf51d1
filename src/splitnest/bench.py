"""How quick a model is on this machine, and where its time goes."""

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

from splitnest.complexity import complexity
from splitnest.data.images import expand_sources, to_array
from splitnest.data.scenes import Scenes
from splitnest.errors import UsageError
from splitnest.inference.parts import layer_parts
from splitnest.predictor import Predictor
from splitnest.progress import memory_mb
from splitnest.recipe import PoseRecipe

PRODUCT = 2048
"""Sides of the matrices whose product tells what the machine can do."""

WARM_UP = 2
"""Rounds that are not counted: weights are arranged, memory is fetched, networks compiled."""


STAGES = ("decode", "pre-process", "network", "post-process")


@dataclass(frozen=True)
class Timing:
    """What was measured, of one batch a round.

    Attributes:
        batch_size: Images of a batch.
        size_hw: (height, width) of the network's input.
        stages: Seconds of each round, by stage: ``decode``; ``pre-process``; ``network``, the layers; ``post-process``,
            what is between and behind them: proposals, suppression, masks, results.
        peak_mb: Peak memory in 2**20 bytes, of the process or of the GPU.
        gflops: 1e9 operations of the layers for a batch, twice their multiply-adds.
        product_gflops: 1e9 operations a second of a matrix product of the network's type.
        forwards: Seconds of a forward pass of a peer and of the model, in turn; none without a peer.
    """

    batch_size: int
    size_hw: tuple[int, int]
    stages: dict[str, list[float]]
    peak_mb: int
    gflops: float
    product_gflops: float
    forwards: list[tuple[float, float]]

    @property
    def totals(self) -> list[float]:
        """Seconds of each round."""
        return [sum(of_round) for of_round in zip(*self.stages.values(), strict=True)]

    @property
    def images_per_second(self) -> float:
        """By the median round."""
        return self.batch_size / statistics.median(self.totals)

    @property
    def share(self) -> float:
        """What the layers reach of the rate of the matrix product, by their median."""
        return self.gflops / statistics.median(self.stages["network"]) / self.product_gflops


@contextmanager
def photographs(sources: Sequence[str] | None) -> Iterator[list[Any]]:
    """Give the photographs of ``sources``; without any a drawn one of 640x480 pixels, as a JPEG file.

    Raises:
        DataError: A folder or pattern holds no image.
    """
    if sources:
        yield expand_sources(list(sources))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.jpg"
        Image.fromarray(Scenes(1, (480, 640))[0].image).save(path, quality=92)
        yield [path]


@torch.inference_mode()
def bench(
    predictor: Predictor, sources: Sequence[Any], *, batch_size: int = 1, rounds: int = 10, against: str | None = None
) -> Timing:
    """Time a model from files to results, stage by stage and one after the other, without overlap.

    Args:
        predictor: The model.
        sources: Photographs, taken in turn; of a pose estimator each is taken for one person.
        batch_size: Images of a batch; but for detectors all are of one size then.
        rounds: Batches that are timed, after ``WARM_UP`` others.
        against: ``"timm"`` to time timm's eager float32 network of the same name in turn with this one.

    Raises:
        UsageError: The peer is not known, not installed, or has no such model.
        DataError: A photograph cannot be read.
    """
    peer = None if against is None else _peer(predictor, against)
    clock = _Clock(predictor.device)
    files = islice(cycle(sources), batch_size * (WARM_UP + rounds))
    stages, forwards = [], []
    with clock.of_layers(predictor.module) as layers:
        while chosen := list(islice(files, batch_size)):
            images, decode = clock(_decoded, chosen)
            batch, pre_process = clock(predictor.prepared, images)
            layers.clear()
            _, predict = clock(predictor.module.predict, batch)
            network = sum(layers)
            stages.append((decode, pre_process, network, predict - network))
            if peer is not None:
                _, theirs = clock(peer, batch.images.float())
                _, ours = clock(predictor.module, batch.images)
                forwards.append((theirs, ours))
    peak = torch.cuda.max_memory_allocated() >> 20 if predictor.device.type == "cuda" else memory_mb()
    size_hw = batch.images.shape[2], batch.images.shape[3]
    passes = 2 if isinstance(predictor.recipe, PoseRecipe) and predictor.recipe.input.flip_test else 1
    return Timing(
        batch_size=batch_size,
        size_hw=size_hw,
        stages={name: [of_round[index] for of_round in stages[WARM_UP:]] for index, name in enumerate(STAGES)},
        peak_mb=peak,
        gflops=2e-9 * passes * batch_size * complexity(predictor.recipe, size_hw).multiply_adds,
        product_gflops=_product_rate(predictor, clock),
        forwards=forwards[WARM_UP:],
    )


class _Clock:
    """Times calls; on a GPU to the end of what they set going there."""

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
    def of_layers(self, model: Any) -> Iterator[list[float]]:
        """Give a list that gets the seconds of each part of a model that consists of layers, whenever it runs."""
        seconds: list[float] = []
        begun: list[float] = []
        hooks = []
        for part in layer_parts(model):
            hooks.append(part.register_forward_pre_hook(lambda *_: begun.append(self.now())))
            hooks.append(part.register_forward_hook(lambda *_: seconds.append(self.now() - begun.pop())))
        yield seconds
        for hook in hooks:
            hook.remove()


def _decoded(sources: Sequence[Any]) -> list[NDArray[np.uint8]]:
    return [to_array(source)[0] for source in sources]


def _product_rate(predictor: Predictor, clock: _Clock) -> float:
    """Return 1e9 operations a second of a matrix product, as the quicker of two libraries computes it.

    Those are the one behind ``torch.mm``, and that of convolutions: on AMD's processors the first is the slower one.
    """
    matrix = torch.randn(PRODUCT, PRODUCT, dtype=predictor.dtype, device=predictor.device)
    maps = matrix[None, :, :, None].permute(0, 2, 1, 3).contiguous(memory_format=torch.channels_last)
    weight = matrix[:, :, None, None]
    products = ((torch.mm, matrix, matrix), (F.conv2d, maps, weight))
    best = min(clock(*product)[1] for product in products for _ in range(WARM_UP + 3))
    return 2 * PRODUCT**3 / best / 1e9


def _peer(predictor: Predictor, against: str) -> Callable[[Tensor], Tensor]:
    if against != "timm":
        raise UsageError(f"--against {against}: the only peer is timm.")
    try:
        import timm
    except ImportError as error:
        raise UsageError("--against timm needs timm: pip install timm.") from error
    name = predictor.recipe.name.removesuffix("_imagenet.timm")
    if not timm.is_model(name):
        raise UsageError(f"timm has no model {name}; splitnest list '*.timm' lists those that it has.")
    network: nn.Module = timm.create_model(name).eval().to(predictor.device)
    return network
