"""From a name or a file to predictions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from splitnest.ahead import ahead
from splitnest.batch import Batch, Instances, collate
from splitnest.build import build_categories, build_model
from splitnest.data.images import expand_sources, source_name, to_array
from splitnest.data.person_boxes import NOBODY, PersonBoxes
from splitnest.data.person_crop import prepare_people
from splitnest.data.semantic_labels import check_maps
from splitnest.data.transforms import normalise, prepare
from splitnest.device import on_meta, pick_device, pick_dtype
from splitnest.errors import DataError, UsageError
from splitnest.exported import ExportedModel
from splitnest.inference.tta import augmented
from splitnest.model import Model
from splitnest.people import estimate
from splitnest.person_finder import Boxes, FindPeople, Photograph, find_people
from splitnest.pretrained import weights_path
from splitnest.recipe import DetectionInput, DetectionRecipe, PoseInput, Recipe
from splitnest.resolve import ONNX_SUFFIX, resolve
from splitnest.results import Detections, PanopticSegmentation, Result
from splitnest.runtimes import open_session
from splitnest.weights import load as load_weights


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
        *,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
    ) -> list[Result] | Iterator[Result]:
        """Predict for photographs.

        Args:
            images: Path, URL, folder, glob, PIL image, uint8 RGB array (H, W, 3), or a list of these.
            batch_size: Images that go through the network together; of a pose estimator people, of one photograph or
                of several.
            resize: Resize as the recipe says; False takes the pixels as they are. Without effect on people, who are cut
                out at the size of the network's input.
            score_threshold: Keep detections of at least this score; None keeps all that the published protocol does,
                from 0.05 on. Of a panoptic model these are the instances that it was merged from; of a pose estimator
                people whose box has that score.
            stream: Return a generator, which holds one batch, and the one that is read and prepared meanwhile.
            tta: Predict with test-time augmentation, one photograph at a time, by the published protocol.
            boxes_xywh: Whom a pose estimator looks at: for each image an array [P, 4] of left, top, width and height in
                its pixels, whose order is kept; or a JSON file: COCO detection results, whose ``image_id`` is the
                number in the name of a photograph, or what ``splitnest predict`` wrote for a detector.
            detector: A detector that has the class of the pose estimator, in place of boxes; people are those whom it
                finds with a score of 0.3 or more.

        Returns:
            One result an image, in order.

        Raises:
            DataError: An image or a file of boxes cannot be read, or there is none.
            UsageError: An argument is out of its range, the model has no test-time augmentation, or it is not told
                where people are.
        """
        predictions = self.predictions(
            images,
            batch_size=batch_size,
            resize=resize,
            score_threshold=score_threshold,
            tta=tta,
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
        score_threshold: float | None = None,
        tta: bool = False,
        boxes_xywh: Boxes | None = None,
        detector: "Predictor | None" = None,
        on_error: Callable[[str, DataError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yield each image with its result.

        Args:
            images, batch_size, resize, score_threshold, tta, boxes_xywh, detector: As of ``predict``.
            on_error: Told of an image that cannot be read, which is then skipped; None raises the error.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be at least 1.")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise UsageError(f"score_threshold is {score_threshold}; it is a probability, from 0 to 1.")
        expanded, facts, dtype = expand_sources(images), self.recipe.input, self._dtype_of_images
        predictions: Iterator[Prediction]
        find = self._finder([source_name(source) for source in expanded], boxes_xywh, detector)
        sources = _read(expanded, on_error)
        if tta:
            predict = augmented(self.module, self.recipe)
            predictions = (Prediction(s.name, s.image, predict(s.image, resize)) for s in ahead(sources, 1))
        elif isinstance(facts, PoseInput):
            least = score_threshold or 0.0
            photographs = ahead(sources, 1)
            cut = ((s, prepare_people(s.image, find(s).above(least), facts, dtype)) for s in photographs)
            poses = estimate(self.module, cut, batch_size, build_categories(self.recipe))
            predictions = (Prediction(s.name, s.image, found) for s, found in poses)
        else:
            prepared: Iterator[_Prepared] = (
                _Prepared(s.name, s.image, prepare(s.image, facts, resize, dtype)) for s in sources
            )
            prepared = ahead(prepared, batch_size)
            groups = _batches(prepared, batch_size, one_size=not isinstance(facts, DetectionInput))
            predictions = chain.from_iterable(map(self._run, groups))
        for prediction in predictions:
            yield prediction._replace(result=_above(prediction.result, score_threshold))

    def _finder(self, names: Sequence[str], boxes_xywh: Boxes | None, detector: "Predictor | None") -> FindPeople:
        """Return what tells the people in a photograph."""
        if self.recipe.task != "pose":
            if boxes_xywh is not None or detector is not None:
                raise UsageError(f"{self.recipe.name} is for {self.recipe.task}: only a pose estimator takes people.")
            return lambda _: NOBODY
        (category,) = build_categories(self.recipe)
        if detector is not None and not isinstance(detector.recipe, DetectionRecipe):
            raise UsageError(
                f"{detector.recipe.name} is for {detector.recipe.task}, and finds nobody: give a detector."
            )
        if detector is not None and category.name not in build_categories(detector.recipe).names:
            raise UsageError(
                f"The detector {detector.recipe.name} has no class {category.name!r}, which {self.recipe.name} is for."
            )
        return find_people(category, names, boxes_xywh, None if detector is None else detector.predict)

    def batch(
        self,
        images: Sequence[np.ndarray],
        instances: Sequence[Instances] | None = None,
        semantic: Sequence[np.ndarray] | None = None,
        keypoints: Sequence[np.ndarray] | None = None,
        labels: Sequence[int] | None = None,
    ) -> Batch:
        """Return pixels as they are, and ground truth, as the network takes them: for ``module.loss``, for example.

        Args:
            images: uint8 RGB ``[H, W, 3]`` each; for a pose estimator crops of one person, all of one size.
            instances: Ground truth of each image, in its pixels.
            semantic: The class of every pixel, uint8 ``[H, W]``, 255 where it is not known; of a panoptic model 0 for
                things, from 1 for each kind of stuff.
            keypoints: Of the person in each image ``[K, 3]``: x and y in its pixels, and 0 where it is not labelled.
            labels: The class of each image, from 0; images of a classifier are all of one size.

        Raises:
            DataError: A map of classes has another size than its image, or a value that is no class.
        """
        facts, dtype = self.recipe.input, self._dtype_of_images
        tensors = [normalise(image, facts, dtype) for image in images]
        maps, points = None, None
        if semantic is not None:
            num_classes = self.recipe.data.num_stuff + 1 if self.recipe.task == "panoptic" else self.recipe.num_classes
            check_maps(images, semantic, num_classes)
            maps = [torch.from_numpy(one.copy()) for one in semantic]
        if keypoints is not None:
            labelled = ([[x, y, seen > 0] for x, y, seen in of_person] for of_person in keypoints)
            points = [torch.tensor(of_person, dtype=torch.float32) for of_person in labelled]
        classes = None if labels is None else torch.tensor(labels)
        batch = collate(
            tensors, divisor=self._divisor, instances=instances, semantic=maps, keypoints=points, labels=classes
        )
        return batch.to(self.device, self.dtype)

    def prepared(self, images: Sequence[np.ndarray]) -> Batch:
        """Return photographs as ``predict`` gives them to the network; of a pose estimator each is of one person.

        Args:
            images: uint8 RGB ``[H, W, 3]`` each.
        """
        facts, dtype = self.recipe.input, self._dtype_of_images
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        people = None
        if isinstance(facts, PoseInput):
            boxes = [PersonBoxes(np.array([[0.0, 0.0, width, height]]), np.ones(1)) for height, width in sizes]
            cut = [prepare_people(image, box, facts, dtype) for image, box in zip(images, boxes, strict=True)]
            tensors, people = [each.crops[0] for each in cut], [each.people[0] for each in cut]
        else:
            tensors = [prepare(image, facts, dtype=dtype) for image in images]
        return collate(tensors, sizes, self._divisor, people=people).to(self.device, self.dtype)

    @property
    def _divisor(self) -> int:
        return self.recipe.input.divisor if isinstance(self.recipe.input, DetectionInput) else 1

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
    *,
    fast: bool = False,
    precision: str = "fp32",
    compile: bool = False,
    runtime: str = "onnxruntime",
) -> Predictor:
    """Return a model that is ready to predict.

    Args:
        name_or_path: Name of a published model, a recipe file (.yaml), or a checkpoint of splitnest, which carries its
            recipe, or an exported ONNX file.
        weights: ``"auto"`` takes the published file of a model, or the checkpoint itself; None initialises anew; a path
            is read whatever its layout: mmdetection, detectron2, timm, official, splitnest.
        device: ``"auto"`` takes CUDA where there is one, else the CPU.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.
        fast: Fold normalisation into convolutions, fuse what follows them, and arrange their weights for the processor.
            Logits move by rounding alone, 1e-6 of their deviation; the network cannot be trained or saved.
        precision: Type that the network computes in: ``"fp32"``, or where the device is quicker at it ``"bf16"`` or
            ``"fp16"``, whose logits are off by about 0.02 of their deviation.
        compile: Compile its parts with ``torch.compile`` at the first prediction, which then takes minutes.
        runtime: What runs an ONNX file: ``"onnxruntime"`` or ``"openvino"``.

    Raises:
        UsageError: No such model, or a wrong recipe, override or precision.
        WeightsError: The weights cannot be had, read, or do not fit.
    """
    recipe, own_weights = resolve(name_or_path, overrides)
    if own_weights is not None and own_weights.suffix == ONNX_SUFFIX:
        if weights not in ("auto", None) or fast or precision != "fp32" or compile:
            raise UsageError(f"{own_weights} is exported: it takes no weights, fast, precision or compile.")
        return Predictor(ExportedModel(recipe, open_session(own_weights, runtime)), recipe)
    target = pick_device(device)
    dtype = pick_dtype(precision, target)
    predictor = Predictor(_filled(recipe, own_weights, weights).to(target), recipe)
    if fast:
        from splitnest.inference.fast import make_fast

        make_fast(predictor.module, dtype, packs=not compile)
    predictor.module.to(dtype)
    if compile:
        from splitnest.inference.compiled import compile_layers

        compile_layers(predictor.module)
    return predictor


def _filled(recipe: Recipe, own: Path | None, weights: str | Path | None) -> Model:
    if weights is None:
        return build_model(recipe)
    with on_meta():
        module = build_model(recipe)
    path = weights_path(recipe, own) if weights == "auto" else Path(weights)
    own_classes = recipe.data.classes if isinstance(recipe.data.classes, tuple) else None  # else those of the file
    load_weights.load(module, path, classes=own_classes)
    return module


def _read(sources: Iterable[Any], on_error: Callable[[str, DataError], None] | None) -> Iterator[Photograph]:
    for index, source in enumerate(sources):
        try:
            image, name = to_array(source)
        except DataError as error:
            if on_error is None:
                raise
            on_error(str(source), error)
            continue
        yield Photograph(index, name, image)


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
    if score_threshold is None:
        return result
    if isinstance(result, PanopticSegmentation) and result.detections is not None:
        return replace(result, detections=result.detections.above(score_threshold))
    return result.above(score_threshold) if isinstance(result, Detections) else result
