"""Conversion of the results of a scan: JSON lines of ``splitnest predict``, and result files of COCO."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from splitnest.data.formats.annotation_columns import AnnotationColumns
from splitnest.data.formats.coco_json import read_annotations, read_images
from splitnest.errors import DataError, UsageError, printable
from splitnest.files import replacing, write_bytes
from splitnest.scanning.results import ScannedImage, ScanResults
from splitnest.structures import Classification, PanopticSegmentation
from splitnest.tasks import task_of
from splitnest.visualize.write import encoded_image


def to_jsonl(results: ScanResults, path: Path) -> int:
    """Write a JSON line for each image, as ``splitnest predict`` does, and return their number.

    Lines are ``{"model", "file", "result"}``, ``{"model", "error", "file"}`` for an unreadable image, and ``{"model",
    "file", "features"}`` for features.

    Raises:
        DataError: A file of results is damaged.
        OutputError: The file cannot be written.
    """
    count, model = 0, results.recipe.name
    with replacing(path) as file:
        for image in results:
            file.write(json.dumps({"model": model, **_json_fields(image)}).encode() + b"\n")
            count += 1
    return count


def _json_fields(image: ScannedImage) -> dict[str, Any]:
    if image.error is not None:
        return {"error": image.error, "file": image.key}
    if image.result is None:
        assert image.features is not None
        return {"file": image.key, "features": image.features.tolist()}
    return {"file": image.key, "result": image.result.to_dict()}


def to_coco(results: ScanResults, path: Path, annotations: Path | None = None) -> int:
    """Write a result file of COCO, and return the number of images; unreadable ones are left out.

    Panoptic results are a JSON file and PNG files in the folder of its name without ``.json``.

    Args:
        results: Results of a scan.
        path: JSON file.
        annotations: COCO annotation file whose images have the ids; None takes the number in each file name, as in
            ``000000000785.jpg``.

    Raises:
        UsageError: COCO has no form for the results.
        DataError: An image has no id, or a file is damaged.
        OutputError: A file cannot be written.
    """
    empty = task_of(results.recipe).empty_result(results.recipe, (1, 1))
    if results.what == "features" or isinstance(empty, Classification):
        raise UsageError("COCO has no form for classes of images and for features. Use 'splitnest scan to-jsonl'.")
    id_of = _ids(annotations)
    count = 0
    is_panoptic = isinstance(empty, PanopticSegmentation)
    with replacing(path) as file:
        file.write(b'{"annotations": [' if is_panoptic else b"[")
        is_first = True
        for image in results:
            if image.result is None:
                continue
            count += 1
            for row in _coco_rows(image, id_of(image.key), path):
                file.write((b"" if is_first else b",\n") + json.dumps(row).encode())
                is_first = False
        file.write(b"]}\n" if is_panoptic else b"]\n")
    return count


def _coco_rows(image: ScannedImage, image_id: int, path: Path) -> Iterator[dict[str, Any]]:
    result: Any = image.result
    if isinstance(result, PanopticSegmentation):
        row = result.to_coco(image_id)
        write_bytes(path.with_suffix("") / row["file_name"], encoded_image(result.to_coco_png()))
        yield row
    else:
        yield from result.to_coco(image_id)


def _ids(annotations: Path | None) -> Callable[[str], int]:
    """Return the function from the name of an image to its id in COCO files."""
    if annotations is None:
        return _number_in
    content, _ = read_annotations(annotations, AnnotationColumns)
    ids: dict[str, int] = {}
    for image_id, file_name, *_ in read_images(annotations, content):
        ids[file_name] = image_id
        ids.setdefault(PurePosixPath(file_name).name, image_id)

    def find(key: str) -> int:
        found = ids.get(key, ids.get(PurePosixPath(key).name))
        if found is None:
            raise DataError(f"{printable(annotations)} has no image {printable(key)}. Give the file of these images.")
        return found

    return find


def _number_in(key: str) -> int:
    number = re.fullmatch(r"(?:COCO_\w+_)?(\d+)", PurePosixPath(key).stem)
    if number is None:
        raise DataError(
            f"{printable(key)} has no number that is its id in COCO. Give the annotation file of the images with "
            f"--annotations."
        )
    return int(number[1])
