"""Export of synthetic scenes as a dataset in the COCO layout."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.scene import Scene
from splitnest.files import write_bytes, write_json
from splitnest.structures.categories import Categories


def write_coco(scenes: Iterable[Scene], folder: Path, split: str) -> None:
    """Write scenes with all annotations; existing files are replaced.

    Images go to ``<split>/`` as PNG, with ids from 1, and annotations to
    ``annotations/{instances,person_keypoints,panoptic}_<split>.json``. ``panoptic_<split>/`` has PNG files of segment
    ids, R + 256 G + 65536 B; ``semantic_<split>/`` has PNG files of indices into ``CATEGORIES``.

    Args:
        scenes: Scenes.
        folder: Root folder of the dataset.
        split: Name of the split, as in ``train`` or ``val``.

    Raises:
        OutputError: A file cannot be written.
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
        ids = np.stack([scene.segments >> shift & 255 for shift in (0, 8, 16)], axis=2)
        _write_png(folder / f"panoptic_{split}" / name, ids.astype(np.uint8))
    persons = [row for row in instances if "keypoints" in row]
    without_keypoints = [{key: value for key, value in row.items() if "keypoints" not in key} for row in instances]
    for kind, annotations, categories in (
        ("instances", without_keypoints, _category_rows(THINGS)),
        ("person_keypoints", persons, _category_rows(PERSON)),
        ("panoptic", panoptic, _category_rows(CATEGORIES)),
    ):
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_json(folder / "annotations" / f"{kind}_{split}.json", content)


def _annotation(scene: Scene, index: int, annotation_id: int, image_id: int) -> dict[str, Any]:
    """Return an annotation of an instances file, with keypoints for a person."""
    instance = scene.objects[index]
    row: dict[str, Any] = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": THINGS[instance.label].id,
        "bbox": _xywh(instance.box),
        "area": int(instance.mask.sum()),
        "iscrowd": 0,
        "segmentation": instance.polygons,
    }
    if instance.keypoints is not None:
        row["num_keypoints"] = int(np.count_nonzero(instance.keypoints[:, 2]))
        row["keypoints"] = np.round(instance.keypoints.astype(float), 2).ravel().tolist()
    return row


def _panoptic(scene: Scene, image_id: int, name: str) -> dict[str, Any]:
    """Return an annotation of a panoptic file."""
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
    write_bytes(path, data.getvalue())
