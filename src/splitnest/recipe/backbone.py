"""The facts that tell one published ResNet or ResNeSt from another."""

from typing import Literal, Self

from pydantic import Field, model_validator

from splitnest.recipe.strict import Strict

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
"""Blocks of the stages c2 to c5 by depth (ResNeSt paper, section 4; timm for 14 and 26)."""

Stage = Literal[2, 3, 4, 5]
NormName = Literal["bn", "frozen_bn", "gn", "sync_bn"]


class BackboneFacts(Strict):
    """A ResNet (``radix`` 0) or ResNeSt (``radix`` 1, 2, 4).

    Attributes:
        depth: Names the blocks of each stage, see ``DEPTHS``.
        radix: Splits of the split attention; 0 is a plain 3x3 convolution.
        cardinality: Groups of the 3x3 convolution.
        base_width: Width of a group, as a share of 64.
        planes: Bottleneck width of c2 at base width 64; each later stage doubles it, its output is 4 times that.
        stem: One 7x7 convolution, or three 3x3 ones.
        stem_width: Channels of the first two 3x3 convolutions; the third has twice as many. Unused by the 7x7 stem.
        stem_stride: Input pixels of a cell of c2. 2 leaves out the max pooling and 1 the stride of the stem, too, for
            images of few pixels.
        avg_down: The shortcut pools, then projects with stride 1.
        avd: Average pooling in place of the stride of the 3x3 convolution.
        avd_first: That pooling comes before the split attention (the ``fast`` variants), not after it.
        avd_in_dilated: The first block of a dilated stage has that pooling too, with stride 1 (official, timm).
        stride_in_1x1: The stride is in the first 1x1 convolution (as MSRA trained ResNet).
        output_stride: 32, or 8 with dilations 2 and 4 in c4 and c5; less where the stem has a smaller stride than 4.
        dcn_stages: Stages with modulated deformable convolutions.
        norm: Normalisation; ``sync_bn`` is plain BN until there are several CUDA processes.
        frozen_stages: Stages that do not train: 0 none, 1 the stem, 2 the stem and c2, and so on.
    """

    depth: Literal[14, 26, 50, 101, 200, 269]
    radix: Literal[0, 1, 2, 4] = 2
    cardinality: Literal[1, 2, 4] = 1
    base_width: int = Field(64, ge=4, le=128)
    planes: int = Field(64, ge=8, le=256)
    stem: Literal["7x7", "3x3"] = "3x3"
    stem_width: int = Field(32, ge=4, le=128)
    stem_stride: Literal[1, 2, 4] = 4
    avg_down: bool = True
    avd: bool = True
    avd_first: bool = False
    avd_in_dilated: bool = True
    stride_in_1x1: bool = False
    output_stride: Literal[8, 32] = 32
    dcn_stages: tuple[Stage, ...] = ()
    norm: NormName = "bn"
    frozen_stages: int = Field(0, ge=0, le=5)

    @property
    def blocks(self) -> tuple[int, int, int, int]:
        """Blocks of the stages c2 to c5."""
        return DEPTHS[self.depth]

    @property
    def stride(self) -> int:
        """Input pixels of a cell of c5."""
        return self.output_stride * self.stem_stride // 4

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        if self.dcn_stages and not self.radix:
            raise ValueError("dcn_stages needs a radix of 1, 2 or 4: no plain ResNet with DCNv2 was published")
        width = int(self.planes * self.base_width / 64) * self.cardinality
        if width % max(self.cardinality * max(self.radix, 1), 1):
            raise ValueError(f"the width {width} does not divide into {self.cardinality} groups of {self.radix} splits")
        return self
