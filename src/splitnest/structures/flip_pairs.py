"""Left and right keypoints, recognized by the spelling of their names."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

SIDE_WORDS = (
    ("left", "right"),
    ("lft", "rgt"),
    ("lt", "rt"),
    ("links", "rechts"),
    ("gauche", "droite"),
    ("izquierda", "derecha"),
    ("izquierdo", "derecho"),
    ("左", "右"),
)
"""Words of the two sides of a body."""

SIDE_LETTERS = (("l", "r"),)
"""Letters of the two sides, as in ``l_hand``, ``eyeL`` and ``LHip``."""

MIN_WORD = 3
"""Number of letters of a word that a side is joined to: ``leye`` has a side, ``low`` has none."""

_SIDES = {side: pair[1 - n] for pair in SIDE_WORDS + SIDE_LETTERS for n, side in enumerate(pair)}
_LEFT_LETTERS = {pair[0][0] for pair in SIDE_WORDS + SIDE_LETTERS}
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[左右]|[^\W\d_]|\d+")
"""Words of a name: ``forelegL1`` has foreleg, L and 1."""


def flip_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of names that differ in their side only, in the order of the names; a name is in one pair.

    Sides are ``left`` and ``right``, ``l`` and ``r`` and others, as words of a name in any letter case and order
    (``L_Eye``, ``left-hip``, ``eye.l``, ``LeftEye``, ``forelegL1``), or joined to a word (``lefteye``, ``lhip``).
    """
    plain_counts = Counter(map(_plain, names))
    by_plain = {_plain(name): name for name in names if plain_counts[_plain(name)] == 1}
    partner: dict[str, str] = {}
    for name in names:
        for opposite in () if name in partner else _opposites(name):
            other = opposite if opposite in names else by_plain.get(_plain(opposite))
            if other is not None and other != name and other not in partner:
                partner[name], partner[other] = other, name
                break
    order = {name: index for index, name in enumerate(names)}
    return [(name, other) for name, other in partner.items() if order[name] < order[other]]


def flip_indices(names: Sequence[str]) -> tuple[int, ...]:
    """Return the keypoint that each keypoint becomes under a horizontal flip, by the spelling of the names."""
    other = {name: partner for pair in flip_pairs(names) for name, partner in (pair, pair[::-1])}
    return tuple(names.index(other.get(name, name)) for name in names)


def is_left(name: str, other: str) -> bool:
    """Return whether the first of two names that differ in their side is the left one."""
    letters = zip(_plain(name), _plain(other), strict=False)
    return next((letter in _LEFT_LETTERS for letter, opposite in letters if letter != opposite), False)


def unpaired_sides(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the names that suggest a side and are in none of the pairs."""
    paired = {name for pair in pairs for name in pair}
    return [name for name in names if name not in paired and _suggests_side(name)]


def _opposites(name: str) -> Iterator[str]:
    """Yield the possible names of the keypoint on the other side, the most certain first."""
    parts = list(_PARTS.finditer(name))
    for pairs in (SIDE_WORDS, SIDE_LETTERS):
        sides = {side for pair in pairs for side in pair}
        if any(part[0].lower() in sides for part in parts):
            yield _swapped(name, sides)
    for part in parts:
        for side in ("left", "right", "l", "r"):
            rest = len(part[0]) - len(side)
            if not rest or (rest < MIN_WORD and not part[0].isupper()):
                continue
            if part[0].lower().startswith(side):
                yield _replaced(name, part.start(), side)
            if part[0].lower().endswith(side):
                yield _replaced(name, part.end() - len(side), side)


def _suggests_side(name: str) -> bool:
    parts = [part.lower() for part in _PARTS.findall(name)]
    return any(part in _SIDES or part.startswith(("left", "right")) for part in parts)


def _swapped(name: str, sides: set[str]) -> str:
    """Return a name with every word among ``sides`` replaced by its opposite."""
    return _PARTS.sub(lambda part: _opposite(part[0]) if part[0].lower() in sides else part[0], name)


def _replaced(name: str, start: int, side: str) -> str:
    return name[:start] + _opposite(name[start : start + len(side)]) + name[start + len(side) :]


def _opposite(side: str) -> str:
    """Return the other side in the letter case of this one."""
    other = _SIDES[side.lower()]
    if side.isupper():
        return other.title() if len(side) == 1 < len(other) else other.upper()
    return other.title() if side.istitle() else other


def _plain(name: str) -> str:
    """Return a name in lower case without separators."""
    return re.sub(r"[\W_]+", "", name).lower()
