"""HRNets of OpenMMLab configurations: section ``model.backbone`` of a recipe."""

from typing import Any

from splitnest.upstream.section import Section


def branches(section: Section, framework: str) -> dict[str, Any]:
    """Return the branches, modules and blocks of an HRNet.

    Args:
        section: Section ``model.backbone`` of the configuration.
        framework: Code base, in whose classes defaults differ: ``mmdet``, ``mmseg`` or ``mmpose``.

    Raises:
        UsageError: The network is no HRNet of one width and of basic blocks.
    """
    extra = section.section("extra")
    first = extra.section("stage1")
    first.only("num_branches", 1)
    first.only("num_modules", 1)
    first.only("block", "BOTTLENECK")
    first.only("num_channels", (64,))
    num_blocks = list(first.integers("num_blocks", length=1))
    first.close()
    all_branches = framework != "mmpose" and section.flag("multiscale_output", True)
    width, num_modules = None, []
    for index in (2, 3, 4):
        stage = extra.section(f"stage{index}")
        stage.only("num_branches", index)
        stage.only("block", "BASIC")
        channels = stage.integers("num_channels", length=index)
        width = width or channels[0]
        if channels != tuple(width * 2**branch for branch in range(index)):
            raise stage.error("num_channels", f"splitnest has branches of {width} channels, doubled with each branch")
        blocks = stage.integers("num_blocks", length=index)
        if len(set(blocks)) > 1:
            raise stage.error("num_blocks", "splitnest has as many blocks in each branch")
        num_blocks.append(blocks[0])
        num_modules.append(stage.integer("num_modules"))
        if index == 4 and framework == "mmpose":
            all_branches = stage.flag("multiscale_output", False)
        stage.close()
    fields = {"hrnet": width, "num_blocks": tuple(num_blocks), "num_modules": tuple(num_modules)}
    upsampling = "bilinear" if framework == "mmseg" else "nearest"
    if framework == "mmpose":
        mode = extra.section("upsample", {"mode": "nearest"})
        upsampling = mode.only("mode", "nearest", "bilinear")
        mode.only("align_corners", False)
        mode.close()
    extra.close()
    return {**fields, "all_branches": all_branches, "upsampling": upsampling}
