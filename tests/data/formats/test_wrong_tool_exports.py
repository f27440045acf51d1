"""Wrong files of labelme, CVAT, Label Studio and Open Images."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.tool_exports import (
    Annotated,
    task,
    write_images,
    write_shapes,
    write_tasks,
)
from splitnest.data.formats.cvat import read_cvat
from splitnest.data.formats.label_studio import read_label_studio
from splitnest.data.formats.labelme import read_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.errors import DataError

BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotations>&y;</annotations>'


def cvat_shape(text: str) -> str:
    return f'<annotations>\n<image name="my cat.png" width="60" height="40">\n{text}\n</image></annotations>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.xml, line 1: invalid XML"),
        ("<annotation/>", "its root element is annotation, not annotations"),
        (BOMB, "has a document type declaration"),
        (b"\xff\xfe<", "is not UTF-8 text"),
        ("<annotations>" + "<a>" * 200 + "</a>" * 200 + "</annotations>", "is inside more than 100 elements"),
        ('<annotations><image width="6" height="4"/></annotations>', "line 1: this image has no name"),
        ('<annotations><image name="my cat.png" width="6"/></annotations>', "there is no 'height'"),
        ('<annotations><image name="my cat.png" width="1e9" height="4000"/></annotations>', "million pixels"),
        (cvat_shape('<box label="a" xtl="1" ytl="2" xbr="wide" ybr="4"/>'), "line 3: 'xbr' is 'wide', not a number"),
        (cvat_shape('<box label="a" xtl="1" ytl="2" xbr="inf" ybr="4"/>'), "not a finite number"),
        (cvat_shape('<box label="a" rotation="30" xtl="1" ytl="2" xbr="9" ybr="4"/>'), "rotated by 30 degrees"),
        (cvat_shape('<box xtl="1" ytl="2" xbr="9" ybr="4"/>'), "this box has no label"),
        (cvat_shape('<polygon label="a" points="1,2;3,4"/>'), "a polygon has 2 vertices, and needs at least 3"),
        (cvat_shape('<polygon label="a" points="1,2;3;4,5"/>'), "the point '3' is not two numbers"),
        (cvat_shape('<mask label="a" rle="1,2" left="1" top="1" width="3" height="2"/>'), "have 3 pixels"),
        (cvat_shape('<mask label="a" rle="1,2" left="1" top="1" width="999999" height="99999"/>'), "the mask has"),
        (cvat_shape('<ellipse label="a" cx="1" cy="1" rx="0" ry="1"/>'), "an ellipse has center and radii"),
        (cvat_shape('<skeleton label="a"></skeleton>'), "the skeleton has no point"),
    ],
)  # fmt: skip
def test_wrong_cvat_files_are_rejected(tmp_path: Path, text: str | bytes, message: str) -> None:
    write_images(tmp_path, [Annotated("my cat.png", 60, 40)])
    (tmp_path / "a.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_cvat(tmp_path / "a.xml", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("{}", "its top level is not a list"),
        ("[1]", "task 0 is not a task of Label Studio"),
        ([task({"value": {"x": "a", "y": 1, "width": 5, "height": 5, "rectanglelabels": ["a"]}})], "'x' is 'a', not"),
        ([task({"value": {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 45, "rectanglelabels": ["a"]}})],
         "task 7, region 0: the box is rotated by 45 degrees"),
        ([task({"image_rotation": 90, "value": {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["a"]}})],
         "the image was rotated"),
        ([task({"value": {"points": [[1, 2], [3]], "polygonlabels": ["a"]}})], "not a list of points"),
        ([task({"value": {"rle": [1, 2], "brushlabels": ["a"]}})], "'rle' ends too early"),
        ([task({"value": {"rle": [0, 0, 0, 4, 0], "brushlabels": ["a"]}})], "has 1 pixels, and the image has 60 x 40"),
        ([task(), task()], "is annotated by .*task 7 too"),
    ],
)  # fmt: skip
def test_wrong_label_studio_files_are_rejected(tmp_path: Path, content: Any, message: str) -> None:
    path = write_tasks(tmp_path)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_label_studio(path, tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"points": [[1, 2], [3, 4], [5, 9]]}, r"a\.json: shapes\[0\] has no label"),
        ({"label": "a", "points": "all"}, "'points' is not a list of points"),
        ({"label": "a", "points": [[1, 2], [3, float("nan")], [4, 4]]}, "'points' is not a list of points"),
        ({"label": "a", "points": [[1, 2], [3, 4]]}, "a polygon has 2 vertices"),
        ({"label": "a", "shape_type": "rotation", "points": [[1, 2]] * 4}, "the rectangle is rotated"),
        ({"label": "a", "shape_type": "circle", "points": [[1, 2], [1, 2]]}, "an ellipse has center and radii"),
        ({"label": "a", "shape_type": "mask", "mask": "?", "points": [[1, 2], [3, 4]]}, "'mask' is not a PNG file"),
    ],
)
def test_wrong_labelme_files_are_rejected(tmp_path: Path, shape: dict[str, Any], message: str) -> None:
    write_shapes(tmp_path, shape)
    with pytest.raises(DataError, match=message):
        read_labelme(tmp_path, tmp_path)


def test_wrong_folders_of_labelme_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no JSON files of labelme"):
        read_labelme(tmp_path, tmp_path)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DataError, match="has no JSON files of labelme"):
        read_labelme(tmp_path, tmp_path)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json is not valid JSON"):
        read_labelme(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no column ImageID"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/1,0,2,0,1\n", "line 2: XMax is 2, not a fraction"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/1,0,wide,0,1\n", "XMax is 'wide', not a number"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/1\n", "XMin is '', not a number"),
    ],
)
def test_wrong_open_images_files_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    write_images(tmp_path, [Annotated("a.png", 60, 40)])
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_open_images(tmp_path / "boxes.csv", tmp_path)
