"""data convert, split and merge: what is read, what is written, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import datasets
from helpers.command_line import Run
from helpers.processes import can_mount
from splitnest.data.editing.open import open_dataset


def write_coco(folder: Path, names: dict[str, list[int]], classes: tuple[str, ...] = ("apple", "pear")) -> None:
    """Write a COCO dataset of images that each have boxes of some classes."""
    datasets.write_images(folder / "images", list(names))
    images = [{"id": 7 + n, "file_name": name, "height": 48, "width": 64} for n, name in enumerate(names)]
    annotations = [
        {"image_id": 7 + n, "category_id": 1 + label, "bbox": [3.5, 4.25, 20, 30], "area": 600, "iscrowd": 0}
        for n, labels in enumerate(names.values())
        for label in labels
    ]
    content = {
        "images": images,
        "annotations": [{"id": n, **row} for n, row in enumerate(annotations)],
        "categories": [{"id": 1 + n, "name": name} for n, name in enumerate(classes)],
    }
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / "instances.json").write_text(json.dumps(content))


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_dataset_without_annotations(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": []})
    stdout = run("data", "convert", "in", "out", "--to", "yolo").stdout
    assert "in (coco) -> out (yolo): 1 images; 0 instances; classes apple, pear" in stdout
    assert names_in(tmp_path / "out") == [".splitnest", "data.yaml", "images/a.png", "labels/a.txt"]
    assert (tmp_path / "out" / "labels" / "a.txt").read_text() == ""


def test_copies_and_links(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": [0], "sub/b.png": [1, 1]})
    for option, is_link in (([], False), (["--link"], True)):
        out = tmp_path / f"out{is_link}"
        run("data", "convert", "in", out.name, "--to", "voc", *option)
        for name in ("a.png", "sub/b.png"):
            image = out / "JPEGImages" / name
            assert image.is_symlink() == is_link
            assert image.read_bytes() == (tmp_path / "in" / "images" / name).read_bytes()
            assert not is_link or not os.path.isabs(os.readlink(image))
    assert "<name>pear</name>" in (out / "Annotations" / "sub" / "b.xml").read_text()


def test_split_is_stratified_and_the_same_each_time(run: Run, tmp_path: Path) -> None:
    labels = {f"{n}.png": [0] if n % 5 else [0, 1] for n in range(20)}
    write_coco(tmp_path / "in", labels)
    stdout = run("data", "split", "in", "a", "--fractions", "0.8,0.2").stdout
    assert "16 train, 4 val" in stdout
    run("data", "split", "in", "b", "--fractions", "80,20")
    assert names_in(tmp_path / "a") == names_in(tmp_path / "b")
    assert (tmp_path / "a/annotations/instances_val.json").read_bytes() == (
        tmp_path / "b/annotations/instances_val.json"
    ).read_bytes()
    val = json.loads((tmp_path / "a" / "annotations" / "instances_val.json").read_text())
    assert sum(row["category_id"] == 2 for row in val["annotations"]) == 1  # of 4 images with the rare class
    assert [row["id"] for row in val["images"]] == [7 + int(row["file_name"][:-4]) for row in val["images"]]


def test_groups_stay_together(run: Run, tmp_path: Path) -> None:
    names = {f"{scene}/{n}.png": [0] for scene in "abcde" for n in range(4)}
    write_coco(tmp_path / "in", names)
    run("data", "split", "in", "folders", "--group-by", "folder", "--fractions", "0.6,0.2,0.2")
    parts = [{path.parent.name for path in (tmp_path / "folders/images" / s).rglob("*.png")} for s in ("train", "val")]
    assert [len(part) for part in parts] == [3, 1]
    assert not parts[0] & parts[1]
    rows = "".join(f"{name},p{n % 4}\n" for n, name in enumerate(names))
    (tmp_path / "groups.csv").write_text(f"file,patient\n{rows}")
    run("data", "split", "in", "patients", "--group-by", "groups.csv#patient", "--fractions", "0.75,0.25")
    val = {path.stem for path in (tmp_path / "patients/images/val").rglob("*.png")}
    assert len(val) == 1
    for option, message in (
        ("groups.csv", "--group-by is 'groups.csv'. Give 'folder', or a file and a column"),
        ("groups.csv#name", "groups.csv has no column 'name', but file, patient"),
        ("none.csv#name", "none.csv cannot be read: it does not exist"),
    ):
        code = 2 if "#" not in option else 3
        assert message in run("data", "split", "in", "x", "--group-by", option, code=code).stderr.replace("\n", " ")


def test_merge_unifies_classes_and_renames_images(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "a", {"1.png": [0], "2.png": [1]}, ("apple", "pear"))
    write_coco(tmp_path / "b", {"1.png": [0, 1]}, ("pear", "plum"))
    done = run("data", "merge", "a", "b", "out")
    assert "3 images; 4 instances; classes apple, pear, plum" in done.stdout
    assert "image with another name than before, as names have to differ and to be plain (1)" in done.stderr
    content = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    assert [row["file_name"] for row in content["images"]] == ["1.png", "2.png", "1-2.png"]
    assert [row["id"] for row in content["images"]] == [1, 2, 3]
    assert [(row["image_id"], row["category_id"]) for row in content["annotations"]] == [(1, 1), (2, 2), (3, 2), (3, 3)]
    assert "Give two or more" in run("data", "merge", "a", "x", code=2).stderr


@pytest.mark.parametrize("command", ["convert", "split", "merge"])
def test_nothing_of_others_is_replaced(run: Run, tmp_path: Path, command: str) -> None:
    write_coco(tmp_path / "in", {"a.png": [0], "b.png": [0]})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    sources = ["in", "in"] if command == "merge" else ["in"]
    for out, message in (
        ("full", "full is not empty. Give a new or empty folder."),
        ("file", "file is a file or a link. Give a new folder."),
        ("in", "in is not empty"),
    ):
        options = ["--to", "coco"] if command != "split" else ["--fractions", "0.5,0.5"]
        assert message in run("data", command, *sources, out, *options, code=2).stderr
    assert names_in(tmp_path / "full") == ["mine.txt"]


def test_missing_image_and_wrong_size_leave_nothing(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": [0], "b.png": [0], "c.png": [0]})
    (tmp_path / "in" / "images" / "a.png").unlink()
    datasets.write_images(tmp_path / "in" / "images", ["b.png"], (20, 30))
    stderr = run("data", "convert", "in", "out", "--to", "coco", code=3).stderr
    assert "in/images/a.png cannot be read: it does not exist" in stderr
    assert "b.png has 30 x 20 pixels, but its annotations say 64 x 48" in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fractions", "0.8"], "Give positive numbers that add up to 1"),
        (["--fractions", "0.8,0.1"], "Give positive numbers that add up to 1"),
        (["--fractions", "1.2,-0.2"], "Give positive numbers that add up to 1"),
        (["--fractions", "a,b"], "Give numbers with commas"),
        (["--fractions", "0.5,0.5", "--names", "a,a"], "Give as many different --names"),
        (["--fractions", "0.5,0.5", "--names", "a/b,c"], "has slashes"),
        (["--fractions", "0.25,0.25,0.25,0.25"], "Give as many different --names"),
    ],
)
def test_bad_fractions(run: Run, tmp_path: Path, options: list[str], message: str) -> None:
    write_coco(tmp_path / "in", {"a.png": [0], "b.png": [0]})
    assert message in run("data", "split", "in", "out", *options, code=2).stderr.replace("\n", " ")


def test_split_that_gets_no_image(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": [0]})
    stderr = run("data", "split", "in", "out", code=3).stderr
    assert "in has 1 images, so the split val gets none. Change --fractions." in stderr
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("needs the permission to mount")
    datasets.write_images(tmp_path / "in" / "images", ["a.png"], (600, 800))
    write_coco(tmp_path / "in", {"b.png": [0]})
    (tmp_path / "disk").mkdir()
    shell = 'mount -t tmpfs -o size=256k tmpfs "$1/disk" && cd "$1" && '
    shell += '"$0" -m splitnest data convert in disk/out --to yolo; echo "code $?" >&2; ls -A disk'
    (tmp_path / "in" / "annotations" / "instances.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.png", "height": 600, "width": 800}], "categories": []}'
    )
    command = ["unshare", "-m", "sh", "-c", shell, sys.executable, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "disk/out cannot be written: No space left on device. Free disk space" in done.stderr
    assert "code 5" in done.stderr
    assert done.stdout == ""


def test_read_only_target(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": [0]})
    (tmp_path / "file").touch()
    assert "cannot be written" in run("data", "convert", "in", "file/out", "--to", "coco", code=5).stderr
    assert "cannot be written" in run("data", "convert", "in", "/proc/out", "--to", "coco", code=5).stderr


def test_open_dataset_of_a_converted_one_is_equal(run: Run, tmp_path: Path) -> None:
    write_coco(tmp_path / "in", {"a.png": [0, 1], "b.png": []})
    run("data", "split", "in", "out", "--fractions", "0.5,0.5")
    run("data", "convert", "out", "again", "--to", "yolo")
    run("data", "convert", "again", "last", "--to", "coco")
    first, last = (datasets.images_of(open_dataset(tmp_path / name)) for name in ("out", "last"))
    assert first.keys() == last.keys() == {"a.png", "b.png"}
    for name, image in first.items():
        datasets.assert_equal_images(image, last[name], (["apple", "pear"],) * 2)


def test_files_of_the_same_images_are_read_once(run: Run, tmp_path: Path) -> None:
    """As COCO's ``instances_train.json`` beside ``person_keypoints_train.json``, and a file with fewer instances."""
    write_coco(tmp_path / "in", {"a.png": [0, 1], "b.png": [1]})
    path = tmp_path / "in/annotations/instances.json"
    content = json.loads(path.read_text())
    fewer = {**content, "annotations": content["annotations"][:1]}
    (tmp_path / "in/annotations/more.json").write_text(json.dumps(fewer))
    points = {"keypoints": [4, 5, 2], "num_keypoints": 1}
    people = {
        **content,
        "annotations": [{**content["annotations"][0], **points}],
        "categories": [{"id": 1, "name": "apple", "keypoints": ["stem"], "skeleton": []}],
    }
    (tmp_path / "in/annotations/person_keypoints.json").write_text(json.dumps(people))
    done = run("data", "convert", "in", "out", "--to", "coco")
    assert "2 images; 3 instances; classes apple, pear" in done.stdout
    stderr = done.stderr.replace("\n", " ")
    assert "boxes and masks are read; for keypoints give one of the files annotations/person_keypoints.json" in stderr
    assert "annotations/more.json annotates images that annotations/instances.json annotates too" in stderr
    assert "2 images, 3 annotations" in run("data", "stats", "in").stdout
