"""Write ``model_zoo.md`` beside this file, from the recipes and from the recordings that the tests compare.

``python docs/model_zoo.py`` writes the page; with ``--check`` it fails when the page is not what it would write.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from splitnest import zoo
from splitnest.files import replacing
from splitnest.tasks import task_of
from splitnest.zoo import upstream
from splitnest.zoo.published import PUBLISHED

PAGE = Path(__file__).with_suffix(".md")
TESTS = PAGE.parent.parent / "tests"
RECORDINGS = TESTS / "parity" / "recordings"
PINNED = frozenset(json.loads((TESTS / "inputs" / "golden_models.json").read_text()))

HEAD = """\
# Model zoo

Every published model: what its source measured, where its weights are, what was verified here.

{contents}.

```sh
splitnest info NAME                                 # size, cost, input, conventions, what was published
splitnest predict NAME images/ --out predictions    # downloads the weights, or takes --weights FILE
```

- **model**: the name to give; the [names of the sources](migration.md#names-of-models) do as well.
- **Metrics**, **memory** (GB of a GPU in training) and **fps** (images per second in inference) are what the source
  published; they were not measured again here. `-`: not published, or the model has no such output.
- **schedule**: epochs, or thousands (k) of iterations. **input**, **crop**: what the network sees in inference, in
  training, in pixels: height x width, or a square.
- **weights**: the published file. The digits begin its SHA-256, and downloads are checked against them; *no hash* where
  none was published. When a server is gone, the message says where to put a copy of the file.
- **dataset**, **backbone**: of the rows with ordinary backbones; `splitnest list --dataset ... --backbone ...` filters
  by them. These rows are called as their upstream configuration, and were derived from it as the file of a user is.
  They train by their upstream schedule, but for {untrained}: parts of these trainings are
  missing, as `splitnest train` says.
- **verified**, by [recordings of the original code](architecture.md#how-it-is-held-to-the-originals) with made-up
  weights: *keys*, names and shapes of the tensors of its checkpoint; *outputs*, stages and results; *losses*, of a
  training batch. *timm*: outputs at the size of the row are those of timm's network with the same weights, and up to 50
  layers the gradients. *pinned*: not recorded itself; names and shapes of our tensors are compared with a table,
  and those of other backbones with what the original code calls the tensors of that configuration.

`make docs` writes this page, from the recipes and from the recordings that the tests compare.

Licenses of the weights: those of mmdetection, mmsegmentation and mmpose are under Apache 2.0, as their repositories;
detectron2's own (`dl.fbaipublicfiles.com`) are under
[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/), as its model zoo says. Nothing of them is in this
repository.
"""

_GITHUB = "https://github.com"
_MMPOSE = "open-mmlab/mmpose/blob/0.x/configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/resnest_coco.md"
SOURCES = {
    "mmdet": f"""\
[mmdetection]({_GITHUB}/open-mmlab/mmdetection/tree/main/configs/resnest): AP on COCO val2017, in percent.""",
    "detectron2": f"""\
[The official wrapper of detectron2]({_GITHUB}/zhanghang1989/ResNeSt/tree/master/d2): AP and PQ on COCO val2017, in
percent. TTA: box and mask AP with test-time augmentation, on COCO test-dev.""",
    "mmseg": f"""\
[mmsegmentation]({_GITHUB}/open-mmlab/mmsegmentation/tree/main/configs/resnest): mIoU on the validation set, in
percent; ms+flip: averaged over several scales and horizontal flips.""",
    "mmpose": f"""\
[mmpose 0.x]({_GITHUB}/{_MMPOSE}):
AP and AR of keypoints on COCO val2017, in percent, in the boxes of a detector with a person AP of 56.4.""",
    "official": f"""\
[The official repository]({_GITHUB}/zhanghang1989/ResNeSt#pretrained-models), the fast variants in its
[ablation]({_GITHUB}/zhanghang1989/ResNeSt/blob/master/ablation.md): top-1 accuracy on ImageNet's validation set, one
crop, in percent.""",
    "timm": f"""\
[timm]({_GITHUB}/huggingface/pytorch-image-models/blob/main/results/results-imagenet.csv): top-1 accuracy on
ImageNet's validation set, one crop, in percent.""",
}
"""Source -> where its numbers were published, of which data, in which unit."""

METRICS = {
    "top-1": ["top1"],
    "box AP": ["box_ap"],
    "mask AP": ["mask_ap"],
    "PQ": ["pq"],
    "TTA": ["box_ap_tta_testdev", "mask_ap_tta_testdev"],
    "mIoU": ["miou"],
    "ms+flip": ["miou_ms_flip"],
    "AP": ["ap"],
    "AP50": ["ap50"],
    "AP75": ["ap75"],
    "AR": ["ar"],
    "AR50": ["ar50"],
    "memory": ["train_memory_gb"],
    "fps": ["fps"],
}
"""Heading of a column -> the published numbers in it."""


def settings(name: str) -> dict[str, str]:
    """Return column heading -> what the model was trained with, or its input."""
    recipe, aliases = zoo.get(name), PUBLISHED[name].aliases
    match recipe.task:
        case "classification":
            return {"schedule": f"{recipe.train.epochs} epochs", "input": f"{recipe.input.size}"}
        case "semantic":
            crop, schedule = re.search(r"_(\d+x\d+)_(\d+k)_", aliases[0]).groups()
            return {"schedule": schedule, "crop": crop}
        case "pose":
            epochs = re.search(r"-(\d+)e_", aliases[1])[1]
            return {"schedule": f"{epochs} epochs", "input": f"{recipe.input.height}x{recipe.input.width}"}
        case _:
            train = recipe.train
            return {"schedule": f"{train.epochs} epochs" if train.epochs else f"{train.iterations // 1000}k"}


def numbers(names: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return a cell for each model, all with the same decimals; nothing if none of them has such a number."""
    all_metrics = [task_of(zoo.get(name)).published_percent(zoo.get(name)) for name in names]
    published = [[metrics[key] for key in keys if key in metrics] for metrics in all_metrics]
    decimals = [len(f"{value}".partition(".")[2]) for values in published for value in values]
    if not decimals:
        return []
    return [" / ".join(f"{value:.{max(decimals)}f}" for value in values) or "-" for values in published]


def verified(name: str) -> str:
    """Return which parts of a model the tests compare with the original, by the files that they read."""
    folder = RECORDINGS / name.rpartition(".")[2]
    recording = folder / f"{name}.json"
    beside = ["timm"] if zoo.get(name).task == "classification" else []
    if not recording.exists():
        return ", ".join(["pinned", *beside]) if name in PINNED else "-"
    parts = ["keys"]
    if (folder / f"{name}.npz").exists() or "logits" in json.loads(recording.read_text()):
        parts.append("outputs")
    if (folder / f"{name}.train.json").exists():
        parts.append("losses")
    return ", ".join(parts + beside)


def table(names: Sequence[str]) -> str:
    """Return the Markdown table of some models of one source."""
    columns = {"model": [f"`{name}`" for name in names]}
    chosen = [settings(name) for name in names]
    columns |= {heading: [row[heading] for row in chosen] for heading in chosen[0]}
    columns |= {heading: cells for heading, keys in METRICS.items() if (cells := numbers(names, keys))}
    columns["weights"] = [f"[{PUBLISHED[name].sha256 or 'no hash'}]({PUBLISHED[name].url})" for name in names]
    columns["verified"] = [verified(name) for name in names]
    rules = ["---:" if heading in METRICS else "---" for heading in columns]
    return "".join(f"| {' | '.join(row)} |\n" for row in [list(columns), rules, *zip(*columns.values(), strict=True)])


UPSTREAM = {
    "mmdet": f"{_GITHUB}/open-mmlab/mmdetection/blob/main/",
    "detectron2": f"{_GITHUB}/facebookresearch/detectron2/blob/main/",
    "mmseg": f"{_GITHUB}/open-mmlab/mmsegmentation/blob/main/",
    "mmpose": f"{_GITHUB}/open-mmlab/mmpose/blob/main/",
}
"""Source -> address of its configurations, for the rows with ordinary backbones."""


def upstream_table(source: str) -> str:
    """Return the Markdown table of the rows of one source with ordinary backbones."""
    heading = ("model", "dataset", "backbone", "published", "config", "weights", "verified")
    lines = [heading, ("---",) * len(heading)]
    for name in zoo.list_models(source=source):
        if (row := upstream.ROWS.get(name)) is None:
            continue
        recipe = zoo.get(name)
        in_percent = task_of(recipe).published_percent(recipe)
        metrics = ", ".join(f"{key} {value:g}" for key, value in in_percent.items()) or "-"
        config = f"[config]({UPSTREAM[source]}{row.config})"
        weights = f"[{row.sha256 or 'no hash'}]({row.url})"
        lines.append((f"`{name}`", row.dataset, row.backbone, metrics, config, weights, verified(name)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """Return the whole page."""
    models = {source: [name for name in PUBLISHED if name.endswith(f".{source}")] for source in SOURCES}
    contents = ", ".join(f"[{source}](#{source}) ({len(names)})" for source, names in models.items())
    sections = [f"\n## {source}\n\n{SOURCES[source]}\n\n{table(names)}" for source, names in models.items()]
    counts = Counter(map(zoo.source_of, upstream.ROWS))
    contents += "; " + ", ".join(
        f"[{source}, other backbones](#{source}-other-backbones) ({counts[source]})" for source in UPSTREAM
    )
    sections += [f"\n## {source}, other backbones\n\n{upstream_table(source)}" for source in UPSTREAM]
    untrained = ", ".join(name for name, row in upstream.ROWS.items() if row.untrained)
    return HEAD.format(contents=contents, untrained=untrained) + "".join(sections)


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/model_zoo.md.")
    parser.add_argument("--check", action="store_true", help="fail when the page is not what would be written")
    text = page().encode()
    if not parser.parse_args().check:
        with replacing(PAGE) as file:
            file.write(text)
    elif not PAGE.exists() or PAGE.read_bytes() != text:
        sys.exit(f"{PAGE.name} is not what the recipes and recordings give: write it again with `make docs`.")


if __name__ == "__main__":
    main()
