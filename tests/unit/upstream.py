"""The resolved configurations of the code bases that published the models, and our rows as mappings."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from splitnest import recipes
from splitnest.recipe import DETECTRON2, MMDET, Recipe

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "oracles" / "upstream_configs"
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


def facts(recipe: Recipe) -> dict[str, Any]:
    """The recipe as nested mappings, the conventions as their name."""
    found = recipe.model_dump()
    if "conventions" in found["model"]:
        assert recipe.model.conventions in (MMDET, DETECTRON2)
        found["model"]["conventions"] = found["model"]["conventions"]["name"]
    return found


def configuration(name: str) -> dict[str, Any]:
    file = UPSTREAM / f"{name}.json"
    if not file.exists():
        if os.environ.get("SPLITNEST_REQUIRE_DATA"):
            pytest.fail(f"{file} is missing")
        pytest.skip("the resolved upstream configurations are not beside the project")
    return json.loads(file.read_text())


def of_source(source: str) -> list[str]:
    return recipes.names(pattern=f"*.{source}")


def backbone_of_mm(config: dict[str, Any], **differs: Any) -> dict[str, Any]:
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
