"""Fuzzing of checkpoints: torch files of both formats, safetensors, and pickles."""

import io
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import splitnest
from helpers.fuzzing import Case
from helpers.mutations import mutate_bytes
from helpers.small_networks import OFFICIAL, foreign_state, small_recipe
from splitnest.device import on_meta
from splitnest.errors import SplitnestError
from splitnest.models.build import build_model
from splitnest.recipe import required_training
from splitnest.training import checkpoint
from splitnest.training.schedule import Schedule
from splitnest.training.state import initial_state
from splitnest.weights import load, save

NAMES = (
    *(b"posix\nsystem", b"os\nsystem", b"builtins\neval", b"builtins\nexec", b"builtins\ngetattr", b"builtins\nopen"),
    *(
        b"subprocess\nPopen",
        b"torch\nload",
        b"torch.hub\nload",
        b"torch.jit\nload",
        b"numpy\nload",
        b"builtins\nbytearray",
    ),
    *(
        b"torch\nzeros",
        b"torch._utils\n_rebuild_tensor_v2",
        b"torch._utils\n_rebuild_parameter",
        b"collections\nOrderedDict",
    ),
    *(
        b"torch._utils\n_rebuild_sparse_tensor",
        b"torch._utils\n_rebuild_qtensor",
        b"torch._tensor\n_rebuild_from_type_v2",
    ),
    *(b"torch\nDoubleStorage", b"torch.storage\nUntypedStorage", b"torch.serialization\n_get_layout", b"torch\nSize"),
    *(b"numpy.core.multiarray\n_reconstruct", b"numpy\nndarray", b"numpy\ndtype", b"_codecs\nencode", b"torch\ndevice"),
)
"""Names in pickles: some run code, others build objects that a reader does not expect."""

PROGRAMS = (
    b"cposix\nsystem\n(S'touch executed'\ntR.",
    b"(dS'state_dict'\ncposix\nsystem\n(S'touch executed'\ntRs.",
    b'cbuiltins\neval\n(S\'open("executed", "w")\'\ntR.',
    b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
    b"(dI1\nI2\ns.",
    b"(d(I1\nI2\ntI3\ns.",
    b"]" * 5000 + b".",
    b"(lp0\ng0\na.",
    b"\x80\x04}\x94h\x00h\x00s.",
    b"\x80\x02U\xff" + b"x" * 255 + b"2" * 3000 + b".",
)
"""Pickles that run a program, refer to themselves or are nested deeply."""


def start(folder: Path) -> Case:
    """Write the valid files, and return the function of a case."""
    recipe = small_recipe("official")
    files = _valid_files(folder / "valid")
    path = folder / "checkpoint.pth"

    def run(rng: random.Random) -> None:
        path.write_bytes(_mutated(rng, files))
        errors = []
        with on_meta():
            network = build_model(recipe)
        for read in (lambda: splitnest.load(path, device="cpu"), lambda: load.load(network, path)):
            try:
                read()
            except SplitnestError as error:
                errors.append(error)
        assert not (folder / "executed").exists()
        if errors:
            raise errors[0]

    return run


def _valid_files(folder: Path) -> list[bytes]:
    """Return a file of each kind: of training frameworks with their metadata, our own, and arrays in a pickle."""
    folder.mkdir(exist_ok=True)
    recipe = small_recipe("official")
    network = build_model(recipe)
    state = foreign_state(network.state_dict(), OFFICIAL)
    meta = {"epoch": 3, "CLASSES": ("cat", "dog"), "time": "now", "seed": np.float64(1.5), "shape": torch.Size([1, 2])}
    wrapped = {"meta": meta, "state_dict": OrderedDict(state), "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}}
    arrays = {"model": {key: tensor.numpy() for key, tensor in state.items()}, "__author__": "somebody"}
    files = []
    for content, options in (
        (state, {}),
        (wrapped, {}),
        (state, {"_use_new_zipfile_serialization": False}),
        (wrapped, {"_use_new_zipfile_serialization": False}),
    ):
        buffer = io.BytesIO()
        torch.save(content, buffer, **options)
        files.append(buffer.getvalue())
    files += [pickle.dumps(arrays, protocol=protocol) for protocol in (0, 2, 4)]
    save.save(network, recipe, folder / "own.safetensors")
    train_cfg = required_training(recipe)
    resumable = initial_state(network, train_cfg, Schedule(train_cfg, steps_per_epoch=5))
    checkpoint.save(resumable, recipe, folder / "last.pt")
    return files + [(folder / name).read_bytes() for name in ("own.safetensors", "last.pt")]


def _mutated(rng: random.Random, files: list[bytes]) -> bytes:
    if rng.random() < 0.1:
        program = rng.choice(PROGRAMS)
        return mutate_bytes(rng, program) if rng.random() < 0.5 else program
    data = rng.choice(files)
    if data.startswith(b"PK") and rng.random() < 0.7:
        return _mutated_archive(rng, data)
    if data.startswith(b"\x80") and rng.random() < 0.3:
        return _other_name(rng, data)
    if rng.random() < 0.1:
        other = rng.choice(files)
        return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    head = min(len(data), 3000)  # headers and pickles, of which more depends than of the values of tensors
    return mutate_bytes(rng, data[:head]) + data[head:] if rng.random() < 0.7 else mutate_bytes(rng, data)


def _mutated_archive(rng: random.Random, data: bytes) -> bytes:
    """Return the archive of a torch file with a changed part, whose checksum is correct."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    index = next(i for i, (name, _) in enumerate(parts) if name.endswith("data.pkl")) if rng.random() < 0.7 else None
    index = rng.randrange(len(parts)) if index is None else index
    name, content = parts[index]
    match rng.randrange(8):
        case 0:
            parts[index] = (rng.choice((f"../{name}", f"/{name}", f"{name}/x", "data.pkl", "../../executed")), content)
        case 1:
            del parts[index]
        case 2:
            parts.append((name, mutate_bytes(rng, content)))
        case 3:
            parts[index] = (name, rng.choice(PROGRAMS))
        case 4 | 5:
            parts[index] = (name, _other_name(rng, content))
        case _:
            parts[index] = (name, mutate_bytes(rng, content))
    buffer = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def _other_name(rng: random.Random, data: bytes) -> bytes:
    """Return a pickle in which another function or class is named, where the protocol names them in text."""
    found: list[Any] = [name for name in NAMES if name in data]
    return data.replace(rng.choice(found), rng.choice(NAMES), 1) if found else mutate_bytes(rng, data)
