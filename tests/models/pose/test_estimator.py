"""Pose estimators: flip test, batches of persons of several images, keypoints in pixels of the original image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import splitnest
from helpers import person_tree
from helpers.families import FAMILIES
from splitnest.data.pose.crop import crop_matrix, crop_people
from splitnest.data.pose.person_boxes import NO_BOXES, PersonBoxes
from splitnest.inference.batching import predict_prepared
from splitnest.models.build import build_categories
from splitnest.models.pose.estimator import PoseEstimator
from splitnest.models.pose.heatmaps import decode, encode
from splitnest.structures import Poses
from splitnest.structures.batch import collate
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.skeleton import COCO

NAME = "simplebaseline_resnest50_256x192_coco"
SMALL = {
    "model.backbone": {"depth": 14, "planes": 16, "stem_width": 16},
    "model.deconv_channels": [8, 8, 8],
    "input.height": 96,
    "input.width": 64,
}


def load(**changes: Any) -> splitnest.Predictor:
    predictor = splitnest.load(NAME, weights=None, device="cpu", overrides={**SMALL, **changes})
    nn.init.normal_(predictor.module.head.output.weight)  # otherwise all heatmaps are close to 0
    return predictor


def random_image(seed: int = 0, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


BOXES = np.array([[20.0, 10, 60, 90], [80, 30, 50, 40], [0, 0, 160, 120]])


def test_no_persons() -> None:
    (poses,) = load().predict(random_image(), boxes_xywh=[np.zeros((0, 4))])
    assert isinstance(poses, Poses)
    assert (len(poses), poses.keypoints.shape, poses.image_size) == (0, (0, 17, 2), (120, 160))


@pytest.mark.parametrize("shift", [False, True])
def test_heatmaps_of_a_flipped_crop_are_flipped(shift: bool) -> None:
    """Exactly without the shift of heatmaps, by one cell with it."""
    module = load(**{"input.shift_heatmap": shift}).module.double()
    images = torch.randn(3, 3, 96, 64, dtype=torch.float64)
    with torch.inference_mode():
        plain, flipped = module.heatmaps(images), module.heatmaps(images.flip(-1))
    restored = flipped.flip(-1)[:, list(COCO.flip_indices)]
    if not shift:
        assert torch.equal(plain, restored)
        return
    assert not torch.equal(plain, restored)
    # A shift to the right in one is a shift to the left in the other: they agree after one more cell.
    assert torch.allclose(plain[..., 2:], restored[..., 1:-1], atol=1e-12)


@pytest.mark.parametrize("shift", [False, True])
def test_keypoints_of_a_flipped_person_are_flipped(shift: bool) -> None:
    """Exactly without the shift of heatmaps, by one cell with it, for peaks away from the left and right border."""
    predictor = load(**{"input.shift_heatmap": shift})
    module = predictor.module.double()
    images, last = torch.randn(20, 3, 96, 64, dtype=torch.float64), 15
    with torch.inference_mode():
        plain, _ = decode(module.heatmaps(images))
        flipped, _ = decode(module.heatmaps(images.flip(-1)))
    restored = flipped[:, list(COCO.flip_indices)]
    restored[..., 0] = last - restored[..., 0]
    inside = ((plain[..., 0] >= 2.5) & (plain[..., 0] < last - 2)) & (
        (restored[..., 0] > 2) & (restored[..., 0] < last - 2)
    )
    assert inside.sum() > 100
    assert torch.equal(
        plain[inside] - restored[inside], torch.tensor([float(shift), 0.0]).double().expand(inside.sum(), 2)
    )


def test_flip_test_averages_heatmaps() -> None:
    predictor = load()
    images = torch.randn(2, 3, 96, 64)
    module = predictor.module
    with torch.inference_mode():
        once, other = module(images), module(images.flip(-1)).flip(-1)[:, list(COCO.flip_indices)]
        both = module.heatmaps(images)
    other = torch.cat((other[..., :1], other[..., :-1]), -1)
    assert torch.allclose(both, (once + other) / 2)
    plain = load(**{"input.flip_test": False}).module
    with torch.inference_mode():
        assert torch.equal(plain.heatmaps(images), plain(images))


class HeatmapsOfPoints(nn.Module):
    """Network that returns the heatmaps of given points ``[17, 2]`` of a crop."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points, self.unused = points, nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        points = torch.cat((self.points, torch.ones(17, 1)), -1)
        return {"c5": encode(points.repeat(len(images), 1, 1), (24, 16), 4, 2.0)[0]}


def test_keypoints_are_in_pixels_of_the_original_image() -> None:
    """Within half a cell, for every box."""
    recipe = load().recipe
    points = torch.rand(17, 2) * torch.tensor([56.0, 88.0]) + 4
    model = PoseEstimator(
        HeatmapsOfPoints(points), nn.Identity(), build_categories(recipe), COCO.flip_indices, flip_test=False
    )
    predictor = splitnest.Predictor(model, recipe)
    (poses,) = predictor.predict(random_image(), boxes_xywh=[BOXES])
    people = crop_people(random_image(), PersonBoxes(xywh_to_xyxy(BOXES), np.ones(3)), recipe.input).people
    for person, (x, y, width, height), pose in zip(people, BOXES, poses, strict=True):
        assert pose.boxes[0].tolist() == [x, y, x + width, y + height]
        matrix = crop_matrix(person.region, (96, 64))
        inside = pose.keypoints[0] @ matrix[:, :2].T + matrix[:, 2]
        assert np.abs(inside - points.numpy()).max() <= 2 + 1e-3


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64])
def test_batch_has_persons_of_several_images(batch_size: int) -> None:
    predictor = load()
    predictor.module.double()
    images = [random_image(seed) for seed in range(5)]
    boxes = [BOXES[:2], BOXES[:0], BOXES, BOXES[1:2], BOXES[:0]]
    sizes: list[int] = []
    predictor.module.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    results = predictor.predict(images, batch_size=batch_size, boxes_xywh=boxes)
    assert [len(poses) for poses in results] == [2, 0, 3, 1, 0]
    assert sum(sizes) == 2 * 6  # the flip test doubles them
    assert max(sizes) <= batch_size
    for image, of_image, poses in zip(images, boxes, results, strict=True):
        assert np.allclose(poses.boxes[:, :2], of_image[:, :2])
        for row, box in enumerate(of_image):
            (single,) = predictor.predict(image, boxes_xywh=[box[None]])
            assert np.allclose(single.keypoints[0], poses.keypoints[row], atol=1e-4)


def test_images_without_persons_do_not_pile_up() -> None:
    """While one image waits for a full batch, only as many images are read as a batch has."""
    read, predictor = 0, load()
    recipe = predictor.recipe

    def images() -> Any:
        nonlocal read
        for number in range(30):
            read += 1
            people = PersonBoxes(BOXES[:1], np.ones(1)) if number == 0 else NO_BOXES
            yield number, crop_people(random_image(), people, recipe.input)

    results = predict_prepared(predictor.module, recipe, images(), 4)
    assert next(results)[0] == 0
    assert read == 4
    assert [key for key, _ in results] == list(range(1, 30))


def test_score_threshold_drops_persons(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    rows = [f'{{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": {score}}}' for score in (0.9, 0.2)]
    path.write_text(f"[{', '.join(rows)}]")
    Image.fromarray(random_image()).save(tmp_path / "1.png")
    predictor = load()
    assert [len(p) for p in predictor.predict(tmp_path / "1.png", boxes_xywh=path)] == [2]
    (poses,) = predictor.predict(tmp_path / "1.png", boxes_xywh=path, score_threshold=0.5)
    assert poses.box_scores.tolist() == [pytest.approx(0.9)]


def test_detector_of_persons() -> None:
    name = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
    small = {**FAMILIES[name], "data.classes": ["person", "dog"]}  # scores of an untrained detector are about 1/3
    detector = splitnest.load(name, weights=None, device="cpu", overrides=small)
    predictor = load()
    (poses,) = predictor.predict(random_image(), detector=detector)
    (detections,) = detector.predict(random_image())
    people = detections[(detections.labels == 0) & (detections.scores >= 0.3)]
    assert len(poses) == len(people) > 0
    dogs = splitnest.load(name, weights=None, device="cpu", overrides={**small, "data.classes": ["dog"]})
    with pytest.raises(splitnest.UsageError, match="does not have the class 'person'"):
        predictor.predict(random_image(), detector=dogs)
    segmentor = splitnest.load("fcn_resnest101_d8_cityscapes", weights=None, device="cpu", overrides={
        "model.backbone": {"depth": 14, "planes": 16}, "model.head_channels": 8})  # fmt: skip
    for other in (segmentor, predictor):
        with pytest.raises(splitnest.UsageError, match="is no detector"):
            predictor.predict(random_image(), detector=other)
    with pytest.raises(splitnest.UsageError, match="takes neither person boxes nor a detector"):
        detector.predict(random_image(), boxes_xywh=[BOXES])
    with pytest.raises(splitnest.UsageError, match="has no test-time augmentation"):
        predictor.predict(random_image(), boxes_xywh=[BOXES], tta=True)


def test_loss_worked_by_definition() -> None:
    predictor = load()
    module = predictor.module.double().train()
    points = np.random.default_rng(0).uniform(0, 64, (17, 3))
    points[::3, 2] = 0
    batch = predictor.batch([random_image(0, 96, 64), random_image(1, 96, 64)], keypoints=[points, points])
    loss = module.loss(batch)["loss_heatmap"]
    torch.manual_seed(0)
    heatmaps = module(batch.images)
    targets, weights = encode(batch.keypoints, (24, 16), 4, 2.0)
    assert weights[:, ::3].sum() == 0
    expected = ((heatmaps - targets) ** 2)[weights > 0].sum() / heatmaps.numel()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    with pytest.raises(ValueError, match="the batch has no keypoints"):
        module.loss(collate([torch.zeros(3, 96, 64, dtype=torch.float64)]))


def test_invalid_recipes() -> None:
    for changes, message in (
        ({"input.height": 100}, "multiple of 32"),
        (
            {"data.format": "voc"},
            r"data\.format should be one of 'coco', 'yolo', 'labelme', 'cvat', 'label_studio', 'scenes', not 'voc'",
        ),
        ({"model.deconv_channels": [8] * 5, "model.backbone.output_stride": 8}, "heatmaps would be larger"),
    ):
        with pytest.raises(splitnest.UsageError, match=message):
            person_tree.recipe_of({}, **changes)
