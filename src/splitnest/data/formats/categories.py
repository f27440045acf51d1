"""Categories of several annotation files."""

from collections.abc import Iterable, Sequence

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.structures.categories import Categories


def merged_categories(
    files: Sequence[AnnotationFile], model_categories: Categories | None = None
) -> tuple[tuple[int, str], ...]:
    """Return (id, name) of the categories of all files, sorted by id.

    A name has the id of the first file with it. Where an id would have two names, categories have the ids of the
    model's classes, or are counted from 1.
    """
    id_of: dict[str, int] = {}
    for file in files:
        for id_, name in file.categories:
            id_of.setdefault(name, id_)
    if len(set(id_of.values())) < len(id_of):
        names = id_of if model_categories is None else model_categories.names
        ids = range(1, len(id_of) + 1) if model_categories is None else model_categories.ids
        id_of = {name: id_ for id_, name in zip(ids, names, strict=True) if name in id_of}
    return tuple(sorted((id_, name) for name, id_ in id_of.items()))


def names_in(files: Iterable[AnnotationFile]) -> list[str]:
    """Return the names of the categories of all files in order, each once."""
    return list(dict.fromkeys(name for file in files for _, name in file.categories))
