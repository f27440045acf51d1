"""Training section of a recipe: length, optimizer, schedule, augmentation."""

from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from splitnest.errors import UsageError
from splitnest.recipe.augmentation import (
    ClassificationAugmentation,
    Once,
    PoseAugmentation,
    SemanticAugmentation,
)
from splitnest.recipe.base import Section
from splitnest.recipe.limits import BatchSize, Interval, Length, Side, Workers
from splitnest.recipe.optimization import SGD, MultiStep, OptimizerConfig, ScheduleConfig

Logger = Literal["tensorboard", "wandb", "mlflow"]
"""Service that rows of losses and metrics are passed on to."""

RARE_CLASSES = ("repeat_threshold", "class_aware_samples")
"""Keys of the ways to draw images with rare classes more often, of which one may be set."""


def _ordered(ratios: tuple[float, float]) -> tuple[float, float]:
    if ratios[0] > ratios[1]:
        raise ValueError(f"{ratios}: give the minimum first")
    return ratios


Ratios = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ordered)]
"""Minimum and maximum of a random factor."""

Probability = Annotated[float, Field(ge=0, le=1)]


class Training(Section):
    """Training parameters of every task.

    Exactly one of ``epochs`` and ``iterations`` is set. It is the unit of ``schedule.milestones``, ``evaluate_every``
    and ``save_every``.

    Attributes:
        epochs: Length of the training in epochs.
        iterations: Length of the training in iterations (optimizer steps).
        batch_size: Images of an iteration, over all processes and accumulated parts; ``auto`` for as many as the memory
            estimate allows, which needs ``lr_batch_size``.
        accumulate: Number of parts that a batch is split into for gradient accumulation.
        optimizer: Optimizer and its parameters.
        lr: Learning rate after the warm-up.
        lr_batch_size: Batch size that ``lr`` is meant for; with another ``batch_size`` it is scaled linearly (Goyal et
            al. 2017). None uses ``lr`` as it is.
        weight_decay: Weight decay.
        decay_norms: Whether weight decay applies to the parameters of normalization layers.
        decay_biases: Whether weight decay applies to the biases of other layers.
        backbone_lr: Learning rate of the backbone, as a factor of ``lr``.
        layer_decay: Factor of the learning rate from each stage of the backbone to the one before it, beginning with
            the heads; None trains all layers with the same learning rate.
        schedule: Learning-rate schedule and its parameters.
        warmup_iterations: Length of the linear warm-up in iterations.
        warmup_epochs: Length of the linear warm-up in epochs, instead of ``warmup_iterations``.
        warmup_factor: Learning rate at the start of the warm-up, as a fraction of the full rate.
        clip_grad_norm: Maximum norm of all gradients together; None does not clip.
        checkpoint_stages: Stages of the backbone, from 2 to 5, whose features are recomputed in the backward pass
            instead of being kept (gradient checkpointing).
        precision: Floating-point type of the forward pass; weights and gradients stay float32.
        float32_matmul_precision: Precision of float32 matrix products on a GPU: ``highest``, ``high`` (TensorFloat32)
            or ``medium`` (bfloat16), as in ``torch.set_float32_matmul_precision``; without effect on the CPU.
        ema_decay: Decay of an exponential moving average (EMA) of the weights, which is then evaluated and saved; None
            uses no average.
        precise_bn_batches: Batches over which the statistics of batch normalization are recomputed before an
            evaluation (precise BN); 0 keeps the running statistics.
        evaluate_every: Interval between evaluations; 0 evaluates at the end only.
        val_loss: Whether an evaluation also computes the losses on the validation set, without augmentation.
        best_by: Name of the metric by which the best model is selected, such as ``mask_ap`` or ``val_loss``; None uses
            the first metric of the task.
        patience: Number of evaluations without a gain after which the training stops early; 0 trains to the end.
        min_gain: Minimum increase of the metric (from 0 to 1), or decrease of a loss, that counts as a gain.
        save_every: Interval between checkpoints, besides one after each evaluation; 0 saves no others.
        keep_checkpoints: Number of resumable checkpoints to keep: ``last.pt``, ``last-1.pt`` and so on.
        max_skipped_steps: Steps with a non-finite loss or gradient that may be skipped in the whole training; one more
            stops it.
        max_corrupt_fraction: Fraction of the images that may be unreadable and are then replaced by others; one more
            stops the training. With 0.001, fewer than 1000 images tolerate none.
        init_from: Initial weights: name of a published model, or path or URL of a checkpoint of any code base. The
            whole network is loaded where it fits, otherwise its backbone. None starts from random weights.
        seed: Seed of weights, sample order, augmentation and sampling.
        workers: Number of data loading processes; 0 loads in the training process.
        loggers: Services that get the rows of ``metrics.csv``; ``auto`` writes event files if TensorBoard is installed.
    """

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (
        ("epochs", "iterations"),
        ("warmup_epochs", "warmup_iterations"),
    )
    """Pairs of keys of which one may be set: setting it replaces the other of the base recipe."""

    epochs: Length | None = None
    iterations: Length | None = None
    batch_size: BatchSize | Literal["auto"] = 16
    accumulate: BatchSize = 1
    optimizer: OptimizerConfig = SGD()
    lr: PositiveFloat
    lr_batch_size: BatchSize | None = None
    weight_decay: float = Field(1e-4, ge=0)
    decay_norms: bool = True
    decay_biases: bool = True
    backbone_lr: PositiveFloat = 1.0
    layer_decay: float | None = Field(None, gt=0, le=1)
    schedule: ScheduleConfig = MultiStep()
    warmup_iterations: Interval = 0
    warmup_epochs: Interval = 0
    warmup_factor: Probability = 0.001
    clip_grad_norm: PositiveFloat | None = None
    checkpoint_stages: tuple[Annotated[int, Field(ge=2, le=5)], ...] = ()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    float32_matmul_precision: Literal["highest", "high", "medium"] = "highest"
    ema_decay: float | None = Field(None, gt=0, lt=1)
    precise_bn_batches: Interval = 0
    evaluate_every: Interval = 0
    val_loss: bool = False
    best_by: str | None = None
    patience: Interval = 0
    min_gain: float = Field(0.0, ge=0)
    save_every: Interval = 0
    keep_checkpoints: int = Field(2, ge=1, le=1000)
    max_skipped_steps: Interval = 0
    max_corrupt_fraction: float = Field(0.001, ge=0, lt=1)
    init_from: str | None = None
    seed: int = Field(0, ge=0, lt=2**32)
    workers: Workers = 2
    loggers: Literal["auto"] | tuple[Logger, ...] = "auto"

    @property
    def peak_lr(self) -> float:
        """Learning rate after the warm-up, scaled to the batch size."""
        return self.lr * self.num_images / (self.lr_batch_size or self.num_images)

    @property
    def num_images(self) -> int:
        """Images of an iteration, for a batch size that is not (or no longer) ``auto``."""
        assert self.batch_size != "auto", "the batch size is resolved where the training set is opened"
        return self.batch_size

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("set one of epochs and iterations, the length of the training")
        if self.warmup_iterations and self.warmup_epochs:
            raise ValueError("set one of warmup_iterations and warmup_epochs")
        if all(getattr(self, key, None) is not None for key in RARE_CLASSES):
            raise ValueError(f"set one of {' and '.join(RARE_CLASSES)}")
        return self

    @model_validator(mode="after")
    def _check_patience(self) -> Self:
        if self.patience and not self.evaluate_every:
            raise ValueError("patience counts evaluations, and evaluate_every is 0: set it too")
        return self

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.batch_size == "auto":
            if self.lr_batch_size is None:
                raise ValueError("batch_size auto needs lr_batch_size, the batch size that lr is meant for: set it too")
        elif self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} does not divide into {self.accumulate} accumulated parts")
        return self


class ClassificationTraining(Training):
    """Training parameters of image classification.

    Attributes:
        crop_size: Side of the random crop in pixels; None uses ``input.size``.
        crop_area: Minimum and maximum area of the random crop, as a fraction of the image.
        flip: Probability of a horizontal flip.
        policy: Augmentation policy before the crop: AutoAugment for ImageNet (Cubuk et al. 2018) or RandAugment (Cubuk
            et al. 2019).
        policy_operations: Number of operations of RandAugment.
        policy_magnitude: Magnitude of RandAugment, from 0 to 30.
        color_jitter: Strength of random brightness, contrast and saturation; 0 for none.
        lighting: Standard deviation of PCA lighting noise (Krizhevsky et al. 2012).
        mixup: Alpha of mixup (Zhang et al. 2017); 0 for none.
        cutmix: Alpha of CutMix (Yun et al. 2019); 0 for none. With mixup too, each batch gets one of them at random.
        augment: Further augmentations, in order, of the crop before lighting noise and normalization.
        label_smoothing: Label smoothing.
        drop_block: Drop probability of DropBlock in c4 and c5 at the end of training; it rises linearly from 0.
        dropout: Dropout probability before the classifier.
        zero_init_last: Whether the last normalization of each residual block is initialized to 0.
        class_weights: Weight of each class in the cross entropy, in the order of ``data.classes``; the loss is still
            divided by the number of images. None weighs all the same.
        repeat_threshold: Fraction of the images; classes that fewer images contain are drawn more often (repeat-factor
            sampling; Gupta et al. 2019, LVIS). None draws each image once in an epoch.
        class_aware_samples: Number of images that are drawn of each class in turn, so that all classes are equally
            frequent (class-aware sampling; Shen et al. 2016). None draws regardless of classes.
    """

    exclusive = (*Training.exclusive, RARE_CLASSES)

    crop_size: Side | None = None
    crop_area: tuple[PositiveFloat, Annotated[float, Field(gt=0, le=1)]] = (0.08, 1.0)
    flip: Probability = 0.5
    policy: Literal["auto_augment", "rand_augment"] | None = None
    policy_operations: int = Field(2, ge=1, le=100)
    policy_magnitude: int = Field(12, ge=0, le=30)
    color_jitter: Probability = 0.4
    lighting: float = Field(0.1, ge=0)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    augment: Annotated[tuple[ClassificationAugmentation, ...], Once] = ()
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    drop_block: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    zero_init_last: bool = False
    class_weights: tuple[PositiveFloat, ...] | None = None
    repeat_threshold: float | None = Field(None, gt=0, le=1)
    class_aware_samples: int | None = Field(None, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _check_crop_area(self) -> Self:
        if self.crop_area[0] > self.crop_area[1]:
            raise ValueError(f"crop_area {self.crop_area}: give the minimum first")
        return self


class OHEM(Section):
    """Online hard example mining of pixels (mmsegmentation ``OHEMPixelSampler``).

    Attributes:
        threshold: Pixels whose true class has a higher probability are ignored; None keeps those of the highest loss.
        min_kept: Minimum number of pixels of each image that are kept.
    """

    threshold: float | None = Field(0.7, gt=0, le=1)
    min_kept: int = Field(100_000, ge=1, le=1_000_000_000)


class SemanticTraining(Training):
    """Training parameters of semantic segmentation.

    Attributes:
        crop_size: Height and width in pixels of the random crop; smaller images are padded.
        resize_ratios: Minimum and maximum of the random factor of the size limits of ``input``.
        max_class_fraction: Crops of which one class covers more are drawn again, up to ten times.
        flip: Probability of a horizontal flip.
        photometric_distortion: Whether to apply random brightness, contrast, saturation and hue (SSD).
        auxiliary_loss_weight: Weight of the loss of the auxiliary head.
        ohem: Online hard example mining; None uses all pixels.
        augment: Further augmentations, in order, of the crop before it is padded.
        class_weights: Weight of each class in the cross entropy, in the order of ``data.classes``; the loss is still
            divided by the number of pixels. None weighs all the same.
    """

    crop_size: tuple[Side, Side]
    resize_ratios: Ratios = (0.5, 2.0)
    max_class_fraction: float = Field(0.75, gt=0, le=1)
    flip: Probability = 0.5
    photometric_distortion: bool = True
    auxiliary_loss_weight: float = Field(0.4, ge=0)
    ohem: OHEM | None = None
    augment: Annotated[tuple[SemanticAugmentation, ...], Once] = ()
    class_weights: tuple[PositiveFloat, ...] | None = None


class PoseTraining(Training):
    """Training parameters of top-down pose estimation.

    Attributes:
        flip: Probability of a horizontal flip.
        half_body: Probability of a crop of the upper or lower body, for persons with enough keypoints.
        shift: Maximum shift of the crop, as a fraction of its sides.
        shift_probability: Probability of a shift.
        scale: Maximum change of the crop size, as a fraction of it.
        rotation: Maximum rotation in degrees.
        rotation_probability: Probability of a rotation.
        augment: Further augmentations, in order, of the crop.
    """

    flip: Probability = 0.5
    half_body: Probability = 0.3
    shift: float = Field(0.16, ge=0)
    shift_probability: Probability = 0.3
    scale: float = Field(0.5, ge=0, lt=1)
    rotation: float = Field(80.0, ge=0, le=180)
    rotation_probability: Probability = 0.6
    augment: Annotated[tuple[PoseAugmentation, ...], Once] = ()


T_co = TypeVar("T_co", bound=Training, covariant=True)


class Trainable(Protocol[T_co]):
    """Recipe that may have a training section."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def train(self) -> T_co | None:
        """Training section."""


def required_training(recipe: Trainable[T_co]) -> T_co:
    """Return the training section of a recipe.

    Raises:
        UsageError: The recipe has none.
    """
    if recipe.train is None:
        raise UsageError(f"The recipe {recipe.name} has no section 'train'. Add one, or use another base.")
    return recipe.train
