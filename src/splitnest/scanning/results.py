"""Results of a scan, read back lazily from its output folder."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import DataError, first_few, printable
from splitnest.models.build import build_categories
from splitnest.recipe import Recipe
from splitnest.scanning.columns import Row, row_reader
from splitnest.scanning.manifest import read_manifest
from splitnest.scanning.options import What
from splitnest.scanning.part import Part, finished_shards
from splitnest.scanning.storage import open_storage
from splitnest.structures import Result
from splitnest.structures.categories import Categories


@dataclass(frozen=True)
class ScannedImage:
    """One image of a scan.

    Attributes:
        key: Name of the image.
        shard: Number of its shard.
        result: Result of the task's type; None for an unreadable image and for features.
        features: float32 ``[C]``; None for results.
        error: Message on an unreadable image; None for a readable one.
    """

    key: str
    shard: int
    result: Result | None = None
    features: NDArray[np.float32] | None = None
    error: str | None = None


class ScanResults:
    """Results of a scan: iterating reads the files one after the other, a few rows at a time.

    Args:
        out: Output folder: path or URL.
        incomplete: Whether shards may be missing, which are passed over.

    Attributes:
        recipe: Recipe of the model.
        recipe_fields: Fields of the recipe that the results depend on.
        categories: Classes that the labels index.
        what: Kind of output, ``results`` or ``features``.

    Raises:
        DataError: The folder has no scan, or shards are missing.
    """

    def __init__(self, out: str | Path, *, incomplete: bool = False) -> None:
        self._storage = open_storage(out)
        manifest = read_manifest(self._storage)
        self.recipe: Recipe = manifest.recipe
        self.recipe_fields: dict[str, Any] = manifest.fingerprint["recipe"]
        self.categories: Categories = build_categories(manifest.recipe)
        self.what: What = manifest.what
        self.shards = finished_shards(self._storage.names(), manifest.num_shards)
        if missing := sorted(set(range(manifest.num_shards)) - set(self.shards)) if not incomplete else []:
            raise DataError(
                f"{printable(out)} lacks {len(missing)} of {manifest.num_shards} shards: {first_few(missing)}. Run the "
                f"scan again, which predicts these; 'splitnest scan status' counts them."
            )

    def __len__(self) -> int:
        """Return the number of images, unreadable ones included; the end of each file is read."""
        return self._num_images

    @cached_property
    def _num_images(self) -> int:
        counts = [Part(self._storage, index).counts for index in self.shards]
        return sum(each.images + each.errors for each in counts)

    def __iter__(self) -> Iterator[ScannedImage]:
        """Yield the images in the order of the shards.

        Raises:
            DataError: A file is damaged.
        """
        for index, row in self.rows():
            yield self.image(index, row)

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield the shard and the row of each image, in the columns of ``splitnest.scanning.columns``."""
        for index in self.shards:
            for row in Part(self._storage, index).rows():
                yield index, row

    def tables(self) -> Iterator[tuple[int, Any]]:
        """Yield each shard with its rows as a ``pyarrow.Table``."""
        for index in self.shards:
            yield index, Part(self._storage, index).table()

    def image(self, shard: int, row: Row) -> ScannedImage:
        """Return a row as an image with its result.

        Raises:
            DataError: The row is damaged.
        """
        if row["error"] is not None:
            return ScannedImage(row["key"], shard, error=row["error"])
        if self.what == "features":
            return ScannedImage(row["key"], shard, features=np.array(row["features"], np.float32))
        try:
            return ScannedImage(row["key"], shard, self._read_row(row))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"The result of {printable(row['key'])} in shard {shard} is damaged ({printable(error)}). Delete its "
                f"file, and run the scan again."
            ) from error

    @cached_property
    def _read_row(self) -> Any:
        return row_reader(self.recipe.task, self.categories)


class RowTable:
    """Rows of some images by their name; in memory they have the size of their columns.

    Args:
        results: Results of a scan.
        names: Names of images: their keys, or where they differ without their folders, the last parts of these.

    Raises:
        DataError: A file is damaged, or two rows have the name of an image.
    """

    def __init__(self, results: ScanResults, names: Collection[str]) -> None:
        self._results, self._tables = results, list[tuple[int, Any]]()
        wanted, last_parts = {name: name for name in names}, {PurePosixPath(name).name: name for name in names}
        if len(last_parts) == len(wanted):  # names are unique without their folders
            wanted = last_parts | wanted
        exact: dict[str, tuple[int, int]] = {}
        for shard, table in results.tables():
            keys = table.column("key").to_pylist()
            named = [(row, self._name(key, wanted)) for row, key in enumerate(keys)]
            kept = {row: name for row, name in named if name is not None}
            for place, name in enumerate(kept.values()):
                if name in exact:
                    raise DataError(
                        f"The scan has two images called {printable(name)}, so its results cannot be matched to a "
                        f"dataset. Scan the images of the dataset alone."
                    )
                exact[name] = len(self._tables), place
            self._tables.append((shard, table.take(np.array(list(kept), np.int64))))
        self._places = exact

    @staticmethod
    def _name(key: str, wanted: Mapping[str, str]) -> str | None:
        return wanted.get(key, wanted.get(PurePosixPath(key).name))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> ScannedImage:
        number, row = self._places[name]
        shard, table = self._tables[number]
        return self._results.image(shard, table.slice(row, 1).to_pylist()[0])


def read_scan(out: str | Path, *, incomplete: bool = False) -> ScanResults:
    """Return the results of a scan, which are read when they are iterated over.

        for image in splitnest.read_scan("s3://bucket/predictions"):
            print(image.key, image.result or image.error)

    Args:
        out: Output folder: path or URL.
        incomplete: Whether shards may be missing, which are passed over.

    Raises:
        DataError: The folder has no scan, or shards are missing.
    """
    return ScanResults(out, incomplete=incomplete)
