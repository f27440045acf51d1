"""Backbone section of a recipe: the parameters in which published backbones differ, or the name of a model of timm."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from splitnest.recipe.base import Section

Dilation = Annotated[int, Field(ge=1, le=64)]
Stage = Literal[2, 3, 4, 5]
Count = Annotated[int, Field(ge=1, le=64)]
NormName = Literal["bn", "frozen_bn", "gn", "gn32", "sync_bn"]

NUM_BLOCKS: dict[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
"""Number of blocks of c2 to c5 by depth (He et al. 2015, table 1; ResNeSt paper, section 4; timm for 14 and 26)."""

BASIC_DEPTHS = (18, 34)
"""Depths whose blocks have two 3x3 convolutions; all others have bottlenecks."""


class BackboneConfig(Section):
    """ResNet or ResNeXt (``radix`` 0), or ResNeSt (``radix`` 1, 2 or 4).

    Attributes:
        depth: Depth, which determines the number of blocks of each stage; 18 and 34 have basic blocks.
        radix: Number of splits of split attention; 0 for a plain 3x3 convolution.
        cardinality: Number of groups of the 3x3 convolution.
        base_width: Width of a group, relative to 64.
        planes: Bottleneck width of c2 at base width 64; it doubles with each stage, and a stage has 4 times as many
            output channels, with basic blocks as many.
        stem: ``7x7`` for one convolution, ``3x3`` for the deep stem of three.
        stem_width: Channels of the first two convolutions of the deep stem; the third has twice as many.
        stem_stride: Stride of c2. 4 is standard; 2 omits the max pooling, 1 also the stride of the stem, for small
            images.
        avg_down: Whether the shortcut pools and then projects with stride 1 (ResNet-D).
        avd: Whether average pooling replaces the stride of the 3x3 convolution.
        avd_first: Whether that pooling comes before split attention (the ``fast`` variants) instead of after it.
        avd_in_dilated: Whether the first block of a dilated stage has that pooling too, with stride 1 (official, timm).
        stride_in_1x1: Whether the stride is in the first 1x1 convolution (MSRA's ResNet, ``style='caffe'``).
        output_stride: Stride of c5: 32, 16 with dilation 2 in c5, or 8 with dilations 2 and 4 in c4 and c5; less with a
            smaller ``stem_stride``.
        dilations: Dilations of c2 to c5, whose first blocks have half as much; None follows ``output_stride``.
        multi_grid: Dilations of the blocks of c5, instead of one for all (DeepLabV3); None for no multi-grid.
        dcn_stages: Stages with deformable 3x3 convolutions.
        dcn_modulated: Whether they are modulated (DCNv2); otherwise they have offsets alone (DCNv1).
        dcn_groups: Number of deformable groups.
        context_stages: Stages with a global context block (GCNet) after the last convolution of each block.
        context_ratio: Inner channels of the context block relative to those of the stage.
        weight_standardization: Whether the weights of all convolutions are standardized (Qiao et al. 2019).
        norm: Normalization layer. ``sync_bn`` is plain batch normalization except in multi-process CUDA training;
            ``gn`` has groups of 16 channels, ``gn32`` has 32 groups.
        norm_eval: Whether batch normalization uses its running statistics in training too; its weights are trained.
        frozen_stages: Number of frozen stages: 0 for none, 1 for the stem, 2 for the stem and c2, up to 5.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset({"frozen_stages", "norm_eval"})
    depth: Literal[14, 18, 26, 34, 50, 101, 152, 200, 269]
    radix: Literal[0, 1, 2, 4] = 2
    cardinality: int = Field(1, ge=1, le=256)
    base_width: int = Field(64, ge=1, le=256)
    planes: int = Field(64, ge=8, le=256)
    stem: Literal["7x7", "3x3"] = "3x3"
    stem_width: int = Field(32, ge=4, le=128)
    stem_stride: Literal[1, 2, 4] = 4
    avg_down: bool = True
    avd: bool = True
    avd_first: bool = False
    avd_in_dilated: bool = True
    stride_in_1x1: bool = False
    output_stride: Literal[8, 16, 32] = 32
    dilations: tuple[Dilation, Dilation, Dilation, Dilation] | None = None
    multi_grid: tuple[Dilation, ...] | None = None
    dcn_stages: tuple[Stage, ...] = ()
    dcn_modulated: bool = True
    dcn_groups: int = Field(2, ge=1, le=64)
    context_stages: tuple[Stage, ...] = ()
    context_ratio: float = Field(1 / 16, gt=0, le=1)
    weight_standardization: bool = False
    norm: NormName = "bn"
    norm_eval: bool = False
    frozen_stages: int = Field(0, ge=0, le=5)

    @property
    def stride(self) -> int:
        """Stride of c5 in pixels of the input."""
        return self.output_stride * self.stem_stride // 4

    @model_validator(mode="after")
    def _check_basic_blocks(self) -> Self:
        if self.depth not in BASIC_DEPTHS:
            return self
        needed = {
            **{"radix": 0, "cardinality": 1, "base_width": 64, "avd": False, "stride_in_1x1": False},
            **{"dcn_stages": (), "context_stages": (), "multi_grid": None},
        }
        for key, value in needed.items():
            if getattr(self, key) != value:
                raise ValueError(f"depth {self.depth} has basic blocks: {key} should be {value}")
        return self

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        blocks = NUM_BLOCKS[self.depth][-1]
        if self.multi_grid is not None and len(self.multi_grid) != blocks:
            raise ValueError(f"multi_grid has {len(self.multi_grid)} dilations for {blocks} blocks of c5")
        return self

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        width = int(self.planes * self.base_width / 64) * self.cardinality
        if not width:
            raise ValueError(f"base_width {self.base_width} leaves no channels of {self.planes} planes")
        if width % max(self.cardinality * max(self.radix, 1), 1):
            raise ValueError(f"the width {width} does not divide into {self.cardinality} groups of {self.radix} splits")
        if self.dcn_stages and width % self.dcn_groups:
            raise ValueError(f"the width {width} does not divide into dcn_groups {self.dcn_groups}")
        return self


def _timm_name(name: str) -> str:
    """Return a model's name, checked: timm would also take folders and repositories of others."""
    if not re.fullmatch(r"[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64})?", name):
        raise ValueError(f"{name[:80]!r} is no name of a model of timm, such as convnext_tiny")
    return name


class TimmBackboneConfig(Section):
    """Model of timm with feature maps of strides 4, 8, 16 and 32, such as ConvNeXt or EfficientNet.

    Attributes:
        timm: Name of the model in timm, such as ``convnext_tiny`` or ``convnext_tiny.fb_in1k``; the part after the dot
            names pretrained weights.
        pretrained: Whether a training without ``train.init_from`` starts from timm's weights, which timm fetches.
        output_stride: Stride of c5; less than 32 for models that timm can dilate.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset({"pretrained"})
    timm: Annotated[str, AfterValidator(_timm_name)]
    pretrained: bool = False
    output_stride: Literal[8, 16, 32] = 32

    @property
    def stride(self) -> int:
        """Stride of c5 in pixels of the input."""
        return self.output_stride


class HRNetConfig(Section):
    """HRNet, whose branches are the feature maps c2 to c5.

    Attributes:
        hrnet: Number of channels of the finest branch (the 32 of HRNet-W32); it doubles with each branch.
        num_blocks: Number of residual blocks of stage 1, and of each branch in the modules of the stages 2 to 4.
        num_modules: Number of modules of the stages 2 to 4.
        all_branches: Whether the last module returns all branches; otherwise c2 alone, as in top-down pose estimation.
        upsampling: Interpolation of coarser branches in fusions.
        norm: Normalization layer, as in ``BackboneConfig``.
        norm_eval: Whether batch normalization uses its running statistics in training too; its weights are trained.
        frozen_stages: Number of frozen stages: 0 for none, 1 for the stem, 2 for the stem and stage 1, up to 5.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset({"frozen_stages", "norm_eval"})
    hrnet: int = Field(ge=4, le=256)
    num_blocks: tuple[Count, Count, Count, Count] = (4, 4, 4, 4)
    num_modules: tuple[Count, Count, Count] = (1, 4, 3)
    all_branches: bool = True
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    norm: NormName = "bn"
    norm_eval: bool = False
    frozen_stages: int = Field(0, ge=0, le=5)

    @property
    def stride(self) -> int:
        """Stride of the finest feature map in pixels of the input."""
        return 4


KINDS: dict[str, str] = {"timm": "a model of timm", "hrnet": "an HRNet"}
"""Key of a backbone section -> kind of backbone that has it; any other section is a ResNet."""


def _kind(value: Any) -> str:
    """Return which class a backbone section has; a key that only one of them has decides."""
    fields = value if isinstance(value, Mapping) else type(value).model_fields if isinstance(value, Section) else ()
    return next((kind for key, kind in KINDS.items() if key in fields), "a ResNet")


AnyBackboneConfig = Annotated[
    Annotated[BackboneConfig, Tag("a ResNet")]
    | Annotated[HRNetConfig, Tag("an HRNet")]
    | Annotated[TimmBackboneConfig, Tag("a model of timm")],
    Discriminator(_kind),
]
"""Backbone section: a model of timm if it has the key ``timm``, an HRNet if it has ``hrnet``."""
