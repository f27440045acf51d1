"""People as a pose estimator is trained on them: augmentation, samples, a whole training."""

from pathlib import Path
from typing import Any

import numpy as np
import people_tree
import pytest
import torch
from PIL import Image

import splitnest
from splitnest.build import build_categories, build_model
from splitnest.data.people import open_people
from splitnest.data.person_crop import Region
from splitnest.data.pose_augment import HALF_BODY_PADDING, PosedPerson, augment
from splitnest.data.pose_training import PoseTrainingSet
from splitnest.data.skeleton import COCO
from splitnest.recipe import PoseTraining, overrides
from splitnest.trainer import plan
from splitnest.training.start import start_weights
from splitnest.weights import save

PLAIN = {"flip": 0, "half_body": 0, "shift": 0, "scale": 0, "rotation": 0}


def facts(**changes: Any) -> PoseTraining:
    return PoseTraining(**{"length": 1, "learning_rate": 0.1, **PLAIN, **changes})


def person(labelled: int = 17) -> PosedPerson:
    """Return somebody with a white dot at each keypoint."""
    rng = np.random.default_rng(3)
    pixels, keypoints = np.zeros((90, 120, 3), np.uint8), np.zeros((17, 3), np.float32)
    for k, place in enumerate(rng.permutation(20 * 15)[:labelled]):
        x, y = 12 + 5 * (place % 20), 10 + 5 * (place // 20)
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
        keypoints[k] = [x, y, 1]
    region = Region(np.array([60, 45], np.float32), np.array([100, 70], np.float32))
    return PosedPerson(pixels, region, keypoints)


def test_nothing_is_changed_where_nothing_is_asked_for() -> None:
    before = person()
    after = augment(before, COCO, facts(), np.random.default_rng(0))
    assert (after.region.center.tolist(), after.region.size.tolist(), after.region.rotation) == ([60, 45], [100, 70], 0)
    assert (after.keypoints == before.keypoints).all()


@pytest.mark.parametrize("seed", range(20))
def test_keypoints_stay_on_their_pixels(seed: int, tmp_path: Path) -> None:
    """Whatever is done: at each keypoint inside the crop, there is its dot."""
    train = facts(flip=0.5, half_body=0.5, shift=0.2, scale=0.3, rotation=80)
    input_facts = people_tree.recipe_of({}).input.model_copy(update={"height": 256, "width": 192})
    changed = augment(person(), COCO, train, np.random.default_rng(seed))
    region = changed.region.of_shape(input_facts)
    crop, matrix = region.cut(changed.pixels, (256, 192)), region.matrix((256, 192))
    seen = 0
    for x, y, _ in changed.keypoints:
        column, row = np.rint(matrix[:, :2] @ [x, y] + matrix[:, 2]).astype(int)
        if 4 <= row < 252 and 4 <= column < 188:
            seen += 1
            assert crop[row, column].min() > 180
    assert seen >= 3


def test_mirror_swaps_sides() -> None:
    before = person()
    after = before.mirrored(COCO)
    assert after.keypoints[1].tolist() == [119 - before.keypoints[2, 0], before.keypoints[2, 1], 1]
    assert after.region.center.tolist() == [59, 45]
    back = after.mirrored(COCO)
    assert (back.keypoints == before.keypoints).all()
    assert (back.pixels == before.pixels).all()


def test_half_bodies() -> None:
    halves = {"upper": 0, "lower": 0}
    lower = list(COCO.lower_body)
    upper = [k for k in range(17) if k not in lower]
    before = person()
    for seed in range(200):
        after = augment(before, COCO, facts(half_body=1), np.random.default_rng(seed))
        for name, rows in (("upper", upper), ("lower", lower)):
            points = before.keypoints[rows, :2]
            if np.allclose(after.region.center, points.mean(axis=0)):
                halves[name] += 1
                assert np.allclose(after.region.size, (points.max(axis=0) - points.min(axis=0)) * HALF_BODY_PADDING)
    assert sum(halves.values()) == 200
    assert 0.6 < halves["upper"] / 200 < 0.8
    for labelled in (0, 8):
        few = person(labelled)
        assert augment(few, COCO, facts(half_body=1), np.random.default_rng(0)).region is not None
        assert augment(few, COCO, facts(half_body=1), np.random.default_rng(0)).region.size.tolist() == [100, 70]


def test_ranges() -> None:
    train = facts(shift=0.16, shift_probability=0.3, scale=0.5, rotation=80, rotation_probability=0.6)
    regions = [augment(person(), COCO, train, np.random.default_rng(seed)).region for seed in range(500)]
    angles = np.array([region.rotation for region in regions])
    scales = np.array([region.size[0] / 100 for region in regions])
    shifts = np.array([(region.center - [60, 45]) / [100, 70] for region in regions])
    assert (abs(angles).max(), scales.min() >= 0.5, scales.max() <= 1.5) == (pytest.approx(78, abs=2), True, True)
    assert abs(shifts).max() == pytest.approx(0.155, abs=0.005)
    assert (angles == 0).mean() == pytest.approx(0.4, abs=0.06)
    assert (shifts == 0).all(axis=1).mean() == pytest.approx(0.7, abs=0.06)
    assert scales.std() == pytest.approx(0.27, abs=0.02)  # of a normal distribution cut at one deviation: 0.54 x 0.5


def test_samples(tmp_path: Path) -> None:
    recipe = people_tree.recipe_of(people_tree.write(tmp_path), train=PLAIN)
    dataset = open_people(recipe, "train", build_categories(recipe))
    samples = PoseTrainingSet(dataset, recipe)
    assert len(samples) == 2
    assert samples.sizes_hw.tolist() == [[64, 64]] * 2
    sample = samples[0, 1]
    assert (sample.image.shape, sample.name, sample.original_size) == ((3, 64, 64), "annotation 4 of 8.png", (40, 60))
    # The box is 24 x 20 around (22, 18), so the crop is 30 pixels wide around it.
    expected = [[(x - 22) / 30 * 64 + 32, (y - 18) / 30 * 64 + 32] for x, y in ((10, 12), (30, 14))]
    assert np.allclose(sample.keypoints[:2, :2], expected, atol=1e-3)
    assert sample.keypoints[:, 2].tolist() == [1, 1, 0]
    augmented = PoseTrainingSet(dataset, people_tree.recipe_of({**recipe.data.model_dump()}, train={"seed": 3}))
    assert torch.equal(augmented[5, 1].image, augmented[5, 1].image)
    assert not torch.equal(augmented[5, 1].image, augmented[6, 1].image)


def small_training(root: Path, **train: Any) -> dict[str, Any]:
    scenes = {"train_count": 6, "val_count": 2, "height": 120, "width": 160}
    given = {"batch_size": 4, "length": 2, "unit": "iteration", "milestones": [], "start": None, "workers": 0}
    return {
        **people_tree.SMALL,
        "data": {"format": "scenes", "scenes": scenes, "keypoints": "coco", "classes": ["person"]},
        "train": {**given, "warmup_steps": 0, "evaluate_every": 2, "learning_rate": 0.002, **train},
    }


def test_a_whole_training_and_its_resumption(tmp_path: Path) -> None:
    name = "simplebaseline_resnest50_256x192_coco"
    values = small_training(tmp_path, length=4, evaluate_every=4)
    whole = splitnest.train(name, values, out=tmp_path / "whole", device="cpu")
    assert set(whole.metrics) >= {"ap", "ap50", "ar"}
    with Image.open(tmp_path / "whole" / "predictions.jpg") as page:
        assert page.size[0] > 400
    again = splitnest.load(whole.last, device="cpu")
    assert again.recipe.data.keypoints == "coco"
    assert splitnest.evaluate(again)["ap"] == whole.metrics["ap"]
    steps = [line for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines() if "loss_heatmap" in line]
    assert steps


def test_overrides_come_before_the_file_is_asked(tmp_path: Path) -> None:
    """Keypoints of a recipe without data are those of the file that the command line names."""
    content = people_tree.content()
    content["categories"][0]["sigmas"] = [0.3, 0.2, 0.1]
    data = people_tree.write(tmp_path, content)
    recipe = people_tree.recipe_of({"keypoints": {"names": people_tree.NAMES, "sigmas": None}, "root": "/nowhere"})
    (tmp_path / "r.yaml").write_text(overrides.dump_yaml(recipe))
    text = plan(tmp_path / "r.yaml", {f"data.{key}": value for key, value in data.items() if key != "keypoints"} | {
        "train.batch_size": 2, "train.start": None})  # fmt: skip
    assert "sigmas: [0.3, 0.2, 0.1]" in text
    assert "limbs: [[nose, left_hand], [nose, right_hand]]" in text


def test_dry_run(tmp_path: Path) -> None:
    recipe = people_tree.recipe_of(people_tree.write(tmp_path), train={"batch_size": 2, "start": None})
    (tmp_path / "r.yaml").write_text(overrides.dump_yaml(recipe))
    text = plan(tmp_path / "r.yaml")
    assert "2 of 4 people in 3 photographs" in text
    assert "memory of a step" in text


def test_fine_tuning_to_other_keypoints(tmp_path: Path) -> None:
    base = people_tree.recipe_of({"keypoints": "coco", "classes": ["person"]})
    source = build_model(base)
    save.save(source, base, tmp_path / "coco.safetensors")
    target = build_model(people_tree.recipe_of({}))
    report = start_weights(target, str(tmp_path / "coco.safetensors"))
    assert "re-initialised: 17 keypoints in the file, 3 in the model" in report
    assert torch.equal(
        target.state_dict()["head.deconvs.2.conv.weight"], source.state_dict()["head.deconvs.2.conv.weight"]
    )


def test_a_stem_of_another_width_starts_anew(tmp_path: Path) -> None:
    """As the published models of 101 layers and more began: their stem is narrower than that of ImageNet's weights."""
    backbone = {"depth": 14, "planes": 16, "stem_width": 32}
    wide = overrides.apply(splitnest.recipes.get("resnest50_imagenet.official"), {"model": {"backbone": backbone}})
    save.save(build_model(wide), wide, tmp_path / "wide.safetensors")
    report = start_weights(build_model(people_tree.recipe_of({})), str(tmp_path / "wide.safetensors"))
    assert "start: the backbone alone" in report
    assert "stem.0.conv.weight [32, 3, 3, 3] in the file, [16, 3, 3, 3] in the model" in report
