"""ResNet (He et al. 2015), ResNeXt (Xie et al. 2017) and ResNeSt (Zhang et al. 2020) backbones.

``resnet`` builds a backbone from plain values: ``resnet(depth=50, radix=2)`` is ResNeSt-50, ``radix=0`` a ResNet.

Shapes: N images, C channels, H x W cells of a feature map.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from splitnest.models.backbones.frozen_stages import FrozenStages
from splitnest.models.backbones.residual_blocks import EXPANSION, BasicBlock, Bottleneck, Deformable
from splitnest.models.layers.checkpointing import checkpointed
from splitnest.models.layers.conv import ConvNormAct
from splitnest.recipe.backbone import BASIC_DEPTHS, NUM_BLOCKS

STAGES = ("c2", "c3", "c4", "c5")

DILATIONS: Mapping[int, tuple[int, int, int, int]] = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
"""Dilations of c2 to c5 by the stride of c5."""


class ResNet(FrozenStages):
    """Backbone of a stem, max pooling, and the stages c2 to c5.

    Args:
        stem: Convolutions before the stages.
        stages: Stages c2 to c5, sequences of ``Bottleneck`` or ``BasicBlock``.
        channels: Number of output channels of each stage.
        strides: Stride of each stage in pixels of the input.
        max_pool: Whether there is max pooling with stride 2 between the stem and c2.
        frozen_stages: Number of frozen stages: 0 for none, 1 for the stem, 2 for the stem and c2, up to 5.
        norm_eval: Whether batch normalization uses its running statistics in training too.
        out: Names of the stages whose features ``forward`` returns.

    Attributes:
        channels: Number of channels of each returned feature map, by name.
        strides: Stride of each returned feature map in pixels of the input, by name.
        checkpoint_stages: Names of the stages that are recomputed in the backward pass (gradient checkpointing).

    Raises:
        ValueError: ``out`` is empty or names an unknown stage.
    """

    channels: dict[str, int]
    strides: dict[str, int]
    checkpoint_stages: frozenset[str] = frozenset()

    def __init__(
        self,
        stem: nn.Sequential,
        stages: Sequence[nn.Sequential],
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        max_pool: bool = True,
        frozen_stages: int = 0,
        norm_eval: bool = False,
        out: Collection[str] = STAGES,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(out) - set(STAGES)) or (["nothing"] if not out else []):
            raise ValueError(f"out holds {unknown[0]!r}, but the stages are {', '.join(STAGES)}")
        self.out = tuple(out)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.stem = stem
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if max_pool else nn.Identity()
        for name, stage in zip(STAGES, stages, strict=True):
            self.add_module(name, stage)
        self.channels = {name: value for name, value in zip(STAGES, channels, strict=True) if name in self.out}
        self.strides = {name: value for name, value in zip(STAGES, strides, strict=True) if name in self.out}
        self.freeze()

    @property
    def frozen_parts(self) -> list[nn.Module]:
        """Frozen modules: the stem and the first stages."""
        return [self.stem, *(self.get_submodule(name) for name in STAGES)][: self.frozen_stages]

    @torch.no_grad()
    def zero_init_last(self) -> None:
        """Set the weight of the last normalization of each block to 0, so that blocks start as their shortcuts.

        Normalization layers without trainable weights are left as they are.
        """
        for block in self.modules():
            match block:
                case Bottleneck():
                    weight = getattr(block.conv3.norm, "weight", None)
                case BasicBlock():
                    weight = getattr(block.conv2.norm, "weight", None)
                case _:
                    continue
            if isinstance(weight, nn.Parameter) and weight.requires_grad:
                nn.init.zeros_(weight)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalized images ``[N, 3, H, W]`` to ``{name: [N, channels, H / stride, W / stride]}`` (rounded up)."""
        x = self.pool(self.stem(images))
        features = {}
        for name in STAGES:
            stage = self.get_submodule(name)
            x = checkpointed(stage, x) if name in self.checkpoint_stages else stage(x)
            if name in self.out:
                features[name] = x
            if len(features) == len(self.out):
                break  # no later stage is used
        return features


def resnet(
    depth: int = 50,
    radix: int = 2,
    *,
    cardinality: int = 1,
    base_width: int = 64,
    planes: int = 64,
    stem: Literal["3x3", "7x7"] = "3x3",
    stem_width: int = 32,
    stem_stride: Literal[1, 2, 4] = 4,
    avg_down: bool = True,
    avd: bool = True,
    avd_first: bool = False,
    avd_in_dilated: bool = True,
    stride_in_1x1: bool = False,
    output_stride: Literal[8, 16, 32] = 32,
    dilations: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    dcn_stages: Collection[int] = (),
    dcn_modulated: bool = True,
    dcn_groups: int = 2,
    context_stages: Collection[int] = (),
    context_ratio: float = 1 / 16,
    weight_standardization: bool = False,
    norm: str = "bn",
    norm_eval: bool = False,
    drop_block: float = 0.0,
    frozen_stages: int = 0,
    out: Collection[str] = STAGES,
) -> ResNet:
    """Build a ResNet, ResNeXt or ResNeSt.

    Args:
        depth: Depth, a key of ``NUM_BLOCKS``.
        radix: Number of splits of split attention; 0 for a ResNet or ResNeXt.
        cardinality: Number of groups of the 3x3 convolutions.
        base_width: Width of a group, relative to 64.
        planes: Bottleneck width of c2 at base width 64; it doubles with each stage.
        stem: ``3x3`` for the deep stem of three convolutions, ``7x7`` for one.
        stem_width: Channels of the first two convolutions of the deep stem; the third has twice as many.
        stem_stride: Stride of c2: 4, 2 without max pooling, or 1 without any stride in the stem.
        avg_down: Whether projection shortcuts pool before their convolution.
        avd: Whether average pooling replaces the stride of 3x3 convolutions.
        avd_first: Whether that pooling comes before split attention instead of after it.
        avd_in_dilated: Whether the first block of a dilated stage has that pooling too, with stride 1.
        stride_in_1x1: Whether the stride of a block is in its first convolution.
        output_stride: Stride of c5 (at ``stem_stride`` 4); less than 32 for dilation instead of strides, see
            ``DILATIONS``.
        dilations: Dilations of c2 to c5, whose first blocks have half of them; None follows ``output_stride``.
        multi_grid: Dilations of the blocks of c5, instead of one for all.
        dcn_stages: Stages (2 to 5) with deformable convolutions.
        dcn_modulated: Whether they are modulated (DCNv2).
        dcn_groups: Number of deformable groups.
        context_stages: Stages (2 to 5) with context blocks.
        context_ratio: Inner channels of a context block relative to those of its stage.
        weight_standardization: Whether the weights of all convolutions are standardized.
        norm: Name of the normalization layer, see ``make_norm``.
        norm_eval: Whether batch normalization uses its running statistics in training too.
        drop_block: Drop probability of DropBlock in c4 and c5 at the end of training.
        frozen_stages: Number of frozen stages, from the stem on.
        out: Names of the stages whose features are returned.

    Raises:
        ValueError: ``out`` is empty or names an unknown stage.
    """
    num_blocks = NUM_BLOCKS[depth]
    first = 3 - list(DILATIONS).index(output_stride)  # the first stage without a stride, besides c2
    strides = [1, *(2 if index <= first else 1 for index in (1, 2, 3))]
    options: dict[str, Any] = {"avg_down": avg_down, "standardize": weight_standardization, "norm": norm}
    deformable = Deformable(dcn_groups, dcn_modulated)
    stem_layers, in_channels = make_stem(
        stem, stem_width, norm, stride=min(stem_stride, 2), standardize=weight_standardization
    )
    stages: list[nn.Sequential] = []
    channels: list[int] = []
    total_strides: list[int] = []
    for index, (stage_stride, stage_dilation) in enumerate(
        zip(strides, dilations or DILATIONS[output_stride], strict=True)
    ):
        stage_planes = planes * 2**index
        grid = [max(stage_dilation // 2, 1)] + [stage_dilation] * (num_blocks[index] - 1)  # half, as in all sources
        if index == 3 and multi_grid is not None:
            grid = list(multi_grid)
        has_avd = avd and (stage_stride > 1 or (stage_dilation > 1 and avd_in_dilated))
        stage = nn.Sequential()
        for block, dilation in enumerate(grid):
            options |= {"stride": stage_stride if block == 0 else 1, "dilation": dilation}
            options["drop_block"] = drop_block if index >= 2 else 0.0
            if depth in BASIC_DEPTHS:
                downsample = block == 0 and (stage_stride > 1 or in_channels != stage_planes)
                stage.append(BasicBlock(in_channels, stage_planes, downsample=downsample, **options))
                in_channels = stage_planes
                continue
            stage.append(
                Bottleneck(
                    in_channels,
                    stage_planes,
                    width=int(stage_planes * base_width / 64) * cardinality,
                    radix=radix,
                    cardinality=cardinality,
                    downsample=block == 0,
                    avd=("before" if avd_first else "after") if block == 0 and has_avd else None,
                    stride_in_1x1=stride_in_1x1,
                    deformable=deformable if index + 2 in dcn_stages else None,
                    context_ratio=context_ratio if index + 2 in context_stages else None,
                    **options,
                )
            )
            in_channels = stage_planes * EXPANSION
        stages.append(stage)
        channels.append(in_channels)
        total_strides.append(stage_stride * (total_strides[-1] if total_strides else stem_stride))
    return ResNet(
        stem_layers,
        stages,
        channels,
        total_strides,
        max_pool=stem_stride == 4,
        frozen_stages=frozen_stages,
        norm_eval=norm_eval,
        out=out,
    )


def make_stem(
    kind: str, width: int, norm: str, stride: int = 2, standardize: bool = False
) -> tuple[nn.Sequential, int]:
    """Return the stem and its number of output channels: 64 for ``7x7``, ``2 * width`` for ``3x3``."""
    options: dict[str, Any] = {"norm": norm, "standardize": standardize}
    if kind == "7x7":
        return nn.Sequential(ConvNormAct(3, 64, 7, stride=stride, **options)), 64
    return nn.Sequential(
        ConvNormAct(3, width, 3, stride=stride, **options),
        ConvNormAct(width, width, 3, **options),
        ConvNormAct(width, 2 * width, 3, **options),
    ), 2 * width
