"""Checkpoints of other code bases: they load by their own configuration, one beside them, or a given one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import splitnest
from helpers import upstream_configs
from helpers.upstream_configs import CLASSES
from helpers.upstream_rows import python_text
from splitnest.device import on_meta
from splitnest.errors import UsageError, WeightsError
from splitnest.inference.resolve import read_model, read_recipe
from splitnest.models.build import build_model
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import Derived, derive
from splitnest.weights.read import read

COLORS = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]


def tensors(config: dict[str, Any], classes: Any = None) -> dict[str, torch.Tensor]:
    """Return a state dict that fits a configuration, with the same value everywhere so that the file is cheap."""
    with on_meta():
        module = build_model(derive(config, "x", "x", Metadata(classes)).recipe)
    return {
        key: torch.full((), 0.5, dtype=value.dtype).expand(value.shape) for key, value in module.state_dict().items()
    }


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint as mmsegmentation 1 writes it, of a PSPNet with a ResNet-18 and three own classes."""
    path = tmp_path_factory.mktemp("work_dir") / "iter_40000.pth"
    config = upstream_configs.mmseg1()
    recipe = derive(config, "x", "x", Metadata(CLASSES)).recipe
    torch.manual_seed(0)
    meta = {
        "epoch": 0,
        "iter": 40000,
        "cfg": python_text(config),
        "seed": np.int64(3),
        "mmengine_version": "0.10.4",
        "dataset_meta": {"classes": CLASSES, "palette": COLORS, "reduce_zero_label": False, "scale": np.arange(3.0)},
    }
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.01, "params": [0]}]}
    state = build_model(recipe).state_dict()
    torch.save({"meta": meta, "state_dict": state, "optimizer": optimizer, "param_schedulers": [{"x": 1}]}, path)
    return path


def test_segmentor_loads_by_itself(segmentor: Path, tmp_path: Path) -> None:
    model = splitnest.load(segmentor, device="cpu")
    assert model.recipe.name == "iter_40000"
    assert model.recipe.data.classes == CLASSES
    assert model.recipe.input.window == (96, 96)
    assert model.recipe.train.iterations == 40_000
    (result,) = model.predict(np.zeros((100, 140, 3), np.uint8))
    assert result.labels.shape == (100, 140)
    assert result.categories.names == CLASSES
    assert [list(category.color) for category in result.categories] == COLORS
    splitnest.convert(segmentor, None, tmp_path / "own.safetensors")
    (again,) = splitnest.load(tmp_path / "own.safetensors", device="cpu").predict(np.zeros((100, 140, 3), np.uint8))
    assert (again.labels == result.labels).all()
    assert again.categories == result.categories


def test_metadata_is_read_as_plain_values(segmentor: Path) -> None:
    checkpoint = read(segmentor, shapes_only=True)
    assert checkpoint.config is not None
    assert checkpoint.dataset_meta["palette"] == COLORS
    assert checkpoint.dataset_meta["scale"] == [0.0, 1.0, 2.0]


GENERATIONS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "mmdet 3": (upstream_configs.mmdet3, {"dataset_meta": {"classes": CLASSES}}),
    "mmdet 2": (upstream_configs.mmdet2, {"CLASSES": CLASSES}),
    "mmseg 0": (upstream_configs.mmseg0, {"CLASSES": CLASSES, "PALETTE": COLORS}),
    "mmpose 1": (
        lambda: upstream_configs.mmpose1(3),
        {
            "dataset_meta": {
                "keypoint_id2name": {0: "tip", 1: "left fin", 2: "right fin"},
                "flip_indices": [0, 2, 1],
                "dataset_keypoint_weights": np.ones((3, 1), np.float32),
                "sigmas": np.full(3, 0.1),
            }
        },
    ),
    "mmpose 0": (lambda: upstream_configs.mmpose0(17), {}),
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_recipe_is_read_from_the_metadata(generation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, metadata = GENERATIONS[generation]
    config = make()
    path = tmp_path / "epoch_12.pth"
    key = "config" if generation[-1] in "02" else "cfg"
    torch.save({"meta": {key: python_text(config), **metadata}, "state_dict": {"x": torch.zeros(1)}}, path)
    recipe, checkpoint = read_recipe(path)
    assert (recipe.name, checkpoint) == ("epoch_12", path)
    assert "note: configuration: in the file" in capsys.readouterr().err
    if recipe.task == "pose":
        names = recipe.data.keypoints if generation == "mmpose 0" else recipe.data.keypoints.names
        assert names == ("coco" if generation == "mmpose 0" else ("tip", "left fin", "right fin"))
    else:
        assert recipe.data.classes == CLASSES


def test_detectron2_loads_beside_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"
    config = upstream_configs.detectron2()
    torch.save({"model": tensors(config), "optimizer": {"lr": 1}, "iteration": 89999}, path)
    with pytest.raises(WeightsError, match="neither a recipe nor a configuration"):
        read_recipe(path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    found, _ = read_model(path)
    assert isinstance(found, Derived)
    assert found.recipe.data.classes == ("class 1", "class 2", "class 3")
    model = splitnest.load(path, overrides={"data.classes": list(CLASSES)}, device="cpu")
    assert model.recipe.data.classes == CLASSES


def test_given_configuration(tmp_path: Path) -> None:
    path, config = tmp_path / "stripped.pth", tmp_path / "mine.py"
    torch.save({"state_dict": {"x": torch.zeros(1)}}, path)
    config.write_text(python_text(upstream_configs.mmdet3()))
    assert read_recipe(path, config)[0].data.classes == CLASSES
    assert read_recipe(config) == (read_recipe(path, config)[0].model_copy(update={"name": "mine"}), None)
    with pytest.raises(UsageError, match="is not a checkpoint, so it takes no configuration"):
        read_recipe(config, config)
    with pytest.raises(UsageError, match=r"missing\.py cannot be read"):
        read_recipe(path, tmp_path / "missing.py")


def test_shapes_alone_are_a_proposal(tmp_path: Path) -> None:
    path = tmp_path / "stripped.pth"
    config = upstream_configs.detectron2(5)
    torch.save({"model": tensors(config)}, path)
    with pytest.raises(WeightsError, match=r"neither a recipe nor a configuration.* 5 classes.*with other classes"):
        splitnest.load(path, device="cpu")


def test_published_file_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model_final_a54504.pkl"
    torch.save({"model": {"x": torch.zeros(1)}}, path)
    found, _ = read_model(path)
    assert found.recipe.name == "mask_rcnn_R_50_FPN_1x.detectron2"


def test_tensors_of_another_number_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pth"
    meta = {"cfg": python_text(upstream_configs.mmseg1(4)), "dataset_meta": {"classes": [*CLASSES, "pear"]}}
    torch.save({"meta": meta, "state_dict": tensors(upstream_configs.mmseg1(3), CLASSES)}, path)
    with pytest.raises(WeightsError, match=r"other classes \(3 classes in the file, 4 in the model\)"):
        splitnest.load(path, device="cpu")
    meta["dataset_meta"]["classes"] = CLASSES
    torch.save({"meta": meta, "state_dict": {"x": torch.zeros(1)}}, path)
    with pytest.raises(UsageError, match=r"epoch_1\.pth: the network has 4 classes, and 3 names are given"):
        splitnest.load(path, device="cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss", r"epoch_1\.pth \(its configuration\), line 1: "),
        ("model = dict(type='MaskRCNN'", "this is not Python"),
        ("model = __import__('os').system('true')", r"epoch_1\.pth \(its configuration\), line 1: .* is a call"),
        ("model = dict(type='RetinaNet')", "this is a RetinaNet; splitnest has no such head"),
        ("_base_ = '../secret.py'", r"inherits from \.\./secret\.py"),
        ("", "there is no model"),
    ],
)
def test_harmful_and_unknown_configurations(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pth"
    torch.save({"meta": {"cfg": text}, "state_dict": {"x": torch.zeros(1)}}, path)
    with pytest.raises(UsageError, match=message):
        splitnest.load(path, device="cpu")
