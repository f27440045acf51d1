"""Checkpoints as scripts of the code bases name them: a file, or the address of a published one."""

from pathlib import Path

from splitnest import zoo
from splitnest.data.images.read import is_url
from splitnest.errors import UsageError
from splitnest.inference.resolve import checkpoint_of_run
from splitnest.weights.fetch import fetch

DETECTRON2_PREFIXES = {"detectron2://": "https://dl.fbaipublicfiles.com/detectron2/"}
"""Prefix of detectron2's path manager -> address."""


def checkpoint_file(name: str | Path) -> Path:
    """Return the path of a checkpoint; a published one is downloaded on first use.

    Args:
        name: Path of the file or of a run folder, or address of a published file.

    Raises:
        UsageError: The address is that of no published file of the family.
        WeightsError: The file cannot be downloaded.
    """
    address = str(name)
    for prefix, base in DETECTRON2_PREFIXES.items():
        if address.startswith(prefix):
            address = base + address.removeprefix(prefix)
    if "://" not in address:
        return Path(checkpoint_of_run(name))
    for row in zoo.TASK_OF:
        if zoo.published(row).url == address:
            weights = zoo.get(row).weights
            assert weights is not None
            return fetch(weights)
    if is_url(address):
        raise UsageError(
            f"{address} is the address of no published model of splitnest. Download it, and give the file."
        )
    raise UsageError(f"{name} is no checkpoint that splitnest knows. Give the path of a file.")
