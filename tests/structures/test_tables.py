"""Results as tables: columns and rows of every task, and data frames."""

import sys

import numpy as np
import pytest

from splitnest.errors import UsageError
from splitnest.structures import Classification, Detections, Poses, SemanticSegmentation
from splitnest.structures.categories import Categories, from_names
from splitnest.structures.masks import rle_to_mask
from splitnest.structures.tables import table_columns, table_rows

SIZE = (4, 5)
CLASSES = from_names(["cat", "dog"])
PERSON = Categories(from_names(["person"]).items, keypoint_names=("nose",))


def test_results_without_instances() -> None:
    for result in (
        Detections.empty(SIZE, CLASSES),
        Poses.empty(SIZE, PERSON),
        SemanticSegmentation.empty(SIZE, CLASSES),
    ):
        assert list(table_rows(result.to_dict(), result.categories)) == []


def test_rows_have_all_columns() -> None:
    masks = np.zeros((1, *SIZE), bool)
    masks[0, 1:3, 2:] = True
    fields = {"image_size": SIZE, "categories": CLASSES}
    boxes, scores, labels = np.array([[2, 1, 5, 3]], np.float32), np.array([0.5], np.float32), np.array([1])
    (row,) = table_rows(Detections(boxes, scores, labels, masks, **fields).to_dict(), CLASSES)  # type: ignore[arg-type]
    assert list(row) == list(table_columns("detection", CLASSES))
    assert (rle_to_mask({"size": list(SIZE), "counts": row["mask"]}) == masks[0]).all()
    assert [row[key] for key in ("label", "id", "name", "x1", "y2")] == [1, 2, "dog", 2, 3]
    points = np.array([[[1, 2]]], np.float32)
    pose = Poses(points, np.array([[0.75]], np.float32), boxes, scores, image_size=SIZE, categories=PERSON)
    (row,) = table_rows(pose.to_dict(), PERSON)
    assert list(row) == list(table_columns("pose", PERSON))
    assert [row[key] for key in ("nose_x", "nose_y", "nose_score")] == [1, 2, 0.75]
    rows = list(table_rows(Classification(np.array([0.25, 0.75], np.float32), **fields).to_dict(), CLASSES))  # type: ignore[arg-type]
    assert [row["probability"] for row in rows] == [0.25, 0.75]


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = Detections.empty(SIZE, CLASSES).to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(table_columns("detection", CLASSES))
    assert [str(frame[key].dtype) for key in ("label", "score")] == ["int64", "float64"]
    labels = np.array([[0, 0, 1, 255, 255]] * 4, np.uint8)
    frame = SemanticSegmentation(labels, image_size=SIZE, categories=CLASSES).to_dataframe()
    assert frame[["name", "area"]].to_numpy().tolist() == [["cat", 8], ["dog", 4]]


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"needs the package pandas, .*pip install 'splitnest\[tables\]'"):
        Detections.empty(SIZE, CLASSES).to_dataframe()
