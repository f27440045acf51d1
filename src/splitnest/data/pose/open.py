"""Opening of the pose dataset that a recipe describes."""

from pathlib import Path

from splitnest.data.formats.coco_keypoints import read_keypoint_definition, read_keypoints
from splitnest.data.paths import required_path, required_root
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.pose.person_boxes import read_person_boxes
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.pose import ScenePose
from splitnest.recipe import PoseRecipe, Split
from splitnest.recipe.data import KeypointData, KeypointSceneData, PoseData
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton, complete

PUBLISHED_DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
"""Person boxes of the published protocol, from a detector with 56.4 AP of persons."""


def open_dataset(data: PoseData, split: Split, categories: Categories, skeleton: Skeleton) -> PoseDataset:
    """Return one split of a pose dataset.

    Args:
        data: Data section of a recipe.
        split: Split of the dataset.
        categories: Class of the model.
        skeleton: Keypoints of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The dataset cannot be read, or has another class or other keypoints than the model.
    """
    if isinstance(data, KeypointSceneData):
        return ScenePose(open_scenes(data, split), categories, skeleton)
    images = required_path(data, f"{split}_images", "the image folder")
    annotations = required_path(data, f"{split}_annotations", "the annotation file")
    persons = read_keypoints(annotations, categories[0], skeleton)
    dataset = PoseDataset(images, persons, annotations, categories, skeleton)
    if split == "val" and data.val_detections is not None:
        _add_detections(dataset, required_root(data), data.val_detections)
    return dataset


def _add_detections(dataset: PoseDataset, root: Path, val_detections: str) -> None:
    is_auto = val_detections == "auto"
    path = root / (PUBLISHED_DETECTIONS if is_auto else val_detections)
    if path.is_file() or not is_auto:
        dataset.detections = read_person_boxes(path, dataset.categories[0])
    else:
        dataset.notes.append(
            f"{path} does not exist, so ground-truth person boxes are used; the published metrics use its boxes"
        )


def with_complete_keypoints(recipe: PoseRecipe) -> tuple[PoseRecipe, list[str]]:
    """Return a recipe with complete keypoints, and a note for each assumption.

    Fields of ``data.keypoints`` that are None are read from the annotation file of the training split, or of the
    validation split, if it exists, and assumed otherwise. A recipe without keypoint names anywhere stays unchanged.

    Raises:
        DataError: The annotation file cannot be read, or its definition of keypoints is not valid.
    """
    data = recipe.data
    keypoints = data.keypoints
    if isinstance(keypoints, str) or (keypoints is not None and keypoints.is_complete):
        return recipe, []
    file = _annotation_file(data)
    of_file = None
    if file is not None:
        of_file = read_keypoint_definition(file, data.classes[0], required=keypoints is None)
    if of_file is not None and (keypoints is None or keypoints.names == of_file.names):
        keypoints = of_file if keypoints is None else keypoints.with_defaults(of_file)
    if keypoints is None:
        return recipe, []
    keypoints, notes = complete(keypoints)
    return recipe.model_copy(update={"data": data.model_copy(update={"keypoints": keypoints})}), notes


def _annotation_file(data: PoseData) -> Path | None:
    """Return the first annotation file that exists."""
    if data.root is None or not isinstance(data, KeypointData):
        return None
    paths = (Path(data.root, name) for name in (data.train_annotations, data.val_annotations) if name is not None)
    return next((path for path in paths if path.is_file()), None)
