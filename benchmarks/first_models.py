"""Processor seconds of a prediction with the models that the README proposes, on one thread.

python benchmarks/first_models.py
"""

import statistics
import time

import numpy as np
import torch

import splitnest
from splitnest.data.scenes import Scenes

POSE = "simplebaseline_resnest50_256x192_coco.mmpose"
MODELS = (
    "resnest50_imagenet.official",
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "panoptic_fpn_resnest200_3x_coco.detectron2",
    "deeplabv3_resnest101_d8_ade20k.mmseg",
    POSE,
)
ROUNDS = 3


def main() -> None:
    torch.set_num_threads(1)
    image = Scenes(1, (480, 640), seed=1)[0].image
    for name in MODELS:
        model = splitnest.load(name, weights=None, device="cpu", fast=True, precision="bf16")
        options = {"boxes_xywh": [np.array([[100.0, 50.0, 200.0, 400.0]])]} if name == POSE else {}
        model.predict(image, **options)
        seconds = []
        for _ in range(ROUNDS):
            start = time.process_time()
            model.predict(image, **options)
            seconds.append(time.process_time() - start)
        print(f"{name:<45} {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
