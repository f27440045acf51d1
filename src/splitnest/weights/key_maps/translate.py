"""Detection of the code base of a checkpoint by its keys, and translation of the keys to ours."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from splitnest.weights.key_maps import caffe2, detectron2, mmdet, mmpose, mmseg, official, torchvision

DETECTOR = "detector."
"""Prefix of the detector's modules in a panoptic model."""


@dataclass(frozen=True)
class KeyMap:
    """Key map of one code base. A key matches one template of ``modules`` or of ``dropped``, or is unknown.

    Attributes:
        name: Name of the code base.
        modules: Template of a module name -> template of ours.
        dropped: Template of a key -> reason why it is not needed.
        endings: Ending of a key -> ending with a dot between module and tensor, for keys without dots.
    """

    name: str
    modules: Mapping[str, str]
    dropped: Mapping[str, str]
    endings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _modules(self) -> Mapping[str, list[str]]:
        return _by_outline(self.modules)

    @cached_property
    def _dropped(self) -> Mapping[str, list[str]]:
        return _by_outline(self.dropped)

    def module(self, name: str) -> str | None:
        """Return our name of a module; None for an unknown one."""
        for source in self._modules.get(_outline(name), ()):
            if match := _pattern(source).fullmatch(name):
                return _substitute(self.modules[source], match.groupdict())
        return None

    def dotted(self, key: str) -> str:
        """Return a key with a dot between module and tensor."""
        for ending, dotted in self.endings.items():
            if key.endswith(ending):
                return key.removesuffix(ending) + dotted
        return key

    def drop_reason(self, key: str) -> str | None:
        """Return the reason why a key is not needed; None if it is."""
        sources = self._dropped.get(_outline(key), ())
        return next((self.dropped[source] for source in sources if _pattern(source).fullmatch(key)), None)


@dataclass(frozen=True)
class Translation:
    """Translated keys of a checkpoint.

    Attributes:
        layout: Name of the code base.
        sources: Our key -> key in the file.
        dropped: Key in the file -> reason why it is dropped.
        unknown: Keys in the file without a match, or whose translation another key has already.
    """

    layout: str
    sources: dict[str, str]
    dropped: dict[str, str]
    unknown: list[str]


_DIGITS = re.compile(r"\{\w+\}|\d+")
_NUMBER = re.compile(r"\{(\w+)([+-]\d+)?\}")


def _outline(name: str) -> str:
    """Return a name, or a source template, with ``#`` for each number: few templates have the outline of a name."""
    return _DIGITS.sub("#", name)


def _by_outline(templates: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for template in templates:
        found.setdefault(_outline(template), []).append(template)
    return found


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Return the regular expression of a source template, with a group for each number."""
    parts = _NUMBER.split(template)
    text = re.escape(parts[0])
    for name, _, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += rf"(?P<{name}>\d+)" + re.escape(literal)
    return re.compile(text)


def _substitute(template: str, numbers: Mapping[str, str]) -> str:
    """Return a target template with its numbers filled in."""
    return _NUMBER.sub(lambda match: str(int(numbers[match[1]]) + int(match[2] or 0)), template)


def _own_modules() -> dict[str, str]:
    """Return the identity of our own module names, with and without a network around a backbone."""
    tables = (
        *(official.MODULES, mmdet.PLAIN, mmseg.PLAIN, mmpose.PLAIN, detectron2.MODULES),
        *(mmdet.HRNET, mmseg.HRNET, mmpose.HRNET),
    )
    names = {_NUMBER.sub(r"{\1}", target) for table in tables for target in table.values()}
    own = {name.removeprefix("backbone."): name for name in names} | {name: name for name in names}
    return (
        own | {DETECTOR + name: DETECTOR + name for name in names} | {t: t for t in detectron2.SEMANTIC_HEAD.values()}
    )


_PANOPTIC = {source: DETECTOR + target for source, target in detectron2.MODULES.items()} | detectron2.SEMANTIC_HEAD

KEY_MAPS = (
    KeyMap("official", official.MODULES, official.DROPPED),
    KeyMap("mmdet", mmdet.POOLED, mmdet.DROPPED),
    KeyMap("mmseg", mmseg.POOLED, mmseg.DROPPED),
    KeyMap("mmpose", mmpose.POOLED, mmpose.DROPPED),
    KeyMap("mmdet", mmdet.PLAIN, mmdet.DROPPED),
    KeyMap("mmseg", mmseg.PLAIN, mmseg.DROPPED),
    KeyMap("mmpose", mmpose.PLAIN, mmpose.DROPPED),
    KeyMap("mmdet", mmdet.HRNET, mmdet.DROPPED),
    KeyMap("mmseg", mmseg.HRNET, mmseg.DROPPED),
    KeyMap("mmpose", mmpose.HRNET, mmpose.DROPPED),
    KeyMap("detectron2", detectron2.MODULES, detectron2.DROPPED),
    KeyMap("detectron2", _PANOPTIC, detectron2.DROPPED),
    KeyMap("torchvision", torchvision.MODULES, torchvision.DROPPED),
    KeyMap("torchvision", torchvision.HRNET, torchvision.HRNET_DROPPED),
    KeyMap("caffe2", caffe2.MODULES, caffe2.DROPPED, caffe2.ENDINGS),
    KeyMap("splitnest", _own_modules(), {}),
)


def translate(keys: Collection[str]) -> Translation:
    """Return the translation by the key map with the fewest unknown keys; by the first one if all are unknown."""
    best: Translation | None = None
    for key_map in KEY_MAPS:
        translation = _translate(keys, key_map)
        if best is None or len(translation.unknown) < len(best.unknown):
            best = translation
        if not best.unknown:
            break
    assert best is not None
    return best


def _translate(keys: Collection[str], key_map: KeyMap) -> Translation:
    dotted = {key: key_map.dotted(key) for key in keys}
    modules = {name: key_map.module(name) for name in {key.rpartition(".")[0] for key in dotted.values()}}
    translation = Translation(key_map.name, {}, {}, [])
    for key in keys:
        module, _, leaf = dotted[key].rpartition(".")
        target = modules[module]
        own_key = f"{target}.{leaf}"
        if reason := key_map.drop_reason(key):
            translation.dropped[key] = reason
        elif target is not None and own_key not in translation.sources:
            translation.sources[own_key] = key
        else:
            translation.unknown.append(key)
    return translation
