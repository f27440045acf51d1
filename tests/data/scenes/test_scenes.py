"""Synthetic scenes: exact ground truth, identical on any machine."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from splitnest.data.scenes import CATEGORIES, PERSON, THINGS, Scene, Scenes
from splitnest.data.scenes.contours import mask_to_polygons
from splitnest.data.scenes.raster import rasterize
from splitnest.data.scenes.rng import StableRng


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(Scenes(24, seed=3))


def test_no_scenes() -> None:
    assert len(Scenes(0)) == len(list(Scenes(0))) == 0
    with pytest.raises(IndexError):
        Scenes(0)[0]
    for wrong in ({"count": -1}, {"count": 1, "seed": -1}, {"count": 1, "size_hw": (63, 320)}):
        with pytest.raises(ValueError, match="at least 64 pixels"):
            Scenes(**wrong)


def test_scene_depends_on_seed_and_index_alone() -> None:
    first, again, other = Scenes(3, (96, 128), seed=5)[2], Scenes(9, (96, 128), seed=5)[-7], Scenes(3, (96, 128))[2]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.segments, again.segments)
    assert (first.image != other.image).any()


def test_pixels_are_identical_on_any_machine() -> None:
    scene = Scenes(1, (96, 128))[0]
    assert [zlib.crc32(array.tobytes()) for array in (scene.image, scene.segments)] == [3824932728, 2379947391]


def test_ground_truths_of_all_tasks_are_consistent(scenes: list[Scene]) -> None:
    for scene in scenes:
        height, width = scene.image_size
        assert scene.image.shape == (height, width, 3)
        assert scene.image.dtype == np.uint8
        assert 2 <= len(scene.objects) <= 8
        assert (scene.segments > 0).all()
        for number, instance in enumerate(scene.objects, start=1):
            np.testing.assert_array_equal(instance.mask, scene.segments == number)
            assert (scene.semantic[instance.mask] == instance.label).all()
            assert instance.label < len(THINGS)
            rows, columns = np.flatnonzero(instance.mask.any(axis=1)), np.flatnonzero(instance.mask.any(axis=0))
            assert instance.box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert (instance.keypoints is not None) == (THINGS[instance.label].name == "person")
        for row in scene.segments_info:
            assert (scene.semantic[scene.segments == row["id"]] == row["category"]).all()
            assert CATEGORIES[row["category"]].is_thing == row["isthing"]


def test_results_of_a_scene(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert len(scene.detections()) == len(scene.objects)
        assert len(scene.panoptic_segmentation()) == len(scene.segments_info)
        assert sum(scene.semantic_segmentation().areas().values()) == scene.semantic.size
        assert len(scene.poses()) == sum(THINGS[instance.label].name == "person" for instance in scene.objects)


def test_polygons_rasterize_to_the_mask(scenes: list[Scene]) -> None:
    for instance in (instance for scene in scenes for instance in scene.objects):
        assert all(len(polygon) >= 8 for polygon in instance.polygons)
        rle = coco_mask.merge(coco_mask.frPyObjects(instance.polygons, *instance.mask.shape))
        np.testing.assert_array_equal(coco_mask.decode(rle), instance.mask)


def test_keypoints_of_persons(scenes: list[Scene]) -> None:
    names = PERSON.keypoint_names
    visibilities = set()
    for instance in (instance for scene in scenes for instance in scene.objects):
        if instance.keypoints is None:
            continue
        assert instance.keypoints.shape == (17, 3)
        for x, y, visibility in instance.keypoints.tolist():
            visibilities.add(visibility)
            if visibility == 0:
                assert (x, y) == (0, 0)
            if visibility == 2:
                assert instance.mask[int(y), int(x)]
        if (instance.keypoints[:, 2] == 2).all():
            height = {name: instance.keypoints[names.index(name), 1] for name in names}
            assert height["nose"] < height["left_shoulder"] < height["left_hip"] < height["left_ankle"]
            # A person whose keypoints are all visible faces the camera, so the left side is on the right of the image.
            assert instance.keypoints[names.index("left_hip"), 0] > instance.keypoints[names.index("right_hip"), 0]
    assert visibilities == {0, 1, 2}


def test_every_class_occurs(scenes: list[Scene]) -> None:
    labels = {int(label) for scene in scenes for label in np.unique(scene.semantic)}
    assert labels == set(range(len(CATEGORIES)))
    assert THINGS.names == CATEGORIES.names[: len(THINGS)]


def test_other_sizes() -> None:
    for size in ((64, 64), (100, 300), (400, 250)):
        assert Scenes(1, size)[0].image_size == size


@settings(max_examples=50, deadline=None)
@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_polygons_of_any_mask(mask: np.ndarray) -> None:
    polygons = mask_to_polygons(mask)
    assert bool(polygons) == mask.any()
    if polygons:
        rle = coco_mask.merge(coco_mask.frPyObjects(polygons, *mask.shape))
        np.testing.assert_array_equal(coco_mask.decode(rle), mask)


def test_rasterized_areas() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    square = np.array([[10, 10], [20, 10], [20, 15], [10, 15]], float)
    disk, box, clipped, outside = rasterize([circle * 30 + 50, square, square - (15, 0), square + 500], (100, 110))
    assert disk.coverage.sum() == pytest.approx(np.pi * 900, rel=1e-3)
    assert (box.rows, box.columns) == (slice(10, 15), slice(10, 20))
    assert (box.coverage == 1).all()
    assert clipped.coverage.shape == (5, 5)
    assert outside.coverage.size == 0


def test_rng_is_uniform() -> None:
    rng = StableRng(1, 2)
    values = [rng.random() for _ in range(4000)]
    assert 0 <= min(values) <= max(values) < 1
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    picks = [rng.choice("ab", weights=(3, 1)) for _ in range(4000)]
    assert picks.count("a") / 4000 == pytest.approx(0.75, abs=0.03)
    assert np.abs(rng.grid(40, 50)).max() <= 1


def test_written_coco_files_match_the_scenes(tmp_path: Path) -> None:
    scenes = Scenes(3, (96, 128), seed=2)
    scenes.write_coco(tmp_path, "val")
    scenes.write_coco(tmp_path, "val")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "panoptic_val", "semantic_val", "val"]
    assert not list(tmp_path.rglob("*.tmp"))
    instances = COCO(tmp_path / "annotations" / "instances_val.json")
    persons = COCO(tmp_path / "annotations" / "person_keypoints_val.json")
    panoptic = json.loads((tmp_path / "annotations" / "panoptic_val.json").read_text())
    assert [row["name"] for row in instances.loadCats(instances.getCatIds())] == list(THINGS.names)
    assert persons.loadCats(1)[0]["skeleton"][0] == [16, 14]
    for image_id, scene in enumerate(scenes, start=1):
        (row,) = instances.loadImgs(image_id)
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "val" / row["file_name"])), scene.image)
        labels = np.array(Image.open(tmp_path / "semantic_val" / row["file_name"]))
        np.testing.assert_array_equal(labels, scene.semantic)
        annotations = instances.loadAnns(instances.getAnnIds(image_id))
        for annotation, instance in zip(annotations, scene.objects, strict=True):
            np.testing.assert_array_equal(instances.annToMask(annotation), instance.mask)
            assert annotation["area"] == instance.mask.sum()
            x, y, width, height = annotation["bbox"]
            assert [x, y, x + width, y + height] == instance.box.tolist()
            assert annotation["iscrowd"] == 0
        assert len(persons.getAnnIds(image_id)) == len(scene.poses())
        png = np.array(Image.open(tmp_path / "panoptic_val" / row["file_name"])).astype(int)
        np.testing.assert_array_equal(png @ [1, 256, 65536], scene.segments)
        segments = panoptic["annotations"][image_id - 1]["segments_info"]
        assert [row["area"] for row in segments] == [row["area"] for row in scene.segments_info]
