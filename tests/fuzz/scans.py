"""Fuzzing of what a scan reads: tar and Parquet files of images, and the files of an output folder."""

import io
import json
import random
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from helpers.fuzzing import Case
from helpers.mutations import mutate_bytes, mutate_tree
from helpers.scan_data import encoded, images, write_parquet, write_tar
from splitnest.errors import DataError, SplitnestError
from splitnest.scanning.columns import result_row, schema_of
from splitnest.scanning.encoded import read_shard
from splitnest.scanning.part import PartWriter, part_name
from splitnest.scanning.results import read_scan
from splitnest.scanning.shard_list import ShardList, write_list
from splitnest.scanning.shards import Shard, Sources, divide
from splitnest.scanning.storage import open_storage
from splitnest.structures import Detections
from splitnest.structures.categories import from_names

FAST = ("faster_rcnn_resnest50_fpn_1x_coco.mmdet", {"data.classes": ["a", "b"]})


def start(folder: Path) -> Case:
    """Write valid files, and return the function of a case."""
    readers: tuple[Callable[[random.Random], None], ...] = (_tars(folder), _parquet(folder), _output(folder))

    def run(rng: random.Random) -> None:
        rng.choice(readers)(rng)

    return run


def _read(path: Path) -> None:
    for shard in divide(Sources((str(path),)), str(path.parent / "out")):
        for image in read_shard(shard):
            with suppress(DataError):
                image.read()


def _tars(folder: Path) -> Callable[[random.Random], None]:
    plain = write_tar(folder / "valid.tar", images(3)).read_bytes()
    long = write_tar(folder / "long.tar", {"x" * 150 + ".png": encoded(0), "y/" * 60 + "a.jpg": b"1"}).read_bytes()
    packed = write_tar(folder / "valid.tar.gz", images(3), "w:gz").read_bytes()
    sparse = io.BytesIO()
    with tarfile.open(fileobj=sparse, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 900}) as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"ab"))

    def run(rng: random.Random) -> None:
        content, name = rng.choice(((plain, "a.tar"), (long, "a.tar"), (sparse.getvalue(), "a.tar"), (packed, "a.tgz")))
        (folder / name).write_bytes(mutate_bytes(rng, content))
        _read(folder / name)

    return run


def _parquet(folder: Path) -> Callable[[random.Random], None]:
    structs = [{"bytes": encoded(1), "path": "1.png"}, {"bytes": None, "path": "../2.png"}]
    columns: tuple[dict[str, Any], ...] = (
        {"image": [encoded(n) for n in range(6)], "id": list(range(6))},
        {"image": structs},
        {"path": ["a.png", "zip::b.png", "/c.png"]},
    )
    valid = [write_parquet(folder / "valid.parquet", each, 2).read_bytes() for each in columns]

    def run(rng: random.Random) -> None:
        path = folder / "a.parquet"
        path.write_bytes(mutate_bytes(rng, rng.choice(valid)))
        _read(path)

    return run


def _output(folder: Path) -> Callable[[random.Random], None]:
    from splitnest import zoo
    from splitnest.recipe import overrides
    from splitnest.scanning.fingerprint import recipe_fields
    from splitnest.scanning.manifest import Manifest
    from splitnest.scanning.options import ModelSource, ScanOptions

    out, categories = folder / "out", from_names(["a", "b"])
    storage = open_storage(out)
    name, count = write_list(iter([Shard(0, "files", ("/a.png", "/b.png"), ("a", "b"))]), storage)
    recipe = overrides.apply(zoo.get(FAST[0]), FAST[1])
    found = {
        "recipe": recipe_fields(recipe),
        "options": ScanOptions().to_dict(),
        "sources": {"addresses": ["/x"], "shard_size": 2, "image_column": None, "key_column": None},
    }
    storage.write("_scan.json", Manifest(recipe, found, ModelSource("x"), count, name).to_json())
    masks = np.zeros((2, 9, 8), bool)
    masks[0, 2:5, 1:4] = True
    result = Detections(
        boxes=np.array([[1, 2, 3, 4], [0, 0, 8, 9]], np.float32),
        scores=np.array([0.5, 0.25], np.float32),
        labels=np.array([0, 1]),
        masks=masks,
        image_size=(9, 8),
        categories=categories,
    )
    with PartWriter(schema_of("detection", "results", categories)) as writer:
        writer.add(0, result_row("a", result))
        writer.add(1, {"key": "b", "error": "broken"})
        writer.finish(storage, 0)
    valid = {file: (out / file).read_bytes() for file in ("_scan.json", name, part_name(0))}
    assert len(list(read_scan(out))) == 2

    def run(rng: random.Random) -> None:
        for file, content in valid.items():
            (out / file).write_bytes(content)
        file = rng.choice(list(valid))
        content = valid[file]
        if file == "_scan.json" and rng.random() < 0.5:
            content = json.dumps(mutate_tree(rng, json.loads(content))).encode()
        else:
            content = mutate_bytes(rng, content)
        (out / file).write_bytes(content)
        errors: list[SplitnestError] = []
        for read in (lambda: list(read_scan(out)), lambda: ShardList(storage, name)[0]):
            try:
                read()
            except SplitnestError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return run
