"""Whose key names a checkpoint has, and what they are called here.

The tables map modules, not tensors: what follows the last dot of a key (``weight``, ``running_mean``, ...) is the same
everywhere. A ``{name}`` in a template stands for an integer and is carried over. Each key is matched by one template of
``modules``, or by one of ``dropped``, which gives the reason; anything else is unknown.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from splitnest.weights import caffe2, classification, detectron2, openmmlab


@dataclass(frozen=True)
class Layout:
    """One naming of the modules.

    Attributes:
        name: As in the recipes; of the classification layouts, which are the same, ``official``.
        modules: Template of a module's name -> template of ours.
        dropped: Template of a key -> why it is not needed.
        leaves: End of a key -> the end of module and tensor that it stands for, where keys are not made with dots.
    """

    name: str
    modules: Mapping[str, str]
    dropped: Mapping[str, str]
    leaves: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _module_patterns(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(source), target) for source, target in self.modules.items()]

    @cached_property
    def _dropped_patterns(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(source), reason) for source, reason in self.dropped.items()]

    def module(self, name: str) -> str | None:
        """Our name of the module ``name``, None if it is unknown."""
        for pattern, template in self._module_patterns:
            if match := pattern.fullmatch(name):
                return template.format_map(match.groupdict())
        return None

    def dotted(self, key: str) -> str:
        """The key with a dot between module and tensor."""
        for end, leaf in self.leaves.items():
            if key.endswith(end):
                return key.removesuffix(end) + leaf
        return key

    def reason(self, key: str) -> str | None:
        """Why the tensor ``key`` is dropped, None if it is not."""
        return next((reason for pattern, reason in self._dropped_patterns if pattern.fullmatch(key)), None)


@dataclass(frozen=True)
class Translation:
    """What became of the keys of a checkpoint.

    Attributes:
        layout: Name of the layout.
        sources: Our key -> key in the file.
        dropped: Key in the file -> why it is dropped.
        unknown: Keys in the file that no rule matches, or that another one already gave the name of.
    """

    layout: str
    sources: dict[str, str]
    dropped: dict[str, str]
    unknown: list[str]


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template)))


def _own() -> dict[str, str]:
    """Our own names, with and without the network around a backbone."""
    tables = (classification.MODULES, openmmlab.MODULES, openmmlab.POSE_MODULES, detectron2.MODULES)
    names = {target for table in tables for target in table.values()}
    return {name.removeprefix("backbone."): name for name in names} | {name: name for name in names}


OFFICIAL = Layout("official", classification.MODULES, classification.DROPPED)
MMDET = Layout("mmdet", openmmlab.MODULES, openmmlab.DROPPED)
MMPOSE = Layout("mmpose", openmmlab.POSE_MODULES, openmmlab.DROPPED)
DETECTRON2 = Layout("detectron2", detectron2.MODULES, detectron2.DROPPED)
CAFFE2 = Layout("caffe2", caffe2.MODULES, caffe2.DROPPED, caffe2.LEAVES)
SPLITNEST = Layout("splitnest", _own(), {})
LAYOUTS = (OFFICIAL, MMDET, MMPOSE, DETECTRON2, CAFFE2, SPLITNEST)


def translate(keys: Collection[str]) -> Translation:
    """Find out whose ``keys`` these are, and what they are called here.

    The layout that knows most of them is taken; with none known, the first, which then knows nothing.
    """
    translations = (_translate(keys, layout) for layout in LAYOUTS)
    return min(translations, key=lambda translation: len(translation.unknown))


def _translate(keys: Collection[str], layout: Layout) -> Translation:
    dotted = {key: layout.dotted(key) for key in keys}
    modules = {name: layout.module(name) for name in {key.rpartition(".")[0] for key in dotted.values()}}
    found = Translation(layout.name, {}, {}, [])
    for key in keys:
        module, _, leaf = dotted[key].rpartition(".")
        target = modules[module]
        ours = f"{target}.{leaf}"
        if reason := layout.reason(key):
            found.dropped[key] = reason
        elif target is not None and ours not in found.sources:
            found.sources[ours] = key
        else:
            found.unknown.append(key)
    return found
