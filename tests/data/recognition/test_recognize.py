"""Recognition of datasets: each format and layout, and folders that are none, several, or inconsistent."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.dataset_layouts import (
    FIG,
    IMAGES,
    OTHERS,
    TRIANGLE,
    ade20k,
    binary_maps,
    cityscapes,
    class_folders,
    class_folders_with_splits,
    coco,
    color_maps,
    cvat,
    index_maps,
    keypoints,
    label_studio,
    labelme,
    labelme_splits,
    open_images,
    palette_maps,
    panoptic,
    roboflow,
    voc,
    voc_of_roboflow,
    voc_without_lists,
    yolo,
    yolo_lists,
    yolo_of_roboflow,
    yolo_without_yaml,
)
from helpers.tool_exports import (
    Annotated,
    Instance,
    write_coco,
    write_images,
    write_labelme,
    write_voc,
)
from splitnest.data.recognition.recognize import recognize
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.scenes import Scenes
from splitnest.errors import DataError

FORMATS: list[tuple[Callable[[Path], None], str, str, dict[str, Any], tuple[str, ...], tuple[int, int]]] = [
    (coco, "COCO", "detection",
     {"format": "coco", "train_images": "images", "train_annotations": "annotations/instances_default.json"},
     ("date", "fig"), (2, 0)),
    (roboflow, "COCO", "instance",
     {"format": "coco", "train_images": "train", "train_annotations": "train/_annotations.coco.json",
      "val_images": "valid", "val_annotations": "valid/_annotations.coco.json"}, ("fig",), (2, 2)),
    (yolo, "YOLO", "detection",
     {"format": "yolo", "train_images": "images/train", "val_images": "images/val"}, ("date", "fig"), (2, 1)),
    (yolo_of_roboflow, "YOLO", "instance",
     {"format": "yolo", "train_images": "train/images", "val_images": "valid/images"}, ("fig",), (2, 2)),
    (yolo_lists, "YOLO", "detection",
     {"format": "yolo", "train_images": "images", "train_list": "train.txt", "val_images": "images",
      "val_list": "val.txt"}, ("date", "fig"), (2, 1)),
    (yolo_without_yaml, "YOLO", "detection", {"format": "yolo", "train_images": "images"}, ("date", "fig"), (2, 0)),
    (voc, "Pascal VOC", "detection",
     {"format": "voc", "train_images": "JPEGImages", "train_annotations": "ImageSets/Main/train.txt",
      "val_images": "JPEGImages", "val_annotations": "ImageSets/Main/val.txt"}, ("date", "fig"), (2, 1)),
    (voc_without_lists, "Pascal VOC", "detection",
     {"format": "voc", "train_images": "images", "train_annotations": "annotations"}, ("date", "fig"), (2, 0)),
    (voc_of_roboflow, "Pascal VOC", "detection",
     {"format": "voc", "train_images": "train", "train_annotations": "train", "val_images": "valid",
      "val_annotations": "valid"}, ("date", "fig"), (2, 1)),
    (labelme, "labelme", "instance",
     {"format": "labelme", "train_images": ".", "train_annotations": "."}, ("fig",), (2, 0)),
    (labelme_splits, "labelme", "detection",
     {"format": "labelme", "train_images": "train", "train_annotations": "train", "val_images": "val",
      "val_annotations": "val"}, ("date", "fig"), (2, 1)),
    (cvat, "CVAT", "instance",
     {"format": "cvat", "train_images": "images", "train_annotations": "annotations.xml"}, ("fig",), (2, 0)),
    (label_studio, "Label Studio", "detection",
     {"format": "label_studio", "train_images": "upload", "train_annotations": "project-1.json"},
     ("date", "fig"), (2, 0)),
    (open_images, "Open Images", "detection",
     {"format": "open_images", "train_images": "train", "train_annotations": "train-annotations-bbox.csv",
      "val_images": "validation", "val_annotations": "validation-annotations-bbox.csv"}, ("date", "fig"), (2, 1)),
    (class_folders, "image folders by class", "classification",
     {"format": "folders", "train_images": "flowers"}, ("cat", "dog"), (4, 0)),
    (class_folders_with_splits, "image folders by class", "classification",
     {"format": "folders", "train_images": "train", "val_images": "val"}, ("cat", "dog"), (4, 4)),
    (index_maps, "label maps of class indices", "semantic",
     {"format": "folders", "train_images": "images/train", "train_annotations": "masks/train",
      "val_images": "images/val", "val_annotations": "masks/val"}, ("sky", "road", "car"), (2, 2)),
    (palette_maps, "label maps of class indices", "semantic",
     {"format": "folders", "train_images": "img", "train_annotations": "gt", "palette": [[0, 0, 0], [128, 0, 0]]},
     ("class_0", "class_1"), (2, 0)),
    (color_maps, "label maps of colors", "semantic",
     {"format": "folders", "train_images": "img", "train_annotations": "gt", "label_maps": "colors",
      "palette": [[128, 0, 0], [0, 128, 0]], "ignore_colors": [[0, 0, 0]]}, ("road", "car"), (2, 0)),
    (binary_maps, "label maps of colors", "semantic",
     {"format": "folders", "train_images": "img", "train_annotations": "gt", "label_maps": "colors",
      "palette": [[0, 0, 0], [255, 255, 255]]}, ("background", "foreground"), (2, 0)),
    (cityscapes, "Cityscapes", "semantic",
     {"format": "cityscapes", "train_images": "leftImg8bit/train", "train_annotations": "gtFine/train",
      "val_images": "leftImg8bit/val", "val_annotations": "gtFine/val"}, (), (1, 1)),
    (ade20k, "ADE20K", "semantic",
     {"format": "ade20k", "train_images": "images/training", "train_annotations": "annotations/training",
      "val_images": "images/validation", "val_annotations": "annotations/validation"}, (), (1, 1)),
    (panoptic, "COCO panoptic", "panoptic",
     {"format": "coco", "train_images": "val2017", "train_annotations": "annotations/panoptic_val2017.json"},
     ("cat",), (1, 0)),
    (keypoints, "COCO keypoints", "pose",
     {"format": "coco", "train_images": "images", "train_annotations": "keypoints.json"}, ("fig",), (2, 0)),
]  # fmt: skip


def test_instances_with_isthing_beside_panoptic_files(tmp_path: Path) -> None:
    Scenes(3, (64, 80)).write_coco(tmp_path)
    found = recognize(tmp_path)
    assert (found.task, found.data["train_annotations"]) == ("instance", "annotations/instances_train.json")
    given = recognize(tmp_path / "annotations" / "panoptic_train.json")
    assert (given.task, len(given.train)) == ("panoptic", 3)


@pytest.mark.parametrize(
    ("write", "format_", "task", "data", "classes", "counts"), FORMATS, ids=[row[0].__name__ for row in FORMATS]
)
def test_formats(
    tmp_path: Path,
    write: Callable[[Path], None],
    format_: str,
    task: str,
    data: dict[str, Any],
    classes: tuple[str, ...],
    counts: tuple[int, int],
) -> None:
    write(tmp_path)
    found = recognize(tmp_path)
    assert (found.format, found.task, found.data) == (format_, task, data)
    assert (len(found.train), 0 if found.val is None else len(found.val)) == counts
    if classes:
        assert found.classes == classes


def test_an_annotation_file_is_taken_with_that_of_the_other_split(tmp_path: Path) -> None:
    for split, images in (("train2017", IMAGES), ("val2017", OTHERS)):
        write_images(tmp_path / split, images)
        write_coco(tmp_path / f"annotations/instances_{split}.json", images)
        write_coco(tmp_path / f"annotations/more_{split}.json", images)
    found = recognize(tmp_path / "annotations/more_train2017.json")
    assert found.root == tmp_path
    assert found.data["train_annotations"] == "annotations/more_train2017.json"
    assert found.data["val_annotations"] == "annotations/more_val2017.json"
    assert any("annotates too" in note for note in recognize(tmp_path).assumed)


@pytest.mark.parametrize("write", [yolo, yolo_lists])
def test_data_yaml_itself(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    (path,) = tmp_path.glob("*.yaml")
    assert recognize(path).data == recognize(tmp_path).data


@pytest.mark.parametrize("base", ["path: /home/anna/fruit\n", "path: 'C:\\fruit'\n", ""])
def test_data_yaml_of_another_machine_whose_folders_are_here(tmp_path: Path, base: str) -> None:
    yolo(tmp_path)
    train = "images/train" if base else "/home/anna/fruit/images/train"
    (tmp_path / "data.yaml").write_text(f"{base}train: {train}\nval: images/val\nnames: [date, fig]\n")
    found = recognize(tmp_path)
    assert found.data["train_images"] == "images/train"
    assert any("a path of another machine" in note for note in found.assumed)


def test_rectangles_as_polygons_are_boxes(tmp_path: Path) -> None:
    x1, y1, x2, y2 = FIG.box
    rectangle = Instance("fig", FIG.box, ((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
    images = [Annotated("a.png", 60, 40, (rectangle,))]
    write_images(tmp_path, images)
    write_labelme(tmp_path, images)
    assert recognize(tmp_path).task == "detection"


def test_boxes_beside_polygons(tmp_path: Path) -> None:
    images = [Annotated("a.png", 60, 40, (TRIANGLE, FIG))]
    write_images(tmp_path, images)
    write_labelme(tmp_path, images)
    found = recognize(tmp_path)
    assert found.task == "detection"
    assert any("1 of 2 instances have a box and no polygon" in note for note in found.assumed)


def test_large_datasets_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitnest.data.recognition.sampling.MAX_READ", 5)
    monkeypatch.setattr("splitnest.data.recognition.sampling.SAMPLE", 3)
    images = [Annotated(f"{number}.png", 60, 40, (FIG,)) for number in range(8)]
    for module in ("voc", "tools", "yolo"):
        monkeypatch.setattr(f"splitnest.data.recognition.{module}.MAX_READ", 5)
    for folder, write in (("voc", write_voc), ("labelme", write_labelme)):
        write_images(tmp_path / folder, images)
        write(tmp_path / folder, images)
        found = recognize(tmp_path / folder)
        assert len(found.train) == 8
        assert found.train.num_read == 3
        assert any("of 8" in note for note in found.assumed)


def test_lvis(tmp_path: Path) -> None:
    write_images(tmp_path / "val2017", IMAGES)
    path = write_coco(tmp_path / "annotations/lvis_v1_val.json", IMAGES)
    content = json.loads(path.read_text())
    for image in content["images"]:
        url = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
        image |= {"coco_url": url, "neg_category_ids": [3], "not_exhaustive_category_ids": []}
    path.write_text(json.dumps(content))
    found = recognize(tmp_path)
    assert found.data == {"format": "coco", "train_images": ".", "train_annotations": "annotations/lvis_v1_val.json"}
    assert found.train.names == ("val2017/a.png", "val2017/b.png")


def test_hidden_files_and_results_are_no_annotations(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / ".labels").mkdir()
    (tmp_path / "results.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    assert recognize(tmp_path).format == "COCO"


def nothing(root: Path) -> None:
    write_images(root / "photos", IMAGES)


def two_formats(root: Path) -> None:
    voc_without_lists(root)
    labelme(root / "labelme")


def other_classes(root: Path) -> None:
    roboflow(root)
    images = [Annotated("a.png", 60, 40, (Instance("kiwi", (1.0, 2.0, 9.0, 9.0)),))]
    write_coco(root / "valid/_annotations.coco.json", images)


def other_folders(root: Path) -> None:
    class_folders_with_splits(root)
    (root / "val/cat").rename(root / "val/Cat")


def absolute_paths(root: Path) -> None:
    yolo(root)
    (root / "data.yaml").write_text("train: /home/anna/a/train\nval: /home/anna/a/val\nnames: [date, fig]\n")


def empty_coco_split(root: Path) -> None:
    roboflow(root)
    write_coco(root / "valid/_annotations.coco.json", [])


def empty_folder_split(root: Path) -> None:
    class_folders_with_splits(root)
    shutil.rmtree(root / "val")
    (root / "val/cat").mkdir(parents=True)


def empty_list(root: Path) -> None:
    voc(root)
    (root / "ImageSets/Main/val.txt").write_text("\n")


def no_instances(root: Path) -> None:
    write_images(root, [Annotated("a.png", 60, 40)])
    write_labelme(root, [Annotated("a.png", 60, 40)])


def missing_images(root: Path) -> None:
    coco(root)
    for path in (root / "images").iterdir():
        path.rename(path.with_stem(f"renamed_{path.stem}"))


def yaml_without_labels(root: Path) -> None:
    yolo(root)
    shutil.rmtree(root / "labels")


def wrong_count(root: Path) -> None:
    yolo(root)
    (root / "data.yaml").write_text("train: images/train\nnc: 3\nnames: [date, fig]\n")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: None, "is empty. Give the folder of a dataset"),
        (nothing, r"has 2 images, and no annotations that are known\. Images are in photos\. Annotations can be COCO"),
        (
            two_formats,
            r"has several formats: labelme \(labelme\) and Pascal VOC \(annotations\)\. Give the file",
        ),
        (other_classes, r"only validation has 'kiwi' \(1 times\), and training has 'fig'\. Write the same names"),
        (other_folders, r"the folder is 'cat' in training and 'Cat' in validation\. Write the same name in both"),
        (
            absolute_paths,
            r"data\.yaml: train is /home/anna/a/train, a path of another machine.*Images are in images/train",
        ),
        (empty_coco_split, r"The val split is empty: .*valid/_annotations\.coco\.json has no annotated images\. Add"),
        (empty_folder_split, r"The validation split is empty: .*/val has no images\. Add some, or remove the folder"),
        (empty_list, r"The validation split is empty: .*val\.txt names no images\. Add some, or remove it"),
        (no_instances, "The training split has 1 images and no instances"),
        (missing_images, r"names images such as 'a\.png', which are not below .* It has 2 images, such as images/ren"),
        (yaml_without_labels, "has no text files. Put the labels into a folder labels beside images"),
        (wrong_count, "nc is 3, but names has 2 classes"),
    ],
)
def test_what_is_no_dataset(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match=message):
        recognize(tmp_path)


def test_paths_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist\. Give the folder of a dataset, or its annotation file"):
        recognize(tmp_path / "absent")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match=r"a\.json is not an annotation file of COCO, CVAT"):
        recognize(tmp_path / "a.json")
    write_labelme(tmp_path / "l", IMAGES)
    with pytest.raises(DataError, match=r"is the annotation of one image\. Give the folder of the dataset"):
        recognize(tmp_path / "l/a.json")
    (tmp_path / "other.yaml").write_text("base: x\n")
    with pytest.raises(DataError, match=r"other\.yaml is not a data\.yaml of YOLO"):
        recognize(tmp_path / "other.yaml")


def test_recognized_classes_index_the_pairs(tmp_path: Path) -> None:
    labelme_splits(tmp_path)
    found: Recognized = recognize(tmp_path)
    assert found.train.counts(2).tolist() == [1, 2]
    assert found.val is not None
    assert found.val.counts(2).tolist() == [0, 1]
