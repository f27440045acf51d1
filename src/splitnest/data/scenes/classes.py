"""The classes of the drawn scenes, and the keypoints of their people."""

from splitnest.data.categories import Categories, Category

PERSON_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 keypoints of COCO in their official order (``person_keypoints_{train,val}2017.json``)."""

_LIMBS = "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6"
PERSON_SKELETON = tuple((int(start), int(end)) for start, end in (limb.split("-") for limb in _LIMBS.split()))
"""The 19 limbs of the same file, counted from 0."""

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
"""Things, then stuff: the indices of semantic and panoptic labels."""

THINGS = Categories(CATEGORIES.items[: len(THING_NAMES)])
"""The indices of objects; the same numbers as in ``CATEGORIES``."""

PERSON = Categories(CATEGORIES.items[:1], keypoint_names=PERSON_KEYPOINTS, skeleton=PERSON_SKELETON)
"""The one class that has keypoints."""
