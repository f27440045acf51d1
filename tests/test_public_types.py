"""Types in public signatures are public names."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import splitnest

PUBLIC = {name: getattr(splitnest, name) for name in splitnest.__all__}
EXPORTED = {value for value in PUBLIC.values() if isinstance(value, type)}
RECEIVED = {splitnest.Report}
"""Classes that users get and do not construct."""

EXPORTED |= {each for value in PUBLIC.values() for each in typing.get_args(value)}  # those of a union


def functions(name: str) -> Iterator[Any]:
    """Yield a public function, or the public methods of a class."""
    value = PUBLIC[name]
    if inspect.isfunction(value):
        yield value
    for attribute, member in vars(value).items() if isinstance(value, type) else ():
        if attribute == "__init__" and value in RECEIVED:
            continue
        if attribute in ("__init__", "__call__") or not attribute.startswith("_"):
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(function):
                yield function


def types_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    for argument in typing.get_args(hint):
        for each in argument if isinstance(argument, list | tuple) else [argument]:
            yield from types_in(each)


@pytest.mark.parametrize("name", splitnest.__all__)
def test_types_of_signatures_are_public(name: str) -> None:
    for function in functions(name):
        for hint in typing.get_type_hints(function).values():
            for used in types_in(hint):
                is_public = not used.__module__.startswith("splitnest") or used in EXPORTED
                assert is_public, f"{function.__qualname__} has the type {used.__name__}, which is no public name"
