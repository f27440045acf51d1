"""Mutations of bytes and of trees of plain values, as a function of given random numbers."""

import math
import random
from typing import Any

INTEGERS = (
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**40,
    2**63 - 1,
    2**64 - 1,
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 65536, 2**31, 2**63, -(2**63), 10**12, 10**30),
    *(0.5, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *(
        "",
        " ",
        "0",
        "nan",
        "1e999",
        "true",
        "../../../etc/passwd",
        "/etc/passwd",
        "~",
        ".",
        "..",
        "CON",
        "a\0b",
        "\ud800",
    ),
    *("x" * 5000, "\x1b[2J", "a\nb", "é蛇💥", "%s%n{0}", "${HOME}", "http://127.0.0.1:9/x", "*", "[", "=1+1"),
    *([], {}, [[]], [{}], {"": None}, [None] * 3, [0] * 1000, [[0, 0, 1, 1]]),
)
"""Values at the borders of types and ranges, and texts with a meaning elsewhere."""


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return data after one to eight changes: bits, bytes, integers, cuts, copies, zeros."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        size = len(content)
        start = rng.randrange(size + 1)
        stop = min(size, start + rng.choice((1, 1, 2, 4, 16, 256, 4096)))
        match rng.randrange(9):
            case 0 if start < size:
                content[start] ^= 1 << rng.randrange(8)
            case 1 if start < size:
                content[start] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(INTEGERS) % 256**width
                content[start : start + width] = number.to_bytes(width, rng.choice(("little", "big")))
            case 3:
                del content[start:stop]
            case 4:
                content[start:start] = content[start:stop] * rng.choice((1, 1, 2, 50))
            case 5:
                content[start:start] = rng.randbytes(rng.choice((1, 4, 64)))
            case 6:
                content[start:stop] = bytes(stop - start)
            case 7 if rng.random() < 0.3:
                del content[start:]
            case _:
                other = rng.randrange(size + 1)
                content[start:stop] = content[other : other + stop - start]
    return bytes(content)


def mutate_tree(rng: random.Random, tree: Any) -> Any:
    """Return a tree of mappings, lists and plain values after one to four changes of a node."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        paths = list(_paths(tree))
        path = rng.choice(paths)
        tree = _changed(rng, tree, path, _at(tree, rng.choice(paths)))
    return tree


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _paths(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _paths(value, (*path, index))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _changed(rng: random.Random, tree: Any, path: tuple[Any, ...], other: Any) -> Any:
    """Return a copy of a tree whose node at a path is changed."""
    if not path:
        return _new_value(rng, tree, other)
    first, *rest = path
    if isinstance(tree, dict):
        if rest or rng.random() < 0.7:
            return {k: _changed(rng, v, tuple(rest), other) if k == first else v for k, v in tree.items()}
        if rng.random() < 0.5:
            return {k: v for k, v in tree.items() if k != first}
        renamed = rng.choice(("", "x", f"{first} ", f"{first}.{first}", str(first).upper(), "id", "name", "\x1b[31m"))
        return {renamed if k == first else k: v for k, v in tree.items()}
    if rest or rng.random() < 0.7:
        return [_changed(rng, v, tuple(rest), other) if i == first else v for i, v in enumerate(tree)]
    return tree[:first] + tree[first + 1 :] if rng.random() < 0.5 else [*tree, *[tree[first]] * rng.choice((1, 3, 300))]


def _new_value(rng: random.Random, value: Any, other: Any) -> Any:
    match rng.randrange(5):
        case 0:
            return other
        case 1 if isinstance(value, int | float) and not isinstance(value, bool):
            return value * rng.choice((-1, 0, 2, 0.5, 1e6, 10**9)) + rng.choice((0, 1, -1, 0.1))
        case 1 if isinstance(value, str):
            return mutate_bytes(rng, value.encode("utf-8", "replace")).decode("utf-8", "replace")
        case 2 if rng.random() < 0.3:
            for _ in range(rng.choice((1, 3, 100))):
                value = [value]
            return value
    return rng.choice(VALUES)
