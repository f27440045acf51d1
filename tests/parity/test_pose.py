"""Pose models against recordings of mmpose."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import splitnest
from helpers import oracle
from helpers.ordinary import marked, names_of
from helpers.paths import INPUTS
from splitnest.data.images.warp import warp_points
from splitnest.data.pose.crop import crop as crop_region
from splitnest.data.pose.crop import crop_matrix, crop_people
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.models.backbones.hrnet import HRNet
from splitnest.models.layers.resize_concat import resize_concat
from splitnest.structures.batch import Batch, collate

MODELS = [
    "simplebaseline_resnest50_256x192_coco.mmpose",
    pytest.param("simplebaseline_resnest101_384x288_coco.mmpose", marks=pytest.mark.parity),
    *marked(names_of("mmpose"), []),
]
TRAINED = [
    "simplebaseline_resnest50_256x192_coco.mmpose",
    *(name for name in names_of("mmpose") if oracle.exists(f"{name}.train")),
]


def batch_of(record: dict[str, Any], predictor: splitnest.Predictor) -> Batch:
    """Return the batch of the crops of the recorded persons, after their regions and pixels were checked."""
    input_cfg, crops, people, sizes = predictor.recipe.input, [], [], []
    for row in record["people"]:
        image = oracle.image(Path(row["image"]).stem)
        x, y, width, height = row["box_xywh"]
        boxes = PersonBoxes(np.array([[x, y, x + width, y + height]]), np.ones(1))
        prepared = crop_people(image, boxes, input_cfg, torch.promote_types(predictor.dtype, torch.float32))
        (person,) = prepared.people
        assert person.region.center.tolist() == pytest.approx(row["center"], abs=0)
        assert person.region.size.tolist() == pytest.approx(row["scale"], abs=0)
        pixels = crop_region(image, person.region, input_cfg.size_hw, input_cfg.udp)[..., ::-1].transpose(2, 0, 1)
        assert oracle.distance(torch.from_numpy(pixels.copy()), row["crop_uint8_bgr"]) == 0
        crops.append(prepared.inputs[0])
        people.append(person)
        sizes.append(prepared.original_size)
    return collate(crops, sizes, people=people)


def keypoints_of(record: dict[str, Any], batch: Batch, udp: bool) -> list[torch.Tensor]:
    """Return the keypoints of the recorded persons in pixels of their crops."""
    scenes = {row["file"]: row for row in json.loads((INPUTS / "scenes.json").read_text())["images"]}
    keypoints = []
    for row, person in zip(record["people"], batch.people or (), strict=True):
        points = np.array(scenes[row["image"]]["objects"][row["object_index"]]["keypoints"], np.float32).reshape(-1, 3)
        points = points[
            np.arange(len(record.get("keypoints", points))) % len(points)
        ]  # in turn, where a network has more
        matrix = crop_matrix(person.region, (batch.images.shape[2], batch.images.shape[3]), udp)
        moved = np.column_stack([warp_points(points[:, :2], matrix), points[:, 2] > 0])
        keypoints.append(torch.from_numpy(moved.astype(np.float32)))
    return keypoints


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, tmp_path: Path) -> None:
    """Crops are equal to the bit; stages, and keypoints of the flip test in pixels of the image, agree."""
    record, recorded = oracle.recording(name), oracle.results(name)
    predictor = oracle.model(name, tmp_path)
    if isinstance(predictor.module.backbone, HRNet):  # in float32, the sums of two memory formats differ by over 1e-4
        predictor.module.double()
    batch = batch_of(record, predictor)
    outputs = oracle.record_outputs(backbone=predictor.module.backbone, heatmaps=predictor.module.head)
    boxes = [np.array([row["box_xywh"]]) for row in record["people"]]
    images = [oracle.image(Path(row["image"]).stem) for row in record["people"]]
    results = predictor.predict(images, batch_size=len(batch), boxes_xywh=boxes)
    features = resize_concat([outputs["backbone"][name] for name in predictor.module.levels])
    stages = {"input": batch.images, "c5": features, "heatmaps": outputs["heatmaps"]}  # c5: what the head takes
    for stage, values in record["features"].items():
        assert oracle.distance(stages[stage], values) < 1e-4, stage
    keypoints = np.concatenate([poses.keypoints for poses in results])
    stable = recorded.get("stable", np.ones(keypoints.shape[:2], bool))  # of others no decoder is a function
    flips = np.array(record.get("flip_indices", range(keypoints.shape[1])))
    swapped = flips[flips] == np.arange(len(flips))  # one keypoint of DeepFashion2 is not
    stable = stable & swapped
    assert stable.mean() > 0.5
    differences = np.abs(keypoints - recorded["keypoints"])[stable]
    assert np.median(differences) < 1e-3
    # DARK and UDP divide by second differences of the logarithm: stable keypoints move by less than 0.05 pixel with a
    # noise of 1e-5, and the recorded float32 heatmaps of HRNets differ by 4e-5 from those of float64
    bound = 0.2 if isinstance(predictor.module.backbone, HRNet) else 0.05
    assert differences.max() < (1e-3 if predictor.recipe.model.codec == "msra" else bound)
    scores = np.concatenate([poses.scores for poses in results])
    assert np.abs(scores - recorded["scores"])[:, swapped].max() < max(
        1e-5, 1e-4 * record["features"]["heatmaps"]["std"]
    )


@pytest.mark.parity
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(name: str, tmp_path: Path) -> None:
    record, recorded = oracle.recording(name), oracle.recording(f"{name}.train")
    predictor = oracle.model(name, tmp_path)
    module = predictor.module.double().train()
    batch = batch_of(record, predictor)
    points, codec = keypoints_of(record, batch, predictor.recipe.input.udp), predictor.module.codec
    size_hw = tuple(recorded["target_heatmaps"]["shape"][2:])
    heatmaps, weights = codec.encode(torch.stack(points), size_hw, predictor.recipe.input.size_hw)
    assert oracle.distance(heatmaps, recorded["target_heatmaps"]) < 1e-5
    assert weights.tolist() == recorded["target_weights"]
    loss = module.loss(collate(list(batch.images), batch.original_sizes, keypoints=points))["loss_heatmap"]
    loss.backward()
    assert loss.item() == pytest.approx(recorded["losses"]["loss_kpt"], rel=1e-5)
    oracle.check_gradients(module, name)
