"""Opening of the image classification dataset that a recipe describes."""

from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.formats.image_folders import class_folders, read_class_folders, read_class_list
from splitnest.data.formats.image_lists import limited_images
from splitnest.data.paths import optional_path, required_path
from splitnest.errors import DataError
from splitnest.recipe import ClassificationRecipe, Split
from splitnest.recipe.data import FOLDERS, ImageFolderData
from splitnest.structures.categories import Categories


def open_dataset(data: ImageFolderData, split: Split, categories: Categories) -> ClassificationDataset:
    """Return one split of an image classification dataset.

    Args:
        data: Data section of a recipe. Annotations are a list of image names and classes; without them there is a
            folder for each class.
        split: Split of the dataset.
        categories: Classes of the model.

    Raises:
        UsageError: ``data.root`` or the image folder is not set.
        DataError: The dataset cannot be read, has no images, or has other classes than the model.
    """
    folder = required_path(data, f"{split}_images", "the image folder")
    file = optional_path(data, f"{split}_annotations")
    images = read_class_folders(folder, categories) if file is None else read_class_list(folder, file, categories)
    if (image_list := optional_path(data, f"{split}_list")) is not None:
        images = limited_images(images, image_list)
    return ClassificationDataset(folder, images, categories, file)


def with_folder_classes(recipe: ClassificationRecipe) -> ClassificationRecipe:
    """Return a recipe whose ``data.classes: folders`` is replaced by the names of the class folders.

    The folders of the training split are used, or of the validation split where the recipe has no other.

    Raises:
        UsageError: ``data.root`` or the image folder is not set.
        DataError: The image folder does not exist or has no folders.
    """
    data = recipe.data
    if data.classes != FOLDERS:
        return recipe
    folder = required_path(data, "val_images" if data.train_images is None else "train_images", "the image folder")
    names = class_folders(folder)
    if not names:
        raise DataError(
            f"{folder} has no folders, so data.classes=folders gives no classes. Put the images of each class into a "
            f"folder with its name, or list the class names in data.classes."
        )
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names)})})
