"""Values of a recipe that contradict each other, and identity of networks."""

from typing import Any

import pytest

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe.overrides import apply
from splitnest.recipe.same_network import is_same_network

CLASSIFIER = "resnest50_imagenet.official"
DETECTOR = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
MASK = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
PANOPTIC = "panoptic_fpn_resnest200_3x_coco.detectron2"
SEGMENTOR = "fcn_resnest101_d8_ade20k.mmseg"
POSE = "simplebaseline_resnest50_256x192_coco.mmpose"
SCENES = {"format": "scenes", "train_count": 1, "val_count": 1, "classes": ["circle"], "stuff": ["floor"]}
LABEL_MAPS = {"format": "folders", "classes": ["a", "b"], "palette": [[0, 0, 0], [1, 1, 1]], "label_maps": "colors"}


@pytest.mark.parametrize(
    ("base", "overrides", "message"),
    [
        (CLASSIFIER, {"model.backbone": {"dcn_stages": [5], "dcn_groups": 3}}, "does not divide into dcn_groups 3"),
        (CLASSIFIER, {"model.backbone.depth": 18}, "depth 18 has basic blocks: radix should be 0"),
        (CLASSIFIER, {"model.backbone": {"base_width": 1, "planes": 32}}, "base_width 1 leaves no channels"),
        (
            SEGMENTOR,
            {"model": {"head": "ocr", "auxiliary_channels": None}},
            "head ocr takes its regions from",
        ),
        (CLASSIFIER, {"model.backbone.base_width": 33, "model.backbone.radix": 4}, "the width 33 does not divide"),
        (CLASSIFIER, {"train.optimizer": {"momentum": 0}}, "nesterov needs a momentum over 0"),
        (CLASSIFIER, {"train.crop_area": [0.5, 0.2]}, "crop_area .*: give the minimum first"),
        (CLASSIFIER, {"train.accumulate": 3}, "batch_size 8192 does not divide into 3 accumulated parts"),
        (DETECTOR, {"train.schedule.milestones": [11, 8]}, "milestones .* must be in ascending order, each once"),
        (DETECTOR, {"train.schedule.milestones": [8, 8]}, "milestones .* must be in ascending order, each once"),
        (PANOPTIC, {"data": {"format": "voc", "classes": ["cat"]}}, "task panoptic needs data.stuff"),
        (PANOPTIC, {"model.panoptic": None}, "task panoptic needs model.panoptic"),
        (PANOPTIC, {"data.classes": ["sky"], "data.stuff": ["sky"]}, "'sky' is listed more than once"),
        (SEGMENTOR, {"data": SCENES}, "task semantic has no data.stuff: list all classes in data.classes"),
        (SEGMENTOR, {"data.palette": [[0, 0, 0]]}, "palette has 1 colors for 150 classes"),
        (SEGMENTOR, {"data": {**LABEL_MAPS, "palette": None}}, "label_maps colors needs the color of each class"),
        (SEGMENTOR, {"data": {**LABEL_MAPS, "palette": [[1, 1, 1]] * 2}}, "palette lists .* more than once"),
        (SEGMENTOR, {"train.resize_ratios": [2, 0.5]}, "resize_ratios.*: give the minimum first"),
        (MASK, {"train.resize_ratios": [2, 0.5]}, "resize_ratios.*: give the minimum first"),
        (MASK, {"train.augment": [{"type": "pad"}]}, "augment.*size"),
        (
            MASK,
            {"train.augment": [{"type": "copy_paste", "min_instances": 3, "max_instances": 2}]},
            "min_instances 3 is more than max_instances 2",
        ),
        (SEGMENTOR, {"input.stride": [8, 8]}, "stride is that of the sliding window: set window too"),
        (SEGMENTOR, {"input": {"window": [8, 8], "stride": [8, 9]}}, "stride .* is larger than window"),
        (POSE, {"model.deconv_channels": [8] * 5, "model.backbone.stem_stride": 1}, "heatmaps would be larger"),
        (POSE, {"data.keypoints": {"names": ["a", "a"]}}, "keypoints.names lists 'a' more than once"),
        (POSE, {"data.keypoints": {"names": ["a"], "sigmas": [1, 2]}}, "keypoints.sigmas has 2 values for 1 names"),
        (POSE, {"data.keypoints": {"names": ["a"], "skeleton": [["a", "b"]]}}, "keypoints.skeleton has 'b', which"),
        (
            POSE,
            {"data.keypoints": {"names": ["a", "b", "c"], "flip_pairs": [["a", "b"], ["b", "c"]]}},
            "keypoints.flip_pairs lists 'b' more than once",
        ),
    ],
)
def test_contradicting_values_are_an_error(base: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        apply(zoo.get(base), overrides)


def test_palette_may_end_with_the_color_of_unlabeled_pixels() -> None:
    palette = [[0, 0, 0], [1, 1, 1], [255, 255, 255]]
    data = {**LABEL_MAPS, "palette": palette, "ignore_label": 2}
    assert apply(zoo.get(SEGMENTOR), {"data": data}).data.palette == tuple(map(tuple, palette))
    with pytest.raises(UsageError, match="palette has 3 colors for 2 classes"):
        apply(zoo.get(SEGMENTOR), {"data": {**data, "ignore_label": None}})


def test_network_is_identified_by_task_classes_and_architecture() -> None:
    assert is_same_network(zoo.get(MASK), zoo.get(MASK))
    assert is_same_network(zoo.get("resnest50_imagenet.official"), zoo.get("resnest50d_imagenet.timm"))
    assert not is_same_network(zoo.get(MASK), zoo.get(DETECTOR))
    assert not is_same_network(zoo.get(MASK), zoo.get("mask_rcnn_resnest101_fpn_1x_coco.mmdet"))
    assert not is_same_network(zoo.get(CLASSIFIER), zoo.get(POSE))
