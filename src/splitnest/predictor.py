"""From a name or a file to predictions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from splitnest import recipes
from splitnest.backbones.resnet import STAGES, ResNet
from splitnest.batch import Batch, Instances, collate
from splitnest.build import build_backbone, build_model
from splitnest.data.images import expand_sources, to_array
from splitnest.data.transforms import prepare
from splitnest.errors import DataError, UsageError, WeightsError
from splitnest.inference.tta import augmented
from splitnest.model import Model
from splitnest.recipe import ClassificationInput, DetectionInput, Recipe, SemanticInput, overrides
from splitnest.results import Detections, Result
from splitnest.weights import fetch, read
from splitnest.weights import load as load_weights

RECIPE_SUFFIXES = (".yaml", ".yml")
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".pkl", ".safetensors")


class Prediction(NamedTuple):
    """One image with what was found in it: where it came from, its pixels uint8 ``[H, W, 3]`` RGB, the result."""

    source: str
    image: np.ndarray
    result: Result


class _Prepared(NamedTuple):
    source: str
    image: np.ndarray
    tensor: Tensor


class Predictor:
    """A network with its recipe, ready to predict.

    Attributes:
        module: The network, in evaluation mode. It may be moved to another device or type (``module.double()``).
        recipe: The resolved recipe.
    """

    def __init__(self, module: Model, recipe: Recipe) -> None:
        self.module = module.eval()
        self.recipe = recipe
        assert isinstance(
            recipe.input, ClassificationInput | DetectionInput | SemanticInput
        )  # all that build_model builds
        self._input = recipe.input

    def __repr__(self) -> str:
        return f"Predictor({self.recipe.name!r}, device={self.device}, dtype={self.dtype})"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the network's weights."""
        return next(self.module.parameters()).dtype

    def predict(
        self,
        images: Any,
        batch_size: int = 1,
        resize: bool = True,
        score_threshold: float | None = None,
        stream: bool = False,
        tta: bool = False,
    ) -> list[Result] | Iterator[Result]:
        """Predict for photographs.

        Args:
            images: Path, URL, folder, glob, PIL image, uint8 RGB array (H, W, 3), or a list of these.
            batch_size: Images that go through the network together.
            resize: Resize as the recipe says; False takes the pixels as they are.
            score_threshold: Keep detections of at least this score; None keeps all that the published protocol does,
                from 0.05 on.
            stream: Return a generator, which holds one batch at a time.
            tta: Detect with test-time augmentation, one photograph at a time, by the published protocol.

        Returns:
            One result an image, in order.

        Raises:
            DataError: An image cannot be read, or there is none.
            UsageError: An argument is out of its range, or the model has no test-time augmentation.
        """
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise UsageError(f"score_threshold is {score_threshold}; it is a probability, from 0 to 1.")
        predictions = self.predictions(images, batch_size=batch_size, resize=resize, tta=tta)
        results = (_above(p.result, score_threshold) for p in predictions)
        return results if stream else list(results)

    def predictions(
        self,
        images: Any,
        *,
        batch_size: int = 1,
        resize: bool = True,
        tta: bool = False,
        on_error: Callable[[str, DataError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yield each image with its result.

        Args:
            images, batch_size, resize, tta: As of ``predict``.
            on_error: Told of an image that cannot be read, which is then skipped; None raises the error.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be at least 1.")
        sources = _read(expand_sources(images), on_error)
        if tta:
            detect = augmented(self.module, self.recipe)
            yield from (Prediction(name, image, detect(image, resize)) for name, image in sources)
            return
        dtype = self._dtype_of_images
        prepared = (_Prepared(name, image, prepare(image, self._input, resize, dtype)) for name, image in sources)
        for group in _batches(prepared, batch_size, one_size=not isinstance(self._input, DetectionInput)):
            yield from self._run(group)

    def batch(
        self,
        images: Sequence[np.ndarray],
        instances: Sequence[Instances] | None = None,
        semantic: Sequence[np.ndarray] | None = None,
    ) -> Batch:
        """Return pixels as they are, and ground truth, as the network takes them: for ``module.loss``, for example.

        Args:
            images: uint8 RGB ``[H, W, 3]`` each.
            instances: Ground truth of each image, in its pixels.
            semantic: Of a panoptic model the class of every pixel, uint8 ``[H, W]``: 0 for things, from 1 for each kind
                of stuff, 255 where it is not known.
        """
        tensors = [prepare(image, self._input, resize=False, dtype=self._dtype_of_images) for image in images]
        labels = None if semantic is None else [torch.from_numpy(one.copy()) for one in semantic]
        batch = collate(tensors, divisor=self._divisor, instances=instances, semantic=labels)
        return batch.to(self.device, self.dtype)

    @property
    def _divisor(self) -> int:
        return self._input.divisor if isinstance(self._input, DetectionInput) else 1

    @property
    def _dtype_of_images(self) -> torch.dtype:
        return torch.promote_types(self.dtype, torch.float32)  # never less than float32 before the network

    @torch.inference_mode()
    def _run(self, group: Sequence[_Prepared]) -> list[Prediction]:
        originals = [(p.image.shape[0], p.image.shape[1]) for p in group]
        batch = collate([p.tensor for p in group], originals, self._divisor).to(self.device, self.dtype)
        results = self.module.predict(batch)
        return [Prediction(p.source, p.image, r) for p, r in zip(group, results, strict=True)]


def load(
    name_or_path: str | Path,
    weights: str | Path | None = "auto",
    device: str | torch.device = "auto",
    overrides: Mapping[str, Any] | None = None,
) -> Predictor:
    """Return a model that is ready to predict.

    Args:
        name_or_path: Name of a published model, a recipe file (.yaml), or a checkpoint of splitnest, which carries its
            recipe.
        weights: ``"auto"`` takes the published file of a model, or the checkpoint itself; None initialises anew; a path
            is read whatever its layout: mmdetection, detectron2, timm, official, splitnest.
        device: ``"auto"`` takes CUDA where there is one, else the CPU.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.

    Raises:
        UsageError: No such model, a wrong recipe or override, or a model that this version cannot build yet.
        WeightsError: The weights cannot be had, read, or do not fit.
    """
    recipe, own_weights = resolve(name_or_path, overrides)
    target = pick_device(device)
    if weights is None:
        return Predictor(build_model(recipe).to(target), recipe)
    with torch.device("meta"):
        module = build_model(recipe)
    path = _weights_path(recipe, own_weights) if weights == "auto" else Path(weights)
    load_weights.load(module, path)
    return Predictor(module.to(target), recipe)


def resolve(name_or_path: str | Path, values: Mapping[str, Any] | None = None) -> tuple[Recipe, Path | None]:
    """Return the recipe of a name or file, with overrides applied, and the file if it is a checkpoint."""
    path = Path(name_or_path)
    checkpoint = None
    if not path.is_file() or path.suffix == ".py":  # of an upstream configuration the name alone counts
        recipe = _named(str(name_or_path))
    elif path.suffix in RECIPE_SUFFIXES:
        recipe = overrides.load_yaml(path)
    else:
        checkpoint = path
        recipe_json = read.read(path).recipe_json
        if recipe_json is None:
            raise WeightsError(
                f"{path} carries no recipe, so it is not known which model it belongs to. "
                f"Name the model and give the file as its weights."
            )
        recipe = overrides.from_json(recipe_json)
    return (overrides.apply(recipe, values) if values else recipe), checkpoint


PLAIN_RESNETS = {
    "resnet50": "faster_rcnn_resnet50_fpn_1x_coco.detectron2",
    "resnet101": "faster_rcnn_resnet101_fpn_1x_coco.detectron2",
}
"""Detectors whose backbones are the published plain ResNets: there is no classifier of them."""


def _named(name: str) -> Recipe:
    try:
        return recipes.get(name)
    except UsageError:
        path = Path(name)
        if path.suffix in RECIPE_SUFFIXES:
            return overrides.load_yaml(path)  # says that it cannot be read
        if path.suffix in CHECKPOINT_SUFFIXES:
            raise UsageError(f"{path} does not exist. Check the path.") from None
        if name and path.is_dir():
            raise UsageError(f"{path} is a folder. Name a file in it, such as the last.pt of a run.") from None
        raise


def backbone(name: str, weights: str | Path | None = "auto", out: Sequence[str] = STAGES) -> ResNet:
    """Return the backbone of a published model, with ``.channels`` and ``.strides`` by map name.

    It maps normalised images ``[N, 3, H, W]`` to a dictionary of the maps ``out``.

    Args:
        name: A model, such as ``resnest50``; of a detector, such as ``faster_rcnn_resnet50_fpn_1x_coco``, the backbone
            is taken; ``resnet50`` and ``resnet101`` are those of the plain detectors. No stage of it is frozen,
            whatever the recipe says.
        weights: ``"auto"`` takes the published file, None initialises anew, a path is read whatever its layout.
        out: Which of c2, c3, c4 and c5.

    Raises:
        UsageError: No such model or map.
        WeightsError: The weights cannot be had, read, or do not fit.
    """
    if unknown := [o for o in out if o not in STAGES]:
        raise UsageError(f"out holds {unknown[0]!r}, but the maps of a backbone are {', '.join(STAGES)}.")
    recipe = recipes.get(PLAIN_RESNETS.get(name, name))
    facts = recipe.model.backbone.model_copy(update={"frozen_stages": 0})
    if weights is None:
        return build_backbone(facts, out)
    with torch.device("meta"):
        module = build_backbone(facts, out)
    path = _weights_path(recipe, None) if weights == "auto" else Path(weights)
    load_weights.load_backbone(module, path)
    return module


def _weights_path(recipe: Recipe, own: Path | None) -> Path:
    if own is not None:
        return own
    if recipe.weights is None:
        raise WeightsError(f"{recipe.name} has no published weights. Give a file, or None to initialise it anew.")
    return fetch.fetch(recipe.weights)


def pick_device(device: str | torch.device) -> torch.device:
    """Return the device of that name; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises:
        UsageError: There is no such device, or torch cannot use it.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built for the CPU alone
        raise UsageError(f"There is no device {str(device)!r} here; use auto, cpu, cuda or cuda:0.") from error


def _read(
    sources: Iterable[Any], on_error: Callable[[str, DataError], None] | None
) -> Iterator[tuple[str, np.ndarray]]:
    for source in sources:
        try:
            image, name = to_array(source)
        except DataError as error:
            if on_error is None:
                raise
            on_error(str(source), error)
            continue
        yield name, image


def _batches(items: Iterable[_Prepared], batch_size: int, *, one_size: bool) -> Iterator[list[_Prepared]]:
    """Yield consecutive items, at most ``batch_size`` at a time, of one size where padding would change the result."""
    for _, run in groupby(items, key=lambda item: item.tensor.shape if one_size else None):
        group: list[_Prepared] = []
        for item in run:
            group.append(item)
            if len(group) == batch_size:
                yield group
                group = []
        if group:
            yield group


def _above(result: Result, score_threshold: float | None) -> Result:
    if score_threshold is None or not isinstance(result, Detections):
        return result
    return result.above(score_threshold)
