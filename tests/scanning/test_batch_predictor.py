"""Prediction for batches of columns."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import splitnest
from helpers.scan_data import BROKEN, encoded
from splitnest.errors import UsageError


def probabilities(model: Path, contents: list[bytes]) -> list[np.ndarray]:
    from splitnest.data.images.read import decode_image

    results = splitnest.load(model, device="cpu").predict([decode_image(content, "") for content in contents])
    return [result.probabilities for result in results]  # type: ignore[union-attr]


def test_arrays(model: Path) -> None:
    contents = [encoded(1), encoded(2)]
    expected = probabilities(model, contents)
    predictor = pickle.loads(pickle.dumps(splitnest.BatchPredictor(model, device="cpu")))
    batch = {"image": np.array([contents[0], BROKEN, contents[1]], object), "label": np.arange(3)}
    found = predictor(batch)
    assert set(found) == {*("label", "height", "width", "error", "top_labels", "top_probabilities", "probabilities")}
    assert found["label"].tolist() == [0, 1, 2]
    assert found["error"][0] is None
    assert "cannot be read" in found["error"][1]
    assert found["probabilities"][1] is None
    assert np.allclose(found["probabilities"][2], expected[1], atol=1e-6)
    pickle.dumps(predictor)
    assert predictor({"image": [], "label": []})["error"].tolist() == []


def test_kinds_of_images(model: Path, tmp_path: Path) -> None:
    from splitnest.data.images.read import decode_image

    content = encoded(1)
    (tmp_path / "a.png").write_bytes(content)
    pixels = decode_image(content, "")
    kinds = [
        content,
        str(tmp_path / "a.png"),
        pixels,
        {"bytes": content, "path": None},
        {"path": str(tmp_path / "a.png")},
    ]
    predictor = splitnest.BatchPredictor(model, image="picture", what="features", device="cpu")
    found = predictor({"picture": kinds})
    assert found["error"].tolist() == [None] * len(kinds)
    for vector in found["features"]:
        assert np.allclose(vector, found["features"][0], atol=1e-5)
    with pytest.raises(UsageError, match="has no column 'picture'; it has image"):
        predictor({"image": kinds})


def test_arrow(model: Path) -> None:
    import pyarrow

    contents = [encoded(1), BROKEN]
    table = pyarrow.table({"image": contents, "name": ["a", "b"]})
    predictor = splitnest.BatchPredictor(model, device="cpu")
    for batch in (table, table.to_batches()[0]):
        found = predictor(batch)
        assert type(found) is type(batch)
        assert found.column("name").to_pylist() == ["a", "b"]
        (expected,) = probabilities(model, contents[:1])
        assert np.array_equal(found.column("probabilities").to_pylist()[0], expected.tolist())
        assert found.column("error").to_pylist()[0] is None
