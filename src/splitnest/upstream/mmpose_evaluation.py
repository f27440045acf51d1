"""Metrics of pose estimators of mmpose: section ``evaluation`` of a recipe."""

from collections.abc import Mapping
from typing import Any

from splitnest.recipe.pose_evaluation import NmeEvaluation, published_evaluation
from splitnest.structures.skeleton import keypoint_table
from splitnest.upstream.section import Section

Fields = dict[str, Any]
Names = tuple[str, ...]

_JHMDB_TORSO = (4, 5)
"""Keypoints whose distance is the torso size (mmpose ``PCKAccuracy``)."""


def evaluation(config: Section, keypoints: Any) -> tuple[Fields | None, tuple[str, ...]]:
    """Return the section, or None for the metrics that models with these keypoints are published with; and notes.

    Args:
        config: Configuration.
        keypoints: Value of ``data.keypoints``.

    Raises:
        UsageError: A value is not valid.
    """
    names = keypoint_table(keypoints).names if isinstance(keypoints, str) else tuple(keypoints["names"])
    evaluators = config.sections("val_evaluator") or config.sections("test_evaluator")
    found = _current(evaluators, names, keypoints) if evaluators else _old(config, keypoints)
    if found is None:
        kinds = ", ".join(str(each.raw("type")) for each in evaluators)
        note = f"metrics: those of the dataset, as splitnest has no {kinds}" if kinds else None
        return None, () if note is None else (note,)
    published = published_evaluation(keypoints)
    is_published = found["type"] == published.type and type(published).model_validate(found) == published
    return None if is_published else found, ()


def _current(evaluators: list[Section], names: Names, keypoints: Any) -> Fields | None:
    """Return the section for the evaluators of mmpose 1.x; None for one that splitnest has not."""
    by_kind = {each.text("type"): each for each in evaluators}
    if len(evaluators) == 1:
        kind, only = evaluators[0].text("type"), evaluators[0]
        if kind == "CocoMetric":
            crowd = only.text("iou_type", "keypoints") == "keypoints_crowd"
            area = "annotation" if only.flag("use_area", True) else "box"
            return {"type": "crowdpose"} if crowd else {"type": "oks", "area": area}
        if kind == "CocoWholeBodyMetric":
            return {"type": "wholebody"} if keypoints == "coco_wholebody" else None
        if kind == "MpiiPCKAccuracy":
            return {"type": "pckh", "threshold": only.number("thr", 0.5)}
        if kind == "NME":
            return _nme(only, names, keypoints)
    pck = by_kind.pop("JhmdbPCKAccuracy", None) or by_kind.pop("PCKAccuracy", None)
    if pck is None or by_kind.keys() - {"AUC", "EPE"}:
        return None
    return _pck(pck, names) | {"auc": "AUC" in by_kind, "epe": "EPE" in by_kind}


def _nme(evaluator: Section, names: Names, keypoints: Any) -> Fields | None:
    if evaluator.text("norm_mode") == "use_norm_item":
        return {"type": "nme", "normalize": "box"} if evaluator.text("norm_item") == "bbox_size" else None
    pair = evaluator.integers("keypoint_indices", None, 2)
    if pair is not None:
        if max(pair) >= len(names) or min(pair) < 0:
            raise evaluator.error("keypoint_indices", f"there are {len(names)} keypoints")
        return {"type": "nme", "normalize": (names[pair[0]], names[pair[1]])}
    published = published_evaluation(keypoints)
    return published.model_dump() if isinstance(published, NmeEvaluation) else None


def _pck(evaluator: Section, names: Names) -> Fields:
    items = evaluator.raw("norm_item", "bbox")
    fields: Fields = {"type": "pck", "threshold": evaluator.number("thr", 0.05)}
    if "torso" in (items if isinstance(items, list | tuple) else (items,)) and len(names) > max(_JHMDB_TORSO):
        fields["torso"] = tuple(names[k] for k in _JHMDB_TORSO)
    return fields


def _old(config: Section, keypoints: Any) -> Fields | None:
    """Return the section for ``evaluation`` of mmpose 0.x, whose evaluators are those of its datasets."""
    values = config.raw("evaluation")
    metric = values.get("metric") if isinstance(values, Mapping) else None
    metrics = {str(each) for each in (metric if isinstance(metric, list | tuple) else (metric,)) if each}
    published = published_evaluation(keypoints)
    if metrics == {"mAP"} and published.type not in ("oks", "crowdpose", "wholebody"):
        return {"type": "oks"}
    if metrics == {"NME"} and published.type != "nme":
        return {"type": "nme", "normalize": "box"}
    if "PCK" in metrics and published.type == "pck" and "tPCK" not in metrics:
        return published.model_dump() | {"auc": "AUC" in metrics, "epe": "EPE" in metrics, "torso": None}
    if "PCK" in metrics and published.type != "pck":
        return {"type": "pck", "auc": "AUC" in metrics, "epe": "EPE" in metrics}
    return None
