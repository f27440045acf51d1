"""Signature of ``predict``, its checks, and results as pictures."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.families import load_small
from splitnest.data.scenes.classes import PERSON
from splitnest.errors import DataError, OutputError, UsageError
from splitnest.structures.class_tables import class_table

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
CLASSIFIER = "resnest50_imagenet.official"


@pytest.fixture(scope="module")
def classifier() -> splitnest.Predictor:
    return load_small(CLASSIFIER)


def test_calling_a_model_predicts(classifier: splitnest.Predictor) -> None:
    (called,), (predicted,) = classifier(PIXELS), classifier.predict(PIXELS)
    assert np.array_equal(called.probabilities, predicted.probabilities)
    assert isinstance(classifier(PIXELS, stream=True), Iterator)


def test_options_are_keywords(classifier: splitnest.Predictor) -> None:
    with pytest.raises(TypeError, match="positional"):
        classifier.predict(PIXELS, 2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="bach_size"):
        classifier(PIXELS, bach_size=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": "2"}, "batch_size is '2'"),
        ({"score_threshold": 1.5}, "score_threshold is 1.5"),
        ({"score_threshold": "high"}, "score_threshold is 'high'"),
        ({"detector": "faster_rcnn"}, "detector is a str"),
        ({"boxes_xywh": "whole"}, "takes neither person boxes"),
        ({"tta": True}, "has no test-time augmentation"),
    ],
)
def test_arguments_are_checked_when_called(
    classifier: splitnest.Predictor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        classifier.predict(PIXELS, stream=True, **options)
    with pytest.raises(UsageError, match=message):
        classifier.predictions(PIXELS, **options)


def test_results_are_saved_as_pictures(classifier: splitnest.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS).save(path)
    (of_array,), (of_file,) = classifier(PIXELS), classifier(path)
    of_array.save(tmp_path / "array.png")
    of_file.save(tmp_path / "file.png")
    for name in ("array.png", "file.png"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), of_array.draw(PIXELS))
    of_file.save(tmp_path / "file.png")  # its own picture is replaced
    with pytest.raises(OutputError, match="exists, and splitnest did not write it"):
        of_file.save(path)
    of_file.save(tmp_path / "file.json")
    assert (tmp_path / "file.json").read_text().startswith("{")
    for name in ("file.txt", "file"):
        with pytest.raises(UsageError, match="has no suffix of a picture"):
            of_file.save(tmp_path / name)
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        of_file.save(tmp_path / "other.png")
    assert of_file._repr_png_() is None


def test_arrays_of_a_generator_are_not_kept(classifier: splitnest.Predictor, tmp_path: Path) -> None:
    (result,) = classifier(iter([PIXELS]))
    assert result._repr_png_() is None
    with pytest.raises(UsageError, match="was not kept"):
        result.save(tmp_path / "a.png")
    result.save(tmp_path / "a.png", PIXELS)
    assert (tmp_path / "a.png").is_file()


def test_notebooks_show_pictures(classifier: splitnest.Predictor) -> None:
    large = np.zeros((100, 2048, 3), np.uint8)
    (result,) = classifier(large)
    shown = result._repr_png_()
    assert shown is not None
    assert shown.startswith(b"\x89PNG")
    shrunk = Image.open(io.BytesIO(shown))
    assert shrunk.size == (1024, 50)


def test_selected_instances_know_their_image() -> None:
    categories = class_table("coco")
    empty = (splitnest.Detections.empty((48, 64), categories), splitnest.Poses.empty((48, 64), PERSON))
    for result in empty:
        assert result.on_image(lambda: PIXELS).above(0.5)._repr_png_() is not None
        assert result[:0]._repr_png_() is not None
    segments = splitnest.PanopticSegmentation.empty((48, 64), categories).on_image(lambda: PIXELS)
    assert segments.above(0.5)._repr_png_() is not None
