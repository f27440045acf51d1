"""Classes of the synthetic scenes, and keypoints of their persons."""

from splitnest.structures.categories import Categories, Category
from splitnest.structures.skeleton import COCO

THING_NAMES = ("person", "car", "house", "tree", "boat", "bird", "ball", "balloon")
STUFF_NAMES = ("sky", "mountain", "ground", "water", "road", "wall")

_COLORS = {
    "person": (220, 20, 60),
    "car": (30, 110, 240),
    "house": (190, 90, 50),
    "tree": (20, 140, 60),
    "boat": (0, 200, 200),
    "bird": (150, 70, 220),
    "ball": (255, 140, 0),
    "balloon": (255, 80, 170),
    "sky": (130, 190, 250),
    "mountain": (150, 140, 170),
    "ground": (170, 200, 90),
    "water": (60, 130, 220),
    "road": (110, 100, 110),
    "wall": (200, 150, 120),
}

CATEGORIES = Categories(
    tuple(
        Category(number, name, _COLORS[name], is_thing=name in THING_NAMES)
        for number, name in enumerate(THING_NAMES + STUFF_NAMES, start=1)
    )
)
"""Thing classes, then stuff classes; semantic and panoptic labels index them."""

THINGS = Categories(CATEGORIES.items[: len(THING_NAMES)])
"""Thing classes; instance labels index them. Indices are those in ``CATEGORIES``."""

PERSON = COCO.with_class(Categories(CATEGORIES.items[:1]))
"""Person class with the keypoints of COCO."""
