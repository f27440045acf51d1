"""Opening of the pose dataset that a recipe describes."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from splitnest.data.formats.coco_keypoints import (
    KeypointFile,
    read_keypoint_classes,
    read_keypoint_definition,
    read_keypoints,
)
from splitnest.data.formats.concatenation import concatenate_keypoints
from splitnest.data.formats.image_lists import limited_keypoints
from splitnest.data.parts import Parts, check_same_names
from splitnest.data.paths import existing_folder, optional_path, required_path, required_root
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.pose.person_boxes import read_person_boxes
from splitnest.data.pose.tool_exports import read_keypoint_export
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.pose import ScenePose
from splitnest.errors import DataError, UsageError, first_few
from splitnest.recipe import Keypoints, PoseRecipe, Split
from splitnest.recipe.data import KeypointData, KeypointExportData, KeypointSceneData, PoseData
from splitnest.recipe.file_data import SPLITS
from splitnest.structures.categories import Categories
from splitnest.structures.class_tables import class_table
from splitnest.structures.flip_pairs import unpaired_sides
from splitnest.structures.skeleton import Skeleton, complete

PUBLISHED_DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
"""Person boxes of the published protocol, from a detector with 56.4 AP of persons."""


def open_dataset(data: PoseData, split: Split, categories: Categories, skeleton: Skeleton) -> PoseDataset:
    """Return one split of a pose dataset.

    Args:
        data: Data section of a recipe.
        split: Split of the dataset.
        categories: Classes of the model.
        skeleton: Keypoints of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The dataset cannot be read, or has other classes or other keypoints than the model.
    """
    if isinstance(data, KeypointSceneData):
        return ScenePose(open_scenes(data, split), categories, skeleton)
    opened = [_read_part(part, split, categories, skeleton) for part in data.parts(split)]
    images, persons, origins = map(list, zip(*opened, strict=True))
    parts = Parts(images, origins) if len(opened) > 1 else None
    file = persons[0] if parts is None else concatenate_keypoints(persons, parts)
    if (image_list := optional_path(data, f"{split}_list")) is not None:
        file = limited_keypoints(file, image_list)
    if parts is None:
        dataset = PoseDataset(images[0], file, origins[0], categories, skeleton)
    else:
        dataset = PoseDataset(parts.folder, file, parts.source, categories, skeleton)
        dataset.inputs = parts.origins
    if split == "val" and data.val_detections is not None:
        _add_detections(dataset, required_root(data), data.val_detections)
    return dataset


def _read_part(
    data: KeypointData | KeypointExportData, split: Split, categories: Categories, skeleton: Skeleton
) -> tuple[Path, KeypointFile, Path]:
    """Return the image folder of a part, its persons, and its annotation file."""
    if isinstance(data, KeypointExportData):
        return read_keypoint_export(data, split, categories, skeleton)
    images = required_path(data, f"{split}_images", "the image folder")
    annotations = required_path(data, f"{split}_annotations", "the annotation file")
    persons = read_keypoints(annotations, categories, skeleton)
    return existing_folder(images, "images"), persons, annotations


def _add_detections(dataset: PoseDataset, root: Path, val_detections: str) -> None:
    is_auto = val_detections == "auto"
    path = root / (PUBLISHED_DETECTIONS if is_auto else val_detections)
    if path.is_file() or not is_auto:
        dataset.detections = read_person_boxes(path, dataset.categories)
        if dataset.detections.by_id and dataset.file.has_new_image_ids:
            raise DataError(
                f"{path} has boxes by image id, but ids occur in more than one of {', '.join(dataset.inputs)}. Make "
                f"the ids distinct, or set data.val_detections=null."
            )
    else:
        dataset.notes.append(
            f"{path} does not exist, so ground-truth person boxes are used; the published metrics use its boxes"
        )


def with_complete_keypoints(recipe: PoseRecipe) -> tuple[PoseRecipe, list[str]]:
    """Return a recipe with complete keypoints, and a note for each assumption.

    ``data.classes: file`` is replaced by the categories of the file that have keypoints. Fields of ``data.keypoints``
    that are not given are read from the annotation file of the training split, or of the validation split, if it
    exists, and assumed otherwise. A recipe without keypoint names anywhere stays unchanged. Where the names suggest
    body sides and no flip pairs are known, images are not flipped.

    Raises:
        DataError: The annotation file cannot be read, or its definition of keypoints is not valid.
        UsageError: There is no annotation file for ``data.classes: file``, or the given fields do not fit the keypoints
            of the file.
    """
    recipe = _with_file_classes(recipe)
    data = recipe.data
    keypoints = data.keypoints
    if isinstance(keypoints, str) or (keypoints is not None and keypoints.is_complete):
        return recipe, []
    given = keypoints or Keypoints()
    files = _annotation_files(data)
    if files:
        file, *others = files
        of_file = read_keypoint_definition(file, _class_names(data), required=not given.names)
        if of_file is not None:
            _check_same_keypoints(of_file, file, others, _class_names(data))
        if of_file is not None and given.names in ((), of_file.names):
            try:
                given = given.with_defaults(of_file)
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["ctx"]["error"]
                raise UsageError(f"data.keypoints do not fit those of {file}: {reason}.") from error
    if not given.names:
        return recipe, []
    completed, notes = complete(given)
    recipe = recipe.model_copy(update={"data": data.model_copy(update={"keypoints": completed})})
    unpaired = unpaired_sides(completed.names, completed.flip_pairs or ()) if given.flip_pairs is None else []
    return (_without_flips(recipe), [*notes, _no_flip_note(unpaired)]) if unpaired else (recipe, notes)


def _without_flips(recipe: PoseRecipe) -> PoseRecipe:
    train_cfg = None if recipe.train is None else recipe.train.model_copy(update={"flip": 0.0})
    input_cfg = recipe.input.model_copy(update={"flip_test": False})
    return recipe.model_copy(update={"train": train_cfg, "input": input_cfg})


def _no_flip_note(unpaired: list[str]) -> str:
    return (
        f"data.keypoints.flip_pairs: {first_few(unpaired)} suggest a body side, but no keypoint of the other side is "
        f"known, so images are flipped neither in training (train.flip=0) nor in evaluation (input.flip_test=false). "
        f"Set data.keypoints.flip_pairs, or to [] to flip without swapping keypoints."
    )


def _with_file_classes(recipe: PoseRecipe) -> PoseRecipe:
    data = recipe.data
    if data.classes != "file":
        return recipe
    files = _annotation_files(data)
    if not files:
        raise UsageError(
            "data.classes=file takes the classes of the annotation file. Set data.root and data.train_annotations, or "
            "list the classes."
        )
    names = [read_keypoint_classes(file) for file in files]
    check_same_names(names, files, "classes with keypoints", "Correct the files, or list the classes in data.classes.")
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": names[0]})})


def _check_same_keypoints(of_file: Keypoints, file: Path, others: Sequence[Path], class_names: Sequence[str]) -> None:
    """Raise a DataError if other files of a split define other keypoints."""
    for other in others:
        of_other = read_keypoint_definition(other, class_names, required=False)
        if of_other is not None:
            check_same_names([of_file.names, of_other.names], [file, other], "keypoints", "Correct the files.")


def _class_names(data: PoseData) -> tuple[str, ...]:
    return class_table(data.classes).names if isinstance(data.classes, str) else data.classes


def _annotation_files(data: PoseData) -> list[Path]:
    """Return the annotation files of the first split that has any."""
    if data.root is None or not isinstance(data, KeypointData):
        return []
    for split in SPLITS:
        paths = [optional_path(part, f"{split}_annotations") for part in data.parts(split)]
        if files := [path for path in paths if path is not None and path.is_file()]:
            return files
    return []
