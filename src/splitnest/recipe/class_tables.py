"""Class tables that a recipe may name."""

from typing import Literal

ClassTable = Literal[
    "imagenet",
    "coco",
    "cityscapes",
    "ade20k",
    "voc",
    "cityscapes_instances",
    "deepfashion",
    "lvis_v0.5",
    "lvis_v0.5_mmdet",
    "lvis_v1",
    "objects365_v1",
    "objects365_v2",
    "openimages",
    "openimages_challenge",
    "voc_semantic",
    "pascal_context",
    "pascal_context_59",
    "coco_stuff_10k",
    "coco_stuff_164k",
    "loveda",
    "potsdam",
    "vaihingen",
    "isaid",
    "mapillary",
]
"""Class tables that ``data.classes`` may name; ``coco_stuff`` is one of ``data.stuff``."""

CLASS_TABLES: dict[str, int] = {
    **{"imagenet": 1000, "coco": 80, "coco_stuff": 53, "cityscapes": 19, "ade20k": 150},
    **{"voc": 20, "cityscapes_instances": 8, "deepfashion": 15},
    **{"lvis_v0.5": 1230, "lvis_v0.5_mmdet": 1230, "lvis_v1": 1203, "objects365_v1": 365, "objects365_v2": 365},
    **{"openimages": 601, "openimages_challenge": 500},
    **{
        "voc_semantic": 21,
        "pascal_context": 60,
        "pascal_context_59": 59,
        "coco_stuff_10k": 171,
        "coco_stuff_164k": 171,
    },
    **{"loveda": 7, "potsdam": 6, "vaihingen": 6, "isaid": 16, "mapillary": 65},
}
"""Number of classes of each class table; the names are in ``splitnest.structures.class_tables``."""
