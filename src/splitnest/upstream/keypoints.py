"""Keypoints of an mmpose configuration: defined in the file, or those of its dataset."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from splitnest.errors import UsageError
from splitnest.recipe.keypoints import Keypoints
from splitnest.structures.skeleton import COCO, keypoint_table, skeleton_of_table

_POSE: dict[str, Any] = {
    "CocoDataset": "coco",
    "TopDownCocoDataset": "coco",
    "OCHumanDataset": "coco",
    "HumanArtDataset": "coco",
    "HumanArt21Dataset": "coco",
    "AicDataset": "aic",
    "CrowdPoseDataset": "crowdpose",
    "ExlposeDataset": "exlpose",
    "JhmdbDataset": "jhmdb",
    "MpiiDataset": "mpii",
    "PoseTrack18Dataset": "posetrack18",
    "CocoWholeBodyDataset": "coco_wholebody",
    "CocoWholeBodyFaceDataset": "coco_wholebody_face",
    "CocoWholeBodyHandDataset": "coco_wholebody_hand",
    "Face300WDataset": "300w",
    "Face300WLPDataset": "300wlp",
    "AFLWDataset": "aflw",
    "COFWDataset": "cofw",
    "WFLWDataset": "wflw",
    "FreiHandDataset": "freihand",
    "OneHand10KDataset": "onehand10k",
    "Rhd2DDataset": "rhd2d",
    "AnimalKingdomDataset": "animal_kingdom",
    "AnimalPoseDataset": "animalpose",
    "AP10KDataset": "ap10k",
    "LocustDataset": "locust",
    "DeepFashionFullDataset": "deepfashion_full",
    "DeepFashionLowerDataset": "deepfashion_lower",
    "DeepFashionUpperDataset": "deepfashion_upper",
    "CombinedDataset": "coco_aic",
    "ZebraDataset": "zebra",
    "DeepFashion2Dataset": "deepfashion2",
}
"""Dataset class of mmpose 1.x -> keypoint table. Those of 0.x have ``TopDown`` before or after the same name."""

Names = tuple[str, ...]


class KeypointDefinition(NamedTuple):
    """Keypoints of a configuration.

    Attributes:
        keypoints: Value of ``data.keypoints``: the name of a table, or a mapping.
        has_flips: Whether the pairs that a horizontal flip swaps are known.
        note: Remark on how they were found; None if the file defines them.
    """

    keypoints: Any
    has_flips: bool = True
    note: str | None = None


def keypoints(
    meta: Mapping[str, Any], dataset: str | None, subset: str | None, num: int, where: str
) -> KeypointDefinition:
    """Return the keypoints of an estimator.

    Args:
        meta: ``dataset_meta`` in a checkpoint of mmpose, or ``dataset_info`` in its configuration; empty for none.
        dataset: Dataset class of the configuration.
        subset: Sub-dataset of DeepFashion: ``full``, ``upper`` or ``lower``.
        num: Number of keypoints of the network.
        where: Name of the configuration in messages.

    Raises:
        UsageError: The file names another number of keypoints.
    """
    own = _definition(meta, num)
    if own is not None and len(own["names"]) != num:
        raise UsageError(f"{where}: the network has {num} keypoints, and {len(own['names'])} are named.")
    table = _table(meta, dataset, subset, num)
    if own is not None:
        tables = (table, *_POSE.values()) if table is not None else _POSE.values()
        same = next((one for one in tables if _is_table(own, keypoint_table(one))), None)
        if table is not None and own["names"] == _generic(num) and _has_flips(own, keypoint_table(table)):
            same = table
        return KeypointDefinition(same or {"flip_pairs": (), **own}, same is not None or "flip_pairs" in own)
    if table is None or len(keypoint_table(table).names) != num:
        table = _only_table(num)
    if table is not None:
        return KeypointDefinition(table, note=f"keypoints: those of {table}, as the file defines none")
    note = f"keypoints: {num} without names; set data.keypoints"
    return KeypointDefinition({"names": _generic(num), "flip_pairs": ()}, False, note)


def _generic(num: int) -> Names:
    return tuple(f"keypoint {number}" for number in range(1, num + 1))


def _only_table(num: int) -> Any:
    """Return COCO's keypoints for 17, or the first table of this size if all of them have the same flips."""
    if num == len(COCO.names):
        return "coco"
    tables = [table for table in dict.fromkeys(_POSE.values()) if len(keypoint_table(table).names) == num]
    flips = {skeleton_of_table(table).flip_indices for table in tables}
    return tables[0] if len(flips) == 1 else None


def _table(meta: Mapping[str, Any], dataset: str | None, subset: str | None, num: int) -> Any:
    """Return the keypoint table of a dataset; None for an unknown one."""
    plain = (dataset or "").removeprefix("TopDown")
    if plain == "DeepFashionDataset":
        return f"deepfashion_{subset}" if subset in ("full", "upper", "lower") else None
    if num == 19 and plain in ("AicDataset", "CombinedDataset", "CocoDataset"):
        return "coco_aic"
    if plain in _POSE:
        return _POSE[plain]
    name = str(meta.get("dataset_name", "")).lower().replace("-", "_").replace(" ", "_")
    return name if name in _POSE.values() else None


def _is_table(own: Mapping[str, Any], known: Keypoints) -> bool:
    """Return whether a definition has the names and the flips of a table; without flips the names decide."""
    return own["names"] == known.names and _has_flips(own, known)


def _has_flips(own: Mapping[str, Any], known: Keypoints) -> bool:
    """Return whether a definition has the flips of a table, or none of its own."""
    return "flip_pairs" not in own or _swaps(own["names"], own["flip_pairs"]) == _swaps(known.names, known.flip_pairs)


def _swaps(names: Names, pairs: Any) -> set[frozenset[int]]:
    """Return pairs of names as pairs of indices."""
    return {frozenset(map(names.index, pair)) for pair in pairs or ()}


def _definition(meta: Mapping[str, Any], num: int) -> dict[str, Any] | None:
    """Return the definition in metadata of mmpose: parsed (``keypoint_id2name``) or as written (``keypoint_info``)."""
    fields = _written(meta) if isinstance(meta.get("keypoint_info"), Mapping) else _parsed(meta, num)
    if not fields.get("names"):
        return None
    sigmas = meta.get("dataset_keypoint_sigmas", meta.get("sigmas"))
    if isinstance(sigmas, list | tuple) and len(sigmas) == len(fields["names"]):
        fields["sigmas"] = tuple(sigmas)
    return fields


def _written(meta: Mapping[str, Any]) -> dict[str, Any]:
    rows = sorted(_rows(meta["keypoint_info"]), key=lambda row: str(row.get("id")).zfill(6))
    swaps = ((str(row.get("name")), str(row.get("swap") or row.get("name"))) for row in rows)
    links = (row.get("link") for row in _rows(meta.get("skeleton_info")))
    return {
        "names": tuple(str(row.get("name")) for row in rows),
        "flip_pairs": _pairs(swaps),
        "skeleton": tuple(tuple(link) for link in links if isinstance(link, list | tuple) and len(link) == 2),
        "lower_body": tuple(str(row.get("name")) for row in rows if row.get("type") == "lower"),
    }


def _parsed(meta: Mapping[str, Any], num: int) -> dict[str, Any]:
    ids = meta.get("keypoint_id2name")
    listed = meta.get("keypoints")
    if isinstance(ids, Mapping):
        names = tuple(str(name) for _, name in sorted(ids.items(), key=lambda item: str(item[0]).zfill(6)))
    else:
        names = tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()
    flips = meta.get("flip_indices")
    if not names and isinstance(flips, list | tuple) and len(flips) == num:
        names = _generic(num)

    def named(values: Any) -> Names:
        """Return the names of indices; those out of range are left out."""
        values = values if isinstance(values, list | tuple) else ()
        return tuple(names[int(k)] for k in values if str(k).isdecimal() and int(k) < len(names))

    fields: dict[str, Any] = {"names": names}
    flipped = named(flips)
    if names and sorted(flipped) == sorted(names):
        fields["flip_pairs"] = _pairs(zip(names, flipped, strict=True))
    links = meta.get("skeleton_links")
    if isinstance(links, list | tuple):
        fields["skeleton"] = tuple(pair for pair in map(named, links) if len(pair) == 2)
    if "lower_body_ids" in meta:
        fields["lower_body"] = named(meta["lower_body_ids"])
    return fields


def _rows(info: Any) -> list[Mapping[str, Any]]:
    return [row for row in info.values() if isinstance(row, Mapping)] if isinstance(info, Mapping) else []


def _pairs(swaps: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return each swap of two names once."""
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for name, other in swaps:
        if name != other:
            pairs.setdefault(frozenset((name, other)), (name, other))
    return tuple(pairs.values())
