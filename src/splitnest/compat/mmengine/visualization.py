"""Drawing of results on images, with the visualizers of mmdetection, mmsegmentation and mmpose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from splitnest.compat import images
from splitnest.compat.mmengine.structures import BaseDataElement
from splitnest.errors import UsageError
from splitnest.structures import Detections, Poses, SemanticSegmentation
from splitnest.structures.categories import Categories, from_names, with_colors

NOT_DRAWN = ("draw_heatmap", "show_kpt_idx")
"""Options of ``add_datasample`` that splitnest does not have."""


class Visualizer:
    """Drawing of the results for one image at a time.

    Attributes:
        dataset_meta: Classes, colors and keypoints, as ``model.dataset_meta``.
    """

    def __init__(self, dataset_meta: Mapping[str, Any] | None = None, alpha: float = 0.5) -> None:
        """Start without a picture.

        Args:
            dataset_meta: Classes, colors and keypoints.
            alpha: Opacity of the classes of a segmentation.
        """
        self.dataset_meta: Mapping[str, Any] = dataset_meta or {}
        self._alpha = alpha
        self._picture: NDArray[np.uint8] | None = None

    def set_dataset_meta(self, dataset_meta: Mapping[str, Any], skeleton_style: str = "mmpose") -> None:
        """Set classes, colors and keypoints; there is one style of skeletons."""
        if skeleton_style != "mmpose":
            raise UsageError(f"skeleton_style is {skeleton_style!r}. splitnest has only 'mmpose'.")
        self.dataset_meta = dataset_meta

    def add_datasample(
        self,
        name: str,
        image: NDArray[np.uint8],
        data_sample: BaseDataElement | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        *,
        draw_bbox: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | Path | None = None,
        pred_score_thr: float = 0.3,
        kpt_thr: float = 0.3,
        with_labels: bool = True,
        step: int = 0,
        skeleton_style: str = "mmpose",
        **options: Any,
    ) -> None:
        """Draw a result on a copy of an image.

        Args:
            name: Title, which is not drawn.
            image: uint8 RGB ``[H, W, 3]``.
            data_sample: Result; None draws nothing.
            draw_gt: Without effect, as results have no ground truth.
            draw_pred: Whether to draw the prediction.
            draw_bbox: Without effect; persons are drawn without their boxes.
            show: Whether to open the picture in the viewer of the system.
            wait_time: Without effect, as the viewer is another program.
            out_file: Path of the picture; None writes none.
            pred_score_thr: Minimum score of the boxes to draw.
            kpt_thr: Minimum score of the keypoints to draw.
            with_labels: Whether to draw the class names of a segmentation.
            step: Without effect.
            skeleton_style: Style of skeletons: ``"mmpose"``.
            **options: Heatmaps and numbers of keypoints, which cannot be drawn: False.

        Raises:
            UsageError: An option is not available.
            OutputError: The picture cannot be written.
        """
        for option, value in options.items():
            if option not in NOT_DRAWN:
                raise TypeError(f"add_datasample() got an unexpected keyword argument {option!r}")
            if value:
                raise UsageError(f"{option}=True: splitnest does not draw this. Omit it.")
        picture = np.array(image, np.uint8)
        if data_sample is not None and draw_pred:
            thresholds = pred_score_thr, kpt_thr
            picture = draw(picture, data_sample, self.dataset_meta, *thresholds, self._alpha, with_labels)
        self._picture = picture
        if show:
            images.show(picture)
        if out_file is not None:
            images.save(picture, out_file)

    def get_image(self) -> NDArray[np.uint8]:
        """Return the last picture, uint8 RGB ``[H, W, 3]``."""
        if self._picture is None:
            raise UsageError("The visualizer has no picture yet. Call add_datasample first.")
        return self._picture


class Visualizers:
    """Factory of the visualizer that a configuration names."""

    def build(self, cfg: Any = None) -> Visualizer:
        """Return a visualizer; of its configuration only the opacity ``alpha`` is used."""
        alpha = cfg.get("alpha") if isinstance(cfg, Mapping) else None
        return Visualizer(alpha=0.5 if alpha is None else float(alpha))


VISUALIZERS = Visualizers()


def draw(
    image: NDArray[np.uint8],
    sample: BaseDataElement,
    dataset_meta: Mapping[str, Any],
    score_threshold: float,
    keypoint_threshold: float,
    opacity: float,
    with_labels: bool,
) -> NDArray[np.uint8]:
    """Return a copy of an image, uint8 RGB ``[H, W, 3]``, with the prediction of a result."""
    categories, size = categories_of(dataset_meta), (image.shape[0], image.shape[1])
    if "pred_sem_seg" in sample:
        labels = as_array(sample.pred_sem_seg.data)[0].astype(SemanticSegmentation.label_dtype(categories))
        segmentation = SemanticSegmentation(labels, image_size=size, categories=categories)
        return segmentation.draw(image, opacity, legend=with_labels)
    instances = sample.pred_instances
    boxes = as_array(instances.bboxes).astype(np.float32)
    if "keypoints" in instances:
        poses = Poses(
            as_array(instances.keypoints).astype(np.float32),
            as_array(instances.keypoint_scores).astype(np.float32),
            boxes,
            as_array(instances.bbox_scores).astype(np.float32),
            image_size=size,
            categories=categories,
        )
        return poses.draw(image, score_threshold=0.0, keypoint_threshold=keypoint_threshold)
    detections = Detections(
        boxes,
        as_array(instances.scores).astype(np.float32),
        as_array(instances.labels).astype(np.int64),
        as_array(instances.masks).astype(bool) if "masks" in instances else None,
        image_size=size,
        categories=categories,
    )
    return detections.draw(image, score_threshold=score_threshold)


def categories_of(dataset_meta: Mapping[str, Any]) -> Categories:
    """Return the classes in ``dataset_meta``, with their colors and keypoints."""
    classes = dataset_meta.get("classes")
    if not classes:
        raise UsageError("The visualizer has no classes. Set its dataset_meta to that of the model.")
    categories, palette = from_names(classes), dataset_meta.get("palette")
    if palette is not None:
        categories = with_colors(categories, [tuple(color) for color in palette])
    if (names := dataset_meta.get("keypoint_id2name")) is not None:
        links, colors = dataset_meta["skeleton_links"], dataset_meta["keypoint_colors"]
        categories = Categories(
            categories.items, tuple(names.values()), tuple(map(tuple, links)), tuple(map(tuple, colors))
        )
    return categories


def as_array(values: Any) -> NDArray[Any]:
    """Return a tensor or an array as an array."""
    array: NDArray[Any] = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    return array
