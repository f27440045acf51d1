"""Opening the data of classification that a recipe names."""

from pathlib import Path

from splitnest.data.categories import Categories
from splitnest.data.dataset import Split, required_path, required_root
from splitnest.data.image_labels import LabelledImages, class_folders, read_class_folders, read_class_list
from splitnest.errors import DataError, UsageError
from splitnest.recipe.data import OF_FOLDERS, Data
from splitnest.recipe.schema import ClassificationRecipe


def open_image_labels(data: Data, split: Split, classes: Categories) -> LabelledImages:
    """Return the photographs and classes of one split of a classifier's data.

    Args:
        data: Section of the recipe. Where it names annotations, they are a list of photographs and classes; otherwise
            there is a folder for each class.
        split: For training, or for validation.
        classes: Classes of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set, or ``data.format`` has no class an image.
        DataError: The data set cannot be read, has no photographs, or does not have the classes of the model.
    """
    if data.format != "folders":
        raise UsageError(f"data.format {data.format} has no class an image: for classification it must be folders.")
    root = required_root(data)
    images = root / required_path(data, f"{split}_images", "the folder of the photographs")
    annotations = getattr(data, f"{split}_annotations")
    if annotations is not None:
        return read_class_list(images, root / annotations, classes)
    return read_class_folders(images, classes)


def complete_classes(recipe: ClassificationRecipe) -> ClassificationRecipe:
    """Return a recipe that names its classes: where it says ``folders``, those of training, or else of validation.

    Raises:
        UsageError: ``data.root`` or the folder of the photographs is not set.
        DataError: There is no such folder, or it holds no folders.
    """
    data = recipe.data
    if data.classes != OF_FOLDERS:
        return recipe
    key = "val_images" if data.train_images is None else "train_images"
    folder = Path(required_root(data), required_path(data, key, "the folder of the photographs"))
    names = class_folders(folder)
    if not names:
        raise DataError(
            f"{folder} holds no folders, so data.classes=folders says nothing. Put the photographs of each class into "
            f"a folder of its name, or list the names in data.classes."
        )
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names)})})
