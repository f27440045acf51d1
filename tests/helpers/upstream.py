"""Resolved configurations of the code bases that published the models, and our rows as mappings."""

import json
import os
from typing import Any

import pytest

from helpers.paths import ROOT
from splitnest import zoo
from splitnest.recipe import DETECTRON2, MMDET, DetectionRecipe, Recipe

UPSTREAM = ROOT.parent / "shared" / "oracles" / "upstream_configs"
RESNEST = {
    "radix": 2,
    "cardinality": 1,
    "base_width": 64,
    "planes": 64,
    "stem": "3x3",
    "stem_width": 32,
    "stem_stride": 4,
    "avg_down": True,
    "avd": True,
    "avd_first": False,
    "avd_in_dilated": False,
    "stride_in_1x1": False,
    "output_stride": 32,
    "dcn_stages": (),
    "norm": "bn",
    "frozen_stages": 0,
}


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
    """Return the names of the rows of one code base."""
    return zoo.list_models(pattern=f"*.{source}")


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
