"""Explanation of a prediction by a heat map over the features of the backbone.

Grad-CAM (Selvaraju et al. 2017): the feature maps, weighted by the mean gradient of a score, without negative values.
EigenCAM (Muhammad and Yeasin 2020): the projection of the features on their first principal direction, for no class.

Shapes: K classes, C channels, h x w cells of a feature map.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from splitnest.data.images.normalize import crop_box
from splitnest.data.images.read import Source, to_array
from splitnest.errors import UsageError, first_few
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.fast import FusedConv2d
from splitnest.inference.load import load
from splitnest.inference.predictor import Predictor
from splitnest.models.base import Model
from splitnest.models.classification.classifier import Classifier
from splitnest.models.detection.boxes import rescale
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.models.detection.rcnn import RCNN
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.structures import Detections
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.heat_map import HeatMap

METHODS = {"gradcam": "Grad-CAM", "eigencam": "EigenCAM"}
"""Name of each method."""

LEVELS = ("c2", "c3", "c4", "c5")
"""Feature maps of a backbone, finest first."""


class _Target(NamedTuple):
    """Score that is explained, a scalar, with its description and the box of its detection, in pixels of the image."""

    score: Tensor
    text: str
    box: tuple[float, float, float, float] | None = None


class _Choice(NamedTuple):
    """Class or detection that the user chose."""

    class_name: str | None
    detection: int | None


@torch.no_grad()
def explain(
    model: Predictor | str | Path,
    image: Source,
    *,
    method: str = "gradcam",
    level: str = "c5",
    class_name: str | None = None,
    detection: int | None = None,
) -> HeatMap:
    """Return a heat map of the parts of an image that a prediction is based on.

    Grad-CAM explains scores before softmax. For a classifier that is a class; for a detector a detection in its box
    (mean over the stages in a cascade), or all detections with one class together; for a segmentor a class, summed over
    its pixels.

    Args:
        model: Classifier, detector or segmentor, or its name or file for ``load``.
        image: Path, URL, Pillow image, or uint8 RGB array ``[H, W, 3]``.
        method: ``"gradcam"`` or ``"eigencam"``.
        level: Feature map ``"c2"`` to ``"c5"``: from fine and simple to coarse and meaningful.
        class_name: Class to explain; None for the predicted one, which is the largest of a segmentor.
        detection: Index of a detection in the result of ``predict``; None for the best one, or those of the class.

    Raises:
        UsageError: An argument is not valid, the image has no such detection, or the network has no gradients.
        DataError: The image cannot be read.
    """
    predictor = model if isinstance(model, Predictor) else load(model)
    _check(predictor, method, level, _Choice(class_name, detection))
    pixels, _ = to_array(image)
    batch = predictor.prepared_batch([pixels])
    size_hw = pixels.shape[0], pixels.shape[1]
    if method == "eigencam":
        with _observed(predictor.module, level, keeps_gradient=False) as features:
            predictor.module.backbone(batch.images)
        grid, title, box = eigen_cam(features[0][0]), METHODS[method], None
    else:
        with _observed(predictor.module, level, keeps_gradient=True) as features:
            target = _TARGETS[type(predictor.module)](predictor.module, batch, _Choice(class_name, detection))
        (gradient,) = torch.autograd.grad(target.score, features[0])
        grid, box = grad_cam(features[0][0], gradient[0]), target.box
        title = f"{METHODS[method]} of {target.text}"
    result = HeatMap(grid, _region(predictor, batch, size_hw), f"{title}, {level}", box, image_size=size_hw)
    return result.on_image(lambda: pixels)


def grad_cam(features: Tensor, gradient: Tensor) -> NDArray[np.float32]:
    """Return the Grad-CAM of features ``[C, h, w]`` with the gradient of a score, from 0 to 1, ``[h, w]``."""
    weights = gradient.double().mean((1, 2))
    return _scaled(torch.einsum("c,chw->hw", weights, features.double()).clamp(min=0))


def eigen_cam(features: Tensor) -> NDArray[np.float32]:
    """Return the EigenCAM of features ``[C, h, w]``, from 0 to 1, ``[h, w]``.

    The features are not centered, as in the paper. The sign of a principal direction is arbitrary: it is chosen so that
    the projections have a positive sum.
    """
    columns = features.double().flatten(1).T  # [h * w, C]
    _, directions = torch.linalg.eigh(columns.T @ columns)  # ascending: the right singular vectors of the columns
    projection = (columns @ directions[:, -1]).view(features.shape[1:])
    return _scaled(projection if projection.sum() >= 0 else -projection)


def _scaled(values: Tensor) -> NDArray[np.float32]:
    values = values - values.min()
    scaled: NDArray[np.float32] = (values / values.max().clamp(min=1e-12)).float().cpu().numpy()
    return scaled


def _check(predictor: Predictor, method: str, level: str, choice: _Choice) -> None:
    module, name = predictor.module, predictor.recipe.name
    if method not in METHODS or level not in LEVELS:
        raise UsageError(
            f"There is no method {method!r} on {level!r}. The methods are {', '.join(METHODS)}, the feature maps "
            f"{', '.join(LEVELS)}."
        )
    if isinstance(module, ExportedModel):
        raise UsageError(
            f"{name} is an exported model, whose features cannot be read. Explain the model that it was exported from."
        )
    if type(module) not in _TARGETS:
        kind = f"its task is {predictor.recipe.task}" if isinstance(module, Model) else "it is a module of Python"
        raise UsageError(
            f"{name} has no explanation: {kind}, and it exists for classifiers, detectors, panoptic models and "
            f"segmentors."
        )
    if choice.class_name is not None and choice.detection is not None:
        raise UsageError("Both a class and a detection are given. Give one of them.")
    if method == "eigencam":
        if choice != _Choice(None, None):
            raise UsageError("EigenCAM depends on no class and no detection. Omit them, or use the method gradcam.")
    elif any(isinstance(part, FusedConv2d) for part in module.modules()):
        raise UsageError(f"{name} was loaded with fast=True, whose layers have no gradients. Load it without fast.")


@contextmanager
def _observed(module: Model, level: str, *, keeps_gradient: bool) -> Iterator[list[Tensor]]:
    """Collect the feature map of a level inside the context.

    For its gradient, operations are recorded from the feature map on, so memory is not that of a training step.

    Args:
        module: Network.
        level: Name of the feature map.
        keeps_gradient: Whether the gradient with respect to it is needed.

    Raises:
        UsageError: The backbone does not compute this feature map.
    """
    found: list[Tensor] = []
    stages, backbone = dict(module.backbone.named_children()), module.backbone

    def observe(_: nn.Module, __: object, output: Tensor) -> Tensor:
        found.append(output.detach().clone())
        if not keeps_gradient:
            return output
        torch.set_grad_enabled(True)
        found[0].requires_grad_()
        return found[0].clone()

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Record all of a backbone whose stages are not known."""
        torch.set_grad_enabled(keeps_gradient)
        return tuple(each.detach().requires_grad_(keeps_gradient) for each in inputs)

    def pick(_: nn.Module, __: object, features: dict[str, Tensor]) -> None:
        if level not in features:
            raise UsageError(f"The backbone has no feature map {level}. It has {', '.join(features)}.")
        found.append(features[level])

    if level in stages:
        handles = [stages[level].register_forward_hook(observe)]
    else:
        handles = [backbone.register_forward_pre_hook(record), backbone.register_forward_hook(pick)]
    try:
        with torch.no_grad():  # until the hook
            yield found
    finally:
        for handle in handles:
            handle.remove()


def _of_classifier(model: Classifier, batch: Batch, choice: _Choice) -> _Target:
    logits = model(batch.images)[0]
    _refuse_detection(choice, "A classifier")
    label = int(logits.argmax()) if choice.class_name is None else _label(model.categories, choice.class_name)
    return _Target(logits[label], f"{model.categories[label].name} {float(logits.detach().softmax(0)[label]):.0%}")


def _of_segmentor(model: Segmentor, batch: Batch, choice: _Choice) -> _Target:
    _refuse_detection(choice, "A segmentor")
    logits = model.logits(batch.images)[0]
    best = logits.argmax(0)
    label = int(best.flatten().mode().values) if choice.class_name is None else None
    label = _label(model.categories, str(choice.class_name)) if label is None else label
    pixels = best == label
    score = logits[label][pixels].sum() if pixels.any() else logits[label].sum()
    return _Target(score, f"{model.categories[label].name}, {float(pixels.double().mean()):.0%} of the image")


def _of_detector(model: RCNN, batch: Batch, choice: _Choice) -> _Target:
    return _of_detections(model, model.extract_features(batch.images), batch, choice)


def _of_panoptic(model: PanopticFPN, batch: Batch, choice: _Choice) -> _Target:
    features = model.detector.extract_features(batch.images)
    things = len(model.detector.categories)
    label = -1 if choice.class_name is None else _label(model.categories, choice.class_name)
    if label < things:
        return _of_detections(model.detector, features, batch, choice)
    logits = model.semantic_head(features)[0]
    channel = label - things + 1  # channel 0 is all things
    pixels = logits.argmax(0) == channel
    score = logits[channel][pixels].sum() if pixels.any() else logits[channel].sum()
    return _Target(score, f"{model.categories[label].name}, {float(pixels.double().mean()):.0%} of the image")


def _of_detections(model: RCNN, features: dict[str, Tensor], batch: Batch, choice: _Choice) -> _Target:
    """Return the score of a detection in its own box, or the sum over those of a class."""
    label = None if choice.class_name is None else _label(model.categories, choice.class_name)
    with torch.no_grad():
        (found,) = model.detect({name: level.detach() for name, level in features.items()}, batch)
    rows = _chosen(found, choice, label)
    boxes = torch.from_numpy(found.boxes[rows]).to(batch.images)
    logits: list[Tensor] = []

    def keep(_: nn.Module, __: object, outputs: tuple[Tensor, Tensor]) -> None:
        logits.append(outputs[0])

    handles = [head.register_forward_hook(keep) for head in model.roi_heads.box_heads]
    try:
        model.score(features, [rescale(boxes, batch.original_sizes[0], batch.sizes[0])], batch.sizes)
    finally:
        for handle in handles:
            handle.remove()
    scores = torch.stack(logits).mean(0)[torch.arange(len(rows)), torch.from_numpy(found.labels[rows])]
    name = model.categories[int(found.labels[rows[0]])].name
    if len(rows) > 1:
        return _Target(scores.sum(), f"{len(rows)} detections of {name}")
    x1, y1, x2, y2 = found.boxes[rows[0]].tolist()
    return _Target(scores.sum(), f"detection {rows[0]}: {name} {found.scores[rows[0]]:.0%}", (x1, y1, x2, y2))


def _chosen(found: Detections, choice: _Choice, label: int | None) -> list[int]:
    """Return the indices of the detections that are explained."""
    if not len(found):
        raise UsageError("Nothing is detected in the image, so there is no detection to explain. Use eigencam.")
    if choice.detection is not None:
        if not 0 <= choice.detection < len(found):
            raise UsageError(
                f"There is no detection {choice.detection}. The image has {len(found)}, from 0 with the highest score: "
                f"{first_few(_described(found))}."
            )
        return [choice.detection]
    if label is None:
        return [0]
    if not (rows := np.flatnonzero(found.labels == label).tolist()):
        raise UsageError(
            f"No {choice.class_name} is detected in the image. It has {first_few(_described(found))}. Give another "
            f"class, or a detection."
        )
    return rows


def _described(found: Detections) -> list[str]:
    return [
        f"{number} ({found.categories[label].name} {score:.0%})"
        for number, (label, score) in enumerate(zip(found.labels.tolist(), found.scores.tolist(), strict=True))
    ]


def _label(categories: Categories, name: str) -> int:
    names = list(categories.names)
    if name in names:
        return names.index(name)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    raise UsageError(
        f"The model has no class {name!r}. {f'Did you mean {close[0]!r}?' if close else f'It has {first_few(names)}.'}"
    )


def _refuse_detection(choice: _Choice, kind: str) -> None:
    if choice.detection is not None:
        raise UsageError(f"{kind} has no detections. Give a class instead.")


def _region(predictor: Predictor, batch: Batch, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of the original image that the network's input shows, xyxy; padding lies beyond the image."""
    if isinstance(predictor.module, Classifier):
        return crop_box(size_hw, predictor.recipe.input)  # type: ignore[arg-type]  # the input of a classifier
    height, width = batch.sizes[0]
    down, across = size_hw[0] / height, size_hw[1] / width
    return 0.0, 0.0, batch.images.shape[3] * across, batch.images.shape[2] * down


_TARGETS: dict[type[nn.Module], Callable[..., _Target]] = {
    Classifier: _of_classifier,
    RCNN: _of_detector,
    PanopticFPN: _of_panoptic,
    Segmentor: _of_segmentor,
}
"""Network -> function from the network, a batch of one image and the choice to the explained score."""
