"""Loading and inference of mmdet, mmseg and mmpose beyond their quick starts, and what is refused."""

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import upstream_configs
from helpers.quick_starts import CHECKPOINTS, DETECTIONS, DETECTOR, POSE, Recorder
from helpers.upstream_rows import python_text
from splitnest.compat.mmdet.apis import DetInferencer, inference_detector, init_detector
from splitnest.compat.mmengine import Config
from splitnest.compat.mmengine.visualization import VISUALIZERS
from splitnest.compat.mmpose import apis as mmpose
from splitnest.compat.mmseg.apis import inference_model, init_model, show_result_pyplot
from splitnest.compat.openmmlab import OpenMMLabModel
from splitnest.errors import DataError, OutputError, UsageError, WeightsError


@pytest.fixture(scope="module")
def detector(detector_folder: Path) -> OpenMMLabModel:
    return init_detector(detector_folder / f"{DETECTOR}.py", detector_folder / CHECKPOINTS[DETECTOR], device="cpu")


@pytest.fixture(scope="module")
def small_segmentor(tmp_path_factory: pytest.TempPathFactory) -> OpenMMLabModel:
    """Return a segmentor of three classes with random weights."""
    path = tmp_path_factory.mktemp("mmseg") / "mine.py"
    path.write_text(python_text(upstream_configs.mmseg1()))
    torch.manual_seed(0)
    return init_model(path, device="cpu")


def test_no_images(detector: OpenMMLabModel, small_segmentor: OpenMMLabModel) -> None:
    assert inference_detector(detector, []) == []
    assert inference_model(small_segmentor, ()) == []


def test_paths_and_bgr_arrays_give_the_same(detector: OpenMMLabModel, detector_folder: Path) -> None:
    path = detector_folder / "demo" / "demo.jpg"
    bgr = np.asarray(Image.open(path))[..., ::-1]
    one, other = inference_detector(detector, [str(path), bgr])
    assert torch.equal(one.pred_instances.bboxes, other.pred_instances.bboxes)
    assert torch.equal(one.pred_instances.masks, other.pred_instances.masks)
    assert (one.img_path, other.img_path) == (str(path), None)


def test_model_is_a_module(detector: OpenMMLabModel) -> None:
    assert next(detector.parameters()).device == torch.device("cpu")
    assert not detector.training
    assert len(detector.dataset_meta["classes"]) == 80
    assert detector.cfg.model.backbone.depth == 50
    assert detector.cfg.test_dataloader.dataset.pipeline[0].type == "LoadImageFromFile"
    with pytest.raises(AttributeError, match="has no attribute 'hooks'"):
        _ = detector.cfg.hooks


def test_options_change_the_configuration(detector_folder: Path) -> None:
    options = {
        "model.test_cfg.rcnn": {"score_thr": 0.4},
        "test_dataloader.dataset.pipeline.1.scale": (64, 64),
        "model.backbone.init_cfg": None,
    }
    model = init_detector(str(detector_folder / f"{DETECTOR}.py"), None, "none", "cpu", options)
    recipe = model.predictor.recipe
    assert (recipe.model.score_threshold, recipe.input.long_side) == (0.4, 64)
    assert recipe.model.max_detections == DETECTIONS
    assert model.cfg.model.test_cfg.rcnn.score_thr == 0.4
    for options, message in (
        ({"model.test_cfg.rcnn.score_thr.x": 1}, "score_thr.x leads into 0.05, which has no key x"),
        ({"test_dataloader.dataset.pipeline.9.type": "x"}, "index 9, and the list has 4 items"),
        ({"model.type": "RetinaNet"}, "this is a RetinaNet; splitnest has no such head"),
    ):
        with pytest.raises(UsageError, match=message):
            init_detector(detector_folder / f"{DETECTOR}.py", device="cpu", cfg_options=options)


def test_configuration_objects_and_names(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(python_text(upstream_configs.mmseg1()))
    config = Config.fromfile(tmp_path / "mine.py")
    copied = config.copy()
    copied.model.test_cfg.crop_size = (128, 128)
    assert config.model.test_cfg.crop_size == [96, 96]
    assert init_model(copied, device="cpu").predictor.recipe.input.window == (128, 128)
    name = "fcn_r18-d8_4xb2-80k_cityscapes-512x1024"
    assert init_model(name, device="cpu").predictor.recipe.name == f"{name}.mmseg"
    with pytest.raises(UsageError, match="cfg_options have no values to override"):
        init_model(name, device="cpu", cfg_options={"model.x": 1})
    with pytest.raises(UsageError, match="neither a path, a name nor a configuration"):
        init_model(5, device="cpu")  # type: ignore[arg-type]


def test_own_classes_of_a_checkpoint(tmp_path: Path) -> None:
    config = upstream_configs.mmseg1()
    (tmp_path / "mine.py").write_text(python_text(config))
    model = init_model(tmp_path / "mine.py", device="cpu")
    assert model.dataset_meta["classes"] == ("class 1", "class 2", "class 3")
    meta = {"dataset_meta": {"classes": ("a", "b", "c"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}}
    torch.save({"meta": meta, "state_dict": model.network.state_dict()}, tmp_path / "iter_1.pth")
    trained = init_model(str(tmp_path / "mine.py"), str(tmp_path / "iter_1.pth"), "cpu")
    assert trained.dataset_meta == {"classes": ("a", "b", "c"), "palette": [(1, 2, 3), (4, 5, 6), (7, 8, 9)]}
    assert all(map(torch.equal, trained.parameters(), model.parameters()))


def test_bad_arguments(detector: OpenMMLabModel, detector_folder: Path, tmp_path: Path) -> None:
    config = detector_folder / f"{DETECTOR}.py"
    with pytest.raises(UsageError, match=r"missing\.py does not exist"):
        init_detector("missing.py", device="cpu")
    with pytest.raises(WeightsError, match=r"missing\.pth"):
        init_detector(config, tmp_path / "missing.pth", device="cpu")
    with pytest.raises(UsageError, match="There is no device 'cuda:9'"):
        init_detector(config, device="cuda:9")
    with pytest.raises(UsageError, match=r"palette is 'cpu'.*device='cpu'"):
        init_detector(config, None, "cpu")
    with pytest.raises(UsageError, match="palette has 1 colors for 80 classes"):
        init_detector(config, None, [[0, 0, 0]], "cpu")
    with pytest.raises(UsageError, match="for the task instance, not for semantic"):
        init_model(config, device="cpu")
    path, meta = tmp_path / "epoch_1.pth", {"cfg": config.read_text(), "dataset_meta": {}}
    torch.save({"meta": meta, "state_dict": {"x": torch.zeros(1)}}, path)
    with pytest.raises(UsageError, match=r"is a checkpoint\. Give its configuration first"):
        init_detector(path, device="cpu")
    with pytest.raises(UsageError, match="address of no published model"):
        init_detector(config, "https://example.org/mine.pth", device="cpu")
    with pytest.raises(UsageError, match="test_pipeline"):
        inference_detector(detector, [], test_pipeline=[])
    with pytest.raises(UsageError, match="no models with prompts"):
        inference_detector(detector, [], text_prompt="a dog")
    with pytest.raises(DataError, match=r"missing\.jpg"):
        inference_detector(detector, "missing.jpg")
    with pytest.raises(DataError, match="must be uint8 RGB of shape"):
        inference_detector(detector, np.zeros((4, 4), np.uint8))


def test_code_in_a_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("model = __import__('os').system('true')")
    with pytest.raises(UsageError, match=r"x\.py, line 1: .* is a call"):
        init_detector(tmp_path / "x.py", device="cpu")


def test_det_inferencer_of_folders_and_arrays(detector_folder: Path, tmp_path: Path, viewer: Recorder) -> None:
    config, weights = detector_folder / f"{DETECTOR}.py", detector_folder / CHECKPOINTS[DETECTOR]
    inferencer = DetInferencer(str(config), str(weights), "cpu")
    bgr = np.zeros((40, 60, 3), np.uint8)
    bgr[..., 0] = 255
    empty = inferencer([])
    assert empty == {"predictions": [], "visualization": []}
    outputs = inferencer(
        [bgr, bgr], 2, return_vis=True, draw_pred=False, return_datasamples=True, out_dir=tmp_path / "out"
    )
    assert outputs["predictions"][0].ori_shape == (40, 60)
    assert all((picture == (0, 0, 255)).all() for picture in outputs["visualization"])
    assert sorted(path.name for path in (tmp_path / "out" / "vis").iterdir()) == ["00000000.jpg", "00000001.jpg"]
    assert not (tmp_path / "out" / "preds").exists()
    assert not viewer.pictures
    assert len(inferencer(str(detector_folder / "demo"))["predictions"]) == 1
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="has no images"):
        inferencer(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="texts: splitnest has no models with prompts"):
        inferencer(bgr, texts="a dog")


def test_det_inferencer_of_names_and_checkpoints(small_segmentor: OpenMMLabModel, tmp_path: Path) -> None:
    assert "faster-rcnn_r50_fpn_1x_coco.mmdet" in DetInferencer.list_models("mmdet")
    with pytest.raises(UsageError, match="Give a model, or weights"):
        DetInferencer()
    with pytest.raises(UsageError, match="No published model is called"):
        DetInferencer("rtmdet_tiny_8xb32-300e_coco")
    path, state = tmp_path / "iter_1.pth", small_segmentor.network.state_dict()
    torch.save({"meta": {"cfg": python_text(upstream_configs.mmseg1())}, "state_dict": state}, path)
    with pytest.raises(UsageError, match="for the task semantic"):
        DetInferencer(weights=path, device="cpu")


def test_pictures_of_a_segmentation(small_segmentor: OpenMMLabModel, tmp_path: Path, viewer: Recorder) -> None:
    image = np.full((30, 40, 3), 100, np.uint8)
    result = inference_model(small_segmentor, image)
    drawn = show_result_pyplot(small_segmentor, image, result, show=False, save_dir=tmp_path)
    assert drawn.shape == (30, 40, 3)
    assert Image.open(tmp_path / "vis_data" / "vis_image" / "_0.png").size == (40, 30)
    opaque = show_result_pyplot(small_segmentor, image, result, 1.0, show=False, with_labels=False)
    label = int(result.pred_sem_seg.data[0, 15, 20])
    assert tuple(opaque[15, 20]) == small_segmentor.dataset_meta["palette"][label] or (opaque[15, 20] > 200).all()
    with pytest.raises(UsageError, match="opacity is 0"):
        show_result_pyplot(small_segmentor, image, result, opacity=0)
    (tmp_path / "mine.png").write_bytes(b"own")
    with pytest.raises(OutputError, match="splitnest did not write it"):
        show_result_pyplot(small_segmentor, image, result, show=False, out_file=tmp_path / "mine.png")
    assert not viewer.pictures


def test_logits_are_computed_when_asked_for(small_segmentor: OpenMMLabModel) -> None:
    result = inference_model(small_segmentor, np.full((30, 40, 3), 100, np.uint8))
    assert "seg_logits" in result
    assert result.keys() == ["pred_sem_seg"]
    assert isinstance(result.cpu().numpy().seg_logits.data, np.ndarray)
    logits = result.seg_logits
    assert result.seg_logits is logits
    assert not logits.data.is_inference()
    copied = pickle.loads(pickle.dumps(result.new(pred_sem_seg=result.pred_sem_seg)))
    assert torch.equal(copied.pred_sem_seg.data, result.pred_sem_seg.data)
    with pytest.raises(AttributeError, match="'SegDataSample' object has no attribute 'seg_logits'"):
        _ = copied.seg_logits


def test_boxes_of_persons(pose_folder: Path) -> None:
    model = mmpose.init_model(pose_folder / f"{POSE}.py", pose_folder / CHECKPOINTS[POSE], device="cpu")
    xyxy = np.array([[10, 20, 110, 220], [50, 60, 90, 160]])
    image = str(pose_folder / "demo.jpg")
    results = mmpose.inference_topdown(model, image, xyxy)
    same = mmpose.inference_topdown(model, image, [[10, 20, 100, 200], [50, 60, 40, 100]], "xywh")
    (expected,) = model.predictor.predict(image, boxes_xywh=[np.array([[10, 20, 100, 200], [50, 60, 40, 100]])])
    for row, (result, other) in enumerate(zip(results, same, strict=True)):
        assert np.array_equal(result.pred_instances.keypoints, expected.keypoints[row : row + 1])
        assert np.array_equal(other.pred_instances.keypoints, expected.keypoints[row : row + 1])
        assert result.pred_instances.bboxes.tolist() == [xyxy[row].tolist()]
    assert len(mmpose.inference_topdown(model, image, np.zeros((0, 4)))) == 1
    assert model.dataset_meta["keypoint_name2id"]["left_eye"] == 1
    with pytest.raises(UsageError, match="bbox_format is 'cxcywh'"):
        mmpose.inference_topdown(model, image, xyxy, "cxcywh")
    with pytest.raises(UsageError, match=r"shape \[4\]"):
        mmpose.inference_topdown(model, image, xyxy[0])
    with pytest.raises(UsageError, match="no area"):
        mmpose.inference_topdown(model, image, [[5, 5, 5, 9]])
    options = {"model": {"test_cfg": {"output_heatmaps": True}}}
    with pytest.raises(UsageError, match="output_heatmaps"):
        mmpose.init_model(pose_folder / f"{POSE}.py", device="cpu", cfg_options=options)


def test_visualizer(detector: OpenMMLabModel, detector_folder: Path) -> None:
    image = np.asarray(Image.open(detector_folder / "demo" / "demo.jpg"))
    result = inference_detector(detector, image[..., ::-1])
    visualizer = VISUALIZERS.build(detector.cfg.visualizer)
    with pytest.raises(UsageError, match="no picture yet"):
        visualizer.get_image()
    with pytest.raises(UsageError, match="no classes"):
        visualizer.add_datasample("result", image, result)
    visualizer.dataset_meta = detector.dataset_meta
    visualizer.add_datasample("result", image, data_sample=result, draw_gt=False, pred_score_thr=1.0)
    assert np.array_equal(visualizer.get_image(), image)
    result.pred_instances = result.pred_instances[:1]
    visualizer.add_datasample("result", image, data_sample=result, pred_score_thr=0.0)
    assert not np.array_equal(visualizer.get_image(), image)
    with pytest.raises(UsageError, match="draw_heatmap=True"):
        visualizer.add_datasample("result", image, result, draw_heatmap=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        visualizer.add_datasample("result", image, result, colour=1)


@pytest.mark.parametrize("package", ["mmdet", "mmseg", "mmpose"])
def test_nothing_is_registered(package: str) -> None:
    register: Callable[[], None] = importlib.import_module(f"splitnest.compat.{package}.utils").register_all_modules
    assert register() is None
    assert importlib.import_module(f"splitnest.compat.{package}.registry").VISUALIZERS is VISUALIZERS


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ImportError, match="cannot import name 'MMPoseInferencer'"):
        exec("from splitnest.compat.mmpose.apis import MMPoseInferencer")
