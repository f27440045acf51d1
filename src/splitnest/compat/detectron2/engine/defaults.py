"""Prediction with a configuration of detectron2."""

from collections import UserDict
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.compat.checkpoints import checkpoint_file
from splitnest.compat.detectron2.config import CfgNode
from splitnest.compat.detectron2.data import MetadataCatalog
from splitnest.compat.detectron2.structures import Boxes, Instances
from splitnest.compat.images import read_rgb
from splitnest.errors import DataError, UsageError, tell
from splitnest.inference.load import predictor_of
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.structures import Detections, PanopticSegmentation, SegmentInfo
from splitnest.upstream.derive import derive

PRETRAINED = "ImageNetPretrained"
"""Part of the addresses of backbones, with which trainings start."""


class Outputs(UserDict[str, Any]):
    """Predictions for one image by name. Functions among them are called on first access."""

    def __getitem__(self, key: str) -> Any:
        value = self.data[key]
        if callable(value):
            value = self.data[key] = value()
        return value


class DefaultPredictor:
    """Predictor for single images, built from a configuration.

    Args:
        cfg: Configuration. ``MODEL.WEIGHTS`` is the path or address of the checkpoint; empty for random weights.

    Attributes:
        cfg: Copy of the configuration.
        model: Network.
        metadata: Classes of the first dataset in ``DATASETS.TEST``.
        input_format: Channel order of the network's input.

    Raises:
        UsageError: The configuration is not valid, its model is none of the family, or there is no such device.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg.clone()
        self.input_format = cfg.INPUT.FORMAT
        if len(cfg.DATASETS.TEST):
            self.metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
        weights = str(cfg.MODEL.WEIGHTS)
        if PRETRAINED in weights:
            raise UsageError(
                f"cfg.MODEL.WEIGHTS is {weights}, a backbone with which training starts. Set it to a trained model, "
                f"such as model_zoo.get_checkpoint_url(...)."
            )
        if not weights:
            tell("note: cfg.MODEL.WEIGHTS is empty, so the weights are random")
        path = checkpoint_file(weights) if weights else None
        recipe = derive(cfg.to_dict(), "model" if path is None else path.stem, "cfg").recipe
        self._predictor = predictor_of(recipe, path, cfg.MODEL.DEVICE)
        self.model = self._predictor.module

    def __call__(self, original_image: NDArray[np.uint8]) -> Outputs:
        """Predict for an image.

        Args:
            original_image: uint8 BGR ``[H, W, 3]``, as OpenCV reads it.

        Returns:
            ``instances``: ``Instances`` with ``pred_boxes``, ``scores``, ``pred_classes`` and, of a model with a mask
            head, ``pred_masks`` bool ``[N, H, W]``. Of a panoptic model also ``panoptic_seg``: segment ids int32
            ``[H, W]`` and a list of ``id``, ``isthing``, ``category_id`` and others; and ``sem_seg``: logits of things
            and the stuff classes ``[1 + stuff, H, W]``, computed on first access.

        Raises:
            DataError: The image is no array, or has another dtype or shape.
        """
        if not isinstance(original_image, np.ndarray):
            raise DataError("The image is no array. Give a uint8 BGR array; cv2.imread returns None for a bad path.")
        pixels = read_rgb(original_image)
        if isinstance(self.model, PanopticFPN):
            return self._panoptic(self.model, pixels)
        (result,) = self._predictor.predict(pixels)
        return Outputs({"instances": self._instances(cast(Detections, result))})

    @torch.no_grad()
    def _panoptic(self, model: PanopticFPN, pixels: NDArray[np.uint8]) -> Outputs:
        batch = self._predictor.prepared_batch([pixels])
        features = model.detector.extract_features(batch.images)
        logits = model.semantic_head(features)
        (result,) = model.merge(model.detector.detect(features, batch), logits, batch)
        assert isinstance(result, PanopticSegmentation)
        assert result.detections is not None
        (rows,) = model.semantic_rows(logits, batch)
        segments = torch.tensor(result.segments, device=self._predictor.device)
        return Outputs(
            {
                "sem_seg": partial(rows.get, 0, rows.height),
                "instances": self._instances(result.detections),
                "panoptic_seg": (segments, _segments_info(result, result.detections)),
            }
        )

    def _instances(self, result: Detections) -> Instances:
        device = self._predictor.device
        instances = Instances(
            result.image_size,
            pred_boxes=Boxes(torch.tensor(result.boxes, device=device)),
            scores=torch.tensor(result.scores, device=device),
            pred_classes=torch.tensor(result.labels, device=device),
        )
        if result.masks is not None:
            instances.pred_masks = torch.tensor(result.masks, device=device)
        return instances


def _segments_info(result: PanopticSegmentation, detections: Detections) -> list[dict[str, Any]]:
    """Return the segments as detectron2 has them: stuff classes are numbered from 1, 0 is "things"."""
    num_things = len(detections.categories)
    rows: list[dict[str, Any]] = []
    for row in result.segments_info:
        info: dict[str, Any] = {"id": row["id"], "isthing": row["isthing"]}
        if row["isthing"]:
            instance = _instance_of(row, result, detections)
            info |= {"score": row["score"], "category_id": row["category"], "instance_id": instance}
        else:
            info |= {"category_id": row["category"] - num_things + 1, "area": row["area"]}
        rows.append(info)
    return rows


def _instance_of(row: SegmentInfo, result: PanopticSegmentation, detections: Detections) -> int:
    """Return the index of the instance that a segment is part of."""
    assert detections.masks is not None
    alike = (detections.scores == np.float32(row["score"] or 0)) & (detections.labels == row["category"])
    part = result.mask(row["id"])
    return next(index for index in np.flatnonzero(alike).tolist() if detections.masks[index][part].all())
