"""Images per second of `splitnest scan` with one process and with two, beside `predict` in a stream.

    pip install 'splitnest[scan]'
    python benchmarks/scan.py [--rounds 3]

Drawn scenes of 640x480 in tar files; ResNeSt-50 at 224x224 in batches of 8, Mask R-CNN ResNeSt-50 one by one.
A case is measured with 2 and with 8 shards; the difference leaves the start of the processes out. The cases take turns.
Each process has as many threads as there are cores for it, or one.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from detectron2_peer import NAME
from measuring import machine
from PIL import Image

from splitnest import load
from splitnest.data.scenes import Scenes
from splitnest.weights import save

MODELS = {"resnest50d_imagenet.timm": (8, 50), NAME: (1, 2)}
"""Name -> batch size and images of a shard."""

SHARDS = 2, 8
"""Number of shards of the short and of the long measurement; both even, for two processes."""

PREDICT = """
import sys, tarfile, io, time
from pathlib import Path
from PIL import Image
import splitnest
model = splitnest.load(sys.argv[1], device="cpu")
def images():
    for path in sys.argv[3:]:
        with tarfile.open(path) as file:
            for member in file:
                yield Image.open(io.BytesIO(file.extractfile(member).read()))
for result in model.predict(images(), batch_size=int(sys.argv[2]), stream=True):
    result.to_dict()
"""
"""Script of the comparison: prediction, and the results as the command line writes them."""


def write_shards(folder: Path, count: int, per_shard: int) -> list[Path]:
    """Write tar files of JPEG images."""
    paths = []
    scenes = Scenes(per_shard, (480, 640), seed=7)
    files = []
    for scene in scenes:
        file = io.BytesIO()
        Image.fromarray(scene.image).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    for shard in range(count):
        paths.append(folder / f"data-{shard:04d}.tar")
        with tarfile.open(paths[-1], "w") as tar:
            for number, content in enumerate(files):
                info = tarfile.TarInfo(f"{shard:04d}/{number:06d}.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return paths


def commands(checkpoint: Path, batch_size: int, shards: list[Path], out: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield title and command of each case."""
    names = list(map(str, shards))
    yield "predict", [sys.executable, "-c", PREDICT, str(checkpoint), str(batch_size), *names]
    for devices, title in ((1, "scan"), (1, "scan, one thread"), (2, "scan, two processes")):
        command = [sys.executable, "-m", "splitnest", "scan", str(checkpoint), *names, "--out", str(out / title)]
        yield title, [*command, "--batch-size", str(batch_size), "--devices", str(devices)]


def seconds(title: str, command: list[str]) -> float:
    """Return the seconds of a command on the CPU."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if title.endswith("one thread") else None
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(name: str, folder: Path, rounds: int) -> None:
    batch_size, per_shard = MODELS[name]
    checkpoint = folder / f"{name}.safetensors"
    model = load(name, weights=None, device="cpu")
    save.save(model.module, model.recipe, checkpoint)
    del model
    few, many = SHARDS
    shards = write_shards(folder, many, per_shard)
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for (title, short), (_, long) in zip(
            *(
                list(commands(checkpoint, batch_size, given, Path(tempfile.mkdtemp(dir=folder))))
                for given in (shards[:few], shards)
            ),
            strict=True,
        ):
            marginal = seconds(title, long) - seconds(title, short)
            rates.setdefault(title, []).append((many - few) * per_shard / marginal)
    reference = statistics.median(rates["predict"])
    for title, found in rates.items():
        rate = statistics.median(found)
        print(f"{name}: {title}: {rate:.2f} images/s ({rate / reference:.2f} of predict)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{machine()}, {os.cpu_count()} cores, {rounds} rounds")
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder), rounds)


if __name__ == "__main__":
    main()
