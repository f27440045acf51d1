"""A pose estimator: mirror images, batches across people and photographs, results in the frame of the photograph."""

from pathlib import Path
from typing import Any

import numpy as np
import people_tree
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import splitnest
from splitnest.batch import collate
from splitnest.build import build_categories
from splitnest.data.person_boxes import NOBODY, PersonBoxes
from splitnest.data.person_crop import prepare_people
from splitnest.data.skeleton import COCO
from splitnest.people import estimate
from splitnest.pose.estimator import PoseEstimator
from splitnest.pose.heatmaps import decode, encode
from splitnest.results import Poses
from splitnest.results.interop import xywh_to_xyxy

NAME = "simplebaseline_resnest50_256x192_coco"
SMALL = {
    "model.backbone": {"depth": 14, "planes": 16, "stem_width": 16},
    "model.deconv_channels": [8, 8, 8],
    "input.height": 96,
    "input.width": 64,
}


def load(**changes: Any) -> splitnest.Predictor:
    predictor = splitnest.load(NAME, weights=None, device="cpu", overrides={**SMALL, **changes})
    nn.init.normal_(predictor.module.head.output.weight)  # else all heatmaps are next to 0
    return predictor


def photograph(seed: int = 0, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


BOXES = np.array([[20.0, 10, 60, 90], [80, 30, 50, 40], [0, 0, 160, 120]])


def test_nobody() -> None:
    (poses,) = load().predict(photograph(), boxes_xywh=[np.zeros((0, 4))])
    assert isinstance(poses, Poses)
    assert (len(poses), poses.keypoints.shape, poses.image_size) == (0, (0, 17, 2), (120, 160))


@pytest.mark.parametrize("shift", [False, True])
def test_mirror_images(shift: bool) -> None:
    """A mirrored crop has mirrored heatmaps: to the bit without the shift, and within one cell with it."""
    module = load(**{"input.shift_heatmap": shift}).module.double()
    images = torch.randn(3, 3, 96, 64, dtype=torch.float64)
    with torch.inference_mode():
        plain, mirrored = module.heatmaps(images), module.heatmaps(images.flip(-1))
    restored = mirrored.flip(-1)[:, list(COCO.swaps)]
    if not shift:
        assert torch.equal(plain, restored)
        return
    assert not torch.equal(plain, restored)
    # What is shifted right in one is shifted left in the other: the two agree after one more cell.
    assert torch.allclose(plain[..., 2:], restored[..., 1:-1], atol=1e-12)


@pytest.mark.parametrize("shift", [False, True])
def test_a_mirrored_person_has_mirrored_keypoints(shift: bool) -> None:
    """Exactly without the shift, by one cell with it; of peaks away from the left and right border."""
    predictor = load(**{"input.shift_heatmap": shift})
    module = predictor.module.double()
    images, last = torch.randn(20, 3, 96, 64, dtype=torch.float64), 15
    with torch.inference_mode():
        plain, _ = decode(module.heatmaps(images))
        mirrored, _ = decode(module.heatmaps(images.flip(-1)))
    restored = mirrored[:, list(COCO.swaps)]
    restored[..., 0] = last - restored[..., 0]
    inside = ((plain[..., 0] >= 2.5) & (plain[..., 0] < last - 2)) & (
        (restored[..., 0] > 2) & (restored[..., 0] < last - 2)
    )
    assert inside.sum() > 100
    assert torch.equal(
        plain[inside] - restored[inside], torch.tensor([float(shift), 0.0]).double().expand(inside.sum(), 2)
    )


def test_flip_test_is_an_average() -> None:
    predictor = load()
    images = torch.randn(2, 3, 96, 64)
    module = predictor.module
    with torch.inference_mode():
        once, other = module(images), module(images.flip(-1)).flip(-1)[:, list(COCO.swaps)]
        both = module.heatmaps(images)
    other = torch.cat((other[..., :1], other[..., :-1]), -1)
    assert torch.allclose(both, (once + other) / 2)
    plain = load(**{"input.flip_test": False}).module
    with torch.inference_mode():
        assert torch.equal(plain.heatmaps(images), plain(images))


class Drawn(nn.Module):
    """A network that knows where keypoints are: it gives the heatmaps of places in the crop."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.places, self.unused = places, nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        points = torch.cat((self.places, torch.ones(17, 1)), -1)
        return {"c5": encode(points.repeat(len(images), 1, 1), (24, 16), 4, 2.0)[0]}


def test_keypoints_land_in_the_photograph() -> None:
    """A peak at a place of the crop is found at that place of the photograph, for every box, within half a cell."""
    recipe = load().recipe
    places = torch.rand(17, 2) * torch.tensor([56.0, 88.0]) + 4
    model = PoseEstimator(Drawn(places), nn.Identity(), build_categories(recipe), COCO.swaps, flip_test=False)
    predictor = splitnest.Predictor(model, recipe)
    (poses,) = predictor.predict(photograph(), boxes_xywh=[BOXES])
    people = prepare_people(photograph(), PersonBoxes(xywh_to_xyxy(BOXES), np.ones(3)), recipe.input).people
    for person, (x, y, width, height), pose in zip(people, BOXES, poses, strict=True):
        assert pose.boxes[0].tolist() == [x, y, x + width, y + height]
        matrix = person.region.matrix((96, 64))
        inside = pose.keypoints[0] @ matrix[:, :2].T + matrix[:, 2]
        assert np.abs(inside - places.numpy()).max() <= 2 + 1e-3


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64])
def test_people_of_several_photographs_in_one_batch(batch_size: int) -> None:
    predictor = load()
    predictor.module.double()
    images = [photograph(seed) for seed in range(5)]
    boxes = [BOXES[:2], BOXES[:0], BOXES, BOXES[1:2], BOXES[:0]]
    sizes: list[int] = []
    predictor.module.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = predictor.predict(images, batch_size=batch_size, boxes_xywh=boxes)
    assert [len(poses) for poses in found] == [2, 0, 3, 1, 0]
    assert sum(sizes) == 2 * 6  # with mirror images
    assert max(sizes) <= batch_size
    for image, of_image, poses in zip(images, boxes, found, strict=True):
        assert np.allclose(poses.boxes[:, :2], of_image[:, :2])
        for row, box in enumerate(of_image):
            (alone,) = predictor.predict(image, boxes_xywh=[box[None]])
            assert np.allclose(alone.keypoints[0], poses.keypoints[row], atol=1e-4)


def test_photographs_without_people_do_not_pile_up() -> None:
    """Those behind one whose people wait for a batch are read at most as many as a batch has."""
    read, recipe = 0, load().recipe
    model = load().module

    def photographs() -> Any:
        nonlocal read
        for number in range(30):
            read += 1
            people = PersonBoxes(BOXES[:1], np.ones(1)) if number == 0 else NOBODY
            yield number, prepare_people(photograph(), people, recipe.input)

    found = estimate(model, photographs(), 4, build_categories(recipe))
    assert next(found)[0] == 0
    assert read == 4
    assert [key for key, _ in found] == list(range(1, 30))


def test_score_threshold_leaves_people_out(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    rows = [f'{{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": {score}}}' for score in (0.9, 0.2)]
    path.write_text(f"[{', '.join(rows)}]")
    Image.fromarray(photograph()).save(tmp_path / "1.png")
    predictor = load()
    assert [len(p) for p in predictor.predict(tmp_path / "1.png", boxes_xywh=path)] == [2]
    (poses,) = predictor.predict(tmp_path / "1.png", boxes_xywh=path, score_threshold=0.5)
    assert poses.box_scores.tolist() == [pytest.approx(0.9)]


def test_a_detector_tells_where_people_are() -> None:
    small = {"model.backbone": {"depth": 14, "planes": 16}, "model.fpn_channels": 16, "model.box_channels": 16}
    name = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
    detector = splitnest.load(name, weights=None, device="cpu", overrides={**small, "input.short_side": 64})
    predictor = load()
    (poses,) = predictor.predict(photograph(), detector=detector)
    (found,) = detector.predict(photograph())
    people = found[(found.labels == 0) & (found.scores >= 0.3)]
    assert len(poses) == len(people)
    dogs = splitnest.load(name, weights=None, device="cpu", overrides={**small, "data.classes": ["dog"]})
    with pytest.raises(splitnest.UsageError, match="has no class 'person'"):
        predictor.predict(photograph(), detector=dogs)
    segmentor = splitnest.load("fcn_resnest101_d8_cityscapes", weights=None, device="meta", overrides={
        "model.backbone": {"depth": 14, "planes": 16}, "model.head_channels": 8})  # fmt: skip
    for other in (segmentor, predictor):
        with pytest.raises(splitnest.UsageError, match="finds nobody"):
            predictor.predict(photograph(), detector=other)
    with pytest.raises(splitnest.UsageError, match="only a pose estimator takes people"):
        detector.predict(photograph(), boxes_xywh=[BOXES])
    with pytest.raises(splitnest.UsageError, match="has no test-time augmentation"):
        predictor.predict(photograph(), boxes_xywh=[BOXES], tta=True)


def test_loss_by_its_definition() -> None:
    predictor = load()
    module = predictor.module.double().train()
    points = np.random.default_rng(0).uniform(0, 64, (17, 3))
    points[::3, 2] = 0
    batch = predictor.batch([photograph(0, 96, 64), photograph(1, 96, 64)], keypoints=[points, points])
    loss = module.loss(batch)["loss_heatmap"]
    torch.manual_seed(0)
    heatmaps = module(batch.images)
    targets, weights = encode(batch.keypoints, (24, 16), 4, 2.0)
    assert weights[:, ::3].sum() == 0
    expected = ((heatmaps - targets) ** 2)[weights > 0].sum() / heatmaps.numel()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    with pytest.raises(ValueError, match="no keypoints to learn from"):
        module.loss(collate([torch.zeros(3, 96, 64, dtype=torch.float64)]))


def test_recipes_that_cannot_be() -> None:
    for changes, message in (
        ({"input.height": 100}, "multiple of 32"),
        ({"data.classes": ["a", "b"]}, "a pose estimator is of one"),
        ({"data.format": "voc"}, "has no keypoints"),
        ({"model.deconv_channels": [8] * 5, "model.backbone.output_stride": 8}, "heatmaps would be larger"),
    ):
        with pytest.raises(splitnest.UsageError, match=message):
            people_tree.recipe_of({}, **changes)
