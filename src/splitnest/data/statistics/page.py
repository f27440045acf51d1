"""Page of the statistics of a dataset."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.duplicates import DuplicateGroup, find_duplicates
from splitnest.data.images.read import read_image
from splitnest.data.statistics.image_table import ImageTable
from splitnest.errors import DataError, printable
from splitnest.visualize.report.charts import bar_chart, co_occurrence, histogram
from splitnest.visualize.report.page import Block, Section, report_page
from splitnest.visualize.report.pictures import Figure, pictures, thumbnail
from splitnest.visualize.report.table import table
from splitnest.visualize.write import WRITTEN_BY

SMALL, LARGE = 32**2, 96**2
"""Limits in square pixels of the area of medium instances (pycocotools ``Params``)."""

MAX_BARS, MAX_MATRIX = 40, 20
"""Number of classes of a chart, and of the co-occurrence matrix, most frequent first."""

MAX_EXAMPLE_CLASSES, EXAMPLES = 30, 5
"""Number of classes with example pictures, and of pictures of each."""

MAX_GROUPS, GROUP_IMAGES = 30, 4
"""Number of groups of duplicates with pictures, and of pictures of a group."""

EXAMPLE_SIDE, DUPLICATE_SIDE = 200, 320
MARGIN = 0.15
"""Margin around an example instance, as a fraction of its box."""

_SIZE_EDGES = (0, 1, 2, 4, 8, 16, 32, 64)
"""Limits in percent of the square root of the fraction of the image that an instance takes."""

_ASPECT_EDGES = (0.0, 0.2, 0.5, 0.8, 1.25, 2.0, 5.0)
_COUNT_EDGES = (0, 1, 2, 3, 4, 6, 11, 21, 51, 101)


def statistics_page(images: ImageTable) -> str:
    """Return the page of a dataset; images are read for examples and duplicates only."""
    sections = [_overview(images), _classes(images)]
    if images.boxes_xyxy is not None:
        sections.append(_sizes(images, images.boxes_xyxy))
    if len(images.classes) > 1 and len(images.labels):
        sections.append(_co_occurrence(images))
    if len(images.labels):
        sections.append(_examples(images))
    sections.append(_duplicates(images))
    title = f"Statistics of {printable(images.source.resolve().name)}"
    return report_page(title, f"{printable(images.source)}, {images.format}", sections, WRITTEN_BY)


def _overview(images: ImageTable) -> Section:
    per_image = np.bincount(images.image_index, minlength=len(images.names))
    splits = np.array(images.splits)
    what = "instances" if images.boxes_xyxy is not None else "image labels"
    rows = []
    for name in dict.fromkeys(images.splits):
        own = per_image[splits == name]
        rows.append((name, len(own), int(own.sum()), int((own == 0).sum())))
    sizes = Counter(map(tuple, images.sizes_hw.tolist()))
    size_rows = [(f"{width} x {height}", count) for (height, width), count in sizes.most_common(12)]
    more = f"; the 12 most frequent of {len(sizes)}" if len(sizes) > 12 else ""
    return Section(
        "Images",
        f"{len(images.names):,} images, {len(images.labels):,} {what}, {len(images.classes)} classes.",
        [
            Block(table(("split", "images", what, "without any"), rows), "Splits"),
            Block(table(("width x height", "images"), size_rows, [row[1] for row in size_rows]), f"Image sizes{more}"),
        ],
    )


def _classes(images: ImageTable) -> Section:
    counts = np.bincount(images.labels, minlength=len(images.classes))
    in_images = images.presence().sum(axis=0)
    order = np.argsort(-counts, kind="stable").tolist()
    splits, of_row = list(dict.fromkeys(images.splits)), np.array(images.splits, dtype=object)[images.image_index]
    by_split = {name: np.bincount(images.labels[of_row == name], minlength=len(images.classes)) for name in splits}
    shown = order[:MAX_BARS]
    series = [(name, [int(by_split[name][label]) for label in shown]) for name in splits]
    header = ["class", "instances" if images.boxes_xyxy is not None else "images"]
    rows = [[images.classes[label], int(counts[label])] for label in order]
    if images.boxes_xyxy is not None:
        header.append("images")
        rows = [[*row, int(in_images[label])] for row, label in zip(rows, order, strict=True)]
    if len(splits) > 1:
        header += splits
        rows = [[*row, *(int(by_split[s][label]) for s in splits)] for row, label in zip(rows, order, strict=True)]
    absent = [images.classes[label] for label in order if not counts[label]]
    text = f"Without any: {', '.join(map(printable, absent[:10]))}." if absent else "Every class occurs."
    blocks = [Block(bar_chart([images.classes[label] for label in shown], series), "By class")]
    return Section("Classes", text, [*blocks, Block(table(header, rows), "Counts")])


def _sizes(images: ImageTable, boxes: NDArray[np.float64]) -> Section:
    assert images.areas is not None
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    pixels = images.sizes_hw.prod(axis=1)[images.image_index]
    relative = 100 * np.sqrt(np.clip(wide * high, 0, None) / np.maximum(pixels, 1))
    has_area = (wide > 0) & (high > 0)
    aspect = wide[has_area] / high[has_area]
    per_image = np.bincount(images.image_index, minlength=len(images.names))
    blocks = [
        _bars(relative, _SIZE_EDGES, "side of the box in % of that of the image", "Size in the image"),
        _bars(aspect, _ASPECT_EDGES, "width / height", "Aspect ratio"),
        _bars(per_image, _COUNT_EDGES, "instances in an image", "Instances per image"),
    ]
    rows = []
    counts = np.bincount(images.labels, minlength=len(images.classes))
    for label in np.argsort(-counts, kind="stable").tolist():
        own, name = images.areas[images.labels == label], images.classes[label]
        if len(own):
            limits = (int((own < SMALL).sum()), int(((own >= SMALL) & (own <= LARGE)).sum()), int((own > LARGE).sum()))
            rows.append((name, *limits, float(np.median(np.sqrt(own)))))
    header = ("class", "small", "medium", "large", "median px")
    text = (
        f"Small (under {SMALL**0.5:.0f}² square pixels), medium and large (over {LARGE**0.5:.0f}²) are those of COCO's "
        f"metrics. The median is that of the square root of the area."
    )
    return Section("Sizes of instances", text, [*blocks, Block(table(header, rows), "By class")])


def _bars(values: NDArray[Any], edges: Sequence[float], axis: str, title: str) -> Block:
    """Return the histogram of values with given limits, the last of which is open."""
    limits = [*edges, np.inf]
    counts = [int(((values >= low) & (values < high)).sum()) for low, high in pairwise(limits)]
    is_count = np.issubdtype(values.dtype, np.integer)
    labels = []
    for low, high in pairwise(limits):
        last = high - 1 if is_count else high
        labels.append(f"{low:g}+" if high == np.inf else f"{low:g}" if last == low else f"{low:g}-{last:g}")
    return Block(histogram(labels, counts, axis), title)


def _co_occurrence(images: ImageTable) -> Section:
    presence = images.presence()
    top = np.argsort(-presence.sum(axis=0), kind="stable")[:MAX_MATRIX]
    chosen = presence[:, top].astype(np.int64)
    text = "Number of images with both classes; on the diagonal, with the class."
    if len(images.classes) > MAX_MATRIX:
        text += f" The {MAX_MATRIX} most frequent of {len(images.classes)} classes."
    names = [images.classes[label] for label in top.tolist()]
    return Section("Classes in one image", text, [Block(co_occurrence(names, chosen.T @ chosen), is_wide=True)])


def _examples(images: ImageTable) -> Section:
    counts = np.bincount(images.labels, minlength=len(images.classes))
    blocks = []
    for label in np.argsort(-counts, kind="stable")[:MAX_EXAMPLE_CLASSES].tolist():
        rows = np.flatnonzero(images.labels == label)
        if images.areas is not None:
            rows = rows[np.argsort(images.areas[rows], kind="stable")]
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, EXAMPLES + 2).astype(int)[1:-1])] if len(rows) else rows
        figures = [figure for row in chosen.tolist() if (figure := _example(images, row)) is not None]
        if figures:
            blocks.append(Block(pictures(figures, small=True), printable(images.classes[label]), is_wide=True))
    what = "instances of each class from small to large" if images.areas is not None else "images of each class"
    return Section("Examples", f"Up to {EXAMPLES} {what}.", blocks)


def _example(images: ImageTable, row: int) -> Figure | None:
    """Return the picture of an instance or of an image; None if it cannot be read."""
    index = int(images.image_index[row])
    try:
        pixels = read_image(images.paths[index])
    except DataError:
        return None
    text = images.names[index]
    if images.boxes_xyxy is not None:
        left, top, right, bottom = images.boxes_xyxy[row].tolist()
        margin = MARGIN * max(right - left, bottom - top) + 2
        height, width = pixels.shape[:2]
        rows = slice(int(np.clip(top - margin, 0, height - 1)), int(np.clip(bottom + margin, 1, height)))
        columns = slice(int(np.clip(left - margin, 0, width - 1)), int(np.clip(right + margin, 1, width)))
        pixels = pixels[rows, columns]
        text = f"{right - left:.0f} x {bottom - top:.0f} px, {text}"
    if not pixels.size:
        return None
    return Figure([thumbnail(np.ascontiguousarray(pixels), EXAMPLE_SIDE)], printable(text))


def _duplicates(images: ImageTable) -> Section:
    groups = find_duplicates(images.paths)
    is_leak = [len({images.splits[index] for index in group.images}) > 1 for group in groups]
    order = sorted(range(len(groups)), key=lambda number: not is_leak[number])
    figures = [_group(images, groups[number], is_leak[number]) for number in order[:MAX_GROUPS]]
    if not groups:
        return Section("Duplicates", "No two images are the same file or look the same.")
    leaks = f", {sum(is_leak)} of them in several splits, which makes metrics too high" if any(is_leak) else ""
    more = f" The first {MAX_GROUPS} are shown." if len(groups) > MAX_GROUPS else ""
    number = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
    text = f"{number} of images that are the same file or look the same{leaks}.{more}"
    return Section("Duplicates", text, [Block(pictures(figures), is_wide=True)])


def _group(images: ImageTable, group: DuplicateGroup, is_leak: bool) -> Figure:
    shown = []
    for index in group.images[:GROUP_IMAGES]:
        try:
            shown.append(thumbnail(read_image(images.paths[index]), DUPLICATE_SIDE))
        except DataError:
            continue
    title = "The same file" if group.is_exact else "Looks the same"
    names: Sequence[str] = [f"{images.splits[index]}: {images.names[index]}" for index in group.images]
    return Figure(shown, f"{title}{', in several splits' if is_leak else ''}", printable(" = ".join(names)))
