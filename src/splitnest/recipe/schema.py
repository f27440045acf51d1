"""Schema of a recipe: everything that defines one model and its training. Closed, and validated on construction."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from splitnest.files import plain_name
from splitnest.recipe.backbone import AnyBackboneConfig, BackboneConfig, Dilation, HRNetConfig, NormName
from splitnest.recipe.base import Section
from splitnest.recipe.data import ClassificationData, DetectionData, PoseData
from splitnest.recipe.detection_training import DetectionTraining
from splitnest.recipe.detector import DetectorConfig
from splitnest.recipe.file_data import Data
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, PoseInput, SemanticInput
from splitnest.recipe.label_map_data import SemanticData
from splitnest.recipe.limits import Channels
from splitnest.recipe.pose_evaluation import PoseEvaluation, PoseEvaluationConfig, published_evaluation
from splitnest.recipe.training import ClassificationTraining, PoseTraining, SemanticTraining

Task = Literal["classification", "detection", "instance", "panoptic", "semantic", "pose"]


def _plain_name(name: str) -> str:
    try:
        return plain_name(name)
    except ValueError as error:
        raise ValueError(f"{name[:80]!r} {error}; files are named after it") from None


class ClassifierConfig(Section):
    """Image classifier: backbone, global average pooling and one linear layer.

    Attributes:
        backbone: Backbone.
    """

    backbone: AnyBackboneConfig


def _check_levels(backbone: Section, all_levels: bool) -> None:
    """Raise a ValueError if a head takes all levels of a backbone without branches."""
    if all_levels and not (isinstance(backbone, HRNetConfig) and backbone.all_branches):
        raise ValueError("all_levels takes the branches of an HRNet: set backbone.hrnet and all_branches, or false")


class SegmentorConfig(Section):
    """Semantic segmentor: dilated backbone or HRNet, decode head on c5 and auxiliary FCN head on c4.

    Attributes:
        backbone: Backbone.
        head: Decode head: ``fcn``, ``psp``, ``aspp`` (DeepLabV3), ``separable_aspp`` (DeepLabV3+) or ``ocr`` (OCRNet),
            whose regions are the prediction of the auxiliary head.
        all_levels: Whether the heads take all branches of an HRNet, resized to the finest and concatenated; FCN heads
            have one 1x1 convolution then. Heads ``fcn`` and ``ocr``.
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
    all_levels: bool = False
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
        _check_levels(self.backbone, self.all_levels)
        if self.all_levels and self.head not in ("fcn", "ocr"):
            raise ValueError(f"head {self.head} takes c5: set all_levels to false, or head to fcn or ocr")
        if self.head == "ocr" and self.auxiliary_channels is None:
            raise ValueError("head ocr takes its regions from the auxiliary head: set auxiliary_channels")
        return self


class PoseModelConfig(Section):
    """Top-down pose estimator: backbone, transposed convolutions (SimpleBaseline) or none (HRNet), and heatmaps.

    Attributes:
        backbone: Backbone; the head takes c5, or c2 of an HRNet.
        all_levels: Whether the head takes all branches of an HRNet, resized to the finest and concatenated (HRNetV2).
        deconv_channels: Channels of each transposed convolution.
        conv_channels: Channels of a 1x1 convolution before the heatmaps; None for none.
        norm: Normalization of the convolutions of the head.
        sigma: Standard deviation of the target heatmaps in cells.
        codec: Codec of the heatmaps: ``msra`` (SimpleBaseline), ``dark`` (Zhang et al. 2020) or ``udp`` (Huang et al.
            2020).
        offsets: Whether the codec ``udp`` has three maps of each keypoint, a disk and the offsets to the keypoint.
        blur_kernel: Side in cells of the Gaussian blur before the decoding of ``dark`` and ``udp``; half of it with
            ``offsets``.
        output_keypoints: Number of keypoints of predictions, the first ones of ``data.keypoints``; None for all.
        loss: Loss of the heatmaps: squared error, or adaptive wing (Wang et al. 2019).
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset(
        {"sigma", "codec", "blur_kernel", "loss", "output_keypoints"}
    )
    backbone: AnyBackboneConfig
    all_levels: bool = False
    conv_channels: Channels | None = None
    deconv_channels: Annotated[tuple[Channels, ...], Field(max_length=5)] = (256, 256, 256)
    norm: NormName = "bn"
    sigma: float = Field(2.0, gt=0)
    codec: Literal["msra", "dark", "udp"] = "msra"
    offsets: bool = False
    blur_kernel: int = Field(11, ge=9, le=99)
    loss: Literal["mse", "adaptive_wing"] = "mse"
    output_keypoints: int | None = Field(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _check_codec(self) -> Self:
        if self.offsets and self.codec != "udp":
            raise ValueError(f"offsets are of codec udp, not of {self.codec}: set codec to udp or offsets to false")
        if self.offsets and self.loss != "mse":
            raise ValueError(f"loss {self.loss} is of heatmaps without offsets: set loss to mse")
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel is {self.blur_kernel}: give an odd number")
        return self

    @model_validator(mode="after")
    def _check_heatmap_size(self) -> Self:
        _check_levels(self.backbone, self.all_levels)
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
    """Recipe of image classification.

    Attributes:
        model: Classifier.
        input: Size, channel order and statistics of its input.
        train: Training; None for a recipe that is not trained.
    """

    task: Literal["classification"] = "classification"
    data: ClassificationData
    model: ClassifierConfig
    input: ClassificationInput
    train: ClassificationTraining | None = None

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        if self.train is not None and not isinstance(self.model.backbone, BackboneConfig):
            for key, none in (("drop_block", "0"), ("zero_init_last", "false")):
                if getattr(self.train, key):
                    raise ValueError(f"train.{key} is of ResNets: set it to {none} with another backbone")
        return self


class DetectionRecipe(RecipeBase):
    """Recipe of detection, instance segmentation or panoptic segmentation.

    Attributes:
        model: Detector.
        input: Size, channel order and statistics of its input.
        train: Training; None for a recipe that is not trained.
    """

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
    """Recipe of semantic segmentation.

    Attributes:
        model: Segmentor.
        input: Size, channel order and statistics of its input.
        train: Training; None for a recipe that is not trained.
    """

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
    """Recipe of top-down pose estimation.

    Attributes:
        model: Pose estimator.
        input: Size, channel order and statistics of its input.
        evaluation: Metrics; None for those that models of the dataset of ``data.keypoints`` are published with, and
            COCO's for keypoints of no published dataset.
        train: Training; None for a recipe that is not trained.
    """

    task: Literal["pose"] = "pose"
    data: PoseData
    model: PoseModelConfig
    input: PoseInput
    evaluation: PoseEvaluationConfig = None
    train: PoseTraining | None = None

    @property
    def metrics(self) -> PoseEvaluation:
        """Metrics: ``evaluation``, or the published ones."""
        return published_evaluation(self.data.keypoints) if self.evaluation is None else self.evaluation


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
