"""Adapters of torchvision's and Hugging Face's datasets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

from helpers.python_data import SceneItems, write_files
from splitnest.data.adapters import HuggingFaceRows, TorchvisionDetection
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.sequence import SequenceDetection
from splitnest.data.items import Items
from splitnest.errors import DataError


def test_torchvision_equals_files(tmp_path: Path) -> None:
    write_files(tmp_path, 3)
    images, annotations = tmp_path / "train", tmp_path / "annotations" / "instances_train.json"
    of_files = DetectionDataset.from_coco(images, annotations)
    wrapped = wrap_dataset_for_transforms_v2(
        CocoDetection(str(images), str(annotations)), target_keys=("boxes", "labels", "masks", "iscrowd")
    )
    dataset = SequenceDetection(Items(TorchvisionDetection(wrapped), "data"), of_files.categories)
    for index in range(3):
        ours, theirs = dataset.ground_truth(index, masks=True), of_files.ground_truth(index, masks=True)
        assert np.array_equal(dataset.read(index), of_files.read(index))
        assert np.array_equal(ours.boxes, theirs.boxes)
        assert np.array_equal(ours.labels, theirs.labels)
        assert np.array_equal(ours.masks, theirs.masks)


def test_torchvision_image_without_annotations() -> None:
    class Empty:
        coco = type("Coco", (), {"cats": {3: {}, 1: {}}})

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return Image.new("RGB", (6, 4)), {"image_id": 1}

    _, target = TorchvisionDetection(Empty())[0]
    assert len(target) == 0


def test_hugging_face_rows_of_boxes_equal_the_scenes() -> None:
    items = SceneItems(2)
    rows = []
    for scene in items.scenes:
        corners = [each.box.tolist() for each in scene.objects]
        boxes = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in corners]
        objects = {"bbox": boxes, "category": [each.label for each in scene.objects]}
        rows.append({"image": Image.fromarray(scene.image), "objects": objects})
    adapter = HuggingFaceRows(rows, target="objects")
    for index in range(2):
        image, instances = adapter[index]
        assert np.array_equal(image, items[index][0])
        assert np.array_equal(instances.boxes, items.label(index).boxes)
        assert np.array_equal(instances.labels, items.label(index).labels)


def test_hugging_face_objects_as_a_list_of_mappings() -> None:
    row = {"image": None, "objects": [{"bbox": [1, 2, 3, 4], "category": 5}, {"bbox": [0, 0, 2, 2], "category": 0}]}
    adapter = HuggingFaceRows([row, {"image": None, "objects": []}], target="objects")
    assert adapter.target(0).boxes.tolist() == [[1, 2, 4, 6], [0, 0, 2, 2]]
    assert adapter.target(0).labels.tolist() == [5, 0]
    assert len(adapter.target(1)) == 0


def test_hugging_face_targets_do_not_read_images() -> None:
    class Rows(list[dict[str, Any]]):
        def select_columns(self, names: list[str]) -> "Rows":
            return Rows({name: row[name] for name in names} for row in self)

        def __getitem__(self, index: Any) -> Any:
            row = super().__getitem__(index)
            assert "image" not in row, "the image is decoded"
            return row

    adapter = HuggingFaceRows(Rows([{"image": None, "label": 2}]))
    assert adapter.target(0) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"img": 1, "label": 0}, r"data\[0\]: the row has no column 'image', but img, label"),
        ({"image": 1, "label": {"boxes": []}}, r"data\[0\]: the objects have boxes, not 'bbox' and 'category'"),
    ],
)
def test_other_columns_are_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Items(HuggingFaceRows([row]), "data").image(0)
