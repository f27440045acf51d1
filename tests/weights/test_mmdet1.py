"""Checkpoints of mmdetection 1: background first in the layers of classes, and no ``roi_head`` in the names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import splitnest
from helpers import original_keys, upstream_configs
from helpers.upstream_rows import python_text
from splitnest.errors import UsageError
from splitnest.weights import mmdet1

NUM_CLASSES = 3


def config(*, agnostic: bool = False) -> dict[str, Any]:
    """Return a configuration of mmdetection 3 with ResNet-18."""
    values = upstream_configs.mmdet3(NUM_CLASSES)
    values["model"]["backbone"] |= {"depth": 18, "norm_cfg": {"type": "BN", "requires_grad": True}}
    values["model"]["neck"]["in_channels"] = [64, 128, 256, 512]
    values["model"]["test_cfg"]["rpn"] |= {"nms_pre": 100, "max_per_img": 50}
    values["model"]["roi_head"]["bbox_head"]["reg_class_agnostic"] = agnostic
    return values


def weights(values: dict[str, Any]) -> dict[str, Tensor]:
    """Return random weights by the keys of mmdetection 2."""
    generator, state = torch.Generator().manual_seed(0), {}
    for key, shape in original_keys.mmdet(values["model"]).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            state[key] = torch.ones(shape)
        else:
            spread = 3 if "fc_cls" in key else 1
            fan_in = max(int(np.prod(shape[1:])), 1)
            state[key] = spread * torch.randn(shape, generator=generator) / fan_in**0.5
    return state


def of_version_1(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the same weights as mmdetection 1 has them: with boxes and a mask of the background, which say nothing."""
    old = {}
    for key, tensor in state.items():
        junk = 9 * torch.ones_like(tensor[:1]) if tensor.ndim else tensor
        if "fc_cls" in key:
            tensor = torch.cat((tensor[-1:], tensor[:-1]))
        elif "fc_reg" in key and len(tensor) > 4:
            tensor = torch.cat((*[junk] * 4, tensor))
        elif "conv_logits" in key:
            tensor = torch.cat((junk, tensor))
        old[key.removeprefix("roi_head.")] = tensor
    return old


@pytest.mark.parametrize("agnostic", [False, True])
def test_weights_are_those_of_the_new_order(agnostic: bool) -> None:
    state = weights(config(agnostic=agnostic))
    again = mmdet1.upgraded(of_version_1(state))
    assert again.keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in again.items())
    assert mmdet1.upgraded({}) == {}


def test_predictions_are_those_of_the_same_weights_in_the_new_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = config()
    (tmp_path / "config.py").write_text(python_text(values))
    state, results = weights(values), []
    for name, content in (("new", state), ("old", of_version_1(state))):
        path = tmp_path / f"{name}.pth"
        torch.save({"meta": {"mmdet_version": "1.2.0" if name == "old" else "2.0.0"}, "state_dict": content}, path)
        predictor = splitnest.load(path, config=tmp_path / "config.py", device="cpu")
        image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
        results.append(predictor.predict(image, resize=False)[0])
        assert ("is of mmdetection 1" in capsys.readouterr().err) == (name == "old")
        path.unlink()
    new, old = results
    assert len(new) > 5
    assert len({*new.labels.tolist()}) > 1
    for field in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(new, field), getattr(old, field))
    assert new.masks is not None
    assert old.masks is not None
    for mine, theirs in zip(new.masks, old.masks, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_only_detectors_of_two_stages_are_of_version_1() -> None:
    keys = list(original_keys.mmdet(config()["model"]))
    assert not mmdet1.is_version_1([])
    assert not mmdet1.is_version_1(keys)
    assert mmdet1.is_version_1([key.removeprefix("roi_head.") for key in keys])
    assert mmdet1.is_version_1(["rpn_head.rpn_cls.weight", "bbox_head.0.fc_cls.weight"])
    assert not mmdet1.is_version_1(["bbox_head.retina_cls.weight", "rpn_head.rpn_cls.weight"])


def test_configuration_of_version_1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    values = config()
    roi_head = values["model"].pop("roi_head")
    values["model"] |= {key: roi_head[key] for key in ("bbox_roi_extractor", "bbox_head", "mask_head")}
    path = tmp_path / "old.pth"
    torch.save({"meta": {"config": python_text(values)}, "state_dict": {"a.weight": torch.zeros(1)}}, path)
    with pytest.raises(UsageError, match=r"this is a configuration of mmdetection 1\. Give that of mmdetection 2"):
        splitnest.load(path, device="cpu")
