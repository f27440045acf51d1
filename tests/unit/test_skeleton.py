"""Keypoints: COCO's, those of a file, and what is assumed of one's own."""

from typing import Any

import pytest
from pycocotools.cocoeval import Params
from pydantic import ValidationError

from splitnest.data.categories import from_names
from splitnest.data.skeleton import (
    ASSUMED_SIGMA,
    COCO,
    COCO_KEYPOINTS,
    LEFT,
    MIDDLE,
    RIGHT,
    Skeleton,
    complete,
    of_category,
)
from splitnest.recipe import Keypoints

DOG = ("nose", "left_paw", "right_paw", "RightEar", "LeftEar", "left_knee", "tail")


def test_coco() -> None:
    assert list(COCO.sigmas) == pytest.approx(Params("keypoints").kpt_oks_sigmas.tolist(), rel=1e-12)
    assert [COCO.names[k] for k in COCO.swaps[:3]] == ["nose", "right_eye", "left_eye"]
    assert {COCO.names[k].split("_")[1] for k in COCO.lower_body} == {"hip", "knee", "ankle"}
    assert len(COCO.limbs) == 19
    assert COCO.colors[:3] == (MIDDLE, LEFT, RIGHT)
    assert complete(Keypoints(names=COCO.names)) == (COCO_KEYPOINTS, [])
    table = COCO.of_class(from_names(["person"]))
    assert (table.keypoint_names, table.skeleton, table.keypoint_colors) == (COCO.names, COCO.limbs, COCO.colors)


def test_what_is_assumed() -> None:
    keypoints, notes = complete(Keypoints(names=DOG))
    assert keypoints.is_complete
    assert keypoints.flip_pairs == (("left_paw", "right_paw"), ("RightEar", "LeftEar"))
    assert keypoints.sigmas == (ASSUMED_SIGMA,) * 7
    assert keypoints.lower_body == ("left_knee",)
    assert [note.split()[0] for note in notes] == [
        f"data.keypoints.{k}" for k in ("flip_pairs", "sigmas", "limbs", "colors", "lower_body")
    ]
    assert "left_paw/right_paw" in notes[0]
    assert complete(keypoints) == (keypoints, [])
    assert Skeleton.of(keypoints).swaps == (0, 2, 1, 4, 3, 5, 6)


def test_names_without_sides() -> None:
    keypoints, notes = complete(Keypoints(names=("tip", "base")))
    assert (keypoints.flip_pairs, keypoints.lower_body) == ((), ())
    assert "no two differ in left and right" in notes[0]
    assert len(set(keypoints.colors or ())) == 2


def test_odd_sides() -> None:
    names = ("LEFT_HAND", "RIGHT_HAND", "left_of_right", "right_of_right", "left_of_left")
    keypoints, _ = complete(Keypoints(names=names))
    assert (keypoints.flip_pairs or ())[0] == ("LEFT_HAND", "RIGHT_HAND")
    assert keypoints.colors is not None
    assert keypoints.colors[:2] == (LEFT, RIGHT)


def test_of_a_file() -> None:
    row = {
        "name": "dog",
        "keypoints": list(DOG),
        "skeleton": [[1, 7]],
        "flip_pairs": [["left_paw", "right_paw"], [4, 5]],
        "sigmas": [0.1] * 7,
        "keypoint_colors": ["#0a0b0c", *[[1, 2, 3]] * 6],
        "lower_body": [2, 3],
    }
    found = of_category(row)
    assert found.is_complete
    assert found.limbs == (("nose", "tail"),)
    assert found.flip_pairs == (("left_paw", "right_paw"), ("RightEar", "LeftEar"))
    assert found.colors is not None
    assert found.colors[0] == (10, 11, 12)
    assert found.lower_body == ("left_paw", "right_paw")
    given = Keypoints(names=DOG, limbs=(("tail", "nose"),))
    assert given.or_else(found).limbs == (("tail", "nose"),)
    assert given.or_else(found).sigmas == (0.1,) * 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": []}, "names no keypoints"),
        ({"keypoints": None}, "names no keypoints"),
        ({"keypoints": ["a", "a"]}, "'a' is more than once"),
        ({"skeleton": [[0, 1]]}, "has 0 in a list of its 3 keypoints"),
        ({"skeleton": [[1, 4]]}, "counted from 1"),
        ({"skeleton": [[1, 2, 3]]}, "limbs"),
        ({"flip_pairs": [["a", "z"]]}, "'z', which is not among"),
        ({"flip_pairs": [["a", "b"], ["b", "c"]]}, "'b' more than once"),
        ({"sigmas": [0.1]}, "sigmas has 1 values for 3 names"),
        ({"sigmas": [0.1, 0, 0.1]}, "sigmas"),
        ({"keypoint_colors": ["#12345g", "#000000", "#000000"]}, "no colour such as"),
        ({"keypoint_colors": [[1, 2, 256]] * 3}, "colors"),
        ({"lower_body": "a"}, "lower_body"),
    ],
)
def test_a_file_that_is_not_sound(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_category({"name": "x", "keypoints": ["a", "b", "c"], **change})


def test_recipe_is_checked() -> None:
    with pytest.raises(ValidationError, match="limbs has 'z'"):
        Keypoints(names=("a",), limbs=(("a", "z"),))
