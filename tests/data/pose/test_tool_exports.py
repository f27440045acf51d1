"""Keypoints of YOLO, labelme, CVAT and Label Studio: recognized, opened, and the same in all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from helpers.tool_exports import Annotated, write_images
from splitnest.data.editing.convert import convert
from splitnest.data.editing.open import open_dataset as edited
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.recognition.recognize import recognize
from splitnest.errors import DataError
from splitnest.recipe import PoseRecipe
from splitnest.recipe.file_data import SPLITS
from splitnest.tasks import task_of
from splitnest.training.starting_recipe.machine import Machine
from splitnest.training.starting_recipe.new import new_recipe

NAMES = ("left_eye", "right_eye", "nose")
BOX = (8.0, 8.0, 48.0, 40.0)
POINTS = {"left_eye": (16.0, 12.0), "right_eye": (32.0, 16.0), "nose": (24.0, 24.0)}
COUNT = 6


def images(folder: Path) -> list[str]:
    names = [f"{number}.png" for number in range(COUNT)]
    write_images(folder, [Annotated(name, 64, 64) for name in names])
    return names


def yolo(root: Path) -> None:
    (root / "labels").mkdir(parents=True)
    x1, y1, x2, y2 = np.array(BOX) / 64
    points = " ".join(f"{x / 64} {y / 64} 2" for x, y in POINTS.values())
    for name in images(root / "images"):
        line = f"0 {(x1 + x2) / 2} {(y1 + y2) / 2} {x2 - x1} {y2 - y1} {points}"
        (root / "labels" / name).with_suffix(".txt").write_text(line)
    names = ", ".join(NAMES)
    (root / "data.yaml").write_text(f"train: images\nnames: [cat]\nkpt_shape: [3, 3]\nkpt_names: {{0: [{names}]}}\n")


def labelme(root: Path) -> None:
    for name in images(root):
        shapes: list[dict[str, Any]] = [
            {"label": "cat", "shape_type": "rectangle", "group_id": 4, "points": [BOX[:2], BOX[2:]]}
        ]
        shapes += [
            {"label": part, "shape_type": "point", "group_id": 4, "points": [point]} for part, point in POINTS.items()
        ]
        content = {"shapes": shapes, "imagePath": name, "imageHeight": 64, "imageWidth": 64}
        (root / name).with_suffix(".json").write_text(json.dumps(content))


def label_studio(root: Path) -> None:
    tasks = []
    for name in images(root / "images"):
        size = {"original_width": 64, "original_height": 64}
        x1, y1, x2, y2 = np.array(BOX) / 0.64
        box = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rectanglelabels": ["cat"]}
        result = [{**size, "id": "r", "value": box}]
        result += [
            {**size, "id": part, "parentID": "r", "value": {"x": x / 0.64, "y": y / 0.64, "keypointlabels": [part]}}
            for part, (x, y) in POINTS.items()
        ]
        tasks.append({"data": {"image": f"/data/upload/{name}"}, "annotations": [{"result": result}]})
    (root / "export.json").write_text(json.dumps(tasks))


def cvat(root: Path) -> None:
    points = "".join(f'<points label="{part}" outside="0" points="{x},{y}"/>' for part, (x, y) in POINTS.items())
    text = "".join(
        f'<image name="{name}" width="64" height="64"><skeleton label="cat">{points}</skeleton></image>'
        for name in images(root / "images")
    )
    (root / "a.xml").write_text(f"<annotations><meta/>{text}</annotations>")


@pytest.mark.parametrize("write", [yolo, labelme, label_studio, cvat])
def test_keypoints_are_recognized_and_opened(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "cats")
    found = recognize(tmp_path / "cats")
    assert (found.task, found.classes, found.keypoints) == ("pose", ("cat",), NAMES)
    assert len(found.train.pairs) == COUNT
    new = new_recipe("", tmp_path / "x.yaml", machine=Machine(2, None, False), recognized=found)
    new.write()
    task = task_of(new.recipe)
    recipe, _ = task.complete(new.recipe)
    assert recipe.data.keypoints.flip_pairs == (("left_eye", "right_eye"),)  # type: ignore[union-attr]
    dataset = task.open_dataset(recipe, "train")
    assert isinstance(dataset, PoseDataset)
    assert len(dataset) == COUNT - 1
    np.testing.assert_allclose(dataset.keypoints[0], [[16, 12, 2], [32, 16, 2], [24, 24, 2]], atol=1e-9)
    expected = [16, 12, 32, 24] if write is cvat else BOX  # the box around the points
    np.testing.assert_allclose(dataset.boxes[0], expected, atol=1e-9)
    assert len(task.training_set(dataset, recipe)) == COUNT - 1


def test_keypoint_of_another_model(tmp_path: Path) -> None:
    labelme(tmp_path / "cats")
    recipe = new_recipe(tmp_path / "cats", tmp_path / "x.yaml", machine=Machine(2, None, False)).recipe
    path = tmp_path / "cats/0.json"
    path.write_text(path.read_text().replace("nose", "tail"))
    task = task_of(recipe)
    recipe, _ = task.complete(recipe.model_copy(update={"data": recipe.data.model_copy(update={"train_list": None})}))
    with pytest.raises(DataError, match=r"has a keypoint 'tail', but those of the model are left_eye, right_eye, nose"):
        task.open_dataset(recipe, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2 0.1 0.1", "2 numbers follow the box; 3 keypoints have 6 .* or 9"),
        ("0 0.5 0.5", "2 numbers follow the class|0 numbers follow the box"),
        ("0 0.5 0.5 0.2 0.2 x 0.1 2 0 0 0 0 0 0", "could not convert"),
        ("0 0.5 0.5 0.2 0.2 0.1 0.1 0.9 0 0 0 0 0 0", "the visibility of a keypoint is 0.9, not 0, 1 or 2"),
    ],
)
def test_wrong_lines_of_yolo(tmp_path: Path, line: str, message: str) -> None:
    yolo(tmp_path)
    (tmp_path / "labels/0.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        recognize(tmp_path)


@pytest.mark.parametrize("shape", ["17", "[0, 3]", "[3, 3, 3]", "['a', 3]", "[3, 4]", "[1001, 3]"])
def test_wrong_shape_of_keypoints(tmp_path: Path, shape: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [cat]\nkpt_shape: {shape}\n")
    with pytest.raises(DataError, match="Write the number of keypoints"):
        recognize(tmp_path)


@pytest.mark.parametrize(("names", "message"), [("[a, b]", "kpt_names has 2 names"), ("[a, b, a]", "more than once")])
def test_wrong_names_of_keypoints(tmp_path: Path, names: str, message: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [cat]\nkpt_shape: [3, 3]\nkpt_names: {names}\n")
    with pytest.raises(DataError, match=message):
        recognize(tmp_path)


@pytest.mark.parametrize("flips", ["[0, 1]", "[1, 2, 0]", "[0, 2, 3]", "[0, 0, 2]", "x", "[true, 0, 2]"])
def test_wrong_flip_idx(tmp_path: Path, flips: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [cat]\nkpt_shape: [3, 3]\nflip_idx: {flips}\n")
    with pytest.raises(DataError, match="Write the partner of each one, or its own number, as in flip_idx"):
        recognize(tmp_path)


@pytest.mark.parametrize(
    ("text", "pairs", "flip"),
    [
        ("flip_idx: [2, 1, 0]", [["point_0", "point_2"]], 0.5),
        ("flip_idx: [0, 1, 2]", None, 0.5),  # a flip swaps none of them
        ("", None, 0.0),  # not known
        ("kpt_names: [left_eye, right_eye, nose]", None, 0.5),
        ("flip_idx: [1, 0, 2]\nkpt_names: [left_eye, right_eye, nose]", None, 0.5),
        ("flip_idx: [2, 1, 0]\nkpt_names: [a, b, c]", [["a", "c"]], 0.5),
    ],
)
def test_flip_idx(tmp_path: Path, text: str, pairs: list[list[str]] | None, flip: float) -> None:
    yolo(tmp_path / "in")
    path = tmp_path / "in/data.yaml"
    path.write_text(f"train: images\nnames: [cat]\nkpt_shape: [3, 3]\n{text}\n")
    found = recognize(tmp_path / "in")
    assert found.flip_pairs == (None if pairs is None else tuple(map(tuple, pairs)))
    assert any("has no flip_idx" in note for note in found.assumed) == (flip == 0)
    new = new_recipe("", tmp_path / "x.yaml", machine=Machine(2, None, False), recognized=found)
    new.write()
    assert isinstance(new.recipe, PoseRecipe)
    assert new.recipe.train is not None
    assert new.recipe.train.flip == flip
    dataset = task_of(new.recipe).open_dataset(task_of(new.recipe).complete(new.recipe)[0], "train")
    assert isinstance(dataset, PoseDataset)
    skeleton = dataset.skeleton
    for format in ("yolo", "coco"):
        convert(edited(tmp_path / "in"), tmp_path / format, format)
        again = edited(tmp_path / format).splits[0].categories
        if flip:
            assert again.flip_indices == skeleton.flip_indices
    written = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert written.get("flip_idx") == (list(skeleton.flip_indices) if flip else None)


@pytest.mark.parametrize("size", [2, 3])
def test_few_labeled_keypoints_of_yolo(tmp_path: Path, size: int) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [bird, cat]\nkpt_shape: [3, {size}]\n")
    for number in range(COUNT):
        points = "0.25 0.5 1" if number == 1 else "0 0 0"
        points = " ".join([points, "0 0 0", "0 0 0"]) if size == 3 else f"{points[:-2]} 0 0 0 0"
        (tmp_path / f"labels/{number}.txt").write_text(f"1 0.5 0.5 0.5 0.5 {points}")
    found = recognize(tmp_path)
    assert (found.task, found.classes) == ("pose", ("bird", "cat"))  # class numbers keep their meaning
    assert found.train.pairs.tolist() == [[1, 1]]
    split = edited(tmp_path).splits[0]
    assert split.keypoints is not None
    assert split.keypoints[1].tolist() == [[16, 32, 1 if size == 3 else 2], [0, 0, 0], [0, 0, 0]]
    (tmp_path / "labels/1.txt").unlink()
    with pytest.raises(DataError, match="no instance with labeled keypoints"):
        recognize(tmp_path)


def test_keypoints_of_several_folders(tmp_path: Path) -> None:
    for part in ("one", "two"):
        yolo(tmp_path / part)
        (tmp_path / part / "data.yaml").rename(tmp_path / "data.yaml")
    path = tmp_path / "two/labels/0.txt"
    path.write_text(path.read_text().replace(" 2", " 0"))
    text = (tmp_path / "data.yaml").read_text()
    (tmp_path / "data.yaml").write_text(text.replace("train: images", "train: [one/images, two/images]"))
    found = recognize(tmp_path)
    assert found.train.pairs[:, 0].tolist() == [n for n in range(2 * COUNT) if n != COUNT]
    new = new_recipe("", tmp_path / "x.yaml", machine=Machine(2, None, False), recognized=found)
    new.write()
    recipe, _ = task_of(new.recipe).complete(new.recipe)
    dataset = task_of(recipe).open_dataset(recipe, "train")
    assert isinstance(dataset, PoseDataset)
    assert len(dataset) > COUNT
    np.testing.assert_allclose(dataset.keypoints[-1], [[16, 12, 2], [32, 16, 2], [24, 24, 2]], atol=1e-9)


@pytest.mark.parametrize("write", [yolo, labelme, label_studio, cvat])
def test_keypoints_are_the_same_in_conversion(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "cats")
    (split,) = edited(tmp_path / "cats").splits
    assert split.keypoint_names == NAMES
    assert split.keypoints is not None
    np.testing.assert_allclose(split.keypoints, [[(*point, 2) for point in POINTS.values()]] * COUNT, atol=1e-9)


@pytest.mark.parametrize("write", [yolo, labelme])
def test_keypoints_of_large_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    monkeypatch.setattr("splitnest.data.recognition.sampling.MAX_READ", 4)
    monkeypatch.setattr("splitnest.data.recognition.sampling.SAMPLE", 3)
    for module in ("tools", "yolo"):
        monkeypatch.setattr(f"splitnest.data.recognition.{module}.MAX_READ", 4)
    write(tmp_path / "cats")
    found = recognize(tmp_path / "cats")
    assert (found.task, found.keypoints, len(found.train), found.train.num_read) == ("pose", NAMES, COUNT, 3)
    new = new_recipe("", tmp_path / "x.yaml", machine=Machine(2, None, False), recognized=found)
    new.write()
    recipe, _ = task_of(new.recipe).complete(new.recipe)
    train, val = (task_of(recipe).open_dataset(recipe, split) for split in SPLITS)
    assert len(train) + len(val) == COUNT


def test_few_points_are_not_keypoints(tmp_path: Path) -> None:
    labelme(tmp_path)
    for number in range(1, COUNT):
        path = tmp_path / f"{number}.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "shapes": content["shapes"][:1]}))
    found = recognize(tmp_path)
    assert found.task == "detection"
    assert any("1 of 6 instances have keypoints" in note for note in found.assumed)
