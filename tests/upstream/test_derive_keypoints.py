"""Keypoints of recipes of upstream configurations: by dataset, by number, and from the metadata of a checkpoint."""

import pytest

from helpers import upstream_configs
from helpers.upstream import derived
from splitnest.errors import UsageError
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import derive


def test_keypoints() -> None:
    config = upstream_configs.mmpose1()
    assert derived(config).recipe.data.keypoints == "coco"
    del config["test_dataloader"]
    found = derived(config)
    assert (found.recipe.data.keypoints, found.notes[0][:24]) == ("coco", "keypoints: those of coco")
    assert derived(upstream_configs.mmpose1(21)).recipe.data.keypoints == "coco_wholebody_hand"  # none has flips
    found = derived(upstream_configs.mmpose1(5))
    assert found.recipe.data.keypoints.names[0] == "keypoint 1"
    assert not found.recipe.input.flip_test  # without flip pairs, the flip test would average the wrong keypoints
    assert "flip test: off" in found.notes[1]
    flips = [1, 0, 2, 3, 4]
    recipe = derive(upstream_configs.mmpose1(5), "x", "x", Metadata(dataset={"flip_indices": flips})).recipe
    assert recipe.data.keypoints.flip_pairs == (("keypoint 1", "keypoint 2"),)
    meta = {"dataset_name": "ap10k", "flip_indices": [1, 0, 2, 3, 4, 8, 9, 10, 5, 6, 7, 14, 15, 16, 11, 12, 13]}
    del config["model"]["head"]["loss"]
    assert derive(config, "x", "x", Metadata(dataset=meta)).recipe.data.keypoints == "ap10k"
    meta = {
        "keypoint_id2name": {0: "tip", 1: "left fin", 2: "right fin"},
        "flip_indices": [0, 2, 1],
        "sigmas": [0.1] * 3,
    }
    meta |= {"skeleton_links": [[0, 1], [0, 2]], "lower_body_ids": []}
    recipe = derive(upstream_configs.mmpose1(3), "fish", "config", Metadata(dataset=meta)).recipe
    keypoints = recipe.data.keypoints
    assert keypoints.names == ("tip", "left fin", "right fin")
    assert keypoints.flip_pairs == (("left fin", "right fin"),)
    assert keypoints.skeleton == (("tip", "left fin"), ("tip", "right fin"))
    assert recipe.input.flip_test
    with pytest.raises(UsageError, match="the network has 17 keypoints, and 3 are named"):
        derive(upstream_configs.mmpose1(), "fish", "config", Metadata(dataset=meta))
