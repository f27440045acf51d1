"""Figures of persons, from the front or the back, with the 17 keypoints of COCO."""

import math

import numpy as np

from splitnest.data.scenes.figure import Figure, Part, Point, Rgb, ellipse, hsv, limb, polygon, shade
from splitnest.data.scenes.rng import StableRng
from splitnest.structures.skeleton import COCO_NAMES

SKIN: tuple[Rgb, ...] = ((246, 208, 176), (224, 172, 128), (186, 128, 88), (132, 86, 58), (96, 62, 44))
HAIR: tuple[Rgb, ...] = ((38, 30, 26), (92, 60, 36), (196, 152, 84), (150, 66, 34), (170, 168, 164))

THIGH, SHIN, UPPER_ARM, FOREARM = 0.235, 0.235, 0.165, 0.15
"""Lengths for a person of height 1."""


def person(rng: StableRng) -> Figure:
    """Draw a standing, walking or waving person."""
    shirt = hsv(rng.random(), rng.uniform(0.45, 0.85), rng.uniform(0.55, 0.95))
    trousers = rng.choice([(44, 56, 92), (60, 58, 60), (122, 104, 80), (150, 40, 50), (86, 100, 70)])
    skin, hair = rng.choice(SKIN), rng.choice(HAIR)
    back, skirt, short_sleeves, shorts = (rng.bernoulli(probability) for probability in (0.3, 0.25, 0.5, 0.3))
    joints = _joints(rng, facing=-1 if back else 1)
    shoe = shade(rng.choice([(240, 240, 240), (40, 36, 34), (170, 50, 40)]), 0.95)

    parts: list[Part] = []
    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        calf = skin if shorts or skirt else trousers
        toe = (ankle[0] + (0.03 if ankle[0] > 0 else -0.03), ankle[1] - 0.022)
        parts += [limb(knee, ankle, 0.042, 0.028, calf), limb(hip, knee, 0.062, 0.046, skin if skirt else trousers)]
        parts.append(limb((ankle[0], ankle[1] - 0.018), toe, 0.027, 0.024, shoe))
    low, high = sorted((joints["left_shoulder"][0], joints["right_shoulder"][0]))
    parts.append(limb((0.0, 0.78), (0.0, 0.875), 0.036, 0.034, skin))
    collar = [(low - 0.02, 0.79), (low + 0.03, 0.83), (0.0, 0.845), (high - 0.03, 0.83), (high + 0.02, 0.79)]
    parts.append(polygon([*collar, (0.088, 0.62), (0.1, 0.48), (-0.1, 0.48), (-0.088, 0.62)], shirt))
    if skirt:
        parts.append(polygon([(-0.1, 0.54), (0.1, 0.54), (0.17, 0.3), (-0.17, 0.3)], shade(shirt, 0.8)))
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
        parts.append(limb(elbow, wrist, 0.033, 0.024, skin if short_sleeves else shade(shirt, 0.9)))
        parts.append(limb(shoulder, elbow, 0.043, 0.035, shade(shirt, 0.9)))
        hand = (wrist[0] + (wrist[0] - elbow[0]) * 0.15, wrist[1] + (wrist[1] - elbow[1]) * 0.15)
        parts.append(ellipse(hand, (0.03, 0.03), skin))
    head = _head(joints, skin, hair, back, long_hair=skirt)
    parts += head

    keypoints = np.array([joints[name] for name in COCO_NAMES])
    base = min(float(part.points[:, 1].min()) for part in parts)
    top = max(float(part.points[:, 1].max()) for part in head)
    scale = 1 / (top - base)
    moved = [Part((part.points - (0, base)) * scale, part.color, part.opacity) for part in parts]
    hidden = np.array([back and name in ("nose", "left_eye", "right_eye") for name in COCO_NAMES])
    return Figure(moved, (keypoints - (0, base)) * scale, hidden)


def _joints(rng: StableRng, facing: int) -> dict[str, Point]:
    """Return the position of each keypoint by name.

    Args:
        rng: Random number generator.
        facing: Direction that the person faces: 1 towards the camera (left side on the right of the image), -1 away.
    """
    tilt = rng.uniform(-0.012, 0.012)
    joints: dict[str, Point] = {"nose": (tilt * 2, 0.9)}
    for side, sign in (("left", facing), ("right", -facing)):
        joints[f"{side}_eye"] = (tilt * 2 + sign * 0.026, 0.924)
        joints[f"{side}_ear"] = (tilt + sign * 0.062, 0.912)
        joints[f"{side}_shoulder"] = (sign * 0.115, 0.8)
        joints[f"{side}_hip"] = (sign * 0.062, 0.51)
        spread = rng.uniform(0.0, 0.32)
        knee = _bone_end(joints[f"{side}_hip"], THIGH, sign * spread)
        joints[f"{side}_knee"] = knee
        joints[f"{side}_ankle"] = _bone_end(knee, SHIN, sign * (spread - rng.uniform(0.0, 0.35)))
        # Angle of the upper arm: 0 points down, pi up. The forearm bends from it in either direction.
        raised = rng.choice([rng.uniform(0.08, 0.5), rng.uniform(0.08, 0.8), rng.uniform(1.2, 2.6)])
        elbow = _bone_end(joints[f"{side}_shoulder"], UPPER_ARM, sign * raised)
        joints[f"{side}_elbow"] = elbow
        joints[f"{side}_wrist"] = _bone_end(elbow, FOREARM, sign * (raised + rng.uniform(-0.7, 0.6)))
    return joints


def _bone_end(start: Point, length: float, angle: float) -> Point:
    """Return the end of a bone from ``start`` at an angle in radians, where 0 points down."""
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)


def _head(joints: dict[str, Point], skin: Rgb, hair: Rgb, back: bool, long_hair: bool) -> list[Part]:
    """Return the parts of a head: hair, ears and, from the front, a face."""
    x = (joints["left_ear"][0] + joints["right_ear"][0]) / 2
    ears = [ellipse(joints[f"{side}_ear"], (0.014, 0.02), shade(skin, 0.9)) for side in ("left", "right")]
    crown = ellipse((x, 0.93), (0.066, 0.073), hair)
    fall = [ellipse((x, 0.88), (0.072, 0.085), hair)] if long_hair else []
    if back:
        return [*ears, ellipse((x, 0.905), (0.056, 0.07), shade(skin, 0.9)), crown, *fall]
    face = ellipse((joints["nose"][0] * 0.5 + x * 0.5, 0.9), (0.054, 0.066), skin)
    eyes = [ellipse(joints[f"{side}_eye"], (0.009, 0.009), (30, 26, 26)) for side in ("left", "right")]
    nose = ellipse(joints["nose"], (0.008, 0.014), shade(skin, 0.8))
    mouth = ellipse((joints["nose"][0], 0.868), (0.018, 0.005), (150, 60, 60))
    return [*fall, *ears, crown, face, *eyes, nose, mouth]
