"""Configurations, model zoo, panoptic predictions and drawing of detectron2, and what is refused."""

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import splitnest
from helpers import oracle, upstream_configs
from helpers.paths import ROOT
from helpers.upstream_rows import RESCUE, require_recordings
from splitnest import zoo
from splitnest.compat.detectron2 import model_zoo
from splitnest.compat.detectron2.config import CfgNode, get_cfg
from splitnest.compat.detectron2.data import MetadataCatalog
from splitnest.compat.detectron2.engine import DefaultPredictor
from splitnest.compat.detectron2.structures import Boxes, Instances
from splitnest.compat.detectron2.utils.logger import setup_logger
from splitnest.compat.detectron2.utils.visualizer import ColorMode, Visualizer
from splitnest.errors import DataError, UsageError, WeightsError
from splitnest.upstream.derive import derive
from splitnest.zoo import upstream

MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
PANOPTIC = "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml"
ROWS = [name for name in upstream.ROWS if name.endswith(".detectron2")]


def test_empty_configuration_is_an_error() -> None:
    with pytest.raises(UsageError, match="the backbone is build_resnet_backbone"):
        DefaultPredictor(get_cfg())


@pytest.mark.parametrize("name", ROWS)
def test_configurations_of_the_model_zoo_give_its_rows(name: str) -> None:
    row = zoo.get(name)
    cfg = model_zoo.get_config(upstream.ROWS[name].config.removeprefix("configs/"), trained=True)
    assert zoo.published(name).url == cfg.MODEL.WEIGHTS
    cfg.MODEL.WEIGHTS = ""
    found = derive(cfg.to_dict(), row.name, name).recipe
    init_from = {"train": row.train and row.train.model_copy(update={"init_from": None})}
    assert found == row.model_copy(update={"weights": None, "published": {}, **init_from})


def test_configurations_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    require_recordings()
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    written = runpy.run_path(str(ROOT / "tools" / "detectron2_configs.py"))["files"](RESCUE)
    files = {str(path.relative_to(model_zoo.CONFIGS)): path.read_text() for path in model_zoo.CONFIGS.rglob("*.yaml")}
    assert files == written


def test_defaults_do_not_change_a_recipe(tmp_path: Path) -> None:
    config = upstream_configs.detectron2()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    cfg = get_cfg()
    cfg.merge_from_file(tmp_path / "config.yaml")
    assert cfg.INPUT.MIN_SIZE_TRAIN == (640, 672, 704, 736, 768, 800)
    assert derive(cfg.to_dict(), "x", "x").recipe == derive(config, "x", "x").recipe


def test_nodes() -> None:
    cfg = get_cfg()
    assert cfg.MODEL.DEVICE == "cuda"
    assert cfg.SOLVER.STEPS == (30000,)
    copied = cfg.clone()
    copied.MODEL.ROI_HEADS.NUM_CLASSES = 3
    copied.merge_from_list(["SOLVER.BASE_LR", "1e-3", "MODEL.MASK_ON", "True", "INPUT.MIN_SIZE_TEST", 600])
    assert (copied.SOLVER.BASE_LR, copied.MODEL.MASK_ON, copied.INPUT.MIN_SIZE_TEST) == (0.001, True, 600)
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 80
    cfg.merge_from_other_cfg(copied)
    assert cfg == copied
    cfg.freeze()
    with pytest.raises(AttributeError, match="DEVICE cannot be set"):
        cfg.MODEL.DEVICE = "cpu"
    assert cfg.clone().is_frozen()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    again = get_cfg()
    again.merge_from_other_cfg(yaml.safe_load(cfg.dump()))
    assert again.MODEL.DEVICE == "cpu"
    with pytest.raises(AttributeError, match="POINT_HEAD"):
        _ = cfg.MODEL.POINT_HEAD
    with pytest.raises(UsageError, match=r"no key MODEL\.POINT_HEAD"):
        cfg.merge_from_other_cfg({"MODEL": {"POINT_HEAD": {}}})
    with pytest.raises(UsageError, match="MODEL is a section"):
        cfg.merge_from_list(["MODEL", 5])
    with pytest.raises(UsageError, match="each key with its value"):
        cfg.merge_from_list(["MODEL.MASK_ON"])
    assert isinstance(cfg.MODEL, CfgNode)
    assert pickle.loads(pickle.dumps(cfg)) == cfg


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.yaml cannot be read"):
        get_cfg().merge_from_file(str(tmp_path / "missing.yaml"))
    (tmp_path / "code.yaml").write_text("MODEL: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(UsageError, match=r"code\.yaml"):
        get_cfg().merge_from_file(str(tmp_path / "code.yaml"))
    with pytest.raises(UsageError, match=r"no COCO-Detection/retinanet_R_50_FPN_1x\.yaml that splitnest can build"):
        model_zoo.get_config_file("COCO-Detection/retinanet_R_50_FPN_1x.yaml")
    with pytest.raises(UsageError, match="that splitnest can build"):
        model_zoo.get_checkpoint_url("../config.yaml")


def test_bad_predictors(tmp_path: Path) -> None:
    cfg = model_zoo.get_config(MASK_RCNN)
    cfg.MODEL.DEVICE = "cpu"
    with pytest.raises(UsageError, match="a backbone with which training starts"):
        DefaultPredictor(cfg)
    cfg.MODEL.WEIGHTS = str(tmp_path / "missing.pth")
    with pytest.raises(WeightsError, match=r"missing\.pth"):
        DefaultPredictor(cfg)
    cfg.MODEL.WEIGHTS = "detectron2://COCO-Detection/retinanet_R_50_FPN_1x/190397773/model_final_bfca0b.pkl"
    with pytest.raises(UsageError, match="address of no published model"):
        DefaultPredictor(cfg)
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", "cuda:9"
    with pytest.raises(UsageError, match="There is no device 'cuda:9'"):
        DefaultPredictor(cfg)
    cfg.MODEL.META_ARCHITECTURE = "RetinaNet"
    with pytest.raises(UsageError, match="this is a RetinaNet; splitnest has no such head"):
        DefaultPredictor(cfg)


def test_panoptic(tmp_path: Path) -> None:
    cfg = model_zoo.get_config(PANOPTIC)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", 128, "TEST.DETECTIONS_PER_IMAGE", 10])
    cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 64
    cfg.MODEL.WEIGHTS = str(oracle.checkpoint("panoptic_fpn_R_50_1x.detectron2", tmp_path))
    predictor = DefaultPredictor(cfg)
    image = oracle.image("scene_a")
    changes = {"input.short_side": 128, "model.max_detections": 10, "model.panoptic.min_stuff_area": 64}
    model = splitnest.load(
        "panoptic_fpn_R_50_1x.detectron2", weights=cfg.MODEL.WEIGHTS, device="cpu", overrides=changes
    )
    (expected,) = model.predict(image)
    outputs = predictor(image[..., ::-1])
    assert set(outputs) == {"sem_seg", "instances", "panoptic_seg"}
    segments, infos = outputs["panoptic_seg"]
    assert np.array_equal(segments.numpy(), expected.segments)
    assert len(infos) == len(expected.segments_info) > 1
    assert np.array_equal(outputs["instances"].scores.numpy(), expected.detections.scores)
    logits = outputs["sem_seg"]
    assert tuple(logits.shape) == (54, *expected.image_size)
    assert outputs["sem_seg"] is logits
    labels = logits.argmax(dim=0)
    for info, row in zip(infos, expected.segments_info, strict=True):
        inside = segments == info["id"]
        if info["isthing"]:
            assert (info["category_id"], info["score"]) == (row["category"], row["score"])
            assert outputs["instances"].pred_masks[info["instance_id"]][inside].all()
        else:
            assert info["area"] == row["area"]
            assert (labels[inside] == info["category_id"]).all()
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    assert len(metadata.stuff_classes) == 54
    picture = Visualizer(image, metadata).draw_panoptic_seg_predictions(segments, infos).get_image()
    assert picture.shape == image.shape
    assert not np.array_equal(picture, image)
    drawn = Visualizer(image, metadata, scale=0.5).draw_sem_seg(labels, area_threshold=100).get_image()
    assert drawn.shape == (160, 240, 3)
    with pytest.raises(DataError, match="The image is no array"):
        predictor("image.jpg")  # type: ignore[arg-type]


def test_metadata() -> None:
    coco = MetadataCatalog.get("coco_2017_train")
    assert coco is MetadataCatalog.get("coco_2017_train")
    assert (len(coco.thing_classes), coco.thing_dataset_id_to_contiguous_id[90]) == (80, 79)
    assert len(MetadataCatalog.get("lvis_v0.5_val").thing_classes) == 1230
    mine = MetadataCatalog.get("balloon_train").set(thing_classes=["balloon"])
    assert MetadataCatalog.get("balloon_train").thing_classes == ["balloon"]
    assert "balloon_train" in MetadataCatalog.list()
    assert mine.get("thing_colors") is None
    with pytest.raises(AttributeError, match="'balloon_train' has no 'thing_colors'"):
        _ = mine.thing_colors
    MetadataCatalog.remove("balloon_train")
    assert MetadataCatalog.get("balloon_train").get("thing_classes") is None
    assert setup_logger(name="mine").name == "splitnest"


@pytest.mark.parametrize("mode", ColorMode)
def test_instances_are_drawn(mode: ColorMode, tmp_path: Path) -> None:
    image = oracle.image("scene_a")
    masks = torch.zeros(1, *image.shape[:2], dtype=torch.bool)
    masks[0, 40:80, 20:100] = True
    instances = Instances(
        (image.shape[0], image.shape[1]),
        pred_boxes=Boxes([[20, 40, 100, 80]]),
        scores=torch.tensor([0.9]),
        pred_classes=torch.tensor([3]),
        pred_masks=masks,
    )
    output = Visualizer(image, None, 2.0, mode).draw_instance_predictions(instances)
    assert output.get_image().shape == (2 * image.shape[0], 2 * image.shape[1], 3)
    far = output.get_image()[-40:, -40:]
    assert (far == far[..., :1]).all() == (mode is ColorMode.IMAGE_BW)
    output.save(tmp_path / "picture.png")
    assert Image.open(tmp_path / "picture.png").size == (2 * image.shape[1], 2 * image.shape[0])
    assert Visualizer(image, None).draw_instance_predictions(instances[:0]).get_image().shape == image.shape
    with pytest.raises(UsageError, match="scale is 0"):
        Visualizer(image, scale=0)
