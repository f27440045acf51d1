"""Objects that training tools write into their checkpoints, with classes that are gone when the files are read."""

import argparse
import collections
import datetime
import decimal
import functools
import pathlib
import random
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from helpers import foreign_classes


@contextmanager
def installed(**classes: type) -> Iterator[None]:
    """Give classes the module names of other packages, inside the context; two underscores stand for a dot."""
    names = []
    for place, cls in classes.items():
        name = place.replace("__", ".")
        for known in [".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1)]:
            if known not in sys.modules:
                sys.modules[known] = types.ModuleType(known)
                names.append(known)
        for member in (cls, *(m for m in vars(cls).values() if isinstance(m, types.FunctionType))):
            member.__module__ = name
        setattr(sys.modules[name], cls.__name__, cls)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def tools() -> Iterator[None]:
    """Install the classes of ``foreign_classes`` under the names of their packages."""
    with installed(
        mmengine__logging__history_buffer=foreign_classes.HistoryBuffer,
        mmengine__config__config=foreign_classes.ConfigDict,
        mmengine__optim__optimizer__optimizer_wrapper=foreign_classes.OptimWrapper,
        yacs__config=foreign_classes.CfgNode,
        omegaconf__dictconfig=foreign_classes.DictConfig,
        project__modes=foreign_classes.Mode,
    ):
        yield


def contents() -> dict[str, Any]:
    """Return what tools of all versions store beside the weights, by a name for it. To be used inside ``tools``."""
    generator = torch.Generator()
    generator.manual_seed(3)
    buffer = foreign_classes.HistoryBuffer([1.0, 2.0], [1, 1])
    config = foreign_classes.ConfigDict(optim_wrapper={"type": "AmpOptimWrapper"}, paths=[pathlib.Path("a/b")])
    return {
        "message hub": {"log_scalars": collections.OrderedDict(loss=buffer), "runtime_info": {"epoch": np.int64(3)}},
        "config of mmengine": config,
        "optimizer wrapper": foreign_classes.OptimWrapper(),
        "parameter schedulers": [{"lr_lambdas": [None], "last_step": 7, "milestones": collections.Counter({16: 1})}],
        "config of detectron2": foreign_classes.CfgNode({"MODEL": {"WEIGHTS": ""}}),
        "arguments of timm": argparse.Namespace(lr=0.1, device=torch.device("cpu"), amp_dtype=torch.bfloat16),
        "config of Hydra": foreign_classes.DictConfig(),
        "enumeration": {"mode": foreign_classes.Mode.TRAIN, foreign_classes.Mode.TRAIN: 1},
        "random states": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
        "generators": [np.random.RandomState(0), np.random.default_rng(0)],
        "state of a generator": generator.get_state(),
        "numpy": [np.float64(0.5), np.dtype("f4"), np.float32, np.bool_(True), np.array(["a"]), np.datetime64("now")],
        "torch": [torch.float32, torch.Size([1, 2]), torch.device("cpu")],
        "collections": [
            collections.defaultdict(list, a=[1]),
            collections.deque([1, 2], maxlen=2),
            collections.Counter("aab"),
            {1, (2, 3)},
            frozenset("ab"),
        ],
        "plain types": [1j, b"bytes", bytearray(b"more"), range(3), slice(1, 2), 2**100, None, Ellipsis],
        "library": [
            datetime.datetime(2024, 1, 2),
            datetime.timedelta(3),
            uuid.UUID(int=5),
            decimal.Decimal("0.1"),
            pathlib.PurePosixPath("a/b"),
            functools.partial(max, 1),
            types.SimpleNamespace(a=1),
            ValueError("a"),
        ],
        "keys": {(1, "a"): 1, ((1, 2), 3): 2, torch.float32: 3, None: 4, 1.5: 5, b"a": 6},
        "sparse tensor": torch.eye(2).to_sparse(),
    }
