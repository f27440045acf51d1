"""Initial weights of a training: whole model, backbone, and layers that keep random weights."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from splitnest import zoo
from splitnest.errors import UsageError, WeightsError
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, overrides
from splitnest.training.init_from import load_initial_weights
from splitnest.weights.key_maps import caffe2
from splitnest.weights.save import save

BACKBONE = {"depth": 14, "planes": 16, "stem_width": 16}
HEADS = {"model.fpn_channels": 8, "model.box_conv_channels": 8, "model.box_fc_channels": 8, "model.mask_channels": 8}


def small(name: str, **changes: Any) -> Recipe:
    heads = {} if "imagenet" in name else HEADS
    return overrides.apply(zoo.get(name), {"model": {"backbone": BACKBONE}, **heads, **changes})


def saved(recipe: Recipe, path: Path) -> dict[str, Tensor]:
    """Write a network with random statistics; return its tensors."""
    module = build_model(recipe)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    save(module, recipe, path)
    return module.state_dict()


def test_random_weights_and_missing_files(tmp_path: Path) -> None:
    model = build_model(small("resnest50_imagenet.official"))
    assert load_initial_weights(model, None).startswith("initial weights: random, ")
    with pytest.raises(UsageError, match="is neither a file nor a model"):
        load_initial_weights(model, str(tmp_path / "absent.pth"))


@pytest.mark.parametrize(
    "name", ["faster_rcnn_resnest50_dcn_fpn_1x_coco", "cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco"]
)
def test_offsets_of_deformable_convolutions_start_at_zero(name: str, tmp_path: Path) -> None:
    """Weights of ImageNet have no offsets."""
    path = tmp_path / "imagenet.safetensors"
    state = saved(small("resnest50_imagenet.official"), path)
    model = build_model(small(f"{name}.detectron2"))
    report = load_initial_weights(model, str(path))
    assert "random weights: not in the file" in report
    offsets = {key: value for key, value in model.state_dict().items() if ".offset." in key}
    assert len(offsets) == 6
    assert not any(value.any() for value in offsets.values())
    assert torch.equal(model.state_dict()["backbone.c3.0.conv2.conv.weight"], state["backbone.c3.0.conv2.conv.weight"])


def test_file_without_some_of_the_offsets_is_an_error(tmp_path: Path) -> None:
    model = build_model(small("faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2"))
    state = {key.removeprefix("backbone."): v for key, v in model.state_dict().items() if key.startswith("backbone.")}
    del state["c3.0.conv2.conv.offset.weight"]
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(WeightsError, match="at least the backbone must fit"):
        load_initial_weights(model, str(tmp_path / "some.pth"))


def test_frozen_stem_does_not_stay_random(tmp_path: Path) -> None:
    """A stem of another width keeps random weights if it is trained; a frozen one would never be learned."""
    path = tmp_path / "imagenet.safetensors"
    saved(small("resnest50_imagenet.official"), path)
    name, wider = "faster_rcnn_resnest50_fpn_1x_coco.mmdet", {"model.backbone.stem_width": 24}
    with pytest.raises(WeightsError, match="at least the backbone must fit"):
        load_initial_weights(build_model(small(name, **wider)), str(path))
    report = load_initial_weights(build_model(small(name, **wider, **{"model.backbone.frozen_stages": 0})), str(path))
    assert "stem.0.conv.weight [16, 3, 3, 3] in the file, [24, 3, 3, 3] in the model" in report


def test_other_stuff_classes_keep_random_weights(tmp_path: Path) -> None:
    name, path = "panoptic_fpn_resnest200_3x_coco.detectron2", tmp_path / "panoptic.safetensors"
    state = saved(small(name), path)
    classes = {"data.classes": ["cat", "dog"], "data.stuff": ["sky", "sea", "sand"]}
    model = build_model(small(name, **classes))
    report = load_initial_weights(model, str(path))
    assert report.startswith("initial weights: whole model")
    assert "80 classes in the file, 2 in the model" in report
    assert "53 stuff classes in the file, 3 in the model" in report
    assert torch.equal(
        model.state_dict()["detector.neck.lateral.p3.conv.weight"], state["detector.neck.lateral.p3.conv.weight"]
    )


def msra(module: nn.Module) -> dict[str, np.ndarray]:
    """Return a backbone with the keys of detectron2's ``R-50.pkl``, and the other tensors of such a file."""
    names = {ours: theirs for theirs, ours in caffe2.MODULES.items()}
    leaves = {"_bn.weight": "_bn_gamma", "_bn.bias": "_bn_beta", "_bn.running_mean": "_bn_running_mean"}
    leaves |= {"_bn.running_var": "_bn_running_var", ".weight": "_w"}
    state = {"fc1000_w": np.ones((1000, 2048)), "fc1000_b": np.ones(1000), "conv1_b": np.ones(64)}
    for key, value in module.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        owner, _, leaf = f"backbone.{key}".rpartition(".")
        stage, block = owner.split(".")[1:3]
        template = owner if stage == "stem" else owner.replace(f"{stage}.{block}.", "c{stage}.{block}.", 1)
        name = names[template].format(stage=stage[1:], block=block)
        end = next(end for end in leaves if f"{name}.{leaf}".endswith(end))
        state[f"{name}.{leaf}".removesuffix(end) + leaves[end]] = value.numpy()
    return state


def test_pickles_of_msra_load_into_the_backbone(tmp_path: Path) -> None:
    """The plain ResNets of detectron2 started from pickles of Caffe2."""
    recipe = overrides.apply(zoo.get("faster_rcnn_resnet50_fpn_1x_coco"), {"model.backbone.planes": 8, **HEADS})
    assert recipe.train.init_from.endswith("MSRA/R-50.pkl")
    source, model = build_model(recipe), build_model(recipe)
    for tensor in source.backbone.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    state = msra(source.backbone)
    assert {"res_conv1_bn_gamma", "conv1_w", "res2_0_branch1_w", "res5_2_branch2c_bn_running_var"} <= set(state)
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(state))
    report = load_initial_weights(model, str(tmp_path / "R-50.pkl"))
    assert "caffe2 layout" in report
    for key, value in source.backbone.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(model.backbone.state_dict()[key], value), key


def test_weights_are_fetched_from_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITNEST_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    recipe = small("resnest50_imagenet.official")
    saved(recipe, tmp_path / "weights" / "there.safetensors")  # as if it had been fetched before
    model = build_model(recipe)
    assert "initial weights: whole model" in load_initial_weights(
        model, "https://example.invalid/files/there.safetensors"
    )
    with pytest.raises(WeightsError, match=r"train\.init_from=http://127\.0\.0\.1:9/absent\.pkl"):
        load_initial_weights(model, "http://127.0.0.1:9/absent.pkl")
