"""Fuzzing of configurations of other code bases: files, files that inherit, and the text in a checkpoint."""

import random
from pathlib import Path
from typing import Any

import torch
import yaml

from helpers import upstream_configs
from helpers.fuzzing import Case
from helpers.mutations import mutate_bytes, mutate_tree
from helpers.upstream_rows import python_text
from splitnest.device import on_meta
from splitnest.inference.resolve import read_recipe
from splitnest.models.build import build_model
from splitnest.recipe.serialization import from_json, to_json

HOSTILE = (
    "model = __import__('os').system('touch executed')",
    "import os\nmodel = dict(type=os.system('touch executed'))",
    "model = dict(type=(lambda: open('executed', 'w'))())",
    "model = [open(str(i), 'w') for i in range(9)]",
    "model = f\"{__import__('os').system('touch executed')}\"",
    "a = 'a' * 10 ** 9\nmodel = dict(type=a)",
    "a = 9 ** 9 ** 9",
    "model = " + "[" * 5000,
    "model = " + "dict(a=" * 500 + "1" + ")" * 500,
    "model = " + "-" * 50_000 + "1",
    "a0 = [0] * 9\n" + "".join(f"a{i + 1} = [a{i}, a{i}, a{i}]\n" for i in range(40)),
    "_base_ = ['config.py', 'config.py']",
    "_base_ = '../../../../etc/passwd'",
    "_base_ = ['base.py', 'base.py']\nmodel = {{_base_.model}}",
)
"""Texts that ask for code, refer to themselves, or are nested deeply or huge."""


def start(folder: Path) -> Case:
    """Return the function of a case."""
    trees = [_plain(config()) for config in upstream_configs.ALL.values()]
    paths = {name: folder / name for name in ("config.py", "base.py", "config.yaml", "epoch_1.pth")}

    def run(rng: random.Random) -> None:
        tree = mutate_tree(rng, rng.choice(trees))
        suffix = ".yaml" if rng.random() < 0.3 else ".py"
        text = _text(rng, tree, suffix)
        path = paths[f"config{suffix}"]
        match rng.randrange(3):
            case 0:
                path = paths["epoch_1.pth"]
                meta = {rng.choice(("cfg", "config")): text.decode("utf-8", "replace")}
                meta |= {"dataset_meta": {"classes": mutate_tree(rng, ["apple", "fig", "plum"])}}
                torch.save({"meta": meta, "state_dict": {"x": torch.zeros(1)}}, path)
            case 1 if suffix == ".py":
                paths["base.py"].write_bytes(text)
                path.write_bytes(_text(rng, {"_base_": "base.py", **_part(rng, tree)}, suffix))
            case _:
                path.write_bytes(text)
        recipe, _ = read_recipe(path)
        assert from_json(to_json(recipe)) == recipe
        with on_meta():
            build_model(recipe)

    return run


def _part(rng: random.Random, tree: Any) -> dict[str, Any]:
    """Return a part of a mutated configuration; nothing where it is no mapping any more."""
    if not isinstance(tree, dict) or not tree:
        return {}
    key = rng.choice(list(tree))
    return {key: mutate_tree(rng, tree[key])}


def _plain(value: Any) -> Any:
    """Return a tree with lists for tuples, which mutations take."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _text(rng: random.Random, tree: Any, suffix: str) -> bytes:
    if rng.random() < 0.1:
        return rng.choice(HOSTILE).encode()
    if suffix == ".yaml":
        text = yaml.safe_dump(tree, sort_keys=False)
    else:
        text = python_text(tree) if isinstance(tree, dict) else repr(tree)
    data = text.encode("utf-8", "surrogatepass")
    return mutate_bytes(rng, data) if rng.random() < 0.3 else data
