"""Peak memory of reading and loading a checkpoint, relative to its size, for every kind of file.

Each kind is loaded in a process of its own, into a network on the meta device, and into one on the CPU, which is built
before and counted. Linux only: the peak is ``VmHWM``.

    python benchmarks/weights_memory.py [MODEL]
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from measuring import memory
from safetensors.torch import save_file

from splitnest import zoo
from splitnest.models.build import build_model
from splitnest.weights import load, save

KINDS = ("torch.pth", "legacy.pth", "protocol2.pkl", "protocol4.pkl", "plain.safetensors", "own.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="resnest101_imagenet.official")
    parser.add_argument("--load", nargs=2, metavar=("FILE", "DEVICE"), help="load one file in this process")
    arguments = parser.parse_args()
    if arguments.load:
        print(peak(arguments.model, Path(arguments.load[0]), arguments.load[1]))
        return
    print(f"{'file':<20}{'MB':>8}{'meta':>8}{'cpu':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            path = Path(folder) / kind
            write(arguments.model, path)
            size = path.stat().st_size
            ratios = []
            for device in ("meta", "cpu"):
                command = [sys.executable, __file__, arguments.model, "--load", str(path), device]
                ratios.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / size)
            path.unlink()
            print(f"{kind:<20}{size / 1e6:>8.1f}{ratios[0]:>8.2f}{ratios[1]:>8.2f}")


def write(model: str, path: Path) -> None:
    recipe = zoo.get(model)
    module = build_model(recipe)
    state = module.state_dict()
    match path.name:
        case "torch.pth" | "legacy.pth":
            torch.save(state, path, _use_new_zipfile_serialization=path.name == "torch.pth")
        case "own.safetensors":
            save.save(module, recipe, path)
        case "plain.safetensors":
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
        case _:
            arrays = {"model": {key: tensor.numpy() for key, tensor in state.items()}}
            path.write_bytes(pickle.dumps(arrays, protocol=int(path.stem[-1])))


def peak(model: str, path: Path, device: str) -> int:
    """Return the increase of the peak memory in bytes while the network was built and loaded."""
    recipe = zoo.get(model)
    with torch.device("meta"):
        build_model(recipe)  # imports everything
    before = memory("VmRSS")
    with torch.device(device):
        module = build_model(recipe)
    load.load(module, path)
    return memory("VmHWM") - before


if __name__ == "__main__":
    main()
