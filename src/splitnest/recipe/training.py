"""How a model is trained: optimizer, schedule, augmentation."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from splitnest.recipe.strict import Strict


class Training(Strict):
    """What training of every task shares.

    Attributes:
        batch_size: Images of a step, over all processes and accumulated parts.
        accumulate: Parts that a step's batch is split into, one after the other.
        unit: Clock of ``length``, ``milestones``, ``evaluate_every`` and ``save_every``.
        length: Of the training.
        optimizer: SGD with momentum, Adam or AdamW.
        learning_rate: After the warm-up.
        rate_batch_size: Images of a step that ``learning_rate`` is for: with another ``batch_size`` it is scaled in
            proportion (Goyal et al. 2017). None takes it as it is.
        momentum: Of SGD.
        nesterov: Its step looks ahead (Nesterov's accelerated gradient).
        weight_decay: L2 penalty (SGD, Adam), or decoupled (AdamW).
        decay_norms: Normalisation layers decay too.
        decay_biases: So do the biases of other layers.
        schedule: ``multi_step`` multiplies the rate by ``gamma`` at each milestone; ``cosine`` falls to 0 from the end
            of the warm-up on; ``poly`` falls to ``min_rate`` as ``(1 - done)`` to the ``power``.
        milestones, gamma: Of ``multi_step``.
        power, min_rate: Of ``poly``.
        warmup_steps, warmup_factor: The rate rises linearly from ``warmup_factor`` times itself over the first steps.
        warmup_epochs: The same in epochs, in place of ``warmup_steps``.
        clip_norm: Largest norm of all gradients together; None does not clip.
        precision: Type of the forward pass; gradients and weights stay float32.
        ema_decay: Decay of a moving average of the weights, which is then what is evaluated and used; None for none.
        precise_bn_steps: Batches over which the statistics of batch normalisation are averaged anew before evaluation.
        evaluate_every: Time between evaluations; 0 for the end alone.
        save_every: Time between checkpoints, besides one after each evaluation; 0 for no others.
        keep: Checkpoints to go on from that are kept: ``last.pt``, the one before it as ``last-1.pt``, and so on.
        skip_not_finite: Steps of the whole training that may be skipped, as a loss or the gradient is not finite; one
            more stops it.
        corrupt_share: Share of the photographs that may be unusable, each replaced by the next one; one more stops the
            training. With 0.001, under 1000 photographs the first one does.
        start: What the weights start from: the name of a published model, or a checkpoint of any layout or its address.
            All of it is taken where it is of the same network, else its backbone. None for random weights.
        seed: Of weights, order, augmentation and sampling.
        workers: Processes that read images; 0 reads in the training process.
    """

    batch_size: PositiveInt = 16
    accumulate: PositiveInt = 1
    unit: Literal["epoch", "iteration"] = "epoch"
    length: PositiveInt
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: PositiveFloat
    rate_batch_size: PositiveInt | None = None
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(1e-4, ge=0)
    decay_norms: bool = True
    decay_biases: bool = True
    schedule: Literal["multi_step", "cosine", "poly"] = "multi_step"
    milestones: tuple[PositiveInt, ...] = ()
    gamma: float = Field(0.1, gt=0, le=1)
    power: PositiveFloat = 0.9
    min_rate: float = Field(0.0, ge=0)
    warmup_steps: int = Field(0, ge=0)
    warmup_epochs: int = Field(0, ge=0)
    warmup_factor: float = Field(0.001, ge=0, le=1)
    clip_norm: PositiveFloat | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema_decay: float | None = Field(None, gt=0, lt=1)
    precise_bn_steps: int = Field(0, ge=0)
    evaluate_every: int = Field(0, ge=0)
    save_every: int = Field(0, ge=0)
    keep: PositiveInt = 2
    skip_not_finite: int = Field(0, ge=0)
    corrupt_share: float = Field(0.001, ge=0, lt=1)
    start: str | None = None
    seed: int = Field(0, ge=0, lt=2**32)
    workers: int = Field(2, ge=0)

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up, for the images of a step."""
        return self.learning_rate * self.batch_size / (self.rate_batch_size or self.batch_size)

    @model_validator(mode="after")
    def _parts_divide(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} does not divide into {self.accumulate} accumulated parts")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {self.milestones} do not rise")
        if self.warmup_steps and self.warmup_epochs:
            raise ValueError("warmup_steps and warmup_epochs say the same: set one of them to 0")
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("nesterov is a step of optimizer sgd with a momentum: set it to false")
        return self


class DetectionTraining(Training):
    """Training of a detector.

    Attributes:
        short_sides: Short sides in pixels that an image is resized to.
        short_side_sampling: One of ``short_sides``, or any whole number between the first and the last.
        long_side: Limit of the long side in pixels.
        flip: Probability of a mirror image.
        crop: Least share of each side that a crop keeps, around a random instance, before the resize; None for none.
        color_jitter: Strength of random brightness, contrast and saturation; 0 for none.
        min_image_side: Photographs with a shorter side are left out.
        min_box_side: Boxes with a shorter side, without area or outside of the image are left out.
        empty_images: Photographs without ground truth take part.
        group_by_aspect: The images of a batch are all wider than high, or all not.
    """

    short_sides: tuple[PositiveInt, ...] = Field(min_length=1)
    short_side_sampling: Literal["choice", "range"] = "choice"
    long_side: PositiveInt = 1333
    flip: float = Field(0.5, ge=0, le=1)
    crop: float | None = Field(None, gt=0, le=1)
    color_jitter: float = Field(0.0, ge=0, le=1)
    min_image_side: int = Field(0, ge=0)
    min_box_side: float = Field(0.0, ge=0)
    empty_images: bool = False
    group_by_aspect: bool = True


class HardPixels(Strict):
    """Online hard example mining: the loss is taken of the pixels that the model is least sure of.

    Attributes:
        max_score: Pixels whose own class has a score over it are left out.
        min_pixels: But at least so many of a batch's pixels stay, per image.
    """

    max_score: float = Field(0.7, gt=0, le=1)
    min_pixels: PositiveInt = 100_000


class CropTraining(Training):
    """Training on crops, all of one size."""

    @property
    def group_by_aspect(self) -> bool:
        """Whether the images of a batch are all wider than high, or all not: it makes no difference."""
        return False


class ClassificationTraining(CropTraining):
    """Training of a classifier.

    Attributes:
        size: Side of the crop in pixels; None for that of ``input``.
        area: Smallest and largest share of the photograph that a crop is cut from.
        flip: Probability of a mirror image.
        policy: Random operations on the photograph before the crop: AutoAugment's learnt pairs of them (Cubuk et al.
            2018), or ``policy_operations`` of RandAugment (Cubuk et al. 2019) at ``policy_magnitude`` of 30.
        policy_operations, policy_magnitude: Of ``rand_augment``.
        color_jitter: Strength of random brightness, contrast and saturation; 0 for none.
        lighting: Standard deviation of random shifts along the principal colours of ImageNet (Krizhevsky et al. 2012).
        mixup: Images of a batch are mixed in pairs, by a share from Beta(mixup, mixup) (Zhang et al. 2017); 0 for none.
        label_smoothing: Share of the target that is spread over all classes.
        drop_block: Share of c4 and c5 that is dropped in blocks of 3x3 at the end of the training; it rises from 0.
        dropout: Share of the pooled features that is dropped.
        zero_init: The last normalisation of each bottleneck starts at 0, so that the bottleneck begins as its shortcut.
    """

    size: PositiveInt | None = None
    area: tuple[PositiveFloat, Annotated[float, Field(gt=0, le=1)]] = (0.08, 1.0)
    flip: float = Field(0.5, ge=0, le=1)
    policy: Literal["auto_augment", "rand_augment"] | None = None
    policy_operations: PositiveInt = 2
    policy_magnitude: int = Field(12, ge=0, le=30)
    color_jitter: float = Field(0.4, ge=0, le=1)
    lighting: float = Field(0.1, ge=0)
    mixup: float = Field(0.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    drop_block: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    zero_init: bool = False

    @model_validator(mode="after")
    def _area_rises(self) -> Self:
        if self.area[0] > self.area[1]:
            raise ValueError(f"area {self.area} falls: give the smaller share first")
        return self


class SemanticTraining(CropTraining):
    """Training of a segmentor.

    Attributes:
        crop: Height and width in pixels of what the network sees, padded where an image is smaller.
        ratios: An image is first resized to the limits of ``input`` times a random ratio between these two.
        max_class_share: A crop of which one class has a larger share is drawn anew, up to ten times.
        flip: Probability of a mirror image.
        photometric: Random brightness, contrast, saturation and hue (SSD's distortion).
        auxiliary_weight: Of the loss of the auxiliary head.
        hard_pixels: Take the loss of hard pixels alone; None of all.
    """

    crop: tuple[PositiveInt, PositiveInt]
    ratios: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    max_class_share: float = Field(0.75, gt=0, le=1)
    flip: float = Field(0.5, ge=0, le=1)
    photometric: bool = True
    auxiliary_weight: float = Field(0.4, ge=0)
    hard_pixels: HardPixels | None = None

    @model_validator(mode="after")
    def _ratios_rise(self) -> Self:
        if self.ratios[0] > self.ratios[1]:
            raise ValueError(f"ratios {self.ratios} fall: give the smaller one first")
        return self


class PoseTraining(CropTraining):
    """Training of a pose estimator.

    Attributes:
        flip: Probability of a mirror image.
        half_body: Probability that a person with most keypoints is cut down to the upper or the lower body.
        shift: Largest shift of the crop, as a share of its sides; ``shift_probability`` that there is one.
        scale: Largest change of the crop's size, as a share of it.
        rotation: Largest angle in degrees; ``rotation_probability`` that there is one.
    """

    flip: float = Field(0.5, ge=0, le=1)
    half_body: float = Field(0.3, ge=0, le=1)
    shift: float = Field(0.16, ge=0)
    shift_probability: float = Field(0.3, ge=0, le=1)
    scale: float = Field(0.5, ge=0, lt=1)
    rotation: float = Field(80.0, ge=0, le=180)
    rotation_probability: float = Field(0.6, ge=0, le=1)
