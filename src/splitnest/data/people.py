"""Opening the data of human pose estimation that a recipe names."""

from pathlib import Path

from splitnest.data.categories import Categories
from splitnest.data.coco_keypoints import named_keypoints, read_keypoints
from splitnest.data.dataset import Split, open_scenes, required_path, required_root
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.person_boxes import read_person_boxes
from splitnest.data.scenes.people import ScenePeople
from splitnest.data.skeleton import complete, skeleton_of
from splitnest.recipe.data import Data
from splitnest.recipe.schema import PoseRecipe

PUBLISHED_DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
"""Boxes of the detector (56.4 AP of people) with which the published numbers were measured."""


def open_people(recipe: PoseRecipe, split: Split, classes: Categories) -> PeopleDataset:
    """Return the photographs and people of one split of a pose estimator's data.

    Args:
        recipe: Of the estimator.
        split: For training, or for validation.
        classes: The class of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set, or it is not known what the keypoints are.
        DataError: The data set cannot be read, or does not have the class or the keypoints of the model.
    """
    data, skeleton = recipe.data, skeleton_of(recipe)
    if data.format == "scenes":
        assert data.scenes is not None  # the schema sees to it
        return ScenePeople(open_scenes(data.scenes, split), classes, skeleton)
    root = required_root(data)
    images = root / required_path(data, f"{split}_images", "the folder of the photographs")
    annotations = root / required_path(data, f"{split}_annotations", "the annotation file")
    content = read_keypoints(annotations, classes[0], skeleton)
    dataset = PeopleDataset(images, annotations, content, classes, skeleton)
    if split == "val" and data.val_detections is not None:
        path = root / (PUBLISHED_DETECTIONS if data.val_detections == "auto" else data.val_detections)
        if path.is_file() or data.val_detections != "auto":
            dataset.detections = read_person_boxes(path, dataset.categories[0])
        else:
            dataset.remarks.append(
                f"{path} is not there, so people are those of the ground truth; published numbers are with its boxes"
            )
    return dataset


def complete_keypoints(recipe: PoseRecipe) -> tuple[PoseRecipe, list[str]]:
    """Return a recipe that says all of its keypoints, and a sentence for each thing that was assumed.

    What ``data.keypoints`` leaves open is taken from the annotation file for training, or else for validation, where
    there is one; what is then still open is assumed. Without names anywhere the recipe stays as it is.

    Raises:
        DataError: The file is no annotation file, or what it says is not sound.
    """
    data = recipe.data
    given = data.keypoints
    if given == "coco" or (given is not None and given.is_complete):
        return recipe, []
    file = _annotation_file(data)
    of_file = None if file is None else named_keypoints(file, data.classes[0], required=given is None)
    if of_file is not None and (given is None or given.names == of_file.names):
        given = of_file if given is None else given.or_else(of_file)
    if given is None:
        return recipe, []
    keypoints, notes = complete(given)
    return recipe.model_copy(update={"data": data.model_copy(update={"keypoints": keypoints})}), notes


def _annotation_file(data: Data) -> Path | None:
    """Return the first annotation file that is there."""
    if data.root is None or data.format != "coco":
        return None
    paths = (Path(data.root, name) for name in (data.train_annotations, data.val_annotations) if name is not None)
    return next((path for path in paths if path.is_file()), None)
