"""Every published row: its keys, shapes and parameters are what they were when recordings held.

After a change that is meant to rename or reshape, write the new table with ``python tests/models/test_rows.py``.
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from splitnest import recipes
from splitnest.build import build_model
from splitnest.complexity import complexity

GOLDEN = Path(__file__).parent.parent / "data" / "golden_models.json"
ABLATION = {  # the official ablation.md: parameters in millions, GFLOPs
    "1s1x64d": (26.3, 4.34),
    "2s1x64d": (27.5, 4.34),
    "4s1x64d": (31.9, 4.35),
    "1s2x40d": (25.9, 4.38),
    "2s2x40d": (26.9, 4.38),
    "4s2x40d": (30.4, 4.41),
    "1s4x24d": (25.7, 4.42),
}


def golden(name: str) -> dict[str, int | str]:
    """Return what identifies the network of a row."""
    with torch.device("meta"):
        module = build_model(recipes.get(name))
    lines = "\n".join(f"{key} {list(value.shape)}" for key, value in sorted(module.state_dict().items()))
    return {
        "tensors": len(module.state_dict()),
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "keys": hashlib.sha256(lines.encode()).hexdigest()[:16],
    }


@pytest.mark.parametrize("name", recipes.names())
def test_golden(name: str) -> None:
    assert golden(name) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("setting", ABLATION)
def test_size_and_cost_are_as_published(setting: str) -> None:
    counted = complexity(recipes.get(f"resnest50_fast_{setting}_imagenet.official"))
    parameters, gflops = ABLATION[setting]
    assert counted.parameters / 1e6 == pytest.approx(parameters, abs=0.1)
    assert counted.multiply_adds / 1e9 == pytest.approx(gflops, rel=0.01)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: golden(name) for name in recipes.names()}, indent=1) + "\n")
