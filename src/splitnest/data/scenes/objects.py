"""Figures of cars, houses, trees, boats, birds, balls and balloons."""

import math
from itertools import pairwise

from splitnest.data.scenes.figure import Figure, Rgb, ellipse, hsv, limb, polygon, rectangle, shade, standing
from splitnest.data.scenes.rng import StableRng

GLASS: Rgb = (74, 98, 120)
TIRE: Rgb = (32, 32, 36)
WHITE: Rgb = (246, 244, 238)

ENVELOPE = (
    (0.005, 1.0),
    (0.11, 0.985),
    (0.21, 0.94),
    (0.29, 0.86),
    (0.345, 0.76),
    (0.36, 0.65),
    (0.345, 0.54),
    (0.3, 0.44),
    (0.22, 0.34),
    (0.13, 0.255),
    (0.08, 0.2),
)
"""Outline of a hot-air balloon as (half width, y), from top to bottom."""


def vivid_color(rng: StableRng) -> Rgb:
    """Return a random saturated color."""
    return hsv(rng.random(), rng.uniform(0.55, 0.9), rng.uniform(0.6, 0.95))


def car(rng: StableRng) -> Figure:
    """Draw a sedan, hatchback or van from the side; its aspect ratio is 2.0 to 2.8."""
    color = rng.choice([vivid_color(rng), vivid_color(rng), (225, 225, 228), (60, 64, 72), (160, 165, 172)])
    dark, glass = shade(color, 0.72), shade(GLASS, rng.uniform(0.8, 1.3))
    kind = rng.choice(["sedan", "hatchback", "van"])
    if kind == "van":
        body = [(-1.1, 0.2), (-1.13, 0.9), (-1.05, 1.0), (0.55, 1.0), (0.85, 0.62), (1.1, 0.54), (1.16, 0.2)]
        panes = [
            [(0.22, 0.62), (0.22, 0.92), (0.5, 0.92), (0.72, 0.62)],
            [(-0.2, 0.62), (-0.2, 0.92), (0.14, 0.92), (0.14, 0.62)],
        ]
        parts, wheels, front = [polygon(body, color)], (-0.7, 0.72), 1.1
    else:
        rear = -1.0 if kind == "hatchback" else -1.36
        body = [
            (rear + 0.02, 0.22),
            (rear - 0.02, 0.5),
            (rear + 0.1, 0.63),
            (0.7, 0.66),
            (1.14, 0.6),
            (1.33, 0.48),
            (1.36, 0.22),
        ]
        tail = rear + (0.08 if kind == "hatchback" else 0.42)
        cabin = [(tail, 0.62), (tail + 0.22, 0.95), (tail + 0.34, 1.0), (0.28, 1.0), (0.42, 0.96), (0.82, 0.62)]
        panes = [
            [(0.03, 0.67), (0.03, 0.92), (0.28, 0.92), (0.58, 0.67)],
            [(-0.05, 0.67), (-0.05, 0.92), (tail + 0.36, 0.92), (tail + 0.2, 0.67)],
        ]
        parts, wheels, front = [polygon(cabin, color), polygon(body, color)], (rear + 0.48, 0.82), 1.33
    length = front - body[0][0]
    parts += [polygon(pane, glass) for pane in panes]
    parts.append(rectangle(body[0][0], 0.2, body[-1][0], 0.31, dark))
    parts.append(rectangle(-0.02, 0.3, 0.01, 0.64, dark))
    parts.append(polygon([(front - 0.16, 0.5), (front, 0.46), (front, 0.38), (front - 0.12, 0.4)], (255, 246, 205)))
    parts.append(rectangle(front - length, 0.44, front - length + 0.09, 0.54, (200, 40, 36)))
    for x in wheels:
        parts += [
            ellipse((x, 0.22), (0.25, 0.25), dark),
            ellipse((x, 0.21), (0.21, 0.21), TIRE),
            ellipse((x, 0.21), (0.11, 0.11), (180, 182, 188)),
        ]
    return standing(parts)


def house(rng: StableRng) -> Figure:
    """Draw a house from the front; its aspect ratio is 0.9 to 1.5."""
    half, eaves = rng.uniform(0.42, 0.72), rng.uniform(0.52, 0.64)
    wall = rng.choice(
        [(236, 224, 200), (214, 178, 140), (196, 110, 84), (226, 226, 222), (170, 190, 200), (232, 204, 132)]
    )
    roof = rng.choice([(150, 62, 48), (96, 76, 70), (84, 92, 108), (120, 50, 40), (90, 110, 84)])
    overhang = 0.07
    peak = rng.uniform(-0.12, 0.12) if rng.bernoulli(0.6) else None
    chimney = rng.choice([-1, 1]) * half * 0.55
    parts = [
        rectangle(chimney - 0.05, eaves, chimney + 0.05, 0.97, shade(roof, 0.8)),
        rectangle(-half, 0, half, eaves + 0.04, wall),
    ]
    if peak is None:
        top = [(-half * 0.62, 0.93), (half * 0.62, 0.93)]
    else:
        top = [(peak, 1.0)]
        parts.append(polygon([(-half, eaves), (peak, 0.95), (half, eaves)], shade(wall, 0.94)))
    parts.append(polygon([(-half - overhang, eaves), *top, (half + overhang, eaves)], roof))
    parts.append(rectangle(-half - overhang, eaves - 0.03, half + overhang, eaves + 0.01, shade(roof, 0.65)))
    parts.append(rectangle(-half, 0, half, 0.05, shade(wall, 0.72)))
    door, door_color = rng.uniform(-0.5, 0.5) * half, shade(vivid_color(rng), 0.75)
    parts += [
        rectangle(door - 0.085, 0, door + 0.085, 0.3, WHITE),
        rectangle(door - 0.065, 0, door + 0.065, 0.28, door_color),
    ]
    lit = rng.bernoulli(0.25)
    pane = (255, 222, 140) if lit else shade(GLASS, rng.uniform(0.9, 1.4))
    for x in (-0.68, -0.23, 0.23, 0.68):
        if abs(x * half - door) > 0.19:
            parts += [
                rectangle(x * half - 0.085, 0.16, x * half + 0.085, 0.36, WHITE),
                rectangle(x * half - 0.065, 0.18, x * half + 0.065, 0.34, pane),
                rectangle(x * half - 0.008, 0.18, x * half + 0.008, 0.34, WHITE),
            ]
    if peak is not None:
        parts += [
            ellipse((peak, eaves + 0.17), (0.075, 0.075), WHITE),
            ellipse((peak, eaves + 0.17), (0.055, 0.055), pane),
        ]
    return standing(parts)


def tree(rng: StableRng) -> Figure:
    """Draw a broadleaf tree or a conifer; its aspect ratio is 0.4 to 0.9."""
    trunk = rng.choice([(104, 74, 48), (88, 66, 50), (126, 100, 76)])
    leaf = hsv(
        rng.choice([rng.uniform(0.22, 0.38), rng.uniform(0.24, 0.4), rng.uniform(0.05, 0.14)]),
        rng.uniform(0.5, 0.75),
        rng.uniform(0.35, 0.62),
    )
    parts = [polygon([(-0.05, 0), (-0.028, 0.5), (0.028, 0.5), (0.055, 0)], trunk)]
    if rng.bernoulli(0.4):
        half, tiers = rng.uniform(0.2, 0.32), 4
        for tier in range(tiers):
            low, wide = 0.12 + tier * 0.19, half * (1 - tier * 0.2)
            high = min(1.0, low + 0.4)
            hem = [
                (-wide, low),
                (-wide * 0.55, low + 0.035),
                (-wide * 0.2, low - 0.01),
                (wide * 0.25, low + 0.03),
                (wide * 0.6, low),
                (wide, low + 0.02),
            ]
            parts.append(polygon([*hem, (0, high)], shade(leaf, 0.8 + 0.09 * tier)))
        return standing(parts)
    wide = rng.uniform(0.24, 0.36)
    blobs = [(rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.45, 0.6)) for _ in range(7)]
    parts.append(ellipse((0, 0.66), (wide * 0.9, 0.27), shade(leaf, 0.78)))
    for tone, up in ((0.78, 0.0), (1.0, 0.035), (1.14, 0.075)):
        for x, y, size in blobs[: 7 if tone < 1.1 else 4]:
            radius = size * (1 if tone < 1 else 0.8 if tone < 1.1 else 0.45)
            parts.append(
                ellipse((x * wide, 0.66 + y * 0.27 + up), (radius * wide, radius * 0.27 * 1.1), shade(leaf, tone))
            )
    return standing(parts)


def boat(rng: StableRng) -> Figure:
    """Draw a sailboat or a motorboat."""
    hull = rng.choice([vivid_color(rng), (240, 240, 240), (46, 60, 92), (150, 92, 56)])
    trim, tone = rng.choice([(250, 250, 250), (200, 50, 46), (36, 40, 52)]), rng.uniform(0.92, 1)
    if rng.bernoulli(0.65):
        sail, jib = shade((250, 247, 238), tone), rng.choice([shade((250, 247, 238), 0.9), vivid_color(rng)])
        return standing(
            [
                rectangle(-0.014, 0.14, 0.014, 1.0, (96, 78, 62)),
                polygon([(-0.035, 0.22), (-0.03, 0.97), (-0.16, 0.68), (-0.3, 0.42), (-0.4, 0.22)], sail),
                polygon([(0.035, 0.22), (0.03, 0.88), (0.2, 0.52), (0.36, 0.22)], jib),
                polygon([(-0.46, 0.17), (0.52, 0.19), (0.38, 0.0), (-0.36, 0.0)], hull),
                polygon([(-0.46, 0.17), (0.52, 0.19), (0.5, 0.145), (-0.45, 0.13)], trim),
            ]
        )
    return standing(
        [
            rectangle(-0.5, 0.9, -0.46, 1.0, (70, 70, 74)),
            polygon([(-0.62, 0.42), (-0.5, 0.92), (0.1, 0.92), (0.36, 0.42)], (244, 244, 242)),
            polygon([(-0.46, 0.56), (-0.4, 0.82), (-0.2, 0.82), (-0.2, 0.56)], GLASS),
            polygon([(-0.12, 0.56), (-0.12, 0.82), (0.06, 0.82), (0.2, 0.56)], GLASS),
            polygon([(-1.0, 0.42), (1.25, 0.5), (0.8, 0.0), (-0.88, 0.0)], hull),
            polygon([(-1.0, 0.42), (1.25, 0.5), (1.17, 0.4), (-0.98, 0.32)], trim),
        ]
    )


def bird(rng: StableRng) -> Figure:
    """Draw a bird in flight, its wings up or down."""
    color = rng.choice([(44, 46, 54), (240, 240, 236), (70, 110, 180), (196, 66, 52), (120, 92, 70), (230, 180, 60)])
    belly, wing, far = shade(color, 1.35), shade(color, 0.85), shade(color, 0.65)
    lift = rng.uniform(0.75, 1.0) * rng.choice([1, 1, -0.75])
    sweep = rng.uniform(-0.2, 0.2)
    parts = [
        polygon(
            [(0.28, 0.48), (0.02, 0.5), (0.02 + sweep, 0.48 + 0.52 * lift), (0.18 + sweep, 0.48 + 0.46 * lift)], far
        ),
        polygon([(-0.42, 0.53), (-1.0, 0.66), (-0.92, 0.46), (-0.42, 0.4)], wing),
        ellipse((0, 0.46), (0.55, 0.17), color),
        ellipse((0.06, 0.39), (0.42, 0.09), belly),
        ellipse((0.54, 0.55), (0.15, 0.14), color),
        polygon([(0.66, 0.6), (0.9, 0.53), (0.66, 0.48)], (240, 160, 40)),
        ellipse((0.58, 0.59), (0.03, 0.03), (16, 16, 18)),
        polygon(
            [
                (0.22, 0.5),
                (-0.3, 0.5),
                (-0.5 + sweep, 0.47 + 0.46 * lift),
                (-0.36 + sweep, 0.48 + 0.54 * lift),
                (-0.1 + sweep, 0.48 + 0.46 * lift),
            ],
            wing,
        ),
    ]
    return standing(parts)


def ball(rng: StableRng) -> Figure:
    """Draw a beach ball with colored panels, or a ball with dark patches."""
    parts = [ellipse((0, 0.5), (0.5, 0.5), WHITE)]
    turn = rng.random() * 2 * math.pi
    if rng.bernoulli(0.6):
        colors = [vivid_color(rng), WHITE, vivid_color(rng), WHITE, vivid_color(rng), WHITE]
        pole = (0.16 * math.cos(turn * 3), 0.5 + 0.16 * math.sin(turn * 3))
        for panel, color in enumerate(colors):
            rim = [turn + (panel + step / 4) * math.pi / 3 for step in range(5)]
            parts.append(
                polygon([pole, *((0.5 * math.cos(angle), 0.5 + 0.5 * math.sin(angle)) for angle in rim)], color)
            )
        parts.append(ellipse(pole, (0.06, 0.06), (250, 250, 250)))
    else:
        dark = rng.choice([(30, 30, 34), vivid_color(rng)])
        for distance, count, size in ((0.0, 1, 0.14), (0.36, 5, 0.11)):
            for patch in range(count):
                angle = turn + patch * 2 * math.pi / 5
                x, y = distance * math.cos(angle), 0.5 + distance * math.sin(angle)
                corners = [turn + math.pi / 5 + corner * 2 * math.pi / 5 for corner in range(5)]
                parts.append(polygon([(x + size * math.cos(c), y + size * math.sin(c)) for c in corners], dark))
    parts.append(ellipse((0.06, 0.36), (0.4, 0.34), (20, 20, 40), opacity=0.1))
    parts.append(ellipse((-0.17, 0.7), (0.13, 0.1), (255, 255, 255), opacity=0.65))
    return standing(parts)


def balloon(rng: StableRng) -> Figure:
    """Draw a hot-air balloon with stripes and a basket."""
    first, second = vivid_color(rng), rng.choice([(248, 240, 214), vivid_color(rng)])
    parts = []
    for stripe, (a, b) in enumerate(pairwise((-1, -0.78, -0.45, -0.15, 0.15, 0.45, 0.78, 1))):
        color = shade(first if stripe % 2 else second, 1.1 if stripe < 3 else 1 - 0.07 * (stripe - 3))
        parts.append(polygon([*((x * a, y) for x, y in ENVELOPE), *((x * b, y) for x, y in reversed(ENVELOPE))], color))
    parts += [limb((side * 0.07, 0.2), (side * 0.05, 0.1), 0.011, 0.011, (70, 54, 40)) for side in (-1, 1)]
    parts.append(rectangle(-0.07, 0.0, 0.07, 0.115, (138, 94, 56)))
    parts.append(rectangle(-0.08, 0.1, 0.08, 0.125, (96, 64, 40)))
    return standing(parts)
