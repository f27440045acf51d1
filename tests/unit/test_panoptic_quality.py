"""Panoptic quality: published numbers, real ground truth, rules for void and crowds, hotcoco on random maps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.categories import Categories, Category
from splitnest.data.coco_panoptic import CocoPanoptic
from splitnest.data.panoptic_labels import PanopticLabels
from splitnest.evaluation.panoptic import PanopticEvaluator
from splitnest.results import PanopticSegmentation, SegmentInfo

Shared = Callable[[str], Path]


class Row(NamedTuple):
    """A segment of either kind: its number, its class, whether it is a crowd region."""

    id: int
    label: int
    iscrowd: bool = False


def classes(things: int, stuff: int) -> Categories:
    kinds = [True] * things + [False] * stuff
    return Categories(tuple(Category(n + 1, f"class {n}", (0, 0, 0), is_thing) for n, is_thing in enumerate(kinds)))


CLASSES = classes(3, 2)


def truth_of(segments: Any, *rows: Row) -> PanopticLabels:
    return PanopticLabels(
        np.array(segments, np.int32),
        np.array([row.id for row in rows], np.int64),
        np.array([row.label for row in rows], np.int64),
        np.array([row.iscrowd for row in rows], bool),
    )


def found_of(segments: Any, *rows: Row, categories: Categories = CLASSES) -> PanopticSegmentation:
    segments = np.array(segments, np.int32)
    infos = [
        SegmentInfo(
            id=row.id,
            category=row.label,
            isthing=categories[row.label].is_thing,
            score=None,
            area=int((segments == row.id).sum()),
        )
        for row in rows
    ]
    return PanopticSegmentation(segments, infos, image_size=segments.shape, categories=categories)


def quality(truth: PanopticLabels, found: PanopticSegmentation) -> PanopticEvaluator:
    evaluator = PanopticEvaluator(found.categories)
    evaluator.update(truth, found)
    return evaluator


def test_nothing_at_all() -> None:
    evaluator = PanopticEvaluator(CLASSES)
    assert set(evaluator.compute().values()) == {-1.0}
    evaluator.update(truth_of(np.zeros((2, 3))), found_of(np.zeros((2, 3))))
    metrics = evaluator.compute()
    assert list(metrics) == [
        "pq",
        "sq",
        "rq",
        "pq_things",
        "sq_things",
        "rq_things",
        "pq_stuff",
        "sq_stuff",
        "rq_stuff",
    ]
    assert set(metrics.values()) == {-1.0}
    assert evaluator.per_class()["class 0"] == {"pq": -1.0, "sq": -1.0, "rq": -1.0}
    assert set(PanopticEvaluator(Categories(())).compute().values()) == {-1.0}


def test_what_does_not_fit_is_refused() -> None:
    evaluator = PanopticEvaluator(classes(1, 0))
    with pytest.raises(ValueError, match=r"size \(1, 2\), their truth of \(2, 1\)"):
        evaluator.update(truth_of(np.zeros((2, 1))), found_of(np.zeros((1, 2))))
    with pytest.raises(ValueError, match="besides the 1 categories"):
        evaluator.update(truth_of([[1]], Row(1, 1)), found_of([[0]]))
    with pytest.raises(ValueError, match="besides the 1 categories"):
        evaluator.update(truth_of([[0]]), found_of([[1]], Row(1, 1)))


THING, CROWD = Row(1, 0), Row(2, 0, iscrowd=True)


@pytest.mark.parametrize(
    ("truth", "truth_rows", "found", "found_rows", "expected"),
    [
        ([1, 1, 1, 0], [THING], [1, 1, 1, 0], [Row(1, 0)], (1, 1, 1)),
        ([1, 1, 1, 0], [THING], [0, 0, 0, 0], [], (0, 0, 0)),  # missed
        ([1, 1, 1, 1], [THING], [1, 1, 0, 0], [Row(1, 0)], (0, 0, 0)),  # an IoU of exactly 0.5
        ([1, 1, 1, 3], [THING, Row(3, 3)], [1, 1, 1, 1], [Row(1, 0)], (0.75, 0.75, 1)),
        ([1, 1, 1, 0], [THING], [1, 1, 1, 1], [Row(1, 0)], (1, 1, 1)),  # void pixels do not count in the union
        ([1, 1, 1, 1], [THING], [1, 1, 1, 2], [Row(1, 0), Row(2, 0)], (0.5, 0.75, 2 / 3)),
        ([1, 1, 1, 3], [THING, Row(3, 3)], [1, 1, 1, 2], [Row(1, 0), Row(2, 0)], (1 / 1.5, 1, 1 / 1.5)),
        ([3, 3, 0, 0], [Row(3, 3)], [0, 1, 1, 0], [Row(1, 0)], (0, 0, 0)),  # half on void: wrong
        ([3, 0, 0, 0], [Row(3, 3)], [1, 1, 1, 0], [Row(1, 0)], (-1, -1, -1)),  # two thirds on void
        ([2, 2, 2, 0], [CROWD], [0, 0, 0, 0], [], (-1, -1, -1)),  # a crowd cannot be missed
        ([2, 2, 2, 2], [CROWD], [1, 1, 1, 1], [Row(1, 0)], (-1, -1, -1)),  # nor found
        ([3, 2, 0, 3], [CROWD, Row(3, 3)], [1, 1, 1, 0], [Row(1, 0)], (-1, -1, -1)),  # on void and crowd together
        ([3, 2, 2, 3], [Row(2, 1, True), Row(3, 3)], [1, 1, 1, 0], [Row(1, 0)], (0, 0, 0)),  # a crowd of others
        ([2, 2, 4, 4], [CROWD, Row(4, 0, True)], [1, 1, 1, 0], [Row(1, 0)], (0, 0, 0)),  # the last crowd counts alone
        ([4, 4, 2, 2], [CROWD, Row(4, 0, True)], [1, 1, 1, 0], [Row(1, 0)], (-1, -1, -1)),
    ],
)
def test_rules(
    truth: list[int],
    truth_rows: list[Row],
    found: list[int],
    found_rows: list[Row],
    expected: tuple[float, float, float],
) -> None:
    evaluator = quality(truth_of([truth], *truth_rows), found_of([found], *found_rows))
    assert tuple(evaluator.per_class()["class 0"].values()) == pytest.approx(expected)


def test_means_are_over_classes_that_occur() -> None:
    evaluator = quality(
        truth_of([[1, 1, 1, 1, 2, 3]], Row(1, 0), Row(2, 1), Row(3, 3)),
        found_of([[5, 5, 5, 0, 0, 9]], Row(5, 0), Row(9, 3)),
    )
    assert evaluator.compute() == pytest.approx(
        {"pq": 1.75 / 3, "sq": 1.75 / 3, "rq": 2 / 3}
        | {"pq_things": 0.375, "sq_things": 0.375, "rq_things": 0.5}
        | {"pq_stuff": 1, "sq_stuff": 1, "rq_stuff": 1}
    )


def numbers(path: Path) -> NDArray[np.int64]:
    """Read a PNG of COCO's panoptic format."""
    return np.array(Image.open(path).convert("RGB"), np.int64) @ [1, 256, 65536]


def renumbered(segments: NDArray[np.int64], rows: list[Row]) -> tuple[NDArray[np.int32], list[Row]]:
    """Number the rows from 1, as one file of an oracle has a segment of number 0."""
    mine = np.zeros(segments.shape, np.int32)
    for number, row in enumerate(rows, start=1):
        mine[segments == row.id] = number
    return mine, [row._replace(id=number) for number, row in enumerate(rows, start=1)]


def coco_images(path: Path, categories: Categories) -> Iterator[tuple[NDArray[np.int32], list[Row]]]:
    """Yield the segments of a panoptic file."""
    for image in json.loads(path.read_text())["annotations"]:
        infos = image["segments_info"]
        rows = [Row(i["id"], categories.ids.index(i["category_id"]), bool(i["iscrowd"])) for i in infos]
        segments = numbers(path.with_suffix("") / image["file_name"])
        assert [info["area"] for info in infos] == [(segments == info["id"]).sum() for info in infos]
        yield renumbered(segments, rows)


def coco_classes(path: Path) -> Categories:
    rows = json.loads(path.read_text())["categories"]
    return Categories(tuple(Category(row["id"], row["name"], (0, 0, 0), bool(row["isthing"])) for row in rows))


def test_oracle_in_coco_format(shared_data: Shared) -> None:
    folder = shared_data("oracle_panoptic")
    expected = json.loads((folder / "expected.json").read_text())["coco_format"]
    truth, found = folder / expected["gt"][0], folder / expected["pred"][0]
    categories = coco_classes(truth)
    evaluator = PanopticEvaluator(categories)
    for of_truth, of_found in zip(coco_images(truth, categories), coco_images(found, categories), strict=True):
        evaluator.update(
            truth_of(of_truth[0], *of_truth[1]), found_of(of_found[0], *of_found[1], categories=categories)
        )
    published, metrics = expected["panopticapi_run"], evaluator.compute()
    for name, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for metric in ("pq", "sq", "rq"):
            assert metrics[metric + suffix] == pytest.approx(published[name][metric], abs=1e-12)
    per_class = evaluator.per_class()
    assert len(published["per_class"]) == len(categories)
    for category in categories:
        assert per_class[category.name] == pytest.approx(published["per_class"][str(category.id)], abs=1e-12)


def pairs(labels: NDArray[np.integer], instances: NDArray[np.integer]) -> tuple[NDArray[np.int32], list[Row]]:
    """Make segments of maps of class and instance; pixels of class -1 are void."""
    codes = np.where(labels < 0, 0, (labels.astype(int) + 1) * 1000 + instances)
    rows = [Row(code, code // 1000 - 1) for code in np.unique(codes).tolist() if code]
    return renumbered(codes, rows)


def test_oracle_of_the_team_picture(shared_data: Shared) -> None:
    """Class 0 of it is void: it was ignored by the evaluator that was published with it, but for its own row."""
    folder = shared_data("oracle_panoptic")
    expected = json.loads((folder / "expected.json").read_text())["team_image"]

    def read(key: str, mode: str) -> NDArray[np.int64]:
        return np.array(Image.open(folder / expected[key].split(" ")[0]).convert(mode), np.int64)

    colors = read("pred_class", "RGB") @ [1, 256, 65536]
    found_labels = np.full(colors.shape, -1)
    for color, label in expected["pred_class_colours"].items():
        found_labels[colors == np.array(color.split(","), int) @ [1, 256, 65536]] = label - 1
    truth_instances = read("gt_instance", "L")
    truth_labels = np.full(truth_instances.shape, -1)
    for value, label in expected["gt_instance_value_to_class"].items():
        truth_labels[truth_instances == int(value)] = label - 1
    categories = classes(expected["num_categories"] - 1, 0)
    truth, truth_rows = pairs(truth_labels, truth_instances)
    found, found_rows = pairs(found_labels, read("pred_instance", "L"))
    evaluator = quality(truth_of(truth, *truth_rows), found_of(found, *found_rows, categories=categories))
    assert evaluator.compute()["pq"] == pytest.approx(expected["pq"], abs=1e-6)
    for label in (1, 2):
        of_class = evaluator.per_class()[f"class {label - 1}"]
        matched, missed, wrong = (expected[key][label] for key in ("tp", "fn", "fp"))
        assert of_class["pq"] == pytest.approx(expected["pq_per_class"][label], abs=1e-6)
        assert of_class["rq"] == pytest.approx(matched / (matched + (missed + wrong) / 2), abs=1e-12)
        assert of_class["sq"] * matched == pytest.approx(expected["iou_per_class"][label], abs=1e-5)  # so many digits


def test_oracle_of_torchmetrics(shared_data: Shared) -> None:
    expected = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["panoptic_torchmetrics"]
    things, stuff = expected["things"], expected["stuff"]
    categories = classes(len(things), len(stuff))
    truth, found = (np.array(expected[key]) for key in ("target", "preds"))
    index = np.zeros(10, int)
    index[things + stuff] = np.arange(len(categories))
    truth, truth_rows = pairs(index[truth[..., 0]], truth[..., 1])
    found, found_rows = pairs(index[found[..., 0]], found[..., 1])
    evaluator = quality(truth_of(truth, *truth_rows), found_of(found, *found_rows, categories=categories))
    assert evaluator.compute()["pq"] == pytest.approx(expected["pq"], abs=5e-5)  # published with 4 digits


def test_oracle_of_mmdetection(shared_data: Shared) -> None:
    expected = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["panoptic_mmdet"]
    categories = classes(2, 1)

    def painted(side: dict[str, Any]) -> tuple[NDArray[np.int32], list[Row]]:
        segments = np.ones((expected["height"], expected["width"]), np.int32)
        rows = [Row(1, side["background_class"])]
        for number, segment in enumerate(side["segments"], start=2):
            x, y, width, height = segment["box"]
            segments[y : y + height, x : x + width] = number
            rows.append(Row(number, segment["class"]))
        return segments, rows

    (truth, truth_rows), (found, found_rows) = painted(expected["gt"]), painted(expected["pred"])
    metrics = quality(truth_of(truth, *truth_rows), found_of(found, *found_rows, categories=categories)).compute()
    for name, value in expected["percent"].items():
        key = name.lower().replace("_th", "_things").replace("_st", "_stuff")
        assert 100 * metrics[key] == pytest.approx(value, abs=1e-9)


@pytest.fixture
def sample(shared_data: Shared) -> CocoPanoptic:
    """Return COCO's panoptic sample, two photographs."""
    folder = shared_data("coco_panoptic_sample")
    return CocoPanoptic(folder / "input_images", folder / "panoptic_examples.json")


def test_ground_truth_of_coco_is_perfect(sample: CocoPanoptic) -> None:
    evaluator, labels = PanopticEvaluator(sample.panoptic_categories), set()
    for index in range(len(sample)):
        truth = sample.labels(index)
        assert truth.iscrowd.any()
        evaluator.update(truth, truth.to_result(sample.panoptic_categories))
        labels |= set(truth.labels.tolist())
    assert set(evaluator.compute().values()) == {1.0}
    values = [row["pq"] for row in evaluator.per_class().values()]
    assert values == [1 if label in labels else -1 for label in range(133)]


def test_corrupted_ground_truth_of_coco(sample: CocoPanoptic) -> None:
    """Six mistakes, and what they make of the eight classes of the two photographs.

    The first has 13 people and a crowd of them, 1 ball, and trees, sky and grass; the second has 13 people and a crowd,
    2 trucks, 11 horses and a crowd of them, gravel, and trees, sky and grass.
    """
    categories = sample.panoptic_categories
    truths = [sample.labels(index) for index in range(2)]
    first, second = (truth.segments.copy() for truth in truths)
    label_of = [dict(zip(truth.ids.tolist(), truth.labels.tolist(), strict=True)) for truth in truths]

    def pixels(image: int, name: str, area: int) -> NDArray[np.int64]:
        """Return the pixels of the segment of this class and area."""
        label, segments = categories.names.index(name), truths[image].segments.ravel()
        of_segments = [np.flatnonzero(segments == id_) for id_ in label_of[image] if label_of[image][id_] == label]
        (found,) = [where for where in of_segments if len(where) == area]
        return found

    # The ball is not found.
    first.flat[pixels(0, "sports ball", 175)] = 0
    # Nor is one of 26 people.
    second.flat[pixels(1, "person", 3512)] = 0
    # Of 75100 pixels of grass in the first photograph 25100 are left out.
    first.flat[pixels(0, "grass-merged", 75100)[:25100]] = 0
    # The trucks of 1680 and 5791 pixels are one: it matches the larger, the other is missed.
    large = pixels(1, "truck", 5791)
    second.flat[pixels(1, "truck", 1680)] = second.flat[large[0]]
    # A horse of 5333 pixels falls into two parts: the one of 3000 matches, the other is wrong.
    second.flat[pixels(1, "horse", 5333)[3000:]] = 99
    label_of[1][99] = categories.names.index("horse")
    # The sky of the second photograph is taken for trees: a miss and a mistake.
    label_of[1][int(second.flat[pixels(1, "sky-other-merged", 12912)[0]])] = categories.names.index("tree-merged")

    evaluator = PanopticEvaluator(categories)
    for truth, segments, labels in zip(truths, (first, second), label_of, strict=True):
        rows = [Row(id_, labels[id_]) for id_ in np.unique(segments[segments > 0]).tolist()]
        evaluator.update(truth, found_of(segments, *rows, categories=categories))
    expected = {
        "person": 25 / (25 + 0.5),
        "sports ball": 0,
        "truck": 5791 / (1680 + 5791) / (1 + 0.5),
        "horse": (10 + 3000 / 5333) / (11 + 0.5),
        "gravel": 1,
        "tree-merged": 2 / (2 + 0.5),
        "sky-other-merged": 1 / (1 + 0.5),
        "grass-merged": (50000 / 75100 + 1) / 2,
    }
    per_class, metrics = evaluator.per_class(), evaluator.compute()
    assert {name: per_class[name]["pq"] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert metrics["pq"] == pytest.approx(sum(expected.values()) / 8, abs=1e-12)
    things = [expected[name] for name in ("person", "sports ball", "truck", "horse")]
    assert metrics["pq_things"] == pytest.approx(sum(things) / 4, abs=1e-12)


@st.composite
def drawn_segments(draw: st.DrawFn, crowds: bool) -> tuple[NDArray[np.int32], list[Row]]:
    """Return a small map with void and any number of crowd regions."""
    cells = draw(st.lists(st.integers(0, 5), min_size=48, max_size=48))
    segments = np.array(cells, np.int32).reshape(6, 8)
    rows = [Row(id_, draw(st.integers(0, 4))) for id_ in np.unique(segments[segments > 0]).tolist()]
    if crowds:
        rows = [row._replace(iscrowd=draw(st.booleans())) for row in rows]
    return np.kron(segments, np.ones((2, 2), np.int32)), draw(st.permutations(rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(drawn_segments(crowds=True), drawn_segments(crowds=False), st.booleans()), max_size=3))
def test_same_as_hotcoco(tmp_path_factory: pytest.TempPathFactory, images: list[Any]) -> None:
    from hotcoco.panoptic import PanopticEval

    folder = tmp_path_factory.mktemp("hotcoco")
    evaluator = PanopticEvaluator(CLASSES)
    files: dict[str, list[dict[str, Any]]] = {"truth": [], "found": []}
    for image_id, (truth, found, like) in enumerate(images, start=1):
        if like:  # mostly the truth, so that there is something to match
            changed = truth[0].copy()
            changed[:4] = np.where(truth[0][:4] > 0, found[0][:4] % 3, 0)
            numbered = {row.id: row for row in (*found[1], *truth[1])}
            ids = np.unique(changed[changed > 0]).tolist()
            found = changed, [numbered.get(id_, Row(id_, 0)) for id_ in ids]
        evaluator.update(truth_of(truth[0], *truth[1]), found_of(found[0], *found[1]))
        for name, (segments, rows) in (("truth", truth), ("found", found)):
            (folder / name).mkdir(exist_ok=True)
            pixels = np.stack([segments, *np.zeros((2, *segments.shape), int)], axis=2).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{image_id}.png")
            infos = [
                {
                    "id": r.id,
                    "category_id": r.label + 1,
                    "iscrowd": int(r.iscrowd),
                    "area": int((segments == r.id).sum()),
                }
                for r in rows
            ]
            files[name].append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": infos})
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in CLASSES]
    for name, annotations in files.items():
        rows = [{"id": a["image_id"], "file_name": a["file_name"], "width": 16, "height": 12} for a in annotations]
        content = {"images": rows, "annotations": annotations, "categories": categories}
        (folder / name).mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content))
    other = PanopticEval(folder / "truth.json", folder / "found.json")
    other.evaluate()
    results, metrics = other.results(), evaluator.compute()
    for name, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for metric in ("pq", "sq", "rq"):
            theirs = results[name][metric] if results[name]["n"] else -1
            assert metrics[metric + suffix] == pytest.approx(theirs, abs=1e-12)
