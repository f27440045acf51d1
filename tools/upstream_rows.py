"""Write the rows of published checkpoints with ordinary backbones, from recorded upstream configurations.

Usage: python tools/upstream_rows.py ../shared/oracles/rescue

Each row is derived as the configuration of a user's file is. It holds the fields of its recipe that differ from the
defaults, address and checksum of the file, and what its source published.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from upstream_tables import CLASS_TABLES, KEYPOINT_TABLES, read

from splitnest.recipe.conventions import NAMED
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import Derived, derive
from splitnest.zoo.backbones import backbone_name
from splitnest.zoo.upstream import FILE, UpstreamRow

STEPS = "12345679"
"""First characters of the steps whose rows splitnest has."""

METRICS = {"box AP": "box_ap", "mask AP": "mask_ap", "PQ": "pq", "mIoU": "miou", "mIoU(ms+flip)": "miou_ms_flip"}
METRICS |= {"AP": "ap", "AP@0.5": "ap50", "AP@0.75": "ap75", "AR": "ar", "AR@0.5": "ar50"}
METRICS |= {"AP (E)": "ap_easy", "AP (M)": "ap_medium", "AP (H)": "ap_hard", "AP (L)": "ap_large", "PCK@0.2": "pck"}
METRICS |= {"Mean@0.1": "pckh_0_1", "NME full": "nme", "NME test": "nme"}
"""Published metric -> our name; others are spelled with underscores."""

DATASETS = {
    "coco_2017_val": "COCO",
    "coco_2017_val_panoptic_separated": "COCO",
    "lvis_v0.5_val": "LVIS v0.5",
    "cityscapes_fine_instance_seg_val": "Cityscapes",
}
"""Dataset of detectron2 -> its name in the other code bases."""

SUBSETS = {"mmpose:deepfashion_full": "full", "mmpose:deepfashion_lower": "lower", "mmpose:deepfashion_upper": "upper"}


def configuration(row: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a row in the form of its code base."""
    if row["framework"] == "detectron2":
        model = {**row["model"], "WEIGHTS": row["pretrained_backbone"]}
        return {"MODEL": model, "INPUT": row["input"], "TEST": row["test"], **row["train"]}
    train = row["train"]
    dataset: dict[str, Any] = {}
    for outer in reversed(train["dataset"]):
        dataset = {**outer, "dataset": dataset} if dataset else outer
    keys = ("batch_sampler", "sampler")
    loader = {"batch_size": train["batch_size_per_device"], "dataset": dataset} | {key: train[key] for key in keys}
    config = {key: row[key] for key in ("test_pipeline", "train_pipeline", "codec") if key in row}
    config |= {key: train[key] for key in ("optim_wrapper", "param_scheduler", "train_cfg")}
    config["model"] = {**row["model"], "pretrained": row["pretrained_backbone"]}
    config["train_dataloader"] = loader
    test = {"type": row["test_dataset"], "subset": SUBSETS.get(row["classes"])}
    config["test_dataloader"] = {"dataset": test}
    config["auto_scale_lr"] = {"base_batch_size": batch_size(row)}
    return config


def batch_size(row: dict[str, Any]) -> int:
    """Return the batch size of a training: of the name (``8xb32``: 8 GPUs, 32 each), or that of the learning rate."""
    if match := re.search(r"(\d+)xb(\d+)", row["name"]):
        return int(match[1]) * int(match[2])
    return int(row["train"]["auto_scale_lr"]["base_batch_size"])


def published(row: dict[str, Any]) -> dict[str, float]:
    """Return the published metrics by our names."""
    metrics: dict[str, float] = {}
    groups = [value for value in row["metrics"].values() if isinstance(value, dict)] or [row["metrics"]]
    for name, value in (item for group in groups for item in group.items()):
        if name == "lr sched" or value == "":
            continue
        known = _mean(row) if name == "Mean" else METRICS.get(name)
        ours = known or re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        metrics[ours] = float(value)
    return metrics


def _mean(row: dict[str, Any]) -> str:
    """Return the metric that a row gives the mean over keypoints of."""
    return "pckh" if row["dataset"] == "MPII" else "pck"


def checksum(url: str) -> str:
    """Return the beginning of the SHA-256 in a file name of OpenMMLab; none of detectron2's, which have 6 digits."""
    match = re.search(r"-([0-9a-f]{8})(_\d{8})?\.pth$", url)
    return match[1] if match else ""


def aliases(row: dict[str, Any], names: Collection[str]) -> list[str]:
    """Return further names: those of the configuration, and of the published file without its date and checksum.

    Args:
        row: Row.
        names: Names of all rows, none of which is an alias.
    """
    file = row["weights_url"].rsplit("/", 1)[-1]
    older = re.sub(r"(_bbox_mAP.*)?([-_](20\d{6}|[0-9a-f]{8})(_\d{6})?)*\.(pth|pkl)$", "", file)
    stem = row["upstream_config"].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    found = [stem] if row["framework"] == "detectron2" else [stem, older]
    return [alias for alias in dict.fromkeys(found) if alias not in names]


def derived(row: dict[str, Any], tables: dict[str, dict[str, Any]]) -> Derived:
    """Return the recipe of a row."""
    name = f"{row['name']}.{row['framework']}"
    table = tables[row["classes"]]
    known = row["classes"] in (*CLASS_TABLES.values(), *KEYPOINT_TABLES.values())
    classes = None if "keypoints" in table or known else table["classes"]
    return derive(configuration(row), name, name, Metadata(classes))


UNTRAINED = "training is not derived: "
"""Beginning of the note of a recipe without training section."""


def untrained(found: Derived) -> str:
    """Return the reason why a recipe has no training section; empty if it has one."""
    reasons = [note.removeprefix(UNTRAINED) for note in found.notes if note.startswith(UNTRAINED)]
    return reasons[0].removeprefix(f"{found.recipe.name}: ") if reasons else ""


def line(row: dict[str, Any], found: Derived, names: Collection[str]) -> UpstreamRow:
    """Return a row: fields that differ from the defaults, and what was published."""
    recipe: Any = found.recipe
    fields = recipe.model_dump(mode="json", exclude_defaults=True, exclude={"name", "task"})
    _keep_discriminators(fields, recipe)
    return UpstreamRow(
        name=recipe.name,
        task=recipe.task,
        dataset=DATASETS.get(row["dataset"], row["dataset"]),
        backbone=backbone_name(fields["model"]["backbone"]),
        config=row["upstream_config"],
        url=row["weights_url"],
        sha256=checksum(row["weights_url"]),
        aliases=" ".join(aliases(row, names)),
        metrics=json.dumps(published(row)),
        untrained=untrained(found),
        recipe=json.dumps(fields),
    )


def _keep_discriminators(fields: dict[str, Any], recipe: Any) -> None:
    """Set the fields that select the type of a section, and the name of conventions that are those of a code base."""
    if "format" in type(recipe.data).model_fields:
        fields["data"]["format"] = recipe.data.format
    for key in ("optimizer", "schedule"):
        if key in fields.get("train", {}):
            fields["train"][key]["type"] = getattr(recipe.train, key).type
    for number, entry in enumerate(fields.get("train", {}).get("augment", ())):
        entry["type"] = recipe.train.augment[number].type
    conventions = getattr(recipe.model, "conventions", None)
    if conventions is not None and conventions == NAMED[conventions.name]:
        fields["model"]["conventions"] = conventions.name


def rows(folder: Path) -> tuple[str, Counter[str], list[str]]:
    """Return the file of rows, the number of rows of each step, and what is not derived of the trainings."""
    recorded = list(read(folder))
    tables = {line["table"]: line for line in recorded if "table" in line}
    names = {line["name"] for line in recorded if "name" in line}
    entries: dict[str, UpstreamRow] = {}
    steps: Counter[str] = Counter()
    notes = []
    for row in recorded:
        if "table" in row or row["step"][0] not in STEPS:
            continue
        found = derived(row, tables)
        if found.recipe.name in entries:
            raise SystemExit(f"{found.recipe.name} stands twice: tell the rows apart by their schedule")
        entries[found.recipe.name] = line(row, found, names)
        steps[row["step"]] += 1
        notes += [f"{found.recipe.name}: {note}" for note in found.notes if note.startswith("training")]
    lines = [UpstreamRow._fields, *entries.values()]
    return "".join("\t".join(line) + "\n" for line in lines), steps, notes


def main() -> None:
    """Write the file, and print the rows of each step and what is left out."""
    content, steps, notes = rows(Path(sys.argv[1]))
    FILE.write_text(content, encoding="utf-8")
    for step, count in sorted(steps.items()):
        print(f"{step}: {count} rows")
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
