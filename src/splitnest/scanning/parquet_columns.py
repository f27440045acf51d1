"""Columns of Parquet files with images: their bytes, their paths, or both as data sets of Hugging Face have them."""

from typing import Any, NamedTuple

from splitnest.errors import DataError, first_few, printable

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "path", "file_name", "url")
"""Names by which the column of images is recognized, in this order."""

KEY_COLUMNS = ("key", "__key__", "file_name", "image_id", "id", "path", "url")
"""Names by which the column of the images' names is recognized, in this order."""


class ImageColumns(NamedTuple):
    """Columns of a Parquet file.

    Attributes:
        image: Name of the column with bytes, paths, or structs of ``bytes`` and ``path``.
        key: Name of the column with the names of the images; None for the path, or the number of the row.
    """

    image: str
    key: str | None


def find_columns(schema: Any, image: str | None, key: str | None, address: str) -> ImageColumns:
    """Return the columns of images and names.

    Args:
        schema: Schema of the file (``pyarrow.Schema``).
        image, key: Names that the user gives; None recognizes them.
        address: Address of the file for messages.

    Raises:
        DataError: There is no such column, or it has another type.
    """
    names = list(schema.names)
    for given, option in ((image, "image-column"), (key, "key-column")):
        if given is not None and given not in names:
            raise DataError(
                f"{printable(address)} has no column {printable(given)}. It has {first_few(names)}: give one of them "
                f"with --{option}."
            )
    found = image or next((name for name in IMAGE_COLUMNS if name in names), None)
    if found is None:
        raise DataError(
            f"{printable(address)} has no column of images that is known by its name; it has {first_few(names)}. Give "
            f"the column with --image-column."
        )
    if not _holds_images(schema.field(found).type):
        raise DataError(
            f"The column {printable(found)} of {printable(address)} has the type {schema.field(found).type}, "
            f"which holds neither bytes nor paths. Give another column with --image-column."
        )
    candidates = (name for name in KEY_COLUMNS if name in names and name != found)
    return ImageColumns(found, key or next(candidates, None))


def _holds_images(type_: Any) -> bool:
    from pyarrow import types

    if types.is_struct(type_):
        fields = {type_.field(index).name for index in range(type_.num_fields)}
        return bool(fields & {"bytes", "path"})
    kinds = (types.is_binary, types.is_large_binary, types.is_string, types.is_large_string)
    return any(is_kind(type_) for is_kind in kinds)
