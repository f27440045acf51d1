"""Pairs of images and label maps by file names, in one folder and in two."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import datasets
from splitnest.data.formats.label_map_folders import index_encoding, read_folders
from splitnest.data.formats.label_map_pairs import divide_mixed, pair_names
from splitnest.data.recognition.recognize import recognize
from splitnest.structures.categories import from_names

SIZE = (16, 24)


def test_no_names() -> None:
    assert pair_names([], []) == {}
    assert pair_names(["a.jpg"], []) == {}
    assert divide_mixed([]) == ([], [])


@pytest.mark.parametrize(
    ("image", "label_map"),
    [
        ("x.jpg", "x.png"),
        ("x.jpg", "x_mask.png"),
        ("x.jpg", "x-mask.png"),
        ("x.jpg", "x_Mask.PNG"),
        ("x.jpg", "x_label.png"),
        ("x.jpg", "x_labelIds.png"),
        ("x.jpg", "x_gtFine_labelIds.png"),
        ("x_leftImg8bit.png", "x_gtFine_labelTrainIds.png"),
        ("x.png", "x_L.png"),  # CamVid
        ("x.jpg", "x_segmentation.png"),  # ISIC
        ("x_sat.jpg", "x_mask.png"),  # DeepGlobe
        ("x_image.png", "x_gt.png"),
        ("image_07.png", "mask_07.png"),
        ("img-07.png", "label-07.png"),
        ("a.mask.jpg", "a.mask.png"),
    ],
)
def test_one_pair(image: str, label_map: str) -> None:
    others = ["y.png", "y_mask.png"]
    assert pair_names([image], [*others, label_map]) == {image: label_map}
    images, maps = divide_mixed([image, label_map])
    assert (images, maps) == ([image], [label_map])


def test_same_name_comes_first_and_training_ids_before_label_ids() -> None:
    assert pair_names(["x.jpg"], ["x_mask.png", "x.png"]) == {"x.jpg": "x.png"}
    assert pair_names(["x.jpg"], ["x_labelIds.png", "x_labelTrainIds.png"]) == {"x.jpg": "x_labelTrainIds.png"}


def test_images_without_label_maps_stay_images() -> None:
    names = ["a.jpg", "a_mask.png", "b.jpg", "b_label.jpg", "face_mask.jpg", "small.png", "mask_1.jpg"]
    assert divide_mixed(names) == (
        ["a.jpg", "b.jpg", "face_mask.jpg", "small.png", "mask_1.jpg"],
        ["a_mask.png", "b_label.jpg"],
    )


@pytest.mark.parametrize(
    ("image", "label_map"),
    [("{}.jpg", "{}_mask.png"), ("{}.png", "{}_labelIds.png"), ("{}.jpg", "{}.png"), ("img_{}.png", "mask_{}.png")],
)
@pytest.mark.parametrize("maps", ["", "masks"])
def test_recognized_datasets_are_read(tmp_path: Path, image: str, label_map: str, maps: str) -> None:
    images = "images" if maps else ""
    datasets.write_images(tmp_path / images, [image.format(number) for number in range(3)], SIZE)
    (tmp_path / maps).mkdir(exist_ok=True)
    for number in range(3):
        values = np.resize(np.array([0, 1, number, 2, 1], np.uint8), SIZE)
        Image.fromarray(values).save(tmp_path / maps / label_map.format(number))
    found = recognize(tmp_path)
    assert (found.task, found.classes) == ("semantic", ("class_0", "class_1", "class_2"))
    assert found.data == {"format": "folders", "train_images": images or ".", "train_annotations": maps or "."}
    assert [*found.train.names] == [image.format(number) for number in range(3)]
    categories = from_names(found.classes)
    files = read_folders(tmp_path / images, tmp_path / maps, index_encoding(categories), categories)
    assert [path.name for path in files.images] == [*found.train.names]
    assert [path.name for path in files.label_maps or ()] == [label_map.format(number) for number in range(3)]
    assert not files.unpaired
    assert not files.others
