"""Training of pose estimators of mmpose: section ``train`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section, shown
from splitnest.upstream.training import common

_WITHOUT_EFFECT = ("LoadImage", "GetBBoxCenterScale", "TopdownAffine", "GenerateTarget", "PackPoseInputs")


def pose(config: Section, model: Section) -> dict[str, Any]:
    """Return the training section of a pose estimator.

    Args:
        config: Configuration.
        model: Its section ``model``.

    Raises:
        UsageError: Splitnest has not got a part of it.
    """
    fields: dict[str, Any] = {**common(config, "mmpose"), "flip": 0.0, "half_body": 0.0}
    _check_loss(model.section("head", {}).section("loss", {}))
    for step in config.sections("train_pipeline"):
        fields |= _pose_step(step)
    return fields


def _check_loss(loss: Section) -> None:
    """Raise a UsageError for a loss that splitnest has not, or whose parameters are not the usual ones."""
    if loss.text("type", None) is None:
        return
    loss.only("type", "KeypointMSELoss", "CombinedTargetMSELoss", "AdaptiveWingLoss")
    if not loss.flag("use_target_weight", False):
        raise loss.error("use_target_weight", "splitnest weights the loss of each keypoint")
    loss.only("loss_weight", 1.0)
    loss.close()


def _pose_step(step: Section) -> dict[str, Any]:
    kind = step.text("type")
    match kind:
        case "RandomFlip":
            step.only("direction", "horizontal")
            return {"flip": step.number("prob", 0.5)}
        case "RandomHalfBody":
            return {"half_body": step.number("prob", 0.3)}
        case "RandomBBoxTransform":
            return _box_transform(step)
    if kind in _WITHOUT_EFFECT:
        return {}
    raise UsageError(f"the training pipeline has {kind}; splitnest has no such augmentation")


def _box_transform(step: Section) -> dict[str, Any]:
    low, high = step.numbers("scale_factor", (0.5, 1.5), 2)
    if abs(low + high - 2) > 1e-9 or low > high:
        raise step.error("scale_factor", f"splitnest has factors around 1, such as {shown((0.5, 1.5))}")
    step.only("scale_prob", 1.0)
    fields = {
        "shift": step.number("shift_factor", 0.16),
        "shift_probability": step.number("shift_prob", 0.3),
        "scale": round((high - low) / 2, 9),
        "rotation": step.number("rotate_factor", 80.0),
        "rotation_probability": step.number("rotate_prob", 0.6),
    }
    step.skip("type")
    step.close()
    return fields
