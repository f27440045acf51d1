"""Training of segmentors of mmsegmentation: section ``train`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section
from splitnest.upstream.training import common


def semantic(config: Section, model: Section) -> dict[str, Any]:
    """Return the training section of a segmentor.

    Raises:
        UsageError: Splitnest has not got a part of it.
    """
    fields = common(config, "mmseg")
    sizes = {step.text("type"): step for step in config.sections("train_pipeline")}
    expected = {"LoadImageFromFile", "LoadAnnotations", "RandomResize", "Resize", "RandomCrop", "RandomFlip", "Pad"}
    expected |= {"PhotoMetricDistortion", "PackSegInputs", "DefaultFormatBundle", "Collect"}
    if other := sizes.keys() - expected:
        raise UsageError(f"the training pipeline has {min(map(str, other))}; splitnest has no such augmentation")
    if "RandomCrop" not in sizes:
        raise UsageError("the training pipeline has no RandomCrop")
    crop, scaling = sizes["RandomCrop"], sizes.get("RandomResize") or sizes.get("Resize")
    flip = sizes.get("RandomFlip")
    fields |= {
        "crop_size": crop.integers("crop_size", length=2),
        "max_class_fraction": crop.number("cat_max_ratio", 1.0),
        "resize_ratios": scaling.numbers("ratio_range", (1.0, 1.0), 2) if scaling is not None else (1.0, 1.0),
        "flip": flip.number("prob", flip.number("flip_ratio", 0.0)) if flip is not None else 0.0,
        "photometric_distortion": "PhotoMetricDistortion" in sizes,
    }
    return {**fields, **_pixel_losses(model)}


def _pixel_losses(model: Section) -> dict[str, Any]:
    heads = [*model.sections("decode_head"), *model.sections("auxiliary_head")]
    weights = []
    for head in heads:
        loss = head.section("loss_decode", {"type": "CrossEntropyLoss"})
        loss.only("type", "CrossEntropyLoss")
        loss.only("use_sigmoid", False)
        if loss.raw("class_weight") is not None:
            raise loss.error("class_weight", "splitnest has no class weights")
        weights.append(loss.number("loss_weight", 1.0))
        if loss.raw("avg_non_ignore", False):
            raise loss.error("avg_non_ignore", "splitnest averages over all pixels")
    fields: dict[str, Any] = {}
    if len(weights) == 2:
        is_cascade = model.is_list("decode_head")
        fields["auxiliary_loss_weight"] = weights[0] if is_cascade else weights[1]
    sampler = heads[0].section("sampler", None)
    if sampler is not None:
        sampler.only("type", "OHEMPixelSampler")
        threshold = sampler.number("thresh", None)
        fields["ohem"] = {"min_kept": sampler.integer("min_kept", 100_000), "threshold": threshold}
    return fields
