"""Results with the attributes of mmengine and detectron2."""

import numpy as np
import pytest
import torch

from splitnest.compat.detectron2.structures import Boxes, Instances
from splitnest.compat.mmengine.structures import BaseDataElement, InstanceData, PixelData
from splitnest.compat.mmpose.structures import PoseDataSample, merge_data_samples
from splitnest.errors import UsageError


def test_empty_instances() -> None:
    assert len(InstanceData()) == 0
    empty = InstanceData(bboxes=torch.zeros(0, 4), scores=torch.zeros(0))
    assert len(empty) == len(empty[empty.scores > 0.5]) == 0
    instances = Instances((4, 6), pred_boxes=Boxes(torch.zeros(0, 4)), scores=torch.zeros(0))
    assert len(instances) == len(instances[instances.scores > 0.5]) == 0
    assert Boxes([]).tensor.shape == (0, 4)
    assert merge_data_samples([]).keys() == []


@pytest.mark.parametrize(
    "item", [1, -2, slice(1, 2), [1], np.array([False, True, False]), torch.tensor([False, True, False])]
)
def test_instances_are_selected(item: object) -> None:
    instances = InstanceData(scores=torch.arange(3.0), names=["a", "b", "c"], areas=np.arange(3))
    chosen = instances[item]
    assert (chosen.scores.tolist(), chosen.names, chosen.areas.tolist()) == ([1.0], ["b"], [1])


def test_instances_have_one_length() -> None:
    instances = InstanceData(scores=torch.zeros(3))
    with pytest.raises(ValueError, match="labels has 2 entries, and there are 3 instances"):
        instances.labels = torch.zeros(2)
    with pytest.raises(IndexError, match="index 3 is out of range"):
        instances[3]
    with pytest.raises(ValueError, match="scores has 2 entries"):
        Instances((2, 2), pred_classes=torch.zeros(3), scores=torch.zeros(2))


def test_elements() -> None:
    inner = InstanceData(scores=torch.ones(2))
    sample = BaseDataElement(metainfo={"ori_shape": (2, 3)}, pred_instances=inner, note="x")
    assert "pred_instances" in sample
    assert "ori_shape" in sample
    assert "gt_instances" not in sample
    assert (sample.keys(), sample.metainfo) == (["pred_instances", "note"], {"ori_shape": (2, 3)})
    assert sample.get("gt_instances", 5) == 5
    assert isinstance(sample.numpy().pred_instances.scores, np.ndarray)
    assert isinstance(sample.numpy().to_tensor().pred_instances.scores, torch.Tensor)
    assert sample.cpu().to(torch.float64).pred_instances.scores.dtype == torch.float64
    assert sample.to_dict()["note"] == sample.clone().note == sample.new().note == "x"
    assert sample.pop("note") == "x"
    assert "scores" in repr(sample)
    with pytest.raises(AttributeError, match="'BaseDataElement' object has no attribute 'gt_instances'"):
        _ = sample.gt_instances
    with pytest.raises(AttributeError, match="ori_shape is metadata"):
        sample.ori_shape = (1, 1)


def test_pixels_have_one_size() -> None:
    pixels = PixelData(data=torch.zeros(2, 3))
    assert (tuple(pixels.data.shape), pixels.shape) == ((1, 2, 3), (2, 3))
    with pytest.raises(ValueError, match="logits has the shape"):
        pixels.logits = torch.zeros(4, 5, 5)


def test_poses_are_merged() -> None:
    samples = [
        PoseDataSample(metainfo={"img_path": "a"}, pred_instances=InstanceData(keypoints=np.full((1, 2, 2), n)))
        for n in range(3)
    ]
    merged = merge_data_samples(samples)
    assert merged.img_path == "a"
    assert merged.pred_instances.keypoints[:, 0, 0].tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="not a list of results"):
        merge_data_samples([1])  # type: ignore[list-item]


def test_boxes_and_instances_of_detectron2() -> None:
    boxes = Boxes(torch.tensor([[0.0, 0.0, 2.0, 4.0], [-1.0, 1.0, 9.0, 1.0]]))
    assert (boxes.area().tolist(), boxes.nonempty().tolist()) == ([8.0, 0.0], [True, False])
    assert boxes.get_centers().tolist() == [[1.0, 2.0], [4.0, 1.0]]
    clipped = boxes.clone()
    clipped.clip((3, 5))
    assert clipped.tensor.tolist() == [[0.0, 0.0, 2.0, 3.0], [0.0, 1.0, 5.0, 1.0]]
    clipped.scale(2, 1)
    assert clipped[0].tensor.tolist() == [[0.0, 0.0, 4.0, 3.0]]
    instances = Instances((3, 5), pred_boxes=boxes, pred_classes=torch.tensor([4, 7]))
    assert instances.has("pred_boxes")
    assert instances[-1].pred_classes.tolist() == [7]
    joined = Instances.cat([instances, instances[:1]]).to("cpu")
    assert (len(joined), joined.pred_classes.tolist(), len(joined.pred_boxes)) == (3, [4, 7, 4], 3)
    assert repr(joined).startswith("Instances(num_instances=3, image_height=3, image_width=5, fields=[pred_boxes")
    with pytest.raises(AttributeError, match="no field 'pred_masks'"):
        _ = joined.pred_masks
