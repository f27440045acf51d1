"""Environment of a training: command, versions, git commit and machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

from splitnest._version import __version__

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pydantic", "hotcoco")


def describe_environment() -> str:
    """Return command, versions, commit of the working directory and machine, one line each."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    lines = {
        "command": " ".join(sys.argv),
        "folder": os.getcwd(),
        "commit": _commit(),
        "python": platform.python_version(),
        "splitnest": __version__,
        **{package: _version(package) for package in PACKAGES},
        "cuda": f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}" if devices else "none",
        "machine": f"{platform.node()}, {platform.platform()}",
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} threads",
        "devices": ", ".join(devices) or "CPU",
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # installed without metadata
        return "unknown"


def _commit() -> str:
    try:
        head = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return head.stdout.strip() or "not in a git repository"
