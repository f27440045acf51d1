"""Resolved configurations of the code bases that published the models, and our rows as mappings."""

import json
import os
from typing import Any

import pytest

from helpers.paths import ROOT
from splitnest import zoo
from splitnest.recipe import DETECTRON2, MMDET, BackboneConfig, DetectionRecipe, Recipe
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import Derived, derive
from splitnest.zoo.published import PUBLISHED

UPSTREAM = ROOT.parent / "shared" / "oracles" / "upstream_configs"
RESNEST = BackboneConfig(depth=50, avd_in_dilated=False).model_dump()
"""Section ``model.backbone`` of a ResNeSt; OpenMMLab and detectron2 have no pooling in dilated stages."""


def content_of(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as nested mappings, with its conventions as their name."""
    content = recipe.model_dump()
    if isinstance(recipe, DetectionRecipe):
        assert recipe.model.conventions in (MMDET, DETECTRON2)
        content["model"]["conventions"] = recipe.model.conventions.name
    return content


def configuration(name: str) -> dict[str, Any]:
    """Return the resolved upstream configuration of a row; skip the test where there is none."""
    file = UPSTREAM / f"{name}.json"
    if not file.exists():
        if os.environ.get("SPLITNEST_REQUIRE_DATA"):
            pytest.fail(f"{file} is missing")
        pytest.skip("the resolved upstream configurations are not beside the project")
    return json.loads(file.read_text())


def of_source(source: str) -> list[str]:
    """Return the names of the rows of ResNeSt's sources that one code base published."""
    return [name for name in zoo.list_models(source=source) if name in PUBLISHED]


def backbone_of_mm(config: dict[str, Any], **differs: Any) -> dict[str, Any]:
    """Return the section ``model.backbone`` of an OpenMMLab configuration."""
    norm = {"SyncBN": "sync_bn", "BN": "bn"}[config.get("norm_cfg", {"type": "BN"})["type"]]
    return {
        **RESNEST,
        "depth": config["depth"],
        "radix": config.get("radix", 2),
        "stem_width": config.get("stem_channels", 64) // 2,
        "avd": config.get("avg_down_stride", True),
        "norm": norm,
        "frozen_stages": config.get("frozen_stages", -1) + 1,
        **differs,
    }


def derived(config: dict[str, Any], classes: Any = None) -> Derived:
    """Return the recipe and notes of a resolved configuration."""
    return derive(config, "mine", "config", Metadata(classes))
