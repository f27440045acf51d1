"""Time from the start of Python to the first prediction, beyond ``import torch``, also of detectron2.

    python benchmarks/first_prediction.py [--runs 7]

Classification: import, build, load ResNeSt-50 from a file and predict one image of 224x224 pixels. Detection: import
and build Mask R-CNN ResNeSt-50-FPN, and the same of detectron2 (``detectron2_peer.py`` says what to install; without it
its row is omitted). Each run is a process of its own, in turn. It prints the table of ``docs/performance.md``.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measuring import in_turn, machine
from PIL import Image

HERE = Path(__file__).parent
CLASSIFIER, DETECTOR = "resnest50_imagenet.official", "mask_rcnn_resnest50_fpn_1x_coco.detectron2"

TORCH = "import torch"
CLASSIFICATION = """
import splitnest
model = splitnest.load("{weights}", device="cpu")
model.predict("{image}")
"""
BUILD = f"""
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
build_model(resolve("{DETECTOR}")[0]).eval()
"""
PEER = f"""
import sys
sys.path.insert(0, "{HERE}")
from detectron2_peer import peer_config
from detectron2.modeling import build_model
build_model(peer_config()).eval()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder)
        given = {"weights": folder / "resnest50.safetensors", "image": folder / "image.png"}
        codes = {
            "import torch": TORCH,
            "classification: import, build, load, predict": CLASSIFICATION.format(**given),
            "detection: import and build": BUILD,
        }
        if importlib.util.find_spec("detectron2") is not None:
            codes["detectron2: import and build"] = PEER
        medians = in_turn({title: partial(start, code) for title, code in codes.items()}, arguments.runs)
    print("| | seconds | beyond import torch |\n|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {median:.2f} | {median - medians['import torch']:.2f} |")
    print(f"\n{machine()}")


def start(code: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)


def save(folder: Path) -> None:
    """Write the image and the weights."""
    code = f"""
import splitnest
from splitnest.weights import save
model = splitnest.load("{CLASSIFIER}", weights=None, device="cpu")
save.save(model.module, model.recipe, "{folder / "resnest50.safetensors"}")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")


if __name__ == "__main__":
    main()
