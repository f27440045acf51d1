"""An annotation file as large as COCO's: seconds and memory of opening it for training, and memory of the workers.

    python benchmarks/coco_scale.py [--images 118287] [--instances 860000] [--steps 2000] [--workers 4]

Bounds: opened in under 25 s with a peak of 1.5 GB in the main process; workers add under 150 MB each over 2000 batches.

The file is drawn from a fixed seed in the form of ``instances_train2017.json``. Lengths of polygons are distributed as
in a sample of it: points lognormal with mean 2.7 and deviation 0.73 of the logarithm, 1.1 polygons an object, 1.2%
crowds with uncompressed RLE. There are 4096 different outlines, which repeat. All records name one photograph of
640x480 pixels, which is scaled to 128x96 for the network, so that memory is that of the index and not of large images;
batches are those of the published recipe, 16 photographs. What a worker adds is the rise of the proportional memory
(PSS) of all processes together, over that of the main process before the workers started, divided by their number;
without the pages of library files, which other programs of the machine may share. Linux only.
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

from splitnest import recipes
from splitnest.data.categories import named
from splitnest.recipe import overrides
from splitnest.training.data import open_training

MODEL = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
WIDTH, HEIGHT = 640, 480
PHOTOGRAPH = "000000000001.jpg"
OUTLINES = 4096
CROWDS = 0.012
WARM_UP = 20
"""Batches after which memory is measured first: all workers have made some."""

SHARE = ("smaps_rollup", "Pss_Anon", "Pss_Shmem")
PRIVATE = ("smaps_rollup", "Private_Clean", "Private_Dirty")

MAX_SECONDS, MAX_PEAK_MB, MAX_WORKER_MB = 25.0, 1500.0, 150.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--instances", type=int, default=860_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--measure", type=Path, help="what a process of its own does: the folder of the data set")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.steps, arguments.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.images, arguments.instances)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--measure", folder], check=True)


def measure(folder: Path, steps: int, workers: int) -> None:
    """Open the data set, take batches, and print what that took."""
    values = {"data.root": str(folder), "data.train_images": ".", "data.train_annotations": "train.json"}
    small = {"train.short_sides": [HEIGHT // 5], "train.long_side": WIDTH // 5, "train.workers": workers}
    recipe = overrides.apply(recipes.get(MODEL), values | small)
    before, start = memory_mb("self", "status", "VmRSS"), time.perf_counter()
    data = open_training(recipe)
    seconds, peak = time.perf_counter() - start, memory_mb("self", "status", "VmHWM")
    print(f"opened in {seconds:.1f} s: {verdict(seconds, MAX_SECONDS)} {MAX_SECONDS:.0f} s")
    print(f"peak {peak:.0f} MB ({before:.0f} MB before): {verdict(peak, MAX_PEAK_MB)} {MAX_PEAK_MB:.0f} MB")
    alone = memory_mb("self", *SHARE)
    objects = f"{data.training_set.num_instances} objects of {len(data.training_set)} photographs"
    print(f"then {alone:.0f} MB without library files; {objects}")
    start, batches = time.perf_counter(), data.steps(0)
    for step in range(1, steps + 1):
        next(batches)
        if step in (WARM_UP, steps):
            processes = [str(child.pid) for child in multiprocessing.active_children()]
            own = [memory_mb(process, *PRIVATE) for process in processes]
            together = sum(memory_mb(process, *SHARE) for process in ("self", *processes))
            added = (together - alone) / workers
            shown = ", ".join(f"{size:.0f}" for size in own)
            print(f"after {step} batches: {added:.0f} MB added a worker; private memory of each {shown} MB")
    print(f"{verdict(added, MAX_WORKER_MB)} {MAX_WORKER_MB:.0f} MB a worker; {time.perf_counter() - start:.0f} s")


def memory_mb(process: str, file: str, *fields: str) -> float:
    """Return the sum of some numbers of ``/proc`` in megabytes."""
    rows = (line.split() for line in Path("/proc", process, file).read_text().splitlines()[1:])
    return sum(int(row[1]) * 1024 for row in rows if row[0].rstrip(":") in fields) / 1e6


def verdict(value: float, bound: float) -> str:
    return "under" if value < bound else "NOT UNDER"


def write(folder: Path, num_images: int, num_instances: int) -> None:
    """Write the data set."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)).resize((WIDTH, HEIGHT)).save(
        folder / PHOTOGRAPH
    )
    image_ids = rng.choice(600_000, num_images, replace=False).tolist()
    categories = [{"supercategory": "thing", "id": category.id, "name": category.name} for category in named("coco")]
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
    print(f"{num_images} photographs, {num_instances} objects, {(folder / 'train.json').stat().st_size / 1e6:.0f} MB")


def image_row(id_: int) -> str:
    return (
        f'{{"license": 3,"file_name": "{PHOTOGRAPH}","coco_url": "http://images.cocodataset.org/train2017/{id_:012}.jpg",'
        f'"height": {HEIGHT},"width": {WIDTH},"date_captured": "2013-11-14 11:18:45",'
        f'"flickr_url": "http://farm9.staticflickr.com/8186/{id_:010}_3a1b2c4d5e_z.jpg","id": {id_}}}'
    )


def polygons(rng: np.random.Generator) -> str:
    """Return segmentation, area, iscrowd and box of an object as JSON."""
    parts = []
    for _ in range(rng.geometric(0.9)):
        num_points = max(3, round(rng.lognormal(2.7, 0.73)))
        angles, radius = np.sort(rng.uniform(0, 2 * np.pi, num_points)), min(rng.lognormal(3.5, 0.9), 200)
        around = np.array([np.cos(angles), np.sin(angles)]).T * radius * rng.uniform(0.6, 1, (num_points, 1))
        centre = rng.uniform(0, (WIDTH, HEIGHT))
        parts.append(np.clip(centre + around, 0, (WIDTH, HEIGHT)).round(2))
    points = np.concatenate(parts)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = [round(float(value), 2) for value in (left, top, right - left, bottom - top)]
    text = compact([part.ravel().tolist() for part in parts])
    return f'"segmentation": {text},"area": {box[2] * box[3] * 0.6},"iscrowd": 0,"bbox": {compact(box)}'


def crowd(rng: np.random.Generator) -> str:
    """Return the same of a crowd."""
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
