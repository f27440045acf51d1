"""HRNet backbone (Sun et al. 2019, "Deep High-Resolution Representation Learning for Human Pose Estimation").

``hrnet`` builds a backbone from plain values: ``hrnet(width=32)`` is HRNet-W32.

```
stem      3x3 conv, stride 2, 64 channels; 3x3 conv, stride 2, 64; each with BN and ReLU
stage 1   4 bottlenecks of 64 planes                  stride 4, 256 channels
stage 2   1 module of 2 branches                      strides 4 and 8
stage 3   4 modules of 3 branches                     strides 4 to 16
stage 4   3 modules of 4 branches                     strides 4 to 32

module    in each branch 4 basic blocks; then each branch becomes the ReLU of the sum of all branches, brought to its
          resolution by strided 3x3 convs, or by a 1x1 conv and upsampling
```

Branches have ``width``, 2, 4 and 8 times ``width`` channels; a new branch begins with a strided 3x3 conv of the last.

Shapes: N images, C channels, H x W cells of a feature map.
"""

from collections.abc import Collection, Sequence
from functools import reduce
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.backbones.frozen_stages import FrozenStages
from splitnest.models.backbones.residual_blocks import EXPANSION, BasicBlock, Bottleneck
from splitnest.models.backbones.resnet import STAGES
from splitnest.models.layers.add_relu import add_relu
from splitnest.models.layers.conv import ConvNormAct

STEM_CHANNELS = 64
"""Channels of the stem, and planes of stage 1."""

Upsampling = Literal["nearest", "bilinear"]


class Fusion(nn.Module):
    """Sum of all branches at the resolution of one of them, and ReLU.

    Args:
        channels: Number of channels of each branch.
        target: Index of the branch of the result.
        upsampling: Interpolation of coarser branches.
        norm: Name of the normalization layer.
    """

    def __init__(self, channels: Sequence[int], target: int, upsampling: Upsampling, norm: str) -> None:
        super().__init__()
        self.target, self.upsampling = target, upsampling
        self.paths = nn.ModuleList(self._path(channels, source, norm) for source in range(len(channels)))

    def _path(self, channels: Sequence[int], source: int, norm: str) -> nn.Module:
        """Return the convolutions from one branch to the target."""
        out_channels, steps = channels[self.target], self.target - source
        if steps == 0:
            return nn.Identity()
        if steps < 0:
            return nn.Sequential(ConvNormAct(channels[source], out_channels, 1, norm=norm, act=False))
        return strided_convs([*[channels[source]] * steps, out_channels], norm, last_act=False)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Map branches of resolutions that halve to ``[N, C, H, W]``, as the target branch is."""
        maps = [path(branch) for path, branch in zip(self.paths, branches, strict=True)]
        same = maps[self.target]
        finer, coarser = maps[: self.target], maps[self.target + 1 :]
        total = reduce(torch.Tensor.add_, finer[1:], finer[0]) if finer else None
        if not coarser:
            assert total is not None
            return add_relu(total, same, overwrite=True)
        total = same if total is None else total.add_(same)
        if self.upsampling == "nearest" and not torch.compiler.is_exporting() and _halve([total, *coarser]):
            # Coarse maps are added to the next finer ones, so that few values are computed at the finest resolution.
            sums = reduce(lambda coarse, x: _doubled(coarse).add_(x), coarser[-2::-1], coarser[-1])
            return add_relu(_doubled(sums), total, overwrite=True)
        for exponent, x in enumerate(coarser, start=1):
            total = total + self._resized(x, 2**exponent, total.shape[-2:])
        return total.relu_()

    def _resized(self, x: Tensor, factor: int, size: Sequence[int]) -> Tensor:
        x = F.interpolate(x, size=[factor * side for side in x.shape[-2:]], mode=self.upsampling)
        # Sides that are no multiple of the stride, as in mmsegmentation; an exported network has any size.
        if torch.compiler.is_exporting() or x.shape[-2:] != size:
            x = F.interpolate(x, size=list(size), mode=self.upsampling)
        return x


def _halve(maps: Sequence[Tensor]) -> bool:
    """Return whether each map has half the sides of the one before."""
    return all(
        before == 2 * after
        for fine, coarse in pairwise(maps)
        for before, after in zip(fine.shape[-2:], coarse.shape[-2:], strict=True)
    )


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class HighResolutionModule(nn.Module):
    """Parallel branches of basic blocks, and their fusion.

    Args:
        channels: Number of channels of each branch.
        num_blocks: Number of blocks of each branch.
        num_outputs: Number of branches of the result, from the finest on.
        upsampling: Interpolation of coarser branches.
        norm: Name of the normalization layer.
    """

    def __init__(
        self, channels: Sequence[int], num_blocks: int, num_outputs: int, upsampling: Upsampling, norm: str
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width, norm=norm) for _ in range(num_blocks))) for width in channels
        )
        self.fuse = nn.ModuleList(Fusion(channels, target, upsampling, norm) for target in range(num_outputs))

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        """Map the branches ``[N, C, H, W]``, of resolutions that halve, to those of the result."""
        branches = [branch(each) for branch, each in zip(self.branches, x, strict=True)]
        return [fuse(branches) for fuse in self.fuse]


class Stage(nn.Module):
    """Transition to the branches of a stage, and its modules.

    Args:
        transition: Layer that makes each branch, of the same branch before or, for a new one, of the last one.
        blocks: Modules of the stage.
    """

    def __init__(self, transition: Sequence[nn.Module], blocks: Sequence[HighResolutionModule]) -> None:
        super().__init__()
        self.transition, self.blocks = nn.ModuleList(transition), nn.Sequential(*blocks)

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        """Map the branches of the stage before to those of this one."""
        branches = [layer(x[min(index, len(x) - 1)]) for index, layer in enumerate(self.transition)]
        return self.blocks(branches)


class HRNet(FrozenStages):
    """Backbone of a stem and four stages, of one to four branches.

    Args:
        stem: Convolutions of stride 4.
        stages: Stage 1, a sequence of bottlenecks, and the stages 2 to 4.
        channels: Number of channels of each branch that stage 4 returns.
        frozen_stages: Number of frozen stages: 0 for none, 1 for the stem, 2 for the stem and stage 1, up to 5.
        norm_eval: Whether batch normalization uses its running statistics in training too.
        out: Names of the returned branches, c2 to c5.

    Attributes:
        channels: Number of channels of each returned feature map, by name.
        strides: Stride of each returned feature map in pixels of the input, by name.

    Raises:
        ValueError: ``out`` is empty or names an unknown branch.
    """

    channels: dict[str, int]
    strides: dict[str, int]

    def __init__(
        self,
        stem: nn.Sequential,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        *,
        frozen_stages: int = 0,
        norm_eval: bool = False,
        out: Collection[str],
    ) -> None:
        super().__init__()
        names = STAGES[: len(channels)]
        if unknown := sorted(set(out) - set(names)) or (["nothing"] if not out else []):
            raise ValueError(f"out holds {unknown[0]!r}, but the branches are {', '.join(names)}")
        self.out = tuple(out)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.stem = stem
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.channels = {name: value for name, value in zip(names, channels, strict=True) if name in out}
        self.strides = {name: 4 * 2**index for index, name in enumerate(names) if name in out}
        self.freeze()

    @property
    def frozen_parts(self) -> list[nn.Module]:
        """Frozen modules: the stem, the first stages, and the transition to the stage after them."""
        stages = [self.stage1, self.stage2, self.stage3, self.stage4]
        parts: list[nn.Module] = [self.stem, *stages][: self.frozen_stages]
        if 1 < self.frozen_stages < 5:
            following = stages[self.frozen_stages - 1]
            assert isinstance(following, Stage)
            parts.append(following.transition)
        return parts

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalized images ``[N, 3, H, W]`` to ``{name: [N, channels, H / stride, W / stride]}`` (rounded up)."""
        branches = [self.stage1(self.stem(images))]
        for stage in (self.stage2, self.stage3, self.stage4):
            branches = stage(branches)
        return {name: x for name, x in zip(STAGES, branches, strict=False) if name in self.out}


def hrnet(
    width: int = 32,
    *,
    num_blocks: Sequence[int] = (4, 4, 4, 4),
    num_modules: Sequence[int] = (1, 4, 3),
    all_branches: bool = True,
    upsampling: Upsampling = "nearest",
    norm: str = "bn",
    norm_eval: bool = False,
    frozen_stages: int = 0,
    out: Collection[str] | None = None,
) -> HRNet:
    """Build an HRNet.

    Args:
        width: Number of channels of the finest branch; it doubles with each branch.
        num_blocks: Number of residual blocks of stage 1, and of each branch in the modules of the stages 2 to 4.
        num_modules: Number of modules of the stages 2 to 4.
        all_branches: Whether the last module returns all branches; otherwise the finest one alone, c2.
        upsampling: Interpolation of coarser branches in fusions.
        norm: Name of the normalization layer, see ``make_norm``.
        norm_eval: Whether batch normalization uses its running statistics in training too.
        frozen_stages: Number of frozen stages, from the stem on.
        out: Names of the returned branches, c2 to c5; None for all.

    Raises:
        ValueError: ``out`` is empty or names an unknown branch.
    """
    stage1 = nn.Sequential()
    before = [STEM_CHANNELS]
    for block in range(num_blocks[0]):
        stage1.append(
            Bottleneck(
                before[0], STEM_CHANNELS, STEM_CHANNELS, radix=0, downsample=block == 0, avg_down=False, norm=norm
            )
        )
        before = [STEM_CHANNELS * EXPANSION]
    stages: list[nn.Module] = [stage1]
    for index, (blocks, modules) in enumerate(zip(num_blocks[1:], num_modules, strict=True)):
        channels = [width * 2**branch for branch in range(index + 2)]
        transition = [
            *(_transition(*pair, norm) for pair in zip(before, channels, strict=False)),
            strided_convs([before[-1], channels[-1]], norm),
        ]
        num_outputs = [len(channels)] * modules
        if index == 2 and not all_branches:
            num_outputs[-1] = 1
        stages.append(
            Stage(transition, [HighResolutionModule(channels, blocks, n, upsampling, norm) for n in num_outputs])
        )
        before = channels
    return HRNet(
        strided_convs([3, STEM_CHANNELS, STEM_CHANNELS], norm),
        stages,
        before if all_branches else before[:1],
        frozen_stages=frozen_stages,
        norm_eval=norm_eval,
        out=out or STAGES[: 4 if all_branches else 1],
    )


def _transition(before: int, channels: int, norm: str) -> nn.Module:
    """Return the layer between a branch and the same branch of the next stage."""
    return nn.Identity() if before == channels else nn.Sequential(ConvNormAct(before, channels, 3, norm=norm))


def strided_convs(channels: Sequence[int], norm: str, last_act: bool = True) -> nn.Sequential:
    """Return 3x3 convolutions of stride 2 between these numbers of channels, the last one perhaps without ReLU."""
    last = len(channels) - 2
    return nn.Sequential(
        *(
            ConvNormAct(channels[i], channels[i + 1], 3, stride=2, norm=norm, act=last_act or i < last)
            for i in range(last + 1)
        )
    )
