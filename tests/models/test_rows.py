"""Networks of all published rows: keys, shapes and parameters are those of the golden table and of the recordings.

After a change that renames or reshapes tensors on purpose, write the table with ``python tests/models/test_rows.py``.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # when this file is run as a script

import splitnest
from helpers import original_keys
from helpers.paths import INPUTS, RECORDINGS
from helpers.upstream_rows import STEPS, lines, require_recordings
from splitnest import zoo
from splitnest.device import on_meta
from splitnest.models.build import build_model
from splitnest.models.complexity import complexity
from splitnest.weights.key_maps.translate import translate
from splitnest.zoo import upstream
from splitnest.zoo.published import PUBLISHED

GOLDEN = INPUTS / "golden_models.json"
ABLATION = {  # ablation.md of the official repository: parameters in millions, GFLOPs
    "1s1x64d": (26.3, 4.34),
    "2s1x64d": (27.5, 4.34),
    "4s1x64d": (31.9, 4.35),
    "1s2x40d": (25.9, 4.38),
    "2s2x40d": (26.9, 4.38),
    "4s2x40d": (30.4, 4.41),
    "1s4x24d": (25.7, 4.42),
}


def hash_of(shapes: Mapping[str, torch.Size]) -> str:
    lines = "\n".join(f"{key} {list(shape)}" for key, shape in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def golden(module: torch.nn.Module) -> dict[str, Any]:
    """Return the values that identify a network."""
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    return {
        "tensors": len(shapes),
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "keys": hash_of(shapes),
    }


def build(name: str) -> torch.nn.Module:
    recipe = zoo.get(name)
    network = recipe.model.model_dump(mode="json", exclude=set(getattr(recipe.model, "not_architecture", ())))
    outputs = (recipe.num_classes, recipe.data.num_stuff, getattr(recipe.data, "keypoints", None))
    return build_network(name, recipe.task, json.dumps(network), *outputs)


NETWORKS: dict[tuple[Any, ...], torch.nn.Module] = {}


def build_network(name: str, *definition: Any) -> torch.nn.Module:
    """Return the network of a row, which it may share with rows of the same definition."""
    if definition not in NETWORKS:
        with on_meta():
            NETWORKS[definition] = build_model(zoo.get(name))
    return NETWORKS[definition]


def parts(name: str) -> str:
    """Return the parts of a row's network; rows that share them differ in strides, dilations or classes alone."""
    recipe = zoo.get(name)
    fields = recipe.model.model_dump(mode="json", exclude=set(getattr(recipe.model, "not_architecture", ())))
    for section in (fields, fields["backbone"]):
        for key in section.keys() & WITHOUT_PARAMETERS:
            del section[key]
    return json.dumps(fields)


WITHOUT_PARAMETERS = {
    *("align_corners", "fcn_dilation", "aspp_dilations", "sigma", "dropout"),
    *("output_stride", "dilations", "multi_grid", "frozen_stages", "norm_eval", "stride_in_1x1"),
}


def one_of_each() -> list[str]:
    """Return the rows of ResNeSt, and one row for all those of the same parts."""
    rows = {name: name if name in PUBLISHED else parts(name) for name in zoo.list_models()}
    return list({kind: name for name, kind in rows.items()}.values())


def without_counters(shapes: dict[str, Any], places: Container[str]) -> dict[str, Any]:
    """Return the shapes of an original without the counters of frozen batch normalization, which has none here.

    Args:
        shapes: Key of our network -> shape in the original.
        places: Keys of our network.
    """
    counters = {key for key in shapes if key not in places and key.endswith(".num_batches_tracked")}
    assert all(key.replace("num_batches_tracked", "running_mean") in places for key in counters)
    return {key: shape for key, shape in shapes.items() if key not in counters}


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.parity)])
def test_every_row_has_the_golden_and_the_recorded_keys(full: bool) -> None:
    expected = json.loads(GOLDEN.read_text())
    assert list(expected) == zoo.list_models()
    num_recorded = 0
    for name in expected if full else one_of_each()[::3]:
        module = build(name)
        assert golden(module) == expected[name], f"{name} is another network than before"
        recording = RECORDINGS / name.rpartition(".")[2] / f"{name}.json"
        if recording.exists():
            num_recorded += 1
            recorded = json.loads(recording.read_text())["state_dict"]
            sources = translate(list(recorded)).sources
            shapes = {key: list(recorded[source]) for key, source in sources.items()}
            places = {key: list(value.shape) for key, value in module.state_dict().items()}
            assert without_counters(shapes, places) == places, name
    assert num_recorded > (20 if full else 5)


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.parity)])
def test_every_row_takes_the_keys_of_its_original(full: bool) -> None:
    """All keys that the original code gives the configuration of a row find their places, and no place stays empty."""
    require_recordings()
    rows = {f"{line['name']}.{line['framework']}": line for line in lines() if "name" in line}
    names = list(upstream.ROWS) if full else [name for name in one_of_each() if name in upstream.ROWS][::3]
    loaded: Counter[str] = Counter()
    for name in names:
        line = rows[name]
        theirs = original_keys.of_row(line["framework"], line["model"], line["weights_url"])
        translation = translate(list(theirs))
        assert not translation.unknown, name
        assert not translation.dropped, name
        places = {key: list(value.shape) for key, value in build(name).state_dict().items()}
        found = {key: theirs[source] for key, source in translation.sources.items()}
        assert without_counters(found, places) == places, name
        loaded[line["step"]] += 1
    assert loaded == STEPS or not full


def test_rules_of_keys_are_those_of_the_recordings() -> None:
    num_recorded = 0
    for path in sorted(RECORDINGS.glob("*/*.json")):
        recorded = json.loads(path.read_text())
        if path.name.endswith((".train.json", ".e2e.json")) or "upstream_model" not in recorded:
            continue
        model = recorded["upstream_model"]
        keys = original_keys.of_row(path.parent.name, model.get("MODEL", model))
        assert keys == recorded["state_dict"], path.name
        num_recorded += 1
    assert num_recorded == 64


def test_resnet_of_plain_values_has_the_golden_keys() -> None:
    with on_meta():
        backbone = splitnest.models.resnet(depth=50, radix=2)
    shapes = {f"backbone.{key}": value.shape for key, value in backbone.state_dict().items()}
    classifier = {"fc.weight": torch.Size([1000, 2048]), "fc.bias": torch.Size([1000])}
    expected = json.loads(GOLDEN.read_text())["resnest50_imagenet.official"]
    assert hash_of({**shapes, **classifier}) == expected["keys"]
    assert len(shapes) == expected["tensors"] - 2
    assert (backbone.channels["c5"], backbone.strides["c5"]) == (2048, 32)


def test_resnet_returns_the_named_features() -> None:
    backbone = splitnest.models.resnet(depth=14, radix=0, planes=8, stem="7x7", avd=False, out=("c3", "c5")).eval()
    with torch.inference_mode():
        features = backbone(torch.randn(1, 3, 65, 96))
    shapes = {name: tuple(feature.shape) for name, feature in features.items()}
    assert shapes == {"c3": (1, 64, 9, 12), "c5": (1, 256, 3, 3)}
    assert (backbone.channels, backbone.strides) == ({"c3": 64, "c5": 256}, {"c3": 8, "c5": 32})
    for out in ((), ("c1",)):
        with pytest.raises(ValueError, match="the stages are c2, c3, c4, c5"):
            splitnest.models.resnet(depth=14, planes=8, out=out)


def test_parameters_and_cost_are_as_published() -> None:
    for setting, (parameters, gflops) in ABLATION.items():
        counted = complexity(zoo.get(f"resnest50_fast_{setting}_imagenet.official"))
        assert counted.parameters / 1e6 == pytest.approx(parameters, abs=0.1), setting
        assert counted.multiply_adds / 1e9 == pytest.approx(gflops, rel=0.01), setting


if __name__ == "__main__":
    table = {name: golden(build(name)) for name in zoo.list_models()}
    GOLDEN.write_text(json.dumps(table, indent=1) + "\n")
