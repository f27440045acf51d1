"""A detector on a whole data set: read, predict, collect."""

import torch

from splitnest.batch import collate
from splitnest.data.coco import CocoDetection
from splitnest.data.loader import evaluation_loader
from splitnest.evaluation.coco import CocoEvaluator, IouType
from splitnest.model import Model
from splitnest.progress import track
from splitnest.recipe import DetectionRecipe
from splitnest.results import Detections


def make_evaluator(recipe: DetectionRecipe, dataset: CocoDetection) -> CocoEvaluator:
    """Return an empty evaluator of what a model of ``recipe`` finds: boxes, and masks where it has them.

    Raises:
        DataError: Masks are to be evaluated and an annotation has no outline.
    """
    iou_types: tuple[IouType, ...] = ("bbox", "segm") if recipe.model.mask_convs else ("bbox",)
    return CocoEvaluator(dataset, iou_types)


@torch.inference_mode()
def detect_all(
    model: Model, recipe: DetectionRecipe, dataset: CocoDetection, batch_size: int = 1, workers: int = 0
) -> CocoEvaluator:
    """Detect in every photograph of ``dataset`` and return an evaluator that holds all detections.

    Args:
        model: In evaluation mode.
        recipe: Of the model.
        dataset: Photographs, with or without annotations.
        batch_size: Photographs that go through the network together.
        workers: Processes that read photographs; 0 reads in this one.

    Raises:
        DataError: A photograph cannot be read, or masks are to be evaluated and an annotation has no outline.
    """
    like = next(model.parameters())
    evaluator = make_evaluator(recipe, dataset)
    loader = evaluation_loader(dataset, recipe.input, batch_size, workers)
    for samples in track(loader, len(loader), "evaluating", unit="batches"):
        sizes = [sample.original_size for sample in samples]
        batch = collate([sample.image for sample in samples], sizes, recipe.input.divisor)
        results = model.predict(batch.to(like.device, like.dtype))
        for sample, result in zip(samples, results, strict=True):
            assert isinstance(result, Detections)
            evaluator.update(sample.image_id, result)
    return evaluator
