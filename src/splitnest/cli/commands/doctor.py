"""Command ``doctor``: check of the installation."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable

EXAMPLE = "Example: splitnest doctor"

EXTRAS = {
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "viz": ("supervision",),
    "track": ("tensorboard",),
}


def doctor() -> None:
    """Check the installation: versions, devices, compiled operators, cache, extras."""
    if not run_checks():
        sys.exit(1)


def run_checks() -> bool:
    """Print versions, devices, operators, cache and extras; return whether all required parts work."""
    print(f"python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    for package in ("splitnest", "torch", "torchvision", "numpy", "pydantic", "safetensors", "hotcoco"):
        print(f"{package} {_version(package) or 'missing'}")
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if _version(package) is None]
        state = "installed" if not missing else f"{', '.join(missing)} missing: pip install 'splitnest[{extra}]'"
        print(f"extra {extra}: {state}")
    checks = [
        ("torch and torchvision match", _operators),
        ("devices", _devices),
        ("COCO metrics", _metrics),
        ("weights cache", _cache),
    ]
    passed = [_check(name, check) for name, check in checks]
    return all(passed)


def _check(name: str, check: Callable[[], str]) -> bool:
    try:
        print(f"ok    {name}: {check()}")
    except Exception as error:
        print(f"FAIL  {name}: {type(error).__name__}: {error}")
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _operators() -> str:
    import torch
    from torchvision.ops import deform_conv2d, nms, roi_align

    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9]])
    maps = torch.ones(1, 1, 8, 8)
    kept = nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist()
    pooled = roi_align(maps, [boxes], 2, aligned=True)
    convolved = deform_conv2d(maps, torch.zeros(1, 18, 6, 6), torch.ones(1, 1, 3, 3))
    if kept != [0] or pooled.shape != (2, 1, 2, 2) or convolved.mean().item() != 9:
        raise RuntimeError("nms, roi_align or deform_conv2d returns a wrong result")
    return "nms, roi_align and deform_conv2d work"


def _devices() -> str:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(names) or f"CPU only, {torch.get_num_threads()} threads"


def _metrics() -> str:
    from hotcoco import COCO, COCOeval  # noqa: F401

    return f"hotcoco {_version('hotcoco')}"


def _cache() -> str:
    import tempfile

    from splitnest.weights.cache import weights_folder

    folder = weights_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} is writable"
