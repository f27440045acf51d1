"""Detection datasets as people have them, through the command line: odd files are read, or told together."""

import os
from pathlib import Path
from typing import Any

import pytest

from helpers.command_line import CocoFolder, Run
from helpers.detection_files import write_image, write_recipe, write_xml, write_yolo

BOX = "0 0.5 0.5 0.4 0.4\n"


def test_voc_folder_without_lists_trains_after_one_check(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "raccoon"
    for number in range(4):
        name = f"my raccoon-{number}"
        write_image(root / f"images/{name}.{'jfif' if number else 'jpg'}")
        write_xml(root / f"annotations/{name}.xml", "raccoon", inside="<difficult/>")
    for hidden in ("images/._my raccoon-0.jpg", "annotations/._my raccoon-0.xml"):
        (root / hidden).write_bytes(b"\0\5\x16\7")
    (root / "images/photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    write_image(root / "images/unlabeled.jpg")
    write_xml(root / "annotations/gone.xml", "raccoon")
    data = {"format": "voc", "root": str(root), "classes": "file", "train_images": "images"}
    recipe = write_recipe(tmp_path, data=data)
    shown = run("data", "check", recipe).stdout
    assert "4, 0 without instances" in shown
    for kind, name in (
        ("whose suffix is not that of an image", "photo.heic"),
        ("image without an XML file", "unlabeled.jpg"),
        ("XML file without an image", "gone.xml"),
    ):
        assert f"{kind}: not read: 1\n  {name}" in shown
    run("train", recipe, "--out", tmp_path / "run")
    assert "[raccoon]" in (tmp_path / "run/recipe.yaml").read_text()


def test_voc_images_beside_the_xml_files(run: Run, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_image(tmp_path / f"set/{split}/a.jpg")
        write_xml(tmp_path / f"set/{split}/a.xml", "cat" if split == "train" else "dog")
    data = {"format": "voc", "root": str(tmp_path / "set"), "classes": "file"}
    data |= {"train_images": "train", "val_images": "valid"}
    shown = run("data", "check", write_recipe(tmp_path, data=data)).stdout
    assert shown.count("1, 0 without instances") == 2
    assert "class without instances: 1\n  dog" in shown


def test_voc_lists(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "voc"
    for name in ("my photo", "b"):
        write_image(root / f"JPEGImages/{name}.jpg")
        write_xml(root / f"Annotations/{name}.xml", "cat", "dog")
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("\ufeffmy photo\nb.jpg\n", encoding="utf-8")
    data = {"format": "voc", "root": str(root), "classes": ["cat", "dog"], "train_images": "JPEGImages"}
    recipe = write_recipe(tmp_path, data=data)
    assert "2, 0 without instances" in run("data", "check", recipe, "data.train_annotations=ImageSets/train.txt").stdout
    told = run("data", "check", recipe, "data.train_annotations=ImageSets", code=3).stderr
    assert "ImageSets has no XML files" in told
    assert "data.train_annotations is not set" in run("data", "check", recipe, code=2).stderr
    write_xml(root / "Annotations/b.xml", "cat", "cow", "pig", "pig")
    told = run("data", "check", recipe, "data.train_annotations=ImageSets/train.txt", code=3).stderr
    assert "b.xml, line 4: class 'cow' is not a class" in told
    assert "'pig' in 2 instances, 'cow' in 1 instances" in told
    assert "set data.classes to [cat, dog, cow, pig], or to 'file'" in told


def test_voc_faults_name_file_and_line(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "voc"
    for name in "abcdefgh":
        write_image(root / f"images/{name}.jpg")
        write_xml(root / f"annotations/{name}.xml", "cat")
    write_xml(root / "annotations/a.xml", "cat", box=(5, 5, 1e300, 9))
    write_xml(root / "annotations/b.xml", "cat", size="<size><width>1e300</width><height>40</height></size>")
    data = {"format": "voc", "root": str(root), "classes": ["cat"], "train_images": "images"}
    told = run("data", "check", write_recipe(tmp_path, data=data), code=3).stderr
    assert "b.xml, line 2: the size is 1e+300 x 40, more than 500 million pixels" in told
    write_xml(root / "annotations/b.xml", "cat", box=(9, 9, 9, 20))
    told = run("data", "check", write_recipe(tmp_path, data=data), code=3).stderr
    assert "a.xml, line 3: 'bbox' has the number 1e+300" in told
    write_xml(root / "annotations/a.xml", "cat")
    shown = run("data", "check", write_recipe(tmp_path, data=data)).stdout
    assert "its box has no area: 1" in shown
    assert "b.xml, line 3" in shown


def test_yolo_image_files(run: Run, tmp_path: Path) -> None:
    data = write_yolo(tmp_path / "set", a=BOX, b=BOX)
    (tmp_path / "set/images/b.jpg").rename(tmp_path / "set/images/b.jfif")
    (tmp_path / "set/images/c.JPE").symlink_to("a.jpg")
    (tmp_path / "elsewhere").mkdir()
    write_image(tmp_path / "elsewhere/d.jpg")
    (tmp_path / "set/images/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/images/linked/loop").symlink_to(tmp_path / "set/images")
    (tmp_path / "set/images/lost.jpg").symlink_to("nothing.jpg")
    os.mkfifo(tmp_path / "set/images/pipe.jpg")
    (tmp_path / "set/images/._a.jpg").write_bytes(b"\0\5\x16\7")
    (tmp_path / "set/images/e.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "set/labels/orphan.txt").write_text(BOX)
    (tmp_path / "set/labels/classes.txt").write_text("cat\ndog\n")
    shown = run("data", "check", write_recipe(tmp_path, data=data), "data.classes=file").stdout
    assert "4, 2 without instances" in shown
    assert "not that of an image: not read: 3\n  e.heic\n  lost.jpg\n  pipe.jpg" in shown
    assert "label file without an image: not read: 1\n  orphan.txt" in shown


def test_yolo_damaged_image_is_replaced(run: Run, tmp_path: Path) -> None:
    data = write_yolo(tmp_path / "set", a=BOX, b=BOX, c=BOX, d=BOX)
    for name in "bc":
        (tmp_path / f"set/images/{name}.jpg").write_bytes(b"\xff\xd8 damaged")
    recipe = write_recipe(tmp_path, data=data)
    checked = run("data", "check", recipe, code=3)
    assert all(f"{name}.jpg cannot be read as an image" in checked.stdout for name in "bc")
    assert "1 more fault" in checked.stderr
    done = run("train", recipe, "train.max_corrupt_fraction=0.5", "--out", tmp_path / "run")
    assert "It is replaced by another image." in done.stderr
    assert "images are unreadable" in run("train", recipe, "--out", tmp_path / "other", code=3).stderr


def test_faults_of_label_files_are_told_together(run: Run, tmp_path: Path) -> None:
    data = write_yolo(tmp_path / "set", a=BOX + "7 0 0 1 1\n", b="0 1 2\n", c="0 nan 0 1 1\n", d=BOX, e="x\n" * 9)
    told = run("data", "check", write_recipe(tmp_path, data=data), code=3).stderr
    assert "labels has 12 faults" in told
    assert "a.txt, line 2: class 7 is not in data.classes" in told
    assert "b.txt, line 1: 2 numbers follow the class" in told
    assert "c.txt, line 1: nan is not a number" in told
    assert "and 7 more" in told


def coco_recipe(tmp_path: Path, coco: CocoFolder, *, masks: bool = True, **data: Any) -> Path:
    paths = {
        f"{split}_{kind}": path
        for split in ("train", "val")
        for kind, path in (("images", "val2017"), ("annotations", "annotations/instances_val2017.json"))
    }
    section = {"root": str(coco.write()), "classes": ["circle", "square"], **paths, **data}
    return write_recipe(tmp_path, masks=masks, data=section)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("segmentation", [[5, 5, float("nan"), 5, 25, 15]], "'segmentation' has the number nan"),
        ("segmentation", [[5, 5, 1e300, 5, 25, 15]], "'segmentation' has the number 1e+300"),
        ("segmentation", [[0, 0, 9e5, 0, 0, 9e5] * 9], "'segmentation' has a polygon 24,"),
        ("bbox", [0, 0, float("inf"), 1], "'bbox' has the number inf"),
        ("area", float("nan"), "'area' has the number nan"),
    ],
)
def test_numbers_are_finite_and_plausible(
    run: Run, tmp_path: Path, coco: CocoFolder, key: str, value: Any, told: str
) -> None:
    coco.content["annotations"][0][key] = value
    recipe = coco_recipe(tmp_path, coco)
    assert f"annotation 1 of a.png: {told}" in run("data", "check", recipe, code=3).stderr


def test_rle_of_another_size_is_told_everywhere(run: Run, tmp_path: Path, coco: CocoFolder) -> None:
    coco.content["annotations"][1]["segmentation"] = {"size": [60, 40], "counts": [10, 20, 2370]}
    recipe = coco_recipe(tmp_path, coco)
    for conventions in ("dropped", "kept"):
        for verb in (("data", "check"), ("train",), ("eval", "--weights", "none")):
            told = run(*verb, recipe, f"model.conventions.rle_masks={conventions}", code=3).stderr
            assert "annotation 2 of a.png has an RLE of 40 x 60 pixels, but its image has 60 x 40" in told


def test_coco_classes_of_the_file(run: Run, tmp_path: Path, coco: CocoFolder) -> None:
    coco.content["categories"].insert(0, {"id": 0, "name": "shapes, all", "supercategory": "none"})
    recipe = coco_recipe(tmp_path, coco)
    dropped = "category without annotations that is not a class of the model: dropped: 1\n  shapes, all (id 0)"
    assert dropped in run("data", "check", recipe).stdout
    taken = run("data", "check", recipe, "data.classes=file")
    assert "categories without annotations are left out: shapes, all (id 0)" in taken.stderr
    told = run("data", "check", recipe, "data.classes=[circle]", code=3).stderr
    assert "ids, [circle, square], or to 'file' to take them from it" in told


def test_instances_without_a_segmentation_are_skipped_where_asked(run: Run, tmp_path: Path, coco: CocoFolder) -> None:
    first, second = coco.content["annotations"]
    del second["segmentation"]
    coco.content["annotations"].append({**first, "id": 3, "image_id": 9})
    recipe = coco_recipe(tmp_path, coco)
    told = run("data", "check", recipe, code=3).stderr
    assert "1 of 3 annotations have no segmentation" in told
    assert "train.without_mask=skip" in told
    shown = run("data", "check", recipe, "train.without_mask=skip").stdout
    assert "excluded from training: 1 instances without a segmentation" in shown
    run("train", recipe, "train.without_mask=skip", "--out", tmp_path / "run")


def test_paths_that_are_no_regular_files(run: Run, tmp_path: Path, coco: CocoFolder) -> None:
    recipe = coco_recipe(tmp_path, coco)
    os.mkfifo(coco.root / "pipe")
    for path, kind in (("pipe", "named pipe"), ("/dev/zero", "device"), ("val2017", "folder")):
        told = run("data", "check", recipe, f"data.train_annotations={path}", code=3).stderr
        assert f"cannot be read: it is a {kind}" in told
    image = coco.root / "val2017/a.png"
    image.unlink()
    os.mkfifo(image)
    told = run("data", "check", recipe, code=3)
    assert "a.png cannot be read: it is a named pipe, not a regular file" in told.stdout
