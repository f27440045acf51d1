"""Write the class tables and keypoint tables of OpenMMLab and detectron2, from recorded upstream configurations.

Usage: python tools/upstream_tables.py ../shared/oracles/rescue
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STRUCTURES = Path(__file__).parent.parent / "src" / "splitnest" / "structures"
CLASSES, KEYPOINTS = STRUCTURES / "class_tables.json", STRUCTURES / "keypoint_tables.json"

CLASS_TABLES = {
    "voc": "mmdet:VOCDataset",
    "cityscapes_instances": "mmdet:CityscapesDataset",
    "deepfashion": "mmdet:DeepFashionDataset",
    "lvis_v0.5": "detectron2:lvis_v0.5_val",
    "lvis_v0.5_mmdet": "mmdet:LVISV05Dataset",
    "lvis_v1": "mmdet:LVISV1Dataset",
    "objects365_v1": "mmdet:Objects365V1Dataset",
    "objects365_v2": "mmdet:Objects365V2Dataset",
    "openimages": "mmdet:OpenImagesDataset",
    "openimages_challenge": "mmdet:OpenImagesChallengeDataset",
    "voc_semantic": "mmseg:PascalVOCDataset",
    "pascal_context": "mmseg:PascalContextDataset",
    "pascal_context_59": "mmseg:PascalContextDataset59",
    "coco_stuff_10k": "mmseg:COCOStuffDataset",
    "coco_stuff_164k": "mmseg:COCOStuffDataset+",
    "loveda": "mmseg:LoveDADataset",
    "potsdam": "mmseg:PotsdamDataset",
    "vaihingen": "mmseg:ISPRSDataset",
    "isaid": "mmseg:iSAIDDataset",
    "mapillary": "mmseg:MapillaryDataset_v1",
}
"""Our name of a class table -> its name in the recorded configurations."""

OUTPUTS = {"mapillary": 65}
"""Number of classes that a network has outputs for, where the table has more."""

KEYPOINT_TABLES = {
    "aic": "mmpose:aic",
    "coco_aic": "mmpose:coco+",
    "crowdpose": "mmpose:crowdpose",
    "exlpose": "mmpose:exlpose",
    "jhmdb": "mmpose:jhmdb",
    "mpii": "mmpose:mpii",
    "posetrack18": "mmpose:posetrack18",
    "coco_wholebody": "mmpose:coco_wholebody",
    "coco_wholebody_face": "mmpose:coco_wholebody_face",
    "coco_wholebody_hand": "mmpose:coco_wholebody_hand",
    "300w": "mmpose:300w",
    "300wlp": "mmpose:300wlp",
    "aflw": "mmpose:aflw",
    "cofw": "mmpose:cofw",
    "wflw": "mmpose:wflw",
    "freihand": "mmpose:freihand",
    "onehand10k": "mmpose:onehand10k",
    "rhd2d": "mmpose:rhd2d",
    "animal_kingdom": "mmpose:Animal Kingdom",
    "animalpose": "mmpose:animalpose",
    "ap10k": "mmpose:ap10k",
    "locust": "mmpose:locust",
    "zebra": "mmpose:zebra",
    "deepfashion_full": "mmpose:deepfashion_full",
    "deepfashion_lower": "mmpose:deepfashion_lower",
    "deepfashion_upper": "mmpose:deepfashion_upper",
    "deepfashion2": "mmpose:deepfashion2",
}
"""Our name of a keypoint table -> its name in the recorded configurations; OCHuman and Human-Art have COCO's."""


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the recorded configurations: tables, then rows."""
    with gzip.open(folder / "configs.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def classes(name: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return a class table: names, id of the first one, and colors as hexadecimal digits where there are any."""
    count = OUTPUTS.get(name, len(table["classes"]))
    first_id = int(table.get("reduce_zero_label", True))  # of label maps with unlabeled pixels 0, and of annotations
    entry = {"names": table["classes"][:count], "first_id": first_id}
    if "palette" in table:
        entry["colors"] = ["".join(f"{value:02x}" for value in color) for color in table["palette"][:count]]
    return entry


def keypoints(table: dict[str, Any]) -> dict[str, Any]:
    """Return a keypoint table with indices; sigmas are float32 in the recordings."""
    return {
        "names": table["keypoints"],
        "flip_indices": table["flip_indices"],
        "sigmas": [round(sigma, 6) for sigma in table["sigmas"]] or None,
        "skeleton": table["skeleton"],
    }


def text(entries: dict[str, Any]) -> str:
    """Return JSON with a line for each entry."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}" for name, entry in entries.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def tables(folder: Path) -> dict[Path, str]:
    """Return the content of both files."""
    recorded = {line["table"]: line for line in read(folder) if "table" in line}
    return {
        CLASSES: text({name: classes(name, recorded[source]) for name, source in CLASS_TABLES.items()}),
        KEYPOINTS: text({name: keypoints(recorded[source]) for name, source in KEYPOINT_TABLES.items()}),
    }


def main() -> None:
    """Write both files."""
    for path, content in tables(Path(sys.argv[1])).items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
