"""Exports of annotation tools for one neutral description of images and instances."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image

from splitnest.structures.polygons import area


@dataclass(frozen=True)
class Instance:
    """Instance with a box, and a polygon if it has one.

    Attributes:
        label: Class name.
        box: Left, top, right and bottom in pixels.
        polygon: Points (x, y) in pixels; empty for a box.
    """

    label: str
    box: tuple[float, float, float, float]
    polygon: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Annotated:
    """Image of a name and a size, and its instances."""

    name: str
    width: int
    height: int
    instances: tuple[Instance, ...] = ()


def write_images(folder: Path, images: Sequence[Annotated]) -> None:
    """Write images of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        rng = np.random.default_rng(sum(map(ord, image.name)))
        pixels = rng.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / image.name)


def write_labelme(folder: Path, images: Sequence[Annotated]) -> Path:
    """Write labelme's JSON files, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        shapes = [
            {"label": each.label, "group_id": None, "flags": {}, "shape_type": "polygon", "points": each.polygon}
            if each.polygon
            else {"label": each.label, "shape_type": "rectangle", "points": [each.box[:2], each.box[2:]]}
            for each in image.instances
        ]
        content = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image.name, "imageData": None,
            "imageHeight": image.height, "imageWidth": image.width,
        }  # fmt: skip
        (folder / Path(image.name).with_suffix(".json")).write_text(json.dumps(content))
    return folder


def write_cvat(path: Path, images: Sequence[Annotated], labels: Sequence[str] = ()) -> Path:
    """Write an XML file of "CVAT for images 1.1"."""
    names = labels or sorted({each.label for image in images for each in image.instances})
    listed = "".join(f"<label><name>{escape(name)}</name><attributes/></label>" for name in names)
    lines = [f"<annotations><version>1.1</version><meta><task><labels>{listed}</labels></task></meta>"]
    for number, image in enumerate(images):
        size = f'width="{image.width}" height="{image.height}"'
        lines.append(f'<image id="{number}" name={quoteattr(image.name)} {size}>')
        for each in image.instances:
            if each.polygon:
                points = ";".join(f"{x!r},{y!r}" for x, y in each.polygon)
                lines.append(f'<polygon label={quoteattr(each.label)} occluded="0" points="{points}"/>')
            else:
                sides = " ".join(
                    f'{key}="{value!r}"' for key, value in zip(("xtl", "ytl", "xbr", "ybr"), each.box, strict=True)
                )
                lines.append(f'<box label={quoteattr(each.label)} occluded="0" {sides}></box>')
        lines.append("</image>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</annotations>"]))
    return path


def write_label_studio(path: Path, images: Sequence[Annotated]) -> Path:
    """Write a JSON export of Label Studio, with names of uploaded images."""
    tasks = []
    for number, image in enumerate(images, start=1):
        size = {"original_width": image.width, "original_height": image.height, "image_rotation": 0}
        result = [
            {**size, "id": f"r{row}", "from_name": "label", "to_name": "image", **_region(each, image)}
            for row, each in enumerate(image.instances)
        ]
        url = f"/data/upload/1/8d2a1b3c-{image.name}"
        tasks.append({"id": number, "data": {"image": url}, "annotations": [{"id": number, "result": result}]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks))
    return path


def _region(instance: Instance, image: Annotated) -> dict[str, Any]:
    scale = np.array([100 / image.width, 100 / image.height])
    if instance.polygon:
        points = (np.array(instance.polygon) * scale).tolist()
        return {"type": "polygonlabels", "value": {"points": points, "polygonlabels": [instance.label]}}
    (x1, y1), (x2, y2) = np.array(instance.box[:2]) * scale, np.array(instance.box[2:]) * scale
    value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0, "rectanglelabels": [instance.label]}
    return {"type": "rectanglelabels", "value": value}


def write_open_images(path: Path, images: Sequence[Annotated]) -> Path:
    """Write a CSV file of Open Images' boxes, and the table of class names beside it."""
    names = sorted({each.label for image in images for each in image.instances})
    lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"]
    for image in images:
        for each in image.instances:
            x1, y1, x2, y2 = (np.array(each.box) / ([image.width, image.height] * 2)).tolist()
            id_ = f"/m/{names.index(each.label)}"
            lines.append(f"{Path(image.name).stem},xclick,{id_},1,{x1!r},{x2!r},{y1!r},{y2!r},0,0,0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    table = "".join(f"/m/{number},{name}\n" for number, name in enumerate(names))
    (path.parent / "class-descriptions-boxable.csv").write_text(table)
    return path


def write_coco(path: Path, images: Sequence[Annotated], first_id: int = 1) -> Path:
    """Write COCO's JSON; annotations have the area of the polygon or the box."""
    names = sorted({each.label for image in images for each in image.instances})
    content: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": image.name, "height": image.height, "width": image.width}
            for number, image in enumerate(images, start=first_id)
        ],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }
    for number, image in enumerate(images, start=first_id):
        for each in image.instances:
            x1, y1, x2, y2 = each.box
            item = {
                "id": len(content["annotations"]) + 1, "image_id": number, "category_id": names.index(each.label) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0,
                "segmentation": [np.ravel(each.polygon).tolist()] if each.polygon else [],
            }  # fmt: skip
            if each.polygon:
                item["area"] = area(np.ravel(each.polygon))
            content["annotations"].append(item)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_yolo_labels(folder: Path, images: Sequence[Annotated], names: Sequence[str]) -> Path:
    """Write YOLO's text files."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        lines = []
        for each in image.instances:
            if each.polygon:
                numbers = (np.array(each.polygon) / [image.width, image.height]).ravel().tolist()
            else:
                x1, y1, x2, y2 = (np.array(each.box) / ([image.width, image.height] * 2)).tolist()
                numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
            lines.append(" ".join([str(names.index(each.label)), *map(repr, numbers)]))
        (folder / Path(image.name).with_suffix(".txt")).write_text("\n".join(lines))
    return folder


def write_voc(folder: Path, images: Sequence[Annotated]) -> Path:
    """Write Pascal VOC's XML files; boxes are written with VOC's pixels from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        size = f"<size><width>{image.width}</width><height>{image.height}</height><depth>3</depth></size>"
        objects = "".join(
            f"<object><name>{escape(each.label)}</name><bndbox><xmin>{each.box[0] + 1}</xmin>"
            f"<ymin>{each.box[1] + 1}</ymin><xmax>{each.box[2]}</xmax><ymax>{each.box[3]}</ymax></bndbox></object>"
            for each in image.instances
        )
        text = f"<annotation><filename>{escape(image.name)}</filename>{size}{objects}</annotation>"
        (folder / Path(image.name).with_suffix(".xml")).write_text(text)
    return folder


def write_shapes(folder: Path, *shapes: dict[str, Any], **content: Any) -> Path:
    """Write one labelme file of an image 60 wide and 40 high."""
    write_images(folder, [Annotated("a.png", 60, 40)])
    content = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 40, "imageWidth": 60, **content}
    (folder / "a.json").write_text(json.dumps(content))
    return folder


def write_tasks(folder: Path, *tasks: Any) -> Path:
    write_images(folder, [Annotated("my cat.png", 60, 40)])
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json"


def task(*result: Any, image: str = "/data/local-files/?d=photos/my%20cat.png", **annotation: Any) -> dict[str, Any]:
    """Return a task of an image 60 wide and 40 high."""
    size = {"original_width": 60, "original_height": 40}
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": [size | r for r in result], **annotation}]}
