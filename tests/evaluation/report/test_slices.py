"""Files of slices: columns of membership and of values, and files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from splitnest.data.dataset import ImageDataset
from splitnest.errors import DataError
from splitnest.evaluation.report.slices import MAX_SLICES, read_slices
from splitnest.structures.categories import from_names


class Images(ImageDataset):
    categories = from_names(["x"])
    source = "annotations.json"
    names = ("a/one.jpg", "a/two.jpg", "b/two.jpg", "zwölf, 12.jpg")

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def image_id(self, index: int) -> int:
        return 10 * index

    def read(self, index: int) -> NDArray[np.uint8]:
        raise AssertionError("slices need no pixels")


def read(tmp_path: Path, text: str) -> dict[str, list[int]]:
    path = tmp_path / "slices.csv"
    path.write_text(text, encoding="utf-8-sig")
    return read_slices(path, Images())


def test_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "image,night\n") == {}


def test_columns_of_membership_and_of_values(tmp_path: Path) -> None:
    text = (
        "night, file_name ,weather\n1,a/one.jpg,rain\nFalse,a/two.jpg,sun\n\nyes,b/two.jpg,\n"
        '0,"zwölf, 12.jpg",rain\n1,a/one.jpg,rain\n'
    )
    assert read(tmp_path, text) == {"night": [0, 20], "weather: rain": [0, 30], "weather: sun": [10]}


def test_unique_file_names_without_folder(tmp_path: Path) -> None:
    assert read(tmp_path, "image,all images\none.jpg,1\n") == {"all images (slice)": [0]}
    with pytest.raises(DataError, match=r"line 2: the image 'two.jpg' is not in annotations.json"):
        read(tmp_path, "image,night\ntwo.jpg,1\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns none"),
        ("name,night\nx,1\n", "has the columns name, night. Name the column of the images file_name or image"),
        ("image\na/one.jpg\n", "has no column beside image"),
        (
            "image,night\nthree.jpg,1\n",
            "line 2: the image 'three.jpg' is not in annotations.json. Images are called like",
        ),
        ("image,night\na/one.jpg\n", "line 2 has 1 cells, but there are 2 columns"),
        ("image,n\n" + "".join(f"a/one.jpg,v{n}\n" for n in range(MAX_SLICES + 1)), "201 slices, more than 200"),
    ],
)
def test_faults(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_slices(tmp_path, Images())
    (tmp_path / "x.csv").write_bytes(b"image,\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_slices(tmp_path / "x.csv", Images())
