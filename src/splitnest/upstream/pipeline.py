"""Test pipelines and pixel statistics of OpenMMLab configurations."""

from collections.abc import Iterable
from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section, shown

_WITHOUT_EFFECT = (
    *("LoadAnnotations", "LoadPanopticAnnotations", "RandomFlip", "ImageToTensor", "ToTensor", "DefaultFormatBundle"),
    *("Collect", "PackDetInputs", "PackSegInputs", "PackPoseInputs", "TopDownGetBboxCenterScale", "ToFloat32"),
)
"""Steps of a test pipeline that leave the pixels of an image as they are."""

_LOADERS = ("LoadImage", "LoadImageFromFile")


def statistics(preprocessor: Section) -> dict[str, Any]:
    """Return mean, standard deviation and channel order of a section ``data_preprocessor``.

    Images are read as BGR, so ``bgr_to_rgb`` says which order the network expects.
    """
    mean, std = preprocessor.numbers("mean", None, 3), preprocessor.numbers("std", None, 3)
    if mean is None or std is None:
        raise UsageError(
            f"{preprocessor.where}: there are no pixel statistics (mean and std). Give a complete configuration."
        )
    preprocessor.only("rgb_to_bgr", False)
    return {"mean": mean, "std": std, "channels": "RGB" if preprocessor.flag("bgr_to_rgb", False) else "BGR"}


def steps(sections: Iterable[Section], *expected: str) -> dict[str, Section]:
    """Return the steps of a test pipeline by type, without those that leave the pixels as they are.

    Args:
        sections: Steps of the pipeline.
        expected: Types of the steps that the pipeline may have, each once.

    Raises:
        UsageError: There is another step.
    """
    found: dict[str, Section] = {}
    for step in sections:
        kind = step.text("type")
        if kind in _LOADERS:
            _check_loader(step)
        elif kind in expected and kind not in found:
            found[kind] = step
        elif kind == "RandomFlip" or kind not in _WITHOUT_EFFECT:
            if kind == "RandomFlip" and _never_flips(step):
                continue
            raise UsageError(f"{step.where}: the test pipeline has {kind}; splitnest has no such step in prediction.")
    return found


def resize(step: Section | None, where: str) -> tuple[int, int]:
    """Return the limits of the short and of the long side of a step ``Resize``.

    Raises:
        UsageError: There is no such step, or it changes the aspect ratio.
    """
    if step is None:
        raise UsageError(f"{where}: the test pipeline has no Resize. Give a complete configuration.")
    scale = step.integers("scale", step.integers("img_scale", None))
    if scale is None or len(scale) != 2 or min(scale) < 1:
        raise UsageError(f"{step.where}: scale is {shown(scale)}: give height and width limits, such as (1333, 800).")
    if not step.flag("keep_ratio", False):
        raise step.error("keep_ratio", "splitnest keeps the aspect ratio of images")
    step.only("interpolation", "bilinear")
    step.only("backend", "cv2")
    step.skip("type", "multiscale_mode", "clip_object_border", "bbox_clip_border")
    step.close()
    return min(scale), max(scale)


def _check_loader(step: Section) -> None:
    step.only("color_type", "color")
    step.only("channel_order", "rgb", "bgr")  # of mmpose 0, whose statistics are in its order
    step.only("imdecode_backend", "cv2", "turbojpeg", "pillow")
    step.skip("type", "to_float32", "backend_args", "file_client_args", "ignore_empty")
    step.close()


def _never_flips(step: Section) -> bool:
    """Return whether a step ``RandomFlip`` has no effect: in old pipelines ``MultiScaleFlipAug`` decides on it."""
    return not step.raw("prob", step.raw("flip_ratio", 0))
