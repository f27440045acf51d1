"""Readers of labelme, CVAT, Label Studio and Open Images: the same annotations from all, and wrong files."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.tool_exports import (
    Annotated,
    Instance,
    task,
    write_cvat,
    write_images,
    write_label_studio,
    write_labelme,
    write_open_images,
    write_shapes,
    write_tasks,
)
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.cvat import collect_cvat, read_cvat
from splitnest.data.formats.label_studio import collect_label_studio, read_label_studio
from splitnest.data.formats.labelme import collect_labelme, read_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.errors import DataError
from splitnest.structures.categories import from_names
from splitnest.structures.masks import rle_to_mask

Read = Callable[[Path, Sequence[Annotated]], AnnotationFile]

SCENES = (
    Annotated("a.png", 60, 40, (Instance("fig", (5.5, 5.0, 40.0, 30.0)), Instance("date", (1.0, 2.0, 9.0, 8.0)))),
    Annotated("b.jpg", 50, 45, (Instance("fig", (2.0, 3.0, 20.0, 25.0)),)),
    Annotated("empty.png", 30, 30),
)
TRIANGLE = Instance("fig", (5.0, 6.0, 25.0, 30.5), ((5.0, 6.0), (25.0, 7.25), (15.0, 30.5)))


def labelme(folder: Path, images: Sequence[Annotated]) -> AnnotationFile:
    return read_labelme(write_labelme(folder, images), folder)


def cvat(folder: Path, images: Sequence[Annotated]) -> AnnotationFile:
    return read_cvat(write_cvat(folder / "annotations.xml", images), folder)


def label_studio(folder: Path, images: Sequence[Annotated]) -> AnnotationFile:
    return read_label_studio(write_label_studio(folder / "export.json", images), folder)


def open_images(folder: Path, images: Sequence[Annotated]) -> AnnotationFile:
    return read_open_images(write_open_images(folder / "boxes.csv", images), folder)


@pytest.mark.parametrize("read", [labelme, cvat, label_studio, open_images])
def test_no_instances(read: Read, tmp_path: Path) -> None:
    images = [Annotated("a.png", 60, 40)]
    write_images(tmp_path, images)
    file = read(tmp_path, images)
    assert len(file.ids) == 0
    assert file.categories == ()
    assert file.file_names == (() if read is open_images else ("a.png",))


@pytest.mark.parametrize("read", [labelme, cvat, label_studio, open_images])
def test_boxes(read: Read, tmp_path: Path) -> None:
    write_images(tmp_path, SCENES)
    file = read(tmp_path, SCENES)
    assert [name for _, name in file.categories] == ["date", "fig"]
    assert file.file_names == ("a.png", "b.jpg", "empty.png")[: len(file.file_names)]
    assert file.sizes_hw.tolist()[:2] == [[40, 60], [45, 50]]
    np.testing.assert_allclose(file.boxes_xywh, [[5.5, 5, 34.5, 25], [1, 2, 8, 6], [2, 3, 18, 22]], atol=1e-9)
    assert file.category_index.tolist() == [1, 0, 1]
    assert not file.iscrowd.any()
    assert file.cite(0).endswith("of a.png")


@pytest.mark.parametrize("read", [labelme, cvat, label_studio])
def test_polygons(read: Read, tmp_path: Path) -> None:
    images = [Annotated("a.png", 60, 40, (TRIANGLE,))]
    write_images(tmp_path, images)
    file = read(tmp_path, images)
    (polygon,) = file.segmentations.of(0)
    np.testing.assert_allclose(polygon, np.ravel(TRIANGLE.polygon), atol=1e-9)
    np.testing.assert_allclose(file.boxes_xywh, [[5, 6, 20, 24.5]], atol=1e-9)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_all_tools_give_the_same_annotations(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("law")
    number = st.floats(0, 30).map(lambda value: round(value, 3))
    side = st.floats(1, 25).map(lambda value: round(value, 3))
    boxes = st.tuples(number, number, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    instances = st.lists(st.builds(Instance, st.sampled_from(["a & b", "ü", '"x"']), boxes), max_size=3).map(tuple)
    images = [Annotated(name, 60, 60, data.draw(instances)) for name in ("a.png", "b.png")]
    write_images(folder, images)
    files = [read(folder / read.__name__, images) for read in (_own_folder(each) for each in (labelme, cvat))]
    files.append(label_studio(folder, images))
    for file in files:
        assert file.categories == files[0].categories
        np.testing.assert_allclose(file.boxes_xywh, files[0].boxes_xywh, atol=1e-9)
        np.testing.assert_array_equal(file.category_index, files[0].category_index)


def _own_folder(read: Read) -> Read:
    def read_there(folder: Path, images: Sequence[Annotated]) -> AnnotationFile:
        write_images(folder, images)
        return read(folder, images)

    return read_there


def test_labelme_groups_circles_and_masks(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(png, format="PNG")
    triangle = [[1, 1], [9, 1], [5, 9]]
    write_shapes(
        tmp_path,
        {"label": "a", "shape_type": "polygon", "group_id": 1, "points": triangle},
        {"label": "a", "shape_type": "polygon", "group_id": 1, "points": [[20, 1], [29, 1], [25, 9]]},
        {"label": "b", "shape_type": "circle", "points": [[30, 20], [40, 20]]},
        {"label": "c", "shape_type": "mask", "points": [[56, 10], [61, 13]],
         "mask": base64.b64encode(png.getvalue()).decode()},
        {"label": "nose", "shape_type": "point", "group_id": 1, "points": [[3, 4]]},
        {"label": "d", "shape_type": "linestrip", "points": [[3, 4], [5, 6]]},
        {"label": "e", "shape_type": "rectangle", "points": [[9, 9], [3, 4]], "difficult": True},
        imagePath="..\\photos\\a.png",
    )  # fmt: skip
    file, points = collect_labelme(tmp_path, tmp_path)
    assert points == {0: [("nose", 3.0, 4.0, 2)]}
    assert [name for _, name in file.categories] == ["a", "b", "c", "e"]
    assert file.segmentations.num_polygons().tolist() == [2, 1, 0, 0]
    np.testing.assert_allclose(file.boxes_xywh, [[1, 1, 28, 8], [20, 10, 20, 20], [56, 10, 4, 4], [3, 4, 6, 5]], atol=1)
    assert file.areas[1] == pytest.approx(np.pi * 100, rel=0.05)
    assert rle_to_mask(file.segmentations.of(2))[10:14, 56:].all()  # type: ignore[arg-type]  # an RLE
    assert file.iscrowd.tolist() == [False, False, False, True]
    assert file.notes["linestrip of labelme, which has no area: not read"]


def test_cvat_shapes_of_all_kinds(tmp_path: Path) -> None:
    write_images(tmp_path, [Annotated("x.png", 60, 40)])
    (tmp_path / "a.xml").write_text("""<annotations><meta><job><labels>
        <label><name>z</name></label><label><name>a</name></label>
        <label><name>nose</name><parent>z</parent></label></labels></job></meta>
        <image id="0" name="sub/x.png" width="60" height="40">
        <mask label="a" rle="1, 2, 3" left="10" top="5" width="3" height="2"/>
        <ellipse label="a" cx="30" cy="20" rx="10" ry="5" rotation="90"/>
        <polyline label="a" points="1,1;2,2"/><cuboid label="a"/><attribute/>
        <skeleton label="z"><points label="nose" outside="0" occluded="1" points="3,4"/>
        <points label="tail" outside="0" points="13,24"/><points label="ear" outside="1" points="0,0"/></skeleton>
        <box label="a" xtl="9" ytl="8" xbr="1" ybr="2"><attribute name="is_crowd">true</attribute></box>
        </image><image id="1" name="absent.png" width="6" height="4"/></annotations>""")
    file, points = collect_cvat(tmp_path / "a.xml", tmp_path)
    assert points == {2: [("nose", 3.0, 4.0, 1), ("tail", 13.0, 24.0, 2)]}
    assert file.categories == ((1, "z"), (2, "a"))
    np.testing.assert_allclose(
        file.boxes_xywh, [[11, 5, 2, 1], [25, 10, 10, 20], [3, 4, 10, 20], [1, 2, 8, 6]], atol=0.5
    )
    assert np.argwhere(rle_to_mask(file.segmentations.of(0))).tolist() == [[5, 11], [5, 12]]  # type: ignore[arg-type]
    assert file.iscrowd.tolist() == [False, False, False, True]
    assert len(file.notes["image of the XML file that does not exist: not read"]) == 1


def test_cvat_tracks_of_a_video(tmp_path: Path) -> None:
    write_images(tmp_path, [Annotated(f"frame_{number:06d}.png", 60, 40) for number in range(3)])
    (tmp_path / "a.xml").write_text("""<annotations><meta><task><labels><label><name>cat</name></label></labels>
        <original_size><width>60</width><height>40</height></original_size></task></meta>
        <track id="0" label="cat"><box frame="0" outside="0" xtl="1" ytl="2" xbr="11" ybr="12"/>
        <box frame="1" outside="1" xtl="1" ytl="2" xbr="11" ybr="12"/>
        <box frame="2" outside="0" xtl="3" ytl="2" xbr="13" ybr="12"/></track></annotations>""")
    file = read_cvat(tmp_path / "a.xml", tmp_path)
    assert file.file_names == ("frame_000000.png", "frame_000002.png")
    assert file.boxes_xywh.tolist() == [[1, 2, 10, 10], [3, 2, 10, 10]]


def rle_of(mask: np.ndarray) -> list[int]:
    """Encode a mask as Label Studio does, in the simplest way: literal bytes."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "0000" * 3 + f"{15:04b}"
    for first in range(0, len(values), 1000):
        chunk = values[first : first + 1000]
        runs = len(set(chunk)) == 1
        bits += f"{int(runs)}11{len(chunk) - 1:016b}" + "".join(f"{v:08b}" for v in (chunk[:1] if runs else chunk))
    bits += "0" * (-len(bits) % 8)
    return [int(bits[first : first + 8], 2) for first in range(0, len(bits), 8)]


def test_label_studio_regions_of_all_kinds(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:45] = True
    path = write_tasks(tmp_path, task(
        {"id": "b", "type": "brushlabels", "value": {"format": "rle", "rle": rle_of(mask), "brushlabels": ["m"]}},
        {"id": "e", "value": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "ellipselabels": ["e"]}},
        {"id": "r", "value": {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["cat"]}},
        {"id": "k", "parentID": "r", "value": {"x": 20, "y": 50, "width": 0.5, "keypointlabels": ["nose"]}},
        {"id": "u", "type": "rectangle", "value": {"x": 1, "y": 1, "width": 5, "height": 5}},
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
    ))  # fmt: skip
    file, points = collect_label_studio(path, tmp_path)
    assert points == {2: [("nose", 12.0, 20.0, 2)]}
    assert [name for _, name in file.categories] == ["cat", "e", "m"]
    np.testing.assert_allclose(file.boxes_xywh, [[30, 10, 15, 10], [24, 16, 12, 8], [6, 4, 30, 20]], atol=1)
    np.testing.assert_array_equal(rle_to_mask(file.segmentations.of(0)), mask)  # type: ignore[arg-type]  # an RLE
    assert file.notes["region without a label: not read"]


def test_label_studio_min_export_and_annotators(tmp_path: Path) -> None:
    region = {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["cat"], "original_width": 60,
              "original_height": 40}  # fmt: skip
    minimal = {"image": "/data/upload/1/0123abcd-my%20cat.png", "id": 3, "label": [region], "annotation_id": 5}
    file = read_label_studio(write_tasks(tmp_path, minimal), tmp_path)
    assert file.boxes_xywh.tolist() == [[6, 4, 30, 20]]
    two = task({"value": region})
    two["annotations"] = [{"was_cancelled": True, "result": []}, two["annotations"][0], {"result": []}]
    file = read_label_studio(write_tasks(tmp_path, two), tmp_path)
    assert len(file.ids) == 1
    assert file.notes["task with several annotations: the first one is read"]
    cancelled = read_label_studio(write_tasks(tmp_path, task(was_cancelled=True)), tmp_path)
    assert cancelled.file_names == ()


@pytest.mark.parametrize("read", [labelme, cvat, label_studio, open_images])
def test_class_of_another_model(read: Read, tmp_path: Path) -> None:
    write_images(tmp_path, SCENES)
    read(tmp_path, SCENES)
    readers = {labelme: read_labelme, cvat: read_cvat, label_studio: read_label_studio, open_images: read_open_images}
    sources = {labelme: "", cvat: "annotations.xml", label_studio: "export.json", open_images: "boxes.csv"}
    with pytest.raises(DataError, match=r"class 'date' is not a class .* data\.classes to \[fig, kiwi, date\]"):
        readers[read](tmp_path / sources[read], tmp_path, from_names(["fig", "kiwi"]))
    model = from_names(["fig", "kiwi", "date"])
    assert readers[read](tmp_path / sources[read], tmp_path, model).category_index.tolist() == [0, 2, 0]
