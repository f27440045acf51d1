"""Kind of an annotation file, from its beginning and its end."""

import os
import re
from pathlib import Path
from typing import Literal

from splitnest.data.formats.image_folders import is_class_list
from splitnest.data.formats.open_images import is_open_images
from splitnest.files import open_regular

Kind = Literal["coco", "coco panoptic", "labelme", "label studio", "voc", "cvat", "open images", "class list"]

NUM_BYTES = 1 << 16
"""Number of bytes that are read at the beginning and at the end."""

_COCO_KEY = re.compile(r'"(?:images|annotations|categories)"\s*:\s*\[')
_SEGMENTS = re.compile(r'"segments_info"\s*:')
_IS_THING = re.compile(r'"isthing"\s*:')
_INSTANCE = re.compile(r'"(?:bbox|segmentation)"\s*:')
"""Key of an instance; segments have ``bbox`` too, after ``segments_info``."""
_LABELME = re.compile(r'"shapes"\s*:\s*\[|"imageData"\s*:')
_LABEL_STUDIO = re.compile(r'"(?:annotations|completions|predictions|annotation_id|file_upload|was_cancelled)"\s*:')
_XML_ROOT = re.compile(r"<([A-Za-z][\w.-]*)[\s>/]")


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a file; None for any other file, and one that cannot be read."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "open images" if is_open_images(path) else "class list" if is_class_list(path) else None
    try:
        with open_regular(path) as file:
            content = file.read(NUM_BYTES)
            file.seek(max(NUM_BYTES, os.fstat(file.fileno()).st_size - NUM_BYTES))
            text = (content + b" " + file.read(NUM_BYTES)).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    except OSError:
        return None
    if suffix == ".xml":
        root = _XML_ROOT.search(re.sub(r"<\?.*?\?>|<!--.*?-->", "", text, flags=re.DOTALL))
        return {"annotation": "voc", "annotations": "cvat"}.get(root[1]) if root else None  # type: ignore[return-value]
    if suffix != ".json":
        return None
    if text.startswith("["):
        is_task = _LABEL_STUDIO.search(text) and re.search(r'"(?:data|image|img|lead_time)"\s*:', text)
        return "label studio" if is_task else None
    if not text.startswith("{"):
        return None
    if _LABELME.search(text) and not re.search(r'"categories"\s*:\s*\[', text):
        return "labelme"
    if _COCO_KEY.search(text):
        is_panoptic = _SEGMENTS.search(text) or (_IS_THING.search(text) and not _INSTANCE.search(text))
        return "coco panoptic" if is_panoptic else "coco"
    return None
