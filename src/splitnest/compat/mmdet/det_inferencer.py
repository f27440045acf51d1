"""``DetInferencer`` of mmdetection 3: detection in images and folders, with pictures and files of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest import zoo
from splitnest.compat import images
from splitnest.compat.checkpoints import checkpoint_file
from splitnest.compat.mmdet.inference import (
    TASKS,
    ImageType,
    check_palette,
    set_palette,
    to_data_sample,
)
from splitnest.compat.mmdet.structures import DetDataSample
from splitnest.compat.mmengine.config import Config
from splitnest.compat.mmengine.visualization import Visualizer, as_array
from splitnest.compat.openmmlab import Configuration, OpenMMLabModel, check_task, init_model
from splitnest.data.images.listing import SUFFIXES
from splitnest.errors import DataError, UsageError
from splitnest.files import write_json
from splitnest.inference.load import load
from splitnest.structures import Detections
from splitnest.structures.masks import mask_to_rle

UNAVAILABLE = ("texts", "stuff_texts", "custom_entities", "tokens_positive")
"""Arguments of models with prompts."""


class DetInferencer:
    """Detector that predicts, draws and writes.

    Args:
        model: Name of a published model, path of a configuration, or a configuration; None takes the one that
            ``weights`` holds.
        weights: Path or address of the checkpoint; None takes the published one of a named model, or random weights for
            a configuration.
        device: Name of the device; None takes CUDA if available.
        scope: Without effect, as there is no registry.
        palette: RGB colors of the classes in drawings, or ``"none"`` for their own.
        show_progress: Without effect; no progress is shown.

    Raises:
        UsageError: The configuration is not valid, or its model is none of the family.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """

    def __init__(
        self,
        model: Configuration | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
        scope: str | None = "mmdet",
        palette: str | Sequence[Sequence[int]] = "none",
        show_progress: bool = True,
    ) -> None:
        check_palette(palette)
        self.model = _model(model, weights, device or "auto")
        set_palette(self.model, palette)
        self.cfg = self.model.cfg
        self.visualizer = Visualizer(self.model.dataset_meta)
        self._num_arrays = 0

    @staticmethod
    def list_models(scope: str | None = None, patterns: str = r".*") -> list[str]:
        """Return the names of the published detectors of mmdetection; patterns are not available."""
        if patterns != r".*":
            raise UsageError("patterns: use splitnest.list_models(pattern=...), which takes shell patterns.")
        return [name for task in TASKS for name in zoo.list_models(task=task, source="mmdet")]

    def __call__(
        self,
        inputs: ImageType | Sequence[ImageType],
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        no_save_vis: bool = False,
        draw_pred: bool = True,
        pred_score_thr: float = 0.3,
        return_datasamples: bool = False,
        print_result: bool = False,
        no_save_pred: bool = True,
        out_dir: str | Path = "",
        texts: Any = None,
        stuff_texts: Any = None,
        custom_entities: bool = False,
        tokens_positive: Any = None,
    ) -> dict[str, Any]:
        """Detect in images.

        Args:
            inputs: Path, URL, folder or BGR array, or a list of these. Of a folder its images are taken, without
                subfolders.
            batch_size: Maximum number of images that are processed together.
            return_vis: Whether to draw pictures, which are returned, without showing or writing them.
            show: Whether to open pictures in the viewer of the system.
            wait_time: Without effect, as the viewer is another program.
            no_save_vis: Whether to write no pictures to ``out_dir``.
            draw_pred: Whether pictures show the detections.
            pred_score_thr: Minimum score of the detections in pictures.
            return_datasamples: Whether to return ``DetDataSample`` in place of plain values.
            print_result: Whether to print the results.
            no_save_pred: Whether to write no results to ``out_dir``.
            out_dir: Folder of pictures (``vis``) and results (``preds``); empty writes none.
            texts, stuff_texts, custom_entities, tokens_positive: Not available: there are no models with prompts.

        Returns:
            ``predictions``: for each image a ``DetDataSample``, or a dict of ``labels``, ``scores``, ``bboxes`` and, of
            a model with a mask head, ``masks`` in RLE; ``visualization``: uint8 RGB pictures, where any are drawn.

        Raises:
            UsageError: An argument is not available.
            DataError: An image cannot be read, or a folder has none.
            OutputError: A file cannot be written.
        """
        for name, value in zip(UNAVAILABLE, (texts, stuff_texts, custom_entities, tokens_positive), strict=True):
            if value:
                raise UsageError(f"{name}: splitnest has no models with prompts. Omit it.")
        sources = _listed(inputs)
        pixels = (images.read_rgb(source) for source in sources)
        found = self.model.predictor.predictions(pixels, batch_size=batch_size) if sources else ()
        predictions, pictures = [], []
        for source, (_, image, result) in zip(sources, found, strict=True):
            assert isinstance(result, Detections)
            sample = to_data_sample(result, images.path_of(source), self.model.predictor.device)
            name = self._name_of(source)
            if show or return_vis or (out_dir and not no_save_vis):
                file = None if no_save_vis or not out_dir else Path(out_dir) / "vis" / name
                pictures.append(self._draw(name, image, sample, draw_pred, show, pred_score_thr, file))
            row = to_values(sample)
            predictions.append(sample if return_datasamples else row)
            if out_dir and not no_save_pred:
                target = (Path(out_dir) / "preds" / name).with_suffix(".json")
                target.parent.mkdir(parents=True, exist_ok=True)
                write_json(target, row)
        outputs = {"predictions": predictions, "visualization": pictures}
        if print_result:
            print({"predictions": predictions})
        return outputs

    def _draw(
        self,
        name: str,
        image: NDArray[np.uint8],
        sample: DetDataSample,
        draw_pred: bool,
        show: bool,
        threshold: float,
        file: Path | None,
    ) -> NDArray[np.uint8]:
        self.visualizer.add_datasample(
            name, image, sample, False, draw_pred, show=show, pred_score_thr=threshold, out_file=file
        )
        return self.visualizer.get_image()

    def _name_of(self, source: ImageType) -> str:
        """Return the name of an image in the output folder; arrays are numbered."""
        if not isinstance(source, np.ndarray):
            return Path(str(source)).name
        self._num_arrays += 1
        return f"{self._num_arrays - 1:08}.jpg"


def _model(model: Configuration | None, weights: str | Path | None, device: str) -> OpenMMLabModel:
    if model is None and weights is None:
        raise UsageError("Give a model, or weights that hold their configuration.")
    is_name = isinstance(model, str) and weights is None and not Path(model).is_file()
    if model is None or is_name:
        predictor = load(checkpoint_file(weights or "") if model is None else str(model), device=device)
        check_task(predictor.recipe, TASKS)
        return OpenMMLabModel(predictor, Config())
    return init_model(model, weights, device, None, TASKS)


def _listed(inputs: ImageType | Sequence[ImageType]) -> list[ImageType]:
    if isinstance(inputs, str | Path) and Path(inputs).is_dir():
        found = [path for path in sorted(Path(inputs).iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not found:
            raise DataError(f"{inputs} has no images. Give an image, or a folder of images.")
        return list(found)
    return images.as_list(inputs)[0]


def to_values(sample: DetDataSample) -> dict[str, Any]:
    """Return detections as plain values."""
    instances = sample.pred_instances
    values = {name: as_array(instances[name]).tolist() for name in ("labels", "scores", "bboxes")}
    if "masks" in instances:
        values["masks"] = [mask_to_rle(mask) for mask in as_array(instances.masks)]
    return values
