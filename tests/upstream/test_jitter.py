"""Large-scale jitter, copy-paste and fixed canvases of upstream configurations."""

from typing import Any

import pytest

from helpers import upstream_configs
from helpers.upstream import derived

JITTER = {"type": "RandomResize", "scale": (1024, 1024), "ratio_range": (0.1, 2.0), "keep_ratio": True}
CROP = {
    **{"type": "RandomCrop", "crop_type": "absolute_range", "crop_size": (1024, 1024)},
    **{"recompute_bbox": True, "allow_negative_crop": True},
}
FILTER, FLIP = {"type": "FilterAnnotations", "min_gt_bbox_wh": (0.01, 0.01)}, {"type": "RandomFlip", "prob": 0.5}
PAD, PASTE = {"type": "Pad", "size": (1024, 768)}, {"type": "CopyPaste", "max_num_pasted": 50}
FIXED = {"type": "BatchFixedSizePad", "size": (768, 1024), "pad_mask": True}


def jittered(*steps: dict[str, Any], batch: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration of mmdetection 3 with these steps after loading."""
    config = upstream_configs.mmdet3()
    config["train_pipeline"][2:4] = steps
    config["model"]["data_preprocessor"]["batch_augments"] = [batch] if batch else None
    return config


def test_jitter_on_a_fixed_canvas() -> None:
    train = derived(jittered(JITTER, CROP, FILTER, FLIP, batch=FIXED)).recipe.train
    assert (train.short_sides, train.long_side, train.resize_ratios) == ((1024,), 1024, (0.1, 2.0))
    assert (train.crop_size, train.pad_size, train.augment) == ((1024, 1024), (768, 1024), ())
    absolute = {**CROP, "crop_type": "absolute", "crop_size": (1024, 768)}
    assert derived(jittered(JITTER, FLIP, absolute)).recipe.train.crop_size == (768, 1024)


def test_copy_paste_on_a_fixed_canvas() -> None:
    """In a dataset of several images, whose pipeline follows that of the single images, or in one pipeline."""
    config = jittered(JITTER, CROP, FILTER, FLIP, PAD, PASTE)
    single, several = config["train_pipeline"][:-2], config["train_pipeline"][-2:]
    dataset = config["train_dataloader"]["dataset"]
    config["train_dataloader"]["dataset"] = {"type": "MultiImageMixDataset", "dataset": dataset}
    train = derived(config).recipe.train
    pad, paste = train.augment
    assert (pad.type, pad.p, pad.size, pad.value) == ("pad", 1.0, (768, 1024), 0.0)
    assert (paste.type, paste.p, paste.placement) == ("copy_paste", 1.0, "same")
    assert (paste.min_instances, paste.max_instances) == (0, 49)
    assert (paste.min_visible, paste.max_box_shift) == (300, 10.0)
    mixed = {"type": "MultiImageMixDataset", "dataset": {**dataset, "pipeline": single}, "pipeline": several}
    config["train_dataloader"]["dataset"] = mixed
    config["train_pipeline"] = several
    assert derived(config).recipe.train == train
    mixed["skip_type_keys"] = ("CopyPaste",)
    assert derived(config).recipe.train is None


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((CROP, JITTER), "splitnest has no RandomResize at this place"),
        ((JITTER, CROP, CROP), "splitnest has no RandomCrop at this place"),
        ((JITTER, PAD, FLIP), "splitnest has no RandomFlip at this place"),
        ((JITTER, PASTE, PAD), "splitnest has no Pad at this place"),
        ((CROP,), "no Resize"),
        ((JITTER | {"keep_ratio": False},), "ratio_range"),
        ((JITTER | {"scale": [(640, 640), (800, 800)]},), "ratio_range"),
        ((JITTER, CROP | {"crop_type": "relative"}), "crop_type"),
        ((JITTER, CROP | {"crop_size": (384, 600)}), "splitnest crops to one size"),
        ((JITTER, CROP | {"allow_negative_crop": False}), "splitnest keeps crops without instances"),
        ((JITTER, CROP | {"recompute_bbox": False}), "the box of a cropped instance is that of its mask"),
        ((JITTER, CROP | {"bbox_clip_border": False}), "bbox_clip_border"),
        ((JITTER, FILTER | {"min_gt_bbox_wh": (1, 1)}), "min_gt_bbox_wh"),
        ((JITTER, FILTER | {"by_mask": True}), "by_mask"),
        ((JITTER, {"type": "Pad", "size_divisor": 32}), "give size"),
        ((JITTER, PAD | {"pad_val": {"img": (114, 114, 114)}}), "give a number"),
        ((JITTER, PAD | {"padding_mode": "reflect"}), "padding_mode"),
        ((JITTER, PASTE | {"selected": False}), "selected"),
        ((JITTER, PASTE | {"max_num_pasted": 1}), "nothing is pasted"),
    ],
)
def test_other_jitter_is_refused(steps: tuple[dict[str, Any], ...], message: str) -> None:
    found = derived(jittered(*steps))
    assert found.recipe.train is None
    assert message in found.notes[-1]


def test_other_padding_of_batches_is_refused() -> None:
    found = derived(jittered(JITTER, batch={"type": "BatchSyncRandomResize", "random_size_range": (480, 800)}))
    assert "augments batches with 'BatchSyncRandomResize'" in found.notes[-1]
    found = derived(jittered(JITTER, batch=FIXED | {"img_pad_value": 114}))
    assert "img_pad_value" in found.notes[-1]


def test_padding_after_normalization_of_mmdetection_2_is_refused() -> None:
    config = upstream_configs.mmdet2()
    pipeline = config["data"]["train"]["pipeline"]
    place = [step["type"] for step in pipeline].index("Pad")
    pipeline[place] = PAD
    assert "after normalization" in derived(config).notes[-1]
