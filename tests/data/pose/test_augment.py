"""Training samples of pose estimation: flip, half-body crop, shift, scale, rotation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import person_tree
from splitnest.data.pose.augment import HALF_BODY_PADDING, AnnotatedPerson, augment
from splitnest.data.pose.crop import crop as crop_region
from splitnest.data.pose.crop import crop_matrix
from splitnest.data.pose.training_set import PoseTrainingSet
from splitnest.recipe import PoseTraining
from splitnest.structures.person import CropRegion
from splitnest.structures.skeleton import COCO
from splitnest.tasks import task_of

UNCHANGED = {"flip": 0, "half_body": 0, "shift": 0, "scale": 0, "rotation": 0}


def train_config(**changes: Any) -> PoseTraining:
    return PoseTraining(**{"epochs": 1, "lr": 0.1, **UNCHANGED, **changes})


def dotted_person(num_labeled: int = 17) -> AnnotatedPerson:
    """Return a person with a white dot at each keypoint."""
    rng = np.random.default_rng(3)
    pixels, keypoints = np.zeros((90, 120, 3), np.uint8), np.zeros((17, 3), np.float32)
    for k, place in enumerate(rng.permutation(20 * 15)[:num_labeled]):
        x, y = 12 + 5 * (place % 20), 10 + 5 * (place // 20)
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
        keypoints[k] = [x, y, 1]
    region = CropRegion(np.array([60, 45], np.float32), np.array([100, 70], np.float32))
    return AnnotatedPerson(pixels, region, keypoints)


def test_augmentation_without_random_changes_is_the_identity() -> None:
    before = dotted_person()
    after = augment(before, COCO, train_config(), np.random.default_rng(0))
    assert (after.region.center.tolist(), after.region.size.tolist(), after.region.rotation) == ([60, 45], [100, 70], 0)
    assert (after.keypoints == before.keypoints).all()


def test_keypoints_stay_on_their_pixels() -> None:
    """After any augmentation there is a white dot at each keypoint inside the crop."""
    train_cfg = train_config(flip=0.5, half_body=0.5, shift=0.2, scale=0.3, rotation=80)
    for seed in range(20):
        changed = augment(dotted_person(), COCO, train_cfg, np.random.default_rng(seed))
        region = changed.region.with_aspect_ratio(192 / 256)
        crop, matrix = crop_region(changed.pixels, region, (256, 192)), crop_matrix(region, (256, 192))
        num_inside = 0
        for x, y, _ in changed.keypoints:
            column, row = np.rint(matrix[:, :2] @ [x, y] + matrix[:, 2]).astype(int)
            if 4 <= row < 252 and 4 <= column < 188:
                num_inside += 1
                assert crop[row, column].min() > 180, seed
        assert num_inside >= 3, seed


def test_horizontal_flip_swaps_left_and_right() -> None:
    before = dotted_person()
    after = before.flipped(COCO)
    assert after.keypoints[1].tolist() == [119 - before.keypoints[2, 0], before.keypoints[2, 1], 1]
    assert after.region.center.tolist() == [59, 45]
    back = after.flipped(COCO)
    assert (back.keypoints == before.keypoints).all()
    assert (back.pixels == before.pixels).all()


def test_half_body_crops_are_of_the_upper_or_lower_body() -> None:
    halves = {"upper": 0, "lower": 0}
    lower = list(COCO.lower_body)
    upper = [k for k in range(17) if k not in lower]
    before = dotted_person()
    for seed in range(200):
        after = augment(before, COCO, train_config(half_body=1), np.random.default_rng(seed))
        for name, rows in (("upper", upper), ("lower", lower)):
            points = before.keypoints[rows, :2]
            if np.allclose(after.region.center, points.mean(axis=0)):
                halves[name] += 1
                assert np.allclose(after.region.size, (points.max(axis=0) - points.min(axis=0)) * HALF_BODY_PADDING)
    assert sum(halves.values()) == 200
    assert 0.6 < halves["upper"] / 200 < 0.8
    for num_labeled in (0, 8):
        few = dotted_person(num_labeled)
        assert augment(few, COCO, train_config(half_body=1), np.random.default_rng(0)).region is not None
        assert augment(few, COCO, train_config(half_body=1), np.random.default_rng(0)).region.size.tolist() == [100, 70]


def test_random_changes_have_the_published_distributions() -> None:
    train_cfg = train_config(shift=0.16, shift_probability=0.3, scale=0.5, rotation=80, rotation_probability=0.6)
    regions = [augment(dotted_person(), COCO, train_cfg, np.random.default_rng(seed)).region for seed in range(500)]
    angles = np.array([region.rotation for region in regions])
    scales = np.array([region.size[0] / 100 for region in regions])
    shifts = np.array([(region.center - [60, 45]) / [100, 70] for region in regions])
    assert (abs(angles).max(), scales.min() >= 0.5, scales.max() <= 1.5) == (pytest.approx(78, abs=2), True, True)
    assert abs(shifts).max() == pytest.approx(0.155, abs=0.005)
    assert (angles == 0).mean() == pytest.approx(0.4, abs=0.06)
    assert (shifts == 0).all(axis=1).mean() == pytest.approx(0.7, abs=0.06)
    assert scales.std() == pytest.approx(0.27, abs=0.02)  # 0.5 times that of a normal distribution truncated at 1: 0.54


def test_sample_is_the_crop_of_a_person(tmp_path: Path) -> None:
    recipe = person_tree.recipe_of(person_tree.write(tmp_path), train=UNCHANGED)
    dataset = task_of(recipe).open_dataset(recipe, "train")
    samples = PoseTrainingSet(dataset, recipe)
    assert len(samples) == 2
    assert samples.sizes_hw.tolist() == [[64, 64]] * 2
    sample = samples[0, 1]
    assert (sample.image.shape, sample.name, sample.original_size) == ((3, 64, 64), "annotation 4 of 8.png", (40, 60))
    # The box is 24 x 20 around (22, 18), so the crop is 30 pixels wide around it.
    expected = [[(x - 22) / 30 * 64 + 32, (y - 18) / 30 * 64 + 32] for x, y in ((10, 12), (30, 14))]
    assert np.allclose(sample.keypoints[:2, :2], expected, atol=1e-3)
    assert sample.keypoints[:, 2].tolist() == [1, 1, 0]
    augmented = PoseTrainingSet(dataset, person_tree.recipe_of({**recipe.data.model_dump()}, train={"seed": 3}))
    assert torch.equal(augmented[5, 1].image, augmented[5, 1].image)
    assert not torch.equal(augmented[5, 1].image, augmented[6, 1].image)
