"""data convert, split and merge of label maps, panoptic segments and classes of images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers import datasets, image_tree, panoptic_tree
from helpers.command_line import Run
from splitnest.data.editing.open import open_dataset
from splitnest.data.recognition.recognize import recognize

SIZE = (24, 32)
NAMES = ["sky", "road", "car"]
COLORS = ((10, 20, 30), (128, 64, 128), (0, 0, 142))
OF_MASKS = ("coco", "yolo", "labelme", "cvat", "label_studio", "label_maps")


def label_map(seed: int) -> np.ndarray:
    """Return a map of three classes and unlabeled pixels, with holes and single pixels."""
    values = np.zeros(SIZE, np.uint8)
    values[10:, :] = 1
    values[6:18, 8:20] = 2
    values[9:13, 11:15] = seed % 2  # a hole
    values[20, 3::4] = 2
    values[:3, -5:] = 255
    return np.roll(values, seed, axis=1)


def write_maps(folder: Path, kind: str, counts: dict[str, int]) -> None:
    """Write images and label maps of a kind in folders of splits; an empty name is a dataset without splits."""
    for split, count in counts.items():
        names = [f"{split or 'all'}{number}" for number in range(count)]
        datasets.write_images(folder / "images" / split, [f"{name}.jpg" for name in names], SIZE)
        for number, name in enumerate(names):
            write_map(folder / "masks" / split / f"{name}.png", label_map(number), kind)
    if kind == "colors":
        rows = [f"{name}:{','.join(map(str, color))}::\n" for name, color in zip(NAMES, COLORS, strict=True)]
        (folder / "labelmap.txt").write_text("".join([*rows, "void:0,0,0::\n"]))
    elif kind == "from 1":
        (folder / "classes.txt").write_text("\n".join(["void", *NAMES]))
    else:
        (folder / "classes.txt").write_text("\n".join(NAMES))


def write_map(path: Path, values: np.ndarray, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "colors":
        Image.fromarray(np.array([*COLORS, *[(0, 0, 0)] * 253], np.uint8)[values]).save(path)
        return
    picture = Image.fromarray(np.where(values == 255, 0, values + 1).astype(np.uint8) if kind == "from 1" else values)
    if kind == "palette":
        picture.putpalette([*np.ravel(COLORS).tolist(), *[0] * (3 * 253)])
    picture.save(path)


def maps_of(folder: Path) -> dict[str, np.ndarray]:
    """Return the class names of the pixels of each image of a dataset of masks, painted."""
    found = {}
    dataset = open_dataset(folder)
    names = [category.name for category in dataset.splits[0].categories]
    for name, image in datasets.images_of(dataset).items():
        pixels = np.full(image.size_hw, "", object)
        for instance in image.instances:
            mask = instance.mask(image.size_hw)
            assert (pixels[mask] == "").all()
            pixels[mask] = names[instance.label]
        found[Path(name).stem] = pixels
    return found


def test_folders_without_label_maps(run: Run, tmp_path: Path) -> None:
    datasets.write_images(tmp_path / "in" / "images", ["a.png"], SIZE)
    (tmp_path / "in" / "masks").mkdir()
    stderr = run("data", "convert", "in", "out", "--to", "label_maps", code=3).stderr
    assert "in has 1 images, and no annotations that are known" in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["indices", "palette", "colors", "from 1"])
def test_label_maps_of_all_kinds_are_written_as_indices(run: Run, tmp_path: Path, kind: str) -> None:
    write_maps(tmp_path / "in", kind, {"train": 2, "val": 1, "test": 1})
    stdout = run("data", "convert", "in", "out", "--to", "label_maps").stdout
    assert "in (label_maps) -> out (label_maps): 2 train, 1 val, 1 test; " in stdout
    assert (tmp_path / "out/classes.txt").read_text().split() == NAMES
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(count):
            with Image.open(tmp_path / f"out/label_maps/{split}/{split}{number}.png") as image:
                np.testing.assert_array_equal(np.asarray(image), label_map(number))
                if kind != "indices" and kind != "from 1":
                    assert tuple(image.getpalette()[:9]) == tuple(np.ravel(COLORS))  # type: ignore[index]
    found = recognize(tmp_path / "out")
    assert (found.task, list(found.classes)) == ("semantic", NAMES)


@pytest.mark.parametrize("format", OF_MASKS)
def test_label_maps_have_the_same_pixels_in_all_formats(run: Run, tmp_path: Path, format: str) -> None:
    write_maps(tmp_path / "in", "palette", {"train": 2, "val": 1})
    run("data", "convert", "in", "out", "--to", format)
    found = maps_of(tmp_path / "out")
    assert found.keys() == {"train0", "train1", "val0"}
    names = np.array([*NAMES, *[""] * 253], object)
    for name, pixels in found.items():
        np.testing.assert_array_equal(pixels, names[label_map(int(name[-1]))])
    regions = datasets.images_of(open_dataset(tmp_path / "out"))
    assert max(len(image.instances) for image in regions.values()) > 8  # single pixels are regions of their own
    run("data", "convert", "out", "back", "--to", "label_maps")
    for name, pixels in maps_of(tmp_path / "back").items():
        np.testing.assert_array_equal(pixels, found[name])


def test_one_class_and_distant_classes_stay_indices(run: Run, tmp_path: Path) -> None:
    for values, stem in (([0], "one"), ([0, 90], "far")):
        folder = tmp_path / stem
        datasets.write_images(folder / "images", ["a.jpg"], SIZE)
        write_map(folder / "masks/a.png", np.resize(np.array([*values, 255], np.uint8), SIZE), "palette")
        (folder / "classes.txt").write_text("".join(f"class {number}\n" for number in range(100)))
        run("data", "convert", folder, f"out_{stem}", "--to", "label_maps")
        with Image.open(tmp_path / f"out_{stem}/label_maps/a.png") as image:
            assert set(np.unique(np.asarray(image)).tolist()) == {*values, 255}


def test_instances_as_label_maps(run: Run, tmp_path: Path) -> None:
    from splitnest.data.writers.labeled_image import Instance, LabeledImage
    from splitnest.structures.categories import from_names

    datasets.write_images(tmp_path / "source", ["a.png"])
    instances = (
        datasets.instance_of(1, datasets.mask_rle()),
        datasets.instance_of(0, [datasets.SQUARE]),
        Instance(0, (1, 2, 3, 4)),
    )
    image = LabeledImage("a.png", datasets.SIZE, instances, tmp_path / "source" / "a.png")
    datasets.write_dataset(tmp_path / "in", "coco", [image], from_names(["apple", "pear"]))
    stderr = run("data", "convert", "in", "out", "--to", "label_maps").stderr
    assert "instance without a mask: not in the label map (1)" in stderr
    with Image.open(tmp_path / "out/label_maps/a.png") as picture:
        values = np.asarray(picture)
    expected = np.full(datasets.SIZE, 255)
    for instance in sorted(instances[:2], key=lambda each: -(each.area or 0)):
        expected[instance.mask(datasets.SIZE)] = instance.label
    np.testing.assert_array_equal(values, expected)


def write_panoptic(folder: Path) -> None:
    folder.mkdir()
    panoptic_tree.write(folder)


@pytest.mark.parametrize("format", [*OF_MASKS, "coco_panoptic"])
def test_panoptic_segments(run: Run, tmp_path: Path, format: str) -> None:
    write_panoptic(tmp_path / "in")
    stdout = run("data", "convert", "in", "out", "--to", format).stdout
    assert "in (coco_panoptic) -> out" in stdout
    assert "4 segments; classes cat, dog, sky, sea" in stdout
    painted = maps_of(tmp_path / "out")
    names = np.full((3, 5), "", object)
    for segment in panoptic_tree.SEGMENTS:
        is_kept = format not in ("yolo", "label_studio") or not segment.get("iscrowd")
        name = panoptic_tree.CLASSES.names[[1, 2, 3, 4].index(int(str(segment["category_id"])))]
        names[segment["id"] == panoptic_tree.PIXELS] = name if is_kept else ""
    np.testing.assert_array_equal(painted["4"], names)
    assert (painted["2"] == "").all()


def test_panoptic_is_written_as_it_was(run: Run, tmp_path: Path) -> None:
    write_panoptic(tmp_path / "in")
    run("data", "convert", "in", "out", "--to", "coco_panoptic")
    run("data", "split", "out", "parts", "--fractions", "0.5,0.5")
    content: dict[str, Any] = json.loads((tmp_path / "out/annotations/panoptic_train.json").read_text())
    assert [(row["name"], row["isthing"]) for row in content["categories"]] == [
        ("cat", 1), ("dog", 1), ("sky", 0), ("sea", 0),
    ]  # fmt: skip
    segments = next(row["segments_info"] for row in content["annotations"] if row["segments_info"])
    assert [(row["category_id"], row["iscrowd"], row["area"]) for row in segments] == [
        (each["category_id"], each.get("iscrowd", 0), int((each["id"] == panoptic_tree.PIXELS).sum()))
        for each in panoptic_tree.SEGMENTS
    ]
    assert {path.name for path in (tmp_path / "parts/annotations").glob("*.json")} == {
        "panoptic_train.json", "panoptic_val.json",
    }  # fmt: skip
    assert recognize(tmp_path / "out").task == "panoptic"


@pytest.mark.parametrize("format", ["class_folders", "csv"])
def test_classes_of_images(run: Run, tmp_path: Path, format: str) -> None:
    image_tree.write_classes(tmp_path / "in", {"train": 3, "val": 2})
    stdout = run("data", "convert", "in", "out", "--to", format).stdout
    assert f"in (class_folders) -> out ({format}): 9 train, 6 val; classes blue, green, red" in stdout
    first, second = recognize(tmp_path / "in"), recognize(tmp_path / "out")
    assert second.task == "classification"
    assert second.classes == first.classes
    for one, other in ((first.train, second.train), (first.val, second.val)):
        assert one is not None
        assert other is not None
        labels = [dict(zip(part.names, part.pairs[:, 1].tolist(), strict=True)) for part in (one, other)]
        assert labels[0] == labels[1]
    run("data", "convert", "out", "back", "--to", "class_folders")
    originals = {path.relative_to(tmp_path / "in"): path.read_bytes() for path in (tmp_path / "in").rglob("*.png")}
    assert originals == {p.relative_to(tmp_path / "back"): p.read_bytes() for p in (tmp_path / "back").rglob("*.png")}


def test_split_and_merge_of_classes_and_label_maps(run: Run, tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path / "in", {"train": 5})
    assert "12 train, 3 val" in run("data", "split", "in", "split").stdout
    assert all(len([*(tmp_path / "split/val" / name).iterdir()]) == 1 for name in ("blue", "green", "red"))
    done = run("data", "merge", "in", "split", "merged", "--to", "csv")
    assert "27 train, 3 val; classes blue, green, red" in done.stdout
    write_maps(tmp_path / "maps", "palette", {"": 5})
    assert "4 train, 1 val" in run("data", "split", "maps", "split_maps").stdout
    assert "10 images" in run("data", "merge", "maps", "maps", "both").stdout
    stderr = run("data", "merge", "in", "maps", "x", "--to", "coco", code=2).stderr.replace("\n", " ")
    assert "in has classes of images, but maps has label maps. Merge datasets of one kind" in stderr


@pytest.mark.parametrize(
    ("source", "format", "message"),
    [
        ("maps", "voc", "voc has no place for label maps, which maps has. Write --to coco, yolo, labelme, cvat,"),
        ("maps", "coco_panoptic", "coco_panoptic has no place for label maps"),
        ("maps", "csv", "csv has no place for label maps"),
        ("panoptic", "voc", "voc has no place for panoptic segments"),
        ("panoptic", "class_folders", "class_folders has no place for panoptic segments"),
        ("classes", "coco", "coco has no place for classes of images, which classes has. Write --to class_folders or"),
        ("classes", "label_maps", "label_maps has no place for classes of images"),
        ("boxes", "label_maps", "label_maps has no place for boxes without masks"),
        ("boxes", "coco_panoptic", "coco_panoptic has no place for instances"),
        ("boxes", "csv", "csv has no place for instances"),
    ],
)
def test_formats_without_a_place(run: Run, tmp_path: Path, source: str, format: str, message: str) -> None:
    from splitnest.data.writers.labeled_image import Instance, LabeledImage
    from splitnest.structures.categories import from_names

    match source:
        case "maps":
            write_maps(tmp_path / "maps", "indices", {"": 1})
        case "panoptic":
            write_panoptic(tmp_path / "panoptic")
        case "classes":
            image_tree.write_classes(tmp_path / "classes", {"train": 1})
        case _:
            datasets.write_images(tmp_path / "source", ["a.png"])
            image = LabeledImage("a.png", datasets.SIZE, (Instance(0, (1, 2, 3, 4)),), tmp_path / "source/a.png")
            datasets.write_dataset(tmp_path / "boxes", "yolo", [image], from_names(["apple"]))
    stderr = run("data", "convert", source, "out", "--to", format, code=2).stderr.replace("\n", " ")
    assert message in stderr
    assert not (tmp_path / "out").exists()


def test_class_that_no_folder_can_have(run: Run, tmp_path: Path) -> None:
    datasets.write_images(tmp_path / "in/images", ["a.png", "b.png"], SIZE)
    (tmp_path / "in/labels.csv").write_text('id,label\na,"salt, pepper"\nb.png,a/b\n')
    stderr = run("data", "convert", "in", "out", "--to", "class_folders", code=3).stderr.replace("\n", " ")
    assert "The class name 'a/b' has slashes or control characters, so no folder can have it" in stderr
    run("data", "convert", "in", "out", "--to", "csv")
    rows = (tmp_path / "out/classes.csv").read_text().splitlines()
    assert rows == ["image,class", 'a.png,"salt, pepper"', "b.png,a/b"]
    assert recognize(tmp_path / "out").classes == ("a/b", "salt, pepper")


def test_missing_label_map(run: Run, tmp_path: Path) -> None:
    write_maps(tmp_path / "in", "indices", {"": 4})
    (tmp_path / "in/masks/all2.png").unlink()
    stderr = run("data", "convert", "in", "out", "--to", "coco", code=3).stderr.replace("\n", "")
    assert "all2.jpg has no label map" in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
