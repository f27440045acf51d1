"""Manifest of a scan (``_scan.json``): fingerprint, recipe, sources, and the list of shards."""

import json
from dataclasses import dataclass
from typing import Any

from splitnest.errors import DataError, UsageError, first_few
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import from_json
from splitnest.scanning.fingerprint import different_keys
from splitnest.scanning.options import ModelSource, ScanOptions, What
from splitnest.scanning.shard_list import PREFIX, write_list
from splitnest.scanning.shards import Sources, divide
from splitnest.scanning.storage import Storage

NAME = "_scan.json"

FORMAT = 1
"""Version of the format of output folders."""


@dataclass(frozen=True)
class Manifest:
    """Content of ``_scan.json``.

    Attributes:
        recipe: Complete recipe of the model.
        fingerprint: Everything that the results depend on besides the images.
        model: Model, as each process loads it.
        num_shards: Number of shards.
        shard_list: File of the shards.
    """

    recipe: Recipe
    fingerprint: dict[str, Any]
    model: ModelSource
    num_shards: int
    shard_list: str

    @property
    def what(self) -> What:
        """Kind of output."""
        return self.options.what

    @property
    def options(self) -> ScanOptions:
        """Options of the scan."""
        return ScanOptions.from_dict(self.fingerprint["options"])

    @property
    def sources(self) -> Sources:
        """Sources of the scan."""
        fields = self.fingerprint["sources"]
        return Sources(**{**fields, "addresses": tuple(fields["addresses"])})

    def to_json(self) -> bytes:
        """Return the content of the file; it depends on neither time nor machine."""
        content = {
            "format": FORMAT,
            "model": self.model.to_dict(),
            "shards": {"count": self.num_shards, "list": self.shard_list},
            "fingerprint": self.fingerprint,
            "recipe": self.recipe.model_dump(mode="json"),
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def read_manifest(storage: Storage) -> Manifest:
    """Return the manifest of an output folder.

    Raises:
        DataError: The folder has none, or it is damaged or of another version.
    """
    if not storage.exists(NAME):
        raise DataError(
            f"{storage.address} has no {NAME}, so it is no output folder of splitnest scan. Check the path."
        )
    where = storage.file(NAME)
    try:
        content = json.loads(storage.read(NAME))
        if content["format"] != FORMAT:
            raise DataError(
                f"{where} has the format {content['format']}; this version reads {FORMAT}. Install the version of "
                f"splitnest that wrote it."
            )
        manifest = Manifest(
            from_json(json.dumps(content["recipe"]), f"The recipe in {where}"),
            content["fingerprint"],
            ModelSource(**content["model"]),
            int(content["shards"]["count"]),
            str(content["shards"]["list"]),
        )
        _ = manifest.options, manifest.sources
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where} is damaged ({error}). Copy it again, or scan into another folder.") from error
    if "/" in manifest.shard_list or not manifest.shard_list.startswith(PREFIX):
        raise DataError(f"{where} is damaged: the list of shards is {manifest.shard_list!r}. Copy it again.")
    return manifest


def open_or_create(
    storage: Storage, sources: Sources, fingerprint: dict[str, Any], recipe: Recipe, model: ModelSource
) -> Manifest:
    """Return the manifest of an output folder, whose fingerprint must be that of this scan, or list the sources.

    Of several workers that start together one writes the manifest, and the others read it.

    Raises:
        UsageError: The folder has results of another model, other options, sources or versions, or other files.
        DataError: A source cannot be read, or has no images.
        OutputError: The folder cannot be written.
    """
    if not storage.exists(NAME):
        _check_unused(storage)
        name, count = write_list(divide(sources, storage.address), storage)
        created = Manifest(recipe, fingerprint, model, count, name)
        if storage.create(NAME, created.to_json()):
            return created
        if read_manifest(storage).shard_list != name:
            storage.remove(name)
    manifest = read_manifest(storage)
    if differing := different_keys(manifest.fingerprint, fingerprint):
        raise UsageError(
            f"{storage.address} has results of another scan, which differ in {first_few(differing)}. Give another "
            f"folder with --out, or repeat that scan."
        )
    return manifest


def _check_unused(storage: Storage) -> None:
    """Raise a UsageError if a folder without a manifest has files of others."""
    others = [name for name in storage.names() if not name.startswith((PREFIX, "."))]
    if others:
        raise UsageError(
            f"{storage.address} has files that are not of a scan: {first_few(others)}. Give an empty folder with --out."
        )
