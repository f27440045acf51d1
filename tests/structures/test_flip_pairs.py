"""Flip pairs by the spelling of keypoint names."""

import pytest

from splitnest.structures.flip_pairs import flip_pairs, is_left, unpaired_sides


def test_no_names() -> None:
    assert flip_pairs([]) == []
    assert unpaired_sides([], []) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("eye_left", "eye_right"),
        ("l_hand", "r_hand"),
        ("L_Eye", "R_Eye"),
        ("left-hip", "right-hip"),
        ("l.hip", "r.hip"),
        ("hip.L", "hip.R"),
        ("LeftEye", "RightEye"),
        ("leftEye", "rightEye"),
        ("EyeLeft", "EyeRight"),
        ("LEFT_KNEE", "RIGHT_KNEE"),
        ("Left Hip", "right hip"),
        ("hip (L)", "hip (R)"),
        ("eyeL", "eyeR"),
        ("forelegL1", "forelegR1"),
        ("LHip", "RHip"),
        ("LBigToe", "RBigToe"),
        ("handLTip", "handRTip"),
        ("lefteye", "righteye"),
        ("eyeleft", "eyeright"),
        ("leye", "reye"),
        ("LHIP", "RHIP"),
        ("LF", "RF"),
        ("rear_left_paw", "rear_right_paw"),
        ("Lt. ear", "Rt. ear"),
        ("auge_links", "auge_rechts"),
        ("oeil gauche", "oeil droite"),
        ("左眼", "右眼"),
        ("foot_l2", "foot_r2"),
    ],
)
def test_common_spellings(left: str, right: str) -> None:
    for names in ([left, "nose", right], [right, "nose", left]):
        assert flip_pairs(names) == [(names[0], names[2])]
        assert unpaired_sides(names, flip_pairs(names)) == []
    assert is_left(left, right)
    assert not is_left(right, left)


def test_a_name_is_in_one_pair() -> None:
    assert flip_pairs(["left_ear", "Left_Ear", "right_ear", "Right_Ear", "r-ear"]) == [
        ("left_ear", "right_ear"),
        ("Left_Ear", "Right_Ear"),
    ]
    assert flip_pairs(["L_1", "R_1", "L_2", "R_2"]) == [("L_1", "R_1"), ("L_2", "R_2")]


@pytest.mark.parametrize(
    ("names", "unpaired"),
    [
        (["tip", "base", "bright", "lower", "rib", "1"], []),
        (["low", "row", "leg", "reg"], []),
        (["left_eye", "rite_eye"], ["left_eye"]),
        (["nose", "left_eye", "right_eye", "left_ear"], ["left_ear"]),
        (["l1", "r2", "EarL"], ["l1", "r2", "EarL"]),
    ],
)
def test_names_without_the_other_side(names: list[str], unpaired: list[str]) -> None:
    assert unpaired_sides(names, flip_pairs(names)) == unpaired
