"""Annotation file of COCO's size: time and memory of opening it for training, and memory of the workers.

    python benchmarks/coco_scale.py [--images 118287] [--instances 860000] [--steps 2000] [--workers 4]

Bounds: it opens in under 25 s with a peak of 1.5 GB in the main process; each worker adds under 150 MB over 2000
batches.

The file is generated from a fixed seed in the format of ``instances_train2017.json``. Polygon lengths are distributed
as in a sample of it: the logarithm of the number of points is normal with mean 2.7 and standard deviation 0.73; there
are 1.1 polygons per instance, and 1.2% crowds with uncompressed RLE. The 4096 different outlines repeat. All records
name one image of 640x480 pixels, which is resized to 128x96 for the network, so that memory is that of the index and
not of large images. Batches are those of the published recipe, 16 images. The memory that a worker adds is the increase
of the proportional set size (PSS) of all processes over that of the main process before the workers started, divided by
their number, without the pages of library files, which other programs may share. Linux only.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from splitnest import zoo
from splitnest.recipe import overrides
from splitnest.structures.class_tables import class_table
from splitnest.training.batches import open_training

MODEL = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
WIDTH, HEIGHT = 640, 480
FILE_NAME = "000000000001.jpg"
OUTLINES = 4096
CROWDS = 0.012
WARMUP = 20
"""Number of batches before memory is first measured: all workers have made some."""

SHARED = ("smaps_rollup", "Pss_Anon", "Pss_Shmem")
PRIVATE = ("smaps_rollup", "Private_Clean", "Private_Dirty")

MAX_SECONDS, MAX_PEAK_MB, MAX_WORKER_MB = 25.0, 1500.0, 150.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--instances", type=int, default=860_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--measure", type=Path, help="measure the dataset in this folder in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.steps, arguments.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.images, arguments.instances)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--measure", folder], check=True)


def measure(folder: Path, steps: int, workers: int) -> None:
    """Open the dataset, take batches, and print time and memory."""
    values = {"data.root": str(folder), "data.train_images": ".", "data.train_annotations": "train.json"}
    small = {"train.short_sides": [HEIGHT // 5], "train.long_side": WIDTH // 5, "train.workers": workers}
    recipe = overrides.apply(zoo.get(MODEL), values | small)
    before, start = memory_mb("self", "status", "VmRSS"), time.perf_counter()
    data = open_training(recipe)
    seconds, peak = time.perf_counter() - start, memory_mb("self", "status", "VmHWM")
    print(f"opened in {seconds:.1f} s: {verdict(seconds, MAX_SECONDS)} {MAX_SECONDS:.0f} s")
    print(f"peak {peak:.0f} MB ({before:.0f} MB before): {verdict(peak, MAX_PEAK_MB)} {MAX_PEAK_MB:.0f} MB")
    alone = memory_mb("self", *SHARED)
    instances = f"{data.training_set.num_instances} instances in {len(data.training_set)} images"
    print(f"then {alone:.0f} MB without library files; {instances}")
    start, batches = time.perf_counter(), data.steps(0)
    for step in range(1, steps + 1):
        next(batches)
        if step in (WARMUP, steps):
            processes = [str(child.pid) for child in multiprocessing.active_children()]
            private = [memory_mb(process, *PRIVATE) for process in processes]
            total = sum(memory_mb(process, *SHARED) for process in ("self", *processes))
            added = (total - alone) / workers
            sizes = ", ".join(f"{size:.0f}" for size in private)
            print(f"after {step} batches: {added:.0f} MB added per worker; private memory of each {sizes} MB")
    print(f"{verdict(added, MAX_WORKER_MB)} {MAX_WORKER_MB:.0f} MB per worker; {time.perf_counter() - start:.0f} s")


def memory_mb(process: str, file: str, *fields: str) -> float:
    """Return the sum of some fields of a file in ``/proc/<process>`` in megabytes."""
    rows = (line.split() for line in Path("/proc", process, file).read_text().splitlines()[1:])
    return sum(int(row[1]) * 1024 for row in rows if row[0].rstrip(":") in fields) / 1e6


def verdict(value: float, bound: float) -> str:
    return "under" if value < bound else "NOT UNDER"


def write(folder: Path, num_images: int, num_instances: int) -> None:
    """Write the dataset."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)).resize((WIDTH, HEIGHT)).save(
        folder / FILE_NAME
    )
    image_ids = rng.choice(600_000, num_images, replace=False).tolist()
    categories = [
        {"supercategory": "thing", "id": category.id, "name": category.name} for category in class_table("coco")
    ]
    outlines = [crowd(rng) if rng.random() < CROWDS else polygons(rng) for _ in range(OUTLINES)]
    with (folder / "train.json").open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "as large as COCO 2017"},"licenses": [],"images": [')
        file.writelines(joined(image_row(id_) for id_ in image_ids))
        file.write('],"annotations": [')
        owners = rng.choice(image_ids, num_instances).tolist()
        kinds, chosen = rng.integers(0, len(categories), num_instances), rng.integers(0, OUTLINES, num_instances)
        file.writelines(
            joined(
                f'{{{outlines[outline]},"image_id": {owner},"category_id": {categories[kind]["id"]},"id": {id_}}}'
                for id_, (owner, kind, outline) in enumerate(zip(owners, kinds, chosen, strict=True), start=1)
            )
        )
        file.write(f'],"categories": {json.dumps(categories)}}}')
    print(f"{num_images} images, {num_instances} instances, {(folder / 'train.json').stat().st_size / 1e6:.0f} MB")


def image_row(id_: int) -> str:
    return (
        f'{{"license": 3,"file_name": "{FILE_NAME}","coco_url": "http://images.cocodataset.org/train2017/{id_:012}.jpg",'
        f'"height": {HEIGHT},"width": {WIDTH},"date_captured": "2013-11-14 11:18:45",'
        f'"flickr_url": "http://farm9.staticflickr.com/8186/{id_:010}_3a1b2c4d5e_z.jpg","id": {id_}}}'
    )


def polygons(rng: np.random.Generator) -> str:
    """Return segmentation, area, iscrowd and box of an instance as JSON."""
    parts = []
    for _ in range(rng.geometric(0.9)):
        num_points = max(3, round(rng.lognormal(2.7, 0.73)))
        angles, radius = np.sort(rng.uniform(0, 2 * np.pi, num_points)), min(rng.lognormal(3.5, 0.9), 200)
        around = np.array([np.cos(angles), np.sin(angles)]).T * radius * rng.uniform(0.6, 1, (num_points, 1))
        center = rng.uniform(0, (WIDTH, HEIGHT))
        parts.append(np.clip(center + around, 0, (WIDTH, HEIGHT)).round(2))
    points = np.concatenate(parts)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = [round(float(value), 2) for value in (left, top, right - left, bottom - top)]
    text = compact([part.ravel().tolist() for part in parts])
    return f'"segmentation": {text},"area": {box[2] * box[3] * 0.6},"iscrowd": 0,"bbox": {compact(box)}'


def crowd(rng: np.random.Generator) -> str:
    """Return segmentation, area, iscrowd and box of a crowd as JSON."""
    counts = rng.integers(1, 400, 2 * rng.integers(50, 1000))
    counts = counts[: np.searchsorted(counts.cumsum(), WIDTH * HEIGHT)]
    outline = {"counts": [*counts.tolist(), WIDTH * HEIGHT - int(counts.sum())], "size": [HEIGHT, WIDTH]}
    return f'"segmentation": {compact(outline)},"area": 30000,"iscrowd": 1,"bbox": [100,100,300,200]'


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ": "))


def joined(rows: Iterator[str]) -> Iterator[str]:
    """Yield rows with commas between them."""
    yield next(rows)
    for row in rows:
        yield f",{row}"


if __name__ == "__main__":
    main()
