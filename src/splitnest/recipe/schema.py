"""Schema of a recipe: everything that defines one model and its training. Closed, and validated on construction."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from splitnest.files import plain_name
from splitnest.recipe.backbone import AnyBackboneConfig, Dilation, NormName, TimmBackboneConfig
from splitnest.recipe.base import Section
from splitnest.recipe.conventions import Conventions, named_conventions
from splitnest.recipe.data import Data, DetectionData, ImageFolderData, PoseData, SemanticData
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, PoseInput, SemanticInput
from splitnest.recipe.limits import Channels, Pixels, Regions
from splitnest.recipe.training import ClassificationTraining, DetectionTraining, PoseTraining, SemanticTraining

ANCHOR_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
"""Sides in pixels of the square anchors of p2 to p6 (FPN, Lin et al. 2017)."""

Task = Literal["classification", "detection", "instance", "panoptic", "semantic", "pose"]


def _plain_name(name: str) -> str:
    try:
        return plain_name(name)
    except ValueError as error:
        raise ValueError(f"{name[:80]!r} {error}; files are named after it") from None


class ClassifierConfig(Section):
    """Image classifier: backbone, global average pooling and one linear layer."""

    backbone: AnyBackboneConfig


class PanopticConfig(Section):
    """Semantic branch of Panoptic FPN (Kirillov et al. 2019), and merging of stuff and instances.

    Attributes:
        channels: Channels of the convolutions of the semantic branch.
        norm: Normalization of these convolutions; None for a bias instead.
        loss_weight: Weight of the semantic cross entropy.
        min_score: Minimum score of an instance in the panoptic segmentation.
        max_overlap: Maximum fraction of an instance that better instances may cover.
        min_stuff_area: Minimum area of a stuff segment in pixels of the original image.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset(
        {"loss_weight", "min_score", "max_overlap", "min_stuff_area"}
    )
    channels: Channels = 128
    norm: NormName | None = None
    loss_weight: float = Field(0.5, gt=0)
    min_score: float = Field(0.5, ge=0, le=1)
    max_overlap: float = Field(0.5, ge=0, le=1)
    min_stuff_area: Pixels = 4096


class DetectorConfig(Section):
    """Faster, Mask, Cascade and Cascade Mask R-CNN with FPN, and Panoptic FPN.

    Attributes:
        backbone: Backbone.
        conventions: Conventions of a code base: ``mmdet``, ``detectron2``, or the fields themselves.
        fpn_norm, box_norm, mask_norm: Normalization of the convolutions of FPN, box head and mask head; None for a bias
            instead.
        fpn_channels: Channels of p2 to p6.
        box_head: ``2fc`` for two linear layers, ``4conv1fc`` for four convolutions and one linear layer.
        box_conv_channels: Channels of the convolutions of the box head.
        box_fc_channels: Output features of the linear layers of the box head.
        cascade: Whether there are three box heads in a cascade, with class-agnostic boxes.
        mask_convs: Number of convolutions of the mask head; 0 for a model without masks.
        mask_channels: Channels of the convolutions of the mask head.
        panoptic: Semantic branch of Panoptic FPN; None for any other model.
        class_agnostic_boxes: Whether a region has one box for all classes; None for a cascade alone.
        weight_standardization: Whether the weights of the convolutions of FPN, box head and mask head are standardized.
        rpn_convs: Number of 3x3 convolutions of the RPN.
        anchor_sizes: Side in pixels of the square anchor of each level, p2 to p6.
        anchor_ratios: Heights of the anchors of a cell divided by their widths.
        rpn_pre_nms_topk_test: Number of anchors of each level and image that are decoded in prediction.
        rpn_post_nms_topk_test: Number of proposals of an image in prediction.
        rpn_nms_threshold: IoU above which the worse of two proposals of a level is suppressed.
        score_threshold: Score that a detection must exceed.
        nms: ``hard`` drops the worse of two overlapping detections of a class; ``linear`` and ``gaussian`` soft-NMS
            lower its score (Bodla et al. 2017).
        nms_threshold: IoU above which the worse of two detections is dropped, or its score lowered by ``linear``.
        soft_nms_sigma: Decay of ``gaussian``: scores are multiplied by ``exp(-IoU^2 / sigma)``.
        soft_nms_min_score: Score under which soft-NMS drops a detection.
        max_detections: Maximum number of detections of an image.
        rpn_pre_nms_topk: Number of anchors of each level and image that are decoded in training.
        rpn_post_nms_topk: Number of proposals of an image in training.
        rpn_samples: Number of anchors of an image that the RPN losses sample.
        roi_samples: Number of regions of an image that the losses of the box and mask heads sample.
        roi_match_low_quality: Whether the best region of a ground-truth box is positive even under the IoU threshold
            (mmdetection's rows with masks).
        rpn_ignore_crossing: Whether the RPN losses ignore anchors that cross the image border (mmdetection's cascade
            rows).
        rpn_box_beta, box_beta: Beta of the smooth L1 loss of RPN and box head; 0 for the L1 loss.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset(
        {
            *("conventions", "rpn_pre_nms_topk", "rpn_post_nms_topk", "rpn_samples", "roi_samples"),
            *("roi_match_low_quality", "rpn_ignore_crossing", "rpn_box_beta", "box_beta"),
            *("anchor_sizes", "rpn_pre_nms_topk_test", "rpn_post_nms_topk_test", "rpn_nms_threshold"),
            *("score_threshold", "nms", "nms_threshold", "soft_nms_sigma", "soft_nms_min_score", "max_detections"),
        }
    )
    backbone: AnyBackboneConfig
    conventions: Annotated[Conventions, BeforeValidator(named_conventions)]
    fpn_norm: NormName | None
    box_norm: NormName | None
    mask_norm: NormName | None = None
    fpn_channels: Channels = 256
    box_head: Literal["2fc", "4conv1fc"] = "4conv1fc"
    box_conv_channels: Channels = 256
    box_fc_channels: Channels = 1024
    cascade: bool = False
    class_agnostic_boxes: bool | None = None
    mask_convs: int = Field(0, ge=0, le=16)
    mask_channels: Channels = 256
    weight_standardization: bool = False
    panoptic: PanopticConfig | None = None
    rpn_convs: int = Field(1, ge=1, le=8)
    anchor_sizes: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = ANCHOR_SIZES
    anchor_ratios: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    rpn_pre_nms_topk_test: Regions = 1000
    rpn_post_nms_topk_test: Regions = 1000
    rpn_nms_threshold: float = Field(0.7, gt=0, le=1)
    score_threshold: float = Field(0.05, ge=0, lt=1)
    nms: Literal["hard", "linear", "gaussian"] = "hard"
    nms_threshold: float = Field(0.5, gt=0, le=1)
    soft_nms_sigma: PositiveFloat = 0.5
    soft_nms_min_score: float = Field(1e-3, gt=0, lt=1)
    max_detections: Regions = 100
    rpn_pre_nms_topk: Regions = 2000
    rpn_post_nms_topk: Regions = 1000
    rpn_samples: Regions = 256
    roi_samples: Regions = 512
    roi_match_low_quality: bool = False
    rpn_ignore_crossing: bool = False
    rpn_box_beta: float = Field(0.0, ge=0)
    box_beta: float = Field(0.0, ge=0)


class SegmentorConfig(Section):
    """Semantic segmentor: dilated backbone, decode head on c5 and auxiliary FCN head on c4.

    Attributes:
        backbone: Backbone.
        head: Decode head: ``fcn``, ``psp``, ``aspp`` (DeepLabV3), ``separable_aspp`` (DeepLabV3+) or ``ocr`` (OCRNet),
            whose regions are the prediction of the auxiliary head.
        head_channels: Channels of the decode head.
        auxiliary_channels: Channels of the auxiliary head; None for a segmentor without one.
        fcn_dilation: Dilation of the convolutions in FCN heads, the auxiliary head included.
        aspp_dilations: Dilations of the 3x3 convolutions of ASPP.
        c2_channels: Channels that DeepLabV3+ reduces c2 to.
        ocr_channels: Channels of the keys and values of object-contextual attention.
        align_corners: Whether resizing maps the corner pixels of maps and images to each other.
        norm: Normalization of the heads.
        dropout: Probability of channel dropout before the classifier of each head.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset({"dropout"})
    backbone: AnyBackboneConfig
    head: Literal["fcn", "psp", "aspp", "separable_aspp", "ocr"]
    head_channels: Channels = 512
    auxiliary_channels: Channels | None = 256
    fcn_dilation: Dilation = 1
    aspp_dilations: tuple[Dilation, ...] = Field((12, 24, 36), min_length=1, max_length=8)
    c2_channels: Channels = 48
    ocr_channels: Channels = 256
    align_corners: bool = False
    norm: NormName = "sync_bn"
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check_regions(self) -> Self:
        if self.head == "ocr" and self.auxiliary_channels is None:
            raise ValueError("head ocr takes its regions from the auxiliary head: set auxiliary_channels")
        return self


class PoseModelConfig(Section):
    """Top-down pose estimator (SimpleBaseline): backbone, transposed convolutions and one heatmap per keypoint.

    Attributes:
        backbone: Backbone.
        deconv_channels: Channels of each transposed convolution.
        norm: Normalization of the transposed convolutions.
        sigma: Standard deviation of the target heatmaps in cells.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset({"sigma"})
    backbone: AnyBackboneConfig
    deconv_channels: Annotated[tuple[Channels, ...], Field(max_length=5)] = (256, 256, 256)
    norm: NormName = "bn"
    sigma: float = Field(2.0, gt=0)

    @model_validator(mode="after")
    def _check_heatmap_size(self) -> Self:
        if 2 ** len(self.deconv_channels) > self.backbone.stride:
            raise ValueError(
                f"deconv_channels has {len(self.deconv_channels)} layers, each of which doubles the resolution of "
                f"features of stride {self.backbone.stride}: heatmaps would be larger than the input"
            )
        return self


class Weights(Section):
    """Published weights.

    Attributes:
        url: URL of the file.
        sha256: First hexadecimal digits of its SHA-256, as far as published; None where they are not.
        mirrors: Other URLs of the same file, tried in order.
    """

    url: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{8,64}$")
    mirrors: tuple[str, ...] = ()


class RecipeBase(Section):
    """Fields of the recipes of all tasks.

    Attributes:
        task: Task of the model.
        name: Name of the model, without slashes; files are named after it.
        weights: Published weights; None for a recipe without any.
        published: Published metrics: top-1, AP, PQ and mIoU in percent, AP and AR of poses from 0 to 1, as their
            sources give them.
        data: Dataset.
    """

    task: Task
    name: Annotated[str, AfterValidator(_plain_name)]
    weights: Weights | None = None
    published: dict[str, float] = Field(default_factory=dict)
    data: Data

    @property
    def num_classes(self) -> int:
        """Number of classes of the model; thing classes of a panoptic model."""
        return self.data.num_classes

    @property
    def num_pixel_classes(self) -> int:
        """Number of classes of a label map of the model."""
        return self.num_classes


class ClassificationRecipe(RecipeBase):
    """Recipe of image classification."""

    task: Literal["classification"] = "classification"
    data: ImageFolderData
    model: ClassifierConfig
    input: ClassificationInput
    train: ClassificationTraining | None = None

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        if self.train is not None and isinstance(self.model.backbone, TimmBackboneConfig):
            for key, none in (("drop_block", "0"), ("zero_init_last", "false")):
                if getattr(self.train, key):
                    raise ValueError(f"train.{key} is of ResNets: set it to {none} with a model of timm")
        return self


class DetectionRecipe(RecipeBase):
    """Recipe of detection, instance segmentation or panoptic segmentation."""

    task: Literal["detection", "instance", "panoptic"]
    data: DetectionData
    model: DetectorConfig
    input: DetectionInput
    train: DetectionTraining | None = None

    @property
    def has_masks(self) -> bool:
        """Whether the model predicts masks."""
        return self.task != "detection"

    @property
    def keeps_rle_masks(self) -> bool:
        """Whether instances with RLE masks take part in training."""
        return self.model.conventions.rle_masks == "kept"

    @property
    def num_pixel_classes(self) -> int:
        """Number of classes of a label map: for a panoptic model all things as one class, then the stuff classes."""
        return self.data.num_stuff + 1 if self.task == "panoptic" else self.num_classes

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        panoptic = self.task == "panoptic"
        if self.has_masks != (self.model.mask_convs > 0):
            raise ValueError(f"task {self.task} does not match model.mask_convs={self.model.mask_convs}")
        for key, value in (("model.panoptic", self.model.panoptic), ("data.stuff", self.data.stuff_classes)):
            if panoptic != (value is not None):
                raise ValueError(f"task {self.task} {'needs' if panoptic else 'has no'} {key}")
        if not self.has_masks and self.train and any(entry.type == "copy_paste" for entry in self.train.augment):
            raise ValueError("train.augment: copy_paste needs masks, which task detection has not. Use mosaic instead")
        if panoptic and self.data.format not in ("coco", "scenes"):
            raise ValueError(f"data.format {self.data.format} has no panoptic segments: use coco or scenes")
        return self


class SemanticRecipe(RecipeBase):
    """Recipe of semantic segmentation."""

    task: Literal["semantic"] = "semantic"
    data: SemanticData
    model: SegmentorConfig
    input: SemanticInput
    train: SemanticTraining | None = None

    @model_validator(mode="after")
    def _check_stuff(self) -> Self:
        if self.data.stuff_classes is not None:
            raise ValueError("task semantic has no data.stuff: list all classes in data.classes")
        return self


class PoseRecipe(RecipeBase):
    """Recipe of top-down pose estimation."""

    task: Literal["pose"] = "pose"
    data: PoseData
    model: PoseModelConfig
    input: PoseInput
    train: PoseTraining | None = None


Recipe = ClassificationRecipe | DetectionRecipe | SemanticRecipe | PoseRecipe
RecipeClass = type[ClassificationRecipe] | type[DetectionRecipe] | type[SemanticRecipe] | type[PoseRecipe]

RECIPE_CLASSES: dict[str, RecipeClass] = {
    "classification": ClassificationRecipe,
    "detection": DetectionRecipe,
    "instance": DetectionRecipe,
    "panoptic": DetectionRecipe,
    "semantic": SemanticRecipe,
    "pose": PoseRecipe,
}
"""Recipe class of each task."""
