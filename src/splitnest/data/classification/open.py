"""Opening of the image classification dataset that a recipe describes."""

from pathlib import Path

from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.formats.concatenation import concatenate_lists
from splitnest.data.formats.image_folders import ImageList, class_folders, read_class_folders, read_class_list
from splitnest.data.formats.image_lists import limited_images
from splitnest.data.formats.label_studio_choices import read_choices
from splitnest.data.parts import Parts, check_same_names
from splitnest.data.paths import optional_path, required_path
from splitnest.errors import DataError
from splitnest.recipe import ClassificationRecipe, Split
from splitnest.recipe.data import ClassificationData, ImageFolderData, LabelStudioChoicesData
from splitnest.recipe.file_data import FOLDERS
from splitnest.structures.categories import Categories


def open_dataset(data: ClassificationData, split: Split, categories: Categories) -> ClassificationDataset:
    """Return one split of an image classification dataset.

    Args:
        data: Data section of a recipe. Annotations are an export of Label Studio, or a list of image names and classes;
            without them there is a folder for each class.
        split: Split of the dataset.
        categories: Classes of the model.

    Raises:
        UsageError: ``data.root`` or the image folder is not set.
        DataError: The dataset cannot be read, has no images, or has other classes than the model.
    """
    opened = [_read_part(part, split, categories) for part in data.parts(split)]
    lists, folders, origins = map(list, zip(*opened, strict=True))
    image_list = optional_path(data, f"{split}_list")
    if len(opened) == 1:
        images = lists[0] if image_list is None else limited_images(lists[0], image_list)
        return ClassificationDataset(folders[0], images, categories, origins[0])
    parts = Parts(folders, origins)
    images = concatenate_lists(lists, parts)
    if image_list is not None:
        images = limited_images(images, image_list)
    dataset = ClassificationDataset(parts.folder, images, categories, parts.source)
    dataset.inputs = parts.origins
    return dataset


def _read_part(data: ClassificationData, split: Split, categories: Categories) -> tuple[ImageList, Path, Path]:
    """Return the images of a part, their folder, and the file or folder that gives their classes."""
    folder = required_path(data, f"{split}_images", "the image folder")
    if isinstance(data, LabelStudioChoicesData):
        export = required_path(data, f"{split}_annotations", "the annotation file")
        return read_choices(export, folder).image_list(categories), folder, export
    file = optional_path(data, f"{split}_annotations")
    if file is None:
        return read_class_folders(folder, categories), folder, folder
    return read_class_list(folder, file, categories), folder, file


def with_folder_classes(recipe: ClassificationRecipe) -> ClassificationRecipe:
    """Return a recipe whose ``data.classes: folders`` is replaced by the names of the class folders.

    The folders of the training split are used, or of the validation split where the recipe has no other.

    Raises:
        UsageError: ``data.root`` or the image folder is not set.
        DataError: The image folder does not exist or has no folders, or two image folders have different ones.
    """
    data = recipe.data
    if not isinstance(data, ImageFolderData) or data.classes != FOLDERS:
        return recipe
    split: Split = "val" if data.train_images is None else "train"
    folders = [required_path(part, f"{split}_images", "the image folder") for part in data.parts(split)]
    names = [class_folders(folder) for folder in folders]
    for folder, of_folder in zip(folders, names, strict=True):
        if not of_folder:
            raise DataError(
                f"{folder} has no folders, so data.classes=folders gives no classes. Put the images of each class into "
                f"a folder with its name, or list the class names in data.classes."
            )
    check_same_names(names, folders, "class folders", "Correct the names, or list the class names in data.classes.")
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names[0])})})
