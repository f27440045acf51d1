"""A recipe: every fact that makes one published model, of any task. Closed, and validated when made."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, TypeAdapter, model_validator

from splitnest.recipe.backbone import BackboneFacts, NormName
from splitnest.recipe.conventions import NAMED, Conventions
from splitnest.recipe.data import OF_FOLDERS, Data
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, PoseInput, SemanticInput
from splitnest.recipe.strict import Strict
from splitnest.recipe.training import ClassificationTraining, DetectionTraining, PoseTraining, SemanticTraining

Task = Literal["classification", "detection", "instance", "panoptic", "semantic", "pose"]
TASKS: tuple[Task, ...] = ("classification", "detection", "instance", "panoptic", "semantic", "pose")
Layout = Literal["official", "timm", "mmdet", "mmseg", "mmpose", "detectron2", "caffe2", "splitnest"]


def _named_conventions(value: Any) -> Any:
    if isinstance(value, str):
        if value not in NAMED:
            raise ValueError(f"there are no conventions {value!r}; there are {' and '.join(NAMED)}")
        return NAMED[value]
    return value


class ClassifierFacts(Strict):
    """A backbone, global average pooling and one linear layer."""

    backbone: BackboneFacts


class PanopticFacts(Strict):
    """The semantic branch of Panoptic FPN (Kirillov et al. 2019), and how its stuff is merged with instances.

    Attributes:
        channels, norm: Of its convolutions; None for a bias in place of the normalisation.
        loss_weight: Of its cross entropy.
        min_score: Instances under it are left out of the segmentation.
        max_overlap: So are those of which a larger share is covered by better ones.
        min_stuff_area: And kinds of stuff with fewer pixels of the photograph.
    """

    channels: PositiveInt = 128
    norm: NormName | None = None
    loss_weight: float = Field(0.5, gt=0)
    min_score: float = Field(0.5, ge=0, le=1)
    max_overlap: float = Field(0.5, ge=0, le=1)
    min_stuff_area: int = Field(4096, ge=0)


class DetectorFacts(Strict):
    """Faster, Mask, Cascade and Cascade Mask R-CNN with FPN, and Panoptic FPN.

    Attributes:
        conventions: Which code base's behaviour; ``mmdet``, ``detectron2``, or the fields themselves.
        fpn_norm, box_norm, mask_norm: Normalisation of the convolutions, None for a bias in its place.
        fpn_channels: Channels of p2 to p6.
        box_head: Two linear layers, or four convolutions and one linear layer.
        box_channels, box_features: Channels of those convolutions, features of those linear layers.
        cascade: Three box heads, each on the boxes of the one before; their boxes do not depend on the class.
        mask_convs: Convolutions of the mask head; 0 for a model without masks.
        mask_channels: Their channels.
        panoptic: The semantic branch of Panoptic FPN; None for a model without.
        train_proposals: Proposals of an image that the RPN gives in training.
        train_candidates: Anchors of a level and image that they are made of.
        rpn_samples, roi_samples: Anchors and regions of an image that losses are taken of.
        roi_low_quality: The best region of an object is positive even where a better object claims it (mmdetection's
            rows with masks).
        rpn_ignores_crossing: Anchors that cross the border of the image take no part (mmdetection's cascade rows).
        rpn_box_beta, box_beta: Of the smooth L1 loss of boxes: under it errors count squared; 0 for plain L1.
    """

    backbone: BackboneFacts
    conventions: Annotated[Conventions, BeforeValidator(_named_conventions)]
    fpn_norm: NormName | None
    box_norm: NormName | None
    mask_norm: NormName | None = None
    fpn_channels: PositiveInt = 256
    box_head: Literal["2fc", "4conv1fc"] = "4conv1fc"
    box_channels: PositiveInt = 256
    box_features: PositiveInt = 1024
    cascade: bool = False
    mask_convs: Literal[0, 4, 8] = 0
    mask_channels: PositiveInt = 256
    panoptic: PanopticFacts | None = None
    train_proposals: PositiveInt = 1000
    train_candidates: PositiveInt = 2000
    rpn_samples: PositiveInt = 256
    roi_samples: PositiveInt = 512
    roi_low_quality: bool = False
    rpn_ignores_crossing: bool = False
    rpn_box_beta: float = Field(0.0, ge=0)
    box_beta: float = Field(0.0, ge=0)


class SegmentorFacts(Strict):
    """A dilated backbone, a decode head on c5 and an auxiliary FCN head on c4.

    Attributes:
        head: ``fcn``, ``psp``, ``aspp`` (DeepLabV3) or ``separable_aspp`` (DeepLabV3+).
        head_channels, auxiliary_channels: Channels of the two heads.
        norm: Normalisation of the heads.
        dropout: Share of channels that are dropped before the classifier of each head, in training.
    """

    backbone: BackboneFacts
    head: Literal["fcn", "psp", "aspp", "separable_aspp"]
    head_channels: PositiveInt = 512
    auxiliary_channels: PositiveInt = 256
    norm: NormName = "sync_bn"
    dropout: float = Field(0.1, ge=0, lt=1)


class PoseFacts(Strict):
    """A backbone, transposed convolutions and one heatmap a keypoint (SimpleBaseline).

    Attributes:
        deconv_channels: Channels of each transposed convolution.
        norm: Normalisation of the transposed convolutions.
        sigma: Standard deviation of a target in heatmap cells.
    """

    backbone: BackboneFacts
    deconv_channels: Annotated[tuple[PositiveInt, ...], Field(max_length=5)] = (256, 256, 256)
    norm: NormName = "bn"
    sigma: float = Field(2.0, gt=0)

    @model_validator(mode="after")
    def _cells_are_pixels_or_more(self) -> Self:
        if 2 ** len(self.deconv_channels) > self.backbone.stride:
            raise ValueError(
                f"deconv_channels has {len(self.deconv_channels)} layers, each of which doubles the size of a map that "
                f"is a {self.backbone.stride}th of the input: heatmaps would be larger than that"
            )
        return self


class Weights(Strict):
    """A published file.

    Attributes:
        url: Where it was published.
        sha256: First hexadecimal digits of its SHA-256, as its name holds them; None where its name holds none.
        layout: Whose key names it has.
        mirrors: Other addresses of the same file, tried in order.
    """

    url: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{8,64}$")
    layout: Layout
    mirrors: tuple[str, ...] = ()


class RecipeBase(Strict):
    """What recipes of all tasks share.

    Attributes:
        name: Name of the model: ``<arch>_<backbone>..._<dataset>.<source>``, or the user's own. Files are named after
            it, so a recipe of a stranger must not lead them into another folder.
        weights: Its published file, None for a recipe that has none.
        published: Metrics as published: top-1, AP, PQ and mIoU in percent, AP and AR of poses from 0 to 1.
    """

    name: str = Field(pattern=r"^[^/\\]+$")
    weights: Weights | None = None
    published: dict[str, float] = Field(default_factory=dict)
    data: Data

    @property
    def num_classes(self) -> int:
        """Number of classes that the model tells apart."""
        return self.data.num_classes

    @model_validator(mode="after")
    def _folders_are_of_classes(self) -> Self:
        if self.data.classes == OF_FOLDERS and not isinstance(self, ClassificationRecipe):
            raise ValueError("data.classes folders is for classification: list the names of the classes")
        return self


class ClassificationRecipe(RecipeBase):
    """Image classification."""

    task: Literal["classification"] = "classification"
    model: ClassifierFacts
    input: ClassificationInput
    train: ClassificationTraining | None = None

    @model_validator(mode="after")
    def _data_has_one_class_an_image(self) -> Self:
        if self.data.stuff is not None:
            raise ValueError("task classification has no data.stuff: all its classes are in data.classes")
        return self


class DetectionRecipe(RecipeBase):
    """Detection, instance segmentation, panoptic segmentation."""

    task: Literal["detection", "instance", "panoptic"]
    model: DetectorFacts
    input: DetectionInput
    train: DetectionTraining | None = None

    @model_validator(mode="after")
    def _task_matches_model(self) -> Self:
        masks, panoptic = self.task != "detection", self.task == "panoptic"
        if masks != (self.model.mask_convs > 0):
            raise ValueError(f"task {self.task} does not match model.mask_convs={self.model.mask_convs}")
        for key, value in (("model.panoptic", self.model.panoptic), ("data.stuff", self.data.stuff)):
            if panoptic != (value is not None):
                raise ValueError(f"task {self.task} {'needs' if panoptic else 'has no'} {key}")
        return self

    @model_validator(mode="after")
    def _panoptic_data_has_a_form(self) -> Self:
        if self.task == "panoptic" and self.data.format not in ("coco", "scenes"):
            raise ValueError(f"data.format {self.data.format} has no panoptic form: it must be coco or scenes")
        return self


class SemanticRecipe(RecipeBase):
    """Semantic segmentation."""

    task: Literal["semantic"] = "semantic"
    model: SegmentorFacts
    input: SemanticInput
    train: SemanticTraining | None = None

    @model_validator(mode="after")
    def _stuff_is_among_the_classes(self) -> Self:
        if self.data.stuff is not None:
            raise ValueError("task semantic has no data.stuff: all its classes are in data.classes")
        return self


class PoseRecipe(RecipeBase):
    """Top-down human pose."""

    task: Literal["pose"] = "pose"
    model: PoseFacts
    input: PoseInput
    train: PoseTraining | None = None

    @model_validator(mode="after")
    def _data_has_keypoints(self) -> Self:
        if self.data.num_classes != 1:
            raise ValueError(f"data.classes has {self.data.num_classes} classes: a pose estimator is of one")
        if self.data.format not in ("coco", "scenes"):
            raise ValueError(f"data.format {self.data.format} has no keypoints: it must be coco or scenes")
        return self


Recipe = ClassificationRecipe | DetectionRecipe | SemanticRecipe | PoseRecipe
RECIPE: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="task")])
"""Validates a mapping into the recipe of its task."""
