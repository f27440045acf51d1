"""Keys and shapes of published HRNets by the naming rules of OpenMMLab, without our key maps and recipes."""

from collections.abc import Mapping
from typing import Any

Shapes = dict[str, list[int]]


def _conv(key: str, norm: str, *weight: int) -> Shapes:
    """Return a convolution and its batch normalization, both by their whole names."""
    statistics = {f"{norm}.{name}": [weight[0]] for name in ("weight", "bias", "running_mean", "running_var")}
    return {f"{key}.weight": list(weight)} | statistics | {f"{norm}.num_batches_tracked": []}


def _pair(key: str, *weight: int) -> Shapes:
    """Return a sequence of a convolution and its batch normalization."""
    return _conv(f"{key}.0", f"{key}.1", *weight)


def hrnet(config: Mapping[str, Any], framework: str) -> Shapes:
    """Return the backbone of a configuration of mmdetection, mmsegmentation or mmpose."""
    extra = config["extra"]
    shapes = _conv("backbone.conv1", "backbone.bn1", 64, 3, 3, 3)
    shapes |= _conv("backbone.conv2", "backbone.bn2", 64, 64, 3, 3)
    for block in range(extra["stage1"]["num_blocks"][0]):
        key, before = f"backbone.layer1.{block}", 256 if block else 64
        shapes |= _conv(f"{key}.conv1", f"{key}.bn1", 64, before, 1, 1)
        shapes |= _conv(f"{key}.conv2", f"{key}.bn2", 64, 64, 3, 3)
        shapes |= _conv(f"{key}.conv3", f"{key}.bn3", 256, 64, 1, 1)
        if not block:
            shapes |= _pair(f"{key}.downsample", 256, 64, 1, 1)
    widths = [256]
    for stage in (2, 3, 4):
        now = extra[f"stage{stage}"]["num_channels"]
        if now[0] != widths[0]:
            shapes |= _pair(f"backbone.transition{stage - 1}.0", now[0], widths[0], 3, 3)
        shapes |= _pair(f"backbone.transition{stage - 1}.{stage - 1}.0", now[-1], widths[-1], 3, 3)
        widths, modules = now, extra[f"stage{stage}"]["num_modules"]
        for module in range(modules):
            single = framework == "mmpose" and stage == 4 and module == modules - 1
            single = single and not extra["stage4"].get("multiscale_output", False)
            blocks = extra[f"stage{stage}"]["num_blocks"]
            shapes |= _module(f"backbone.stage{stage}.{module}", widths, blocks, 1 if single else len(widths))
    return shapes


def _module(key: str, widths: list[int], num_blocks: list[int], num_outputs: int) -> Shapes:
    shapes: Shapes = {}
    for branch, (width, count) in enumerate(zip(widths, num_blocks, strict=True)):
        for block in range(count):
            name = f"{key}.branches.{branch}.{block}"
            for conv in (1, 2):
                shapes |= _conv(f"{name}.conv{conv}", f"{name}.bn{conv}", width, width, 3, 3)
    for target in range(num_outputs):
        for source, width in enumerate(widths):
            name = f"{key}.fuse_layers.{target}.{source}"
            if source > target:
                shapes |= _pair(name, widths[target], width, 1, 1)
            for step in range(target - source):
                after = widths[target] if step == target - source - 1 else width
                shapes |= _pair(f"{name}.{step}", after, width, 3, 3)
    return shapes
