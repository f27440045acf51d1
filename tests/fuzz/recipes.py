"""Fuzzing of recipe files and of overrides on the command line."""

import random
from pathlib import Path
from typing import Any

import yaml

from helpers.fuzzing import Case
from helpers.image_tree import SMALL
from helpers.mutations import VALUES, mutate_bytes, mutate_tree
from helpers.tiny_detector import CONTENT
from splitnest import zoo
from splitnest.device import on_meta
from splitnest.inference.foreign_files import foreign_file
from splitnest.inference.resolve import read_recipe
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.recipe.serialization import dump_yaml, from_json, to_json

HOSTILE = (
    "!!python/object/apply:os.system ['touch executed']",
    "base: !!python/name:os.system ''",
    "&a [*a]",
    "base: &a [*a]",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\nbase: *d",
    "name: " + "[" * 5000,
    "base: recipe.yaml",
    "base: ../../../etc/passwd.yaml",
    "? [a, b]\n: c\nbase: resnest50",
    "base: resnest50\n? {a: b}\n: c",
    "train: path\nnames: &n [*n]\nbase2: 1",
    "names: {0: &x [*x]}\ntrain: a",
    "MODEL: &m [*m]",
)
"""Texts that ask for code, refer to themselves or are nested deeply."""

ROWS = (
    "resnest50_imagenet.official",
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "panoptic_fpn_resnest200_3x_coco.detectron2",
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    "simplebaseline_resnest50_256x192_coco.mmpose",
)


def start(folder: Path) -> Case:
    """Return the function of a case."""
    small: dict[str, Any] = {"base": ROWS[0], **SMALL}
    complete = [yaml.safe_load(dump_yaml(zoo.get(name))) for name in ROWS]
    trees = [small, CONTENT, *complete]
    keys = [key for name in ROWS for key in overrides.known_keys(type(zoo.get(name)))]
    path = folder / "recipe.yaml"

    def run(rng: random.Random) -> None:
        path.write_bytes(_text(rng, trees))
        foreign_file(path)
        if rng.random() < 0.3:
            recipe = overrides.apply(zoo.get(rng.choice(ROWS)), overrides.parse(_assignments(rng, keys)))
        else:
            recipe, _ = read_recipe(path)
        assert from_json(to_json(recipe)) == recipe
        with on_meta():
            build_model(recipe)

    return run


def _text(rng: random.Random, trees: list[dict[str, Any]]) -> bytes:
    if rng.random() < 0.1:
        return mutate_bytes(rng, rng.choice(HOSTILE).encode()) if rng.random() < 0.3 else rng.choice(HOSTILE).encode()
    tree = mutate_tree(rng, rng.choice(trees))
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return mutate_bytes(rng, text) if rng.random() < 0.3 else text


def _assignments(rng: random.Random, keys: list[str]) -> list[str]:
    return [
        f"{rng.choice(keys)}{rng.choice(('=', '=', '=', ':', ' = ', '.x='))}{rng.choice((*VALUES, *HOSTILE))}"
        for _ in range(rng.randrange(4))
    ]
