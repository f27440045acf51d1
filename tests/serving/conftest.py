"""A service of a small detector that the tests share."""

from collections.abc import Iterator

import pytest
import torch

from helpers.families import load_small, randomize_detections, randomize_norms
from helpers.service import Client, running
from splitnest.inference.predictor import Predictor

NAME = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


@pytest.fixture(scope="session")
def detector() -> Predictor:
    torch.manual_seed(0)
    predictor = randomize_norms(load_small(NAME))
    randomize_detections(predictor.module, 3.0)
    return predictor


@pytest.fixture(scope="package")
def client(detector: Predictor) -> Iterator[Client]:
    with running({"small": detector}) as client:
        yield client
