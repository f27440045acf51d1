"""Writing scenes as a data set in COCO's layout, for every reader of that."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest.data.categories import Categories
from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.scene import Scene
from splitnest.files import replacing


def write_coco(scenes: Iterable[Scene], folder: Path, split: str) -> None:
    """Write scenes with all their labels; files that are there already are replaced.

    ``<split>/``: the images, as PNG. ``annotations/{instances,person_keypoints,panoptic}_<split>.json``.
    ``panoptic_<split>/``: PNG of segment numbers, R + 256 G + 65536 B. ``semantic_<split>/``: PNG of indices into
    ``CATEGORIES``. Images are numbered from 1.
    """
    images: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, start=1):
        name = f"{image_id:012d}.png"
        height, width = scene.semantic.shape
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        first_id = len(instances) + 1
        instances += [_annotation(scene, index, first_id + index, image_id) for index in range(len(scene.objects))]
        panoptic.append(_panoptic(scene, image_id, name))
        _write_png(folder / split / name, scene.image)
        _write_png(folder / f"semantic_{split}" / name, scene.semantic)
        numbers = np.stack([scene.segments >> shift & 255 for shift in (0, 8, 16)], axis=2)
        _write_png(folder / f"panoptic_{split}" / name, numbers.astype(np.uint8))
    people = [row for row in instances if "keypoints" in row]
    plain = [{key: value for key, value in row.items() if "keypoints" not in key} for row in instances]
    for kind, annotations, categories in (
        ("instances", plain, _category_rows(THINGS)),
        ("person_keypoints", people, _category_rows(PERSON)),
        ("panoptic", panoptic, _category_rows(CATEGORIES)),
    ):
        content = {"images": images, "annotations": annotations, "categories": categories}
        _write(folder / "annotations" / f"{kind}_{split}.json", json.dumps(content).encode())


def _annotation(scene: Scene, index: int, annotation_id: int, image_id: int) -> dict[str, Any]:
    """One row of an instances file, with keypoints if it is a person."""
    one = scene.objects[index]
    row: dict[str, Any] = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": THINGS[one.label].id,
        "bbox": _xywh(one.box),
        "area": int(one.mask.sum()),
        "iscrowd": 0,
        "segmentation": one.polygons,
    }
    if one.keypoints is not None:
        row["num_keypoints"] = int(np.count_nonzero(one.keypoints[:, 2]))
        row["keypoints"] = np.round(one.keypoints.astype(float), 2).ravel().tolist()
    return row


def _panoptic(scene: Scene, image_id: int, name: str) -> dict[str, Any]:
    """One row of a panoptic file."""
    segments = []
    for info in scene.segments_info:
        mask = scene.segments == info["id"]
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1])
        category_id = CATEGORIES[info["category"]].id
        segments.append(
            {"id": info["id"], "category_id": category_id, "area": info["area"], "bbox": _xywh(box), "iscrowd": 0}
        )
    return {"image_id": image_id, "file_name": name, "segments_info": segments}


def _category_rows(categories: Categories) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "id": category.id,
            "name": category.name,
            "supercategory": "thing" if category.is_thing else "stuff",
            "isthing": int(category.is_thing),
            "color": list(category.color),
        }
        for category in categories
    ]
    if categories.keypoint_names:
        rows[0]["keypoints"] = list(categories.keypoint_names)
        rows[0]["skeleton"] = [[start + 1, end + 1] for start, end in categories.skeleton]
    return rows


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _write_png(path: Path, pixels: np.ndarray) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG", compress_level=3)
    _write(path, data.getvalue())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
