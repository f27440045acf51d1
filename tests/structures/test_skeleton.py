"""Keypoint definitions: of COCO, of annotation files, and assumed from names."""

from typing import Any

import pytest
from pycocotools.cocoeval import Params
from pydantic import ValidationError

from splitnest.recipe import Keypoints
from splitnest.structures.categories import from_names
from splitnest.structures.skeleton import ASSUMED_SIGMA, COCO, COCO_KEYPOINTS, Skeleton, complete, keypoints_of_category
from splitnest.visualize.colors import LEFT, MIDDLE, RIGHT

DOG = ("nose", "left_paw", "right_paw", "RightEar", "LeftEar", "left_knee", "tail")


def test_coco_keypoints() -> None:
    assert list(COCO.sigmas) == pytest.approx(Params("keypoints").kpt_oks_sigmas.tolist(), rel=1e-12)
    assert [COCO.names[k] for k in COCO.flip_indices[:3]] == ["nose", "right_eye", "left_eye"]
    assert {COCO.names[k].split("_")[1] for k in COCO.lower_body} == {"hip", "knee", "ankle"}
    assert len(COCO.pairs) == 19
    assert COCO.colors[:3] == (MIDDLE, LEFT, RIGHT)
    assert complete(Keypoints(names=COCO.names)) == (COCO_KEYPOINTS, [])
    table = COCO.with_class(from_names(["person"]))
    assert (table.keypoint_names, table.skeleton, table.keypoint_colors) == (COCO.names, COCO.pairs, COCO.colors)


def test_missing_fields_are_assumed_from_the_names() -> None:
    keypoints, notes = complete(Keypoints(names=DOG))
    assert keypoints.is_complete
    assert keypoints.flip_pairs == (("left_paw", "right_paw"), ("RightEar", "LeftEar"))
    assert keypoints.sigmas == (ASSUMED_SIGMA,) * 7
    assert keypoints.lower_body == ("left_knee",)
    assert [note.split()[0] for note in notes] == [
        f"data.keypoints.{k}" for k in ("flip_pairs", "sigmas", "skeleton", "colors", "lower_body")
    ]
    assert "left_paw/right_paw" in notes[0]
    assert complete(keypoints) == (keypoints, [])
    assert Skeleton.from_keypoints(keypoints).flip_indices == (0, 2, 1, 4, 3, 5, 6)


def test_names_without_left_and_right() -> None:
    keypoints, notes = complete(Keypoints(names=("tip", "base")))
    assert (keypoints.flip_pairs, keypoints.lower_body) == ((), ())
    assert "no names differ in left and right" in notes[0]
    assert len(set(keypoints.colors or ())) == 2


def test_unusual_names_with_left_and_right() -> None:
    names = ("LEFT_HAND", "RIGHT_HAND", "left_of_right", "right_of_right", "left_of_left")
    keypoints, _ = complete(Keypoints(names=names))
    assert (keypoints.flip_pairs or ())[0] == ("LEFT_HAND", "RIGHT_HAND")
    assert keypoints.colors is not None
    assert keypoints.colors[:2] == (LEFT, RIGHT)


def test_keypoints_of_an_annotation_file() -> None:
    row = {
        "name": "dog",
        "keypoints": list(DOG),
        "skeleton": [[1, 7]],
        "flip_pairs": [["left_paw", "right_paw"], [4, 5]],
        "sigmas": [0.1] * 7,
        "keypoint_colors": ["#0a0b0c", *[[1, 2, 3]] * 6],
        "lower_body": [2, 3],
    }
    of_file = keypoints_of_category(row)
    assert of_file.is_complete
    assert of_file.skeleton == (("nose", "tail"),)
    assert of_file.flip_pairs == (("left_paw", "right_paw"), ("RightEar", "LeftEar"))
    assert of_file.colors is not None
    assert of_file.colors[0] == (10, 11, 12)
    assert of_file.lower_body == ("left_paw", "right_paw")
    with_skeleton = Keypoints(names=DOG, skeleton=(("tail", "nose"),))
    assert with_skeleton.with_defaults(of_file).skeleton == (("tail", "nose"),)
    assert with_skeleton.with_defaults(of_file).sigmas == (0.1,) * 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": []}, "it has no keypoint names"),
        ({"keypoints": None}, "it has no keypoint names"),
        ({"keypoints": ["a", "a"]}, "lists 'a' more than once"),
        ({"skeleton": [[0, 1], [2, 3]]}, "refers to keypoints 0 and 3, but .* from 1 to 3, or from 0 to 2"),
        ({"skeleton": [[0, 1]], "lower_body": [3]}, "refers to keypoints 0 and 3"),
        ({"skeleton": [[1, 4]]}, "refers to keypoint 4, .* from 1 to 3"),
        ({"skeleton": [[1, 2, 3]]}, r"skeleton\.0 "),
        ({"flip_pairs": [["a", "z"]]}, "'z', which is not among"),
        ({"flip_pairs": [["a", "b"], ["b", "c"]]}, "'b' more than once"),
        ({"sigmas": [0.1]}, "sigmas has 1 values for 3 names"),
        ({"sigmas": [0.1, 0, 0.1]}, "sigmas"),
        ({"keypoint_colors": ["#12345g", "#000000", "#000000"]}, "#12345g, which is not a color such as"),
        ({"keypoint_colors": [[1, 2, 256]] * 3}, "colors"),
        ({"lower_body": "a"}, "lower_body"),
    ],
)
def test_invalid_keypoints_of_a_file_are_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keypoints_of_category({"name": "x", "keypoints": ["a", "b", "c"], **change})


def test_numbers_from_0_are_recognized() -> None:
    row = {"keypoints": list(DOG), "skeleton": [[0, 6]], "flip_pairs": [[1, 2], [3, 4]], "lower_body": [5]}
    of_file = keypoints_of_category(row)
    assert of_file.skeleton == (("nose", "tail"),)
    assert of_file.flip_pairs == (("left_paw", "right_paw"), ("RightEar", "LeftEar"))
    assert of_file.lower_body == ("left_knee",)


def test_keypoints_without_names_are_completed_by_those_of_a_file() -> None:
    of_file = keypoints_of_category({"keypoints": list(DOG), "skeleton": [[1, 7]], "sigmas": [0.1] * 7})
    completed = Keypoints(flip_pairs=(), sigmas=(0.2,) * 7).with_defaults(of_file)
    assert (completed.names, completed.flip_pairs, completed.sigmas) == (DOG, (), (0.2,) * 7)
    with pytest.raises(ValidationError, match="sigmas has 1 values for 7 names"):
        Keypoints(sigmas=(0.2,)).with_defaults(of_file)
    with pytest.raises(ValidationError, match="flip_pairs has 'paw'"):
        Keypoints(flip_pairs=(("paw", "nose"),)).with_defaults(of_file)


def test_unknown_keypoints_of_a_recipe_are_rejected() -> None:
    with pytest.raises(ValidationError, match="skeleton has 'z'"):
        Keypoints(names=("a",), skeleton=(("a", "z"),))
