"""Training pipeline of mmdetection: fields of ``train`` that say how images are augmented and padded."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section, shown

_WITHOUT_EFFECT = ("LoadImageFromFile", "PackDetInputs", "LoadAnnotations", "DefaultFormatBundle", "Collect")

_RESIZES = ("Resize", "RandomResize", "RandomChoiceResize")

_RANKS = {**dict.fromkeys(_RESIZES, 0), "RandomCrop": 1, "FilterAnnotations": 2, "Pad": 3, "CopyPaste": 4}
"""Steps that splitnest has once and in this order; a flip may be anywhere before the padding."""


def augmentation(config: Section) -> dict[str, Any]:
    """Return the fields of a training pipeline and of the padding of batches.

    Raises:
        UsageError: Splitnest has not got a step, or the steps are in another order.
    """
    model, is_old, last = config.section("model"), "data" in config, -1
    fields: dict[str, Any] = {}
    entries: list[dict[str, Any]] = []
    for step in _pipeline(config):
        kind = step.text("type")
        if (kind in _RANKS and _RANKS[kind] <= last) or (kind == "RandomFlip" and last >= _RANKS["Pad"]):
            raise UsageError(f"{step.where}: splitnest has no {kind} at this place of the training pipeline")
        last = _RANKS.get(kind, last)
        match kind:
            case "Pad":
                entries.append(_pad(step, is_old))
            case "CopyPaste":
                entries.append(_copy_paste(step))
            case "RandomCrop":
                fields["crop_size"] = _crop_size(step, is_old, has_masks="mask_head" in model.section("roi_head"))
            case _:
                fields |= _step(step, kind)
    if "short_sides" not in fields:
        raise UsageError("the training pipeline has no Resize")
    fields["pad_size"] = _batch_size(model.section("data_preprocessor", {}))
    return fields | {"augment": tuple(entries)}


def _pipeline(config: Section) -> list[Section]:
    """Return the training pipeline: that of single images, then that of several."""
    outer = config.section("train_dataloader", {}).section("dataset", {})
    if outer.text("type", "") == "MultiImageMixDataset":
        outer.only("skip_type_keys", None)
        inner = outer.section("dataset", {})
        if "pipeline" in inner:
            return [*inner.sections("pipeline"), *outer.sections("pipeline")]
    steps: list[Section] = config.sections("train_pipeline")
    return steps


def _step(step: Section, kind: str) -> dict[str, Any]:
    if kind in _WITHOUT_EFFECT:
        return {}
    if kind in _RESIZES:
        return _short_sides(step, kind)
    match kind:
        case "RandomFlip":
            fields = {"flip": step.number("prob", step.number("flip_ratio", 0.5))}
            step.only("direction", "horizontal")
            return fields
        case "FilterAnnotations":
            _check_filter(step)
            return {}
    raise UsageError(f"the training pipeline has {kind}; splitnest has no such augmentation")


def _short_sides(step: Section, kind: str) -> dict[str, Any]:
    raw = step.raw("scales", step.raw("scale", step.raw("img_scale")))
    pairs = raw if isinstance(raw, list | tuple) and raw and isinstance(raw[0], list | tuple) else [raw]
    if not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(side, int) for side in pair)
        for pair in pairs
    ):
        raise UsageError(f"{step.where}: the scales are {shown(raw)}: give pairs of sides.")
    ratios = step.numbers("ratio_range", None, 2)
    if ratios is not None and (len(pairs) > 1 or not step.flag("keep_ratio", kind == "Resize")):
        raise step.error("ratio_range", "splitnest has it with one scale and the aspect ratio of the image")
    sides = tuple(min(pair) for pair in pairs)
    mode = step.text("multiscale_mode", "range")  # of mmdet 2
    is_range = len(pairs) > 1 and kind != "RandomChoiceResize" and mode == "range"
    long_sides = {max(pair) for pair in pairs}
    if len(long_sides) > 1:
        raise UsageError(f"{step.where}: the scales have several long sides; splitnest has one.")
    return {
        "short_sides": sides,
        "short_side_sampling": "range" if is_range else "choice",
        "long_side": long_sides.pop(),
        "resize_ratios": ratios or (1.0, 1.0),
    }


def _crop_size(step: Section, is_old: bool, has_masks: bool) -> tuple[int, int]:
    """Return height and width of a crop of a fixed size, of which an image that is smaller keeps what it has."""
    width, height = step.integers("crop_size", length=2)
    if is_old:
        width, height = height, width
    kind = step.only("crop_type", "absolute", "absolute_range")
    if kind == "absolute_range" and width != height:
        raise step.error("crop_size", "splitnest crops to one size")  # the range is from the first to the second
    if not step.flag("allow_negative_crop", False):
        raise step.error("allow_negative_crop", "splitnest keeps crops without instances")
    if has_masks and not step.flag("recompute_bbox", False):
        raise step.error("recompute_bbox", "the box of a cropped instance is that of its mask")
    step.only("bbox_clip_border", True)
    step.skip("type", "recompute_bbox")
    step.close()
    return height, width


def _check_filter(step: Section) -> None:
    """Check that a step excludes only instances whose box has no pixel, as every training does here.

    With ``keep_empty`` mmdetection draws another image where no such instance is left, but keeps crops that no box
    reaches; both are images without instances here.
    """
    if max(step.numbers("min_gt_bbox_wh", (1.0, 1.0), 2)) >= 1:
        raise step.error("min_gt_bbox_wh", "splitnest excludes boxes without a pixel only")
    step.only("by_box", True)
    step.only("by_mask", False)
    step.skip("type", "keep_empty", "min_gt_mask_area")
    step.close()


def _pad(step: Section, is_old: bool) -> dict[str, Any]:
    """Return the entry of ``train.augment`` that pads an image."""
    if is_old:
        raise UsageError("the training pads to a fixed size after normalization, as mmdetection 2 does")
    size = step.integers("size", None, 2)
    if size is None:
        raise UsageError(f"{step.where}: splitnest pads images to a fixed size or not: give size")
    color = step.raw("pad_val", 0)
    value = Section(color, step.where).number("img", 0.0) if isinstance(color, dict) else step.number("pad_val", 0.0)
    step.only("padding_mode", "constant")
    step.only("pad_to_square", False)
    step.skip("type")
    step.close()
    return {"type": "pad", "size": size[::-1], "value": value}  # mmcv has the width first


def _copy_paste(step: Section) -> dict[str, Any]:
    """Return the entry of ``train.augment`` that pastes instances; crowd regions are none here."""
    count = step.integer("max_num_pasted", 100)
    if count < 2:
        raise step.error("max_num_pasted", "nothing is pasted: give 2 or more")
    step.only("selected", True)
    step.only("paste_by_box", False)
    fields = {
        **{"type": "copy_paste", "p": 1.0, "placement": "same"},
        **{"min_instances": 0, "max_instances": count - 1},  # mmdetection draws a smaller number
        **{"min_visible": step.integer("mask_occluded_thr", 300)},
        **{"max_box_shift": step.number("bbox_occluded_thr", 10.0)},
    }
    step.skip("type")
    step.close()
    return fields


def _batch_size(preprocessor: Section) -> tuple[int, int] | None:
    """Return the minimum height and width of a batch; None without one."""
    steps = preprocessor.sections("batch_augments")
    if not steps:
        return None
    if len(steps) > 1 or steps[0].text("type") != "BatchFixedSizePad":
        raise UsageError(f"the training augments batches with {shown(steps[-1].text('type'))}; splitnest does not")
    size: tuple[int, int] = steps[0].integers("size", length=2)
    steps[0].only("img_pad_value", 0)
    steps[0].skip("type", "pad_mask", "mask_pad_value", "pad_seg", "seg_pad_value")
    steps[0].close()
    return size
