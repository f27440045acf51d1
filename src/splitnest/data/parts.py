"""Parts of a dataset: several image folders, each with its annotations, as one dataset."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from splitnest.errors import DataError, first_few


class Parts:
    """Image folders of a dataset and the origins of its annotations.

    Images are named by their paths in the folder that all image folders are in, so names do not lead out of it.

    Args:
        folders: Image folder of each part; parts may share one.
        origins: Annotation file or folder of each part, for messages.

    Attributes:
        folder: Folder that all image folders are in, or the one of all parts.
        origins: Annotation file or folder of each part.
        source: Name of all origins in messages.
    """

    def __init__(self, folders: Sequence[Path], origins: Sequence[Path]) -> None:
        absolute = [Path(os.path.realpath(each)) if ".." in each.parts else each.absolute() for each in folders]
        self.folder = Path(os.path.commonpath(absolute))
        self.origins = tuple(map(str, origins))
        self.source = f"{self.origins[0]} and {len(self.origins) - 1} more"
        self._prefixes = [each.relative_to(self.folder).as_posix() for each in absolute]

    def names(self, names: Sequence[Sequence[str]]) -> list[str]:
        """Return the names of the images of all parts, which are relative to their image folders, in ``folder``.

        Raises:
            DataError: Two parts have the same image.
        """
        part_of: dict[str, int] = {}
        joined: list[str] = []
        for part, (prefix, of_part) in enumerate(zip(self._prefixes, names, strict=True)):
            for name in of_part:
                full = str(PurePosixPath(prefix) / name)
                if (first := part_of.setdefault(full, part)) != part:
                    raise DataError(
                        f"{self.folder / full} is listed by both {self.origins[first]} and {self.origins[part]}. Give "
                        f"each image to one of them, with all of its annotations."
                    )
                joined.append(full)
        return joined

    def notes(self, notes: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
        """Return the notes on the files of all parts, kind -> one line for each case, each with its origin."""
        kinds = dict.fromkeys(kind for of_part in notes for kind in of_part)
        return {
            kind: tuple(
                f"{line} in {origin}"
                for origin, of_part in zip(self.origins, notes, strict=True)
                for line in of_part.get(kind, ())
            )
            for kind in kinds
        }

    def check_annotated(self, annotated: Sequence[bool]) -> None:
        """Raise a DataError if some parts have annotations and others have none, bool for each part."""
        if len(set(annotated)) > 1:
            raise DataError(
                f"{self.origins[annotated.index(False)]} has no annotations, but {self.origins[annotated.index(True)]} "
                f"has. Give parts of one kind."
            )


def check_same_names(names: Sequence[Sequence[str]], origins: Sequence[object], kind: str, advice: str) -> None:
    """Raise a DataError if parts do not give the same names in the same order.

    Args:
        names: Names of each part.
        origins: Name of each part in messages.
        kind: Plural noun for the names in the message, such as ``classes``.
        advice: Sentence of the message on how to correct the difference.
    """
    for of_part, origin in zip(names[1:], origins[1:], strict=True):
        if list(of_part) == list(names[0]):
            continue
        only = {
            where: [name for name in mine if name not in others]
            for where, mine, others in ((origins[0], names[0], of_part), (origin, of_part, names[0]))
        }
        shown = "; ".join(f"only {where} has {first_few(each)}" for where, each in only.items() if each)
        raise DataError(
            f"{origins[0]} and {origin} do not have the same {kind}: {shown or 'their order differs'}. {advice}"
        )
