"""Published checkpoints of ordinary backbones: rows of ``upstream.tsv``, which ``tools/upstream_rows.py`` writes.

The name of a model is the file name of its upstream configuration. A recipe is parsed when it is used.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from splitnest.zoo.published import Published

FILE = Path(__file__).with_suffix(".tsv")


class UpstreamRow(NamedTuple):
    """Row of the file.

    Attributes:
        name: Name of the model.
        task: Task of the model.
        dataset: Dataset that it was trained on.
        backbone: Backbone, such as ``ResNeXt-101-32x4d``.
        config: Path of the upstream configuration in its repository.
        url: URL of the published file.
        sha256: First 8 hexadecimal digits of its SHA-256; empty if the file name has none.
        aliases: Other names, separated by blanks.
        metrics: Published metrics, as JSON.
        untrained: Reason why the recipe has no training section; empty if it has one.
        recipe: Fields of the recipe that differ from the defaults, as JSON.
    """

    name: str
    task: str
    dataset: str
    backbone: str
    config: str
    url: str
    sha256: str
    aliases: str
    metrics: str
    untrained: str
    recipe: str

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the recipe before validation."""
        return {"task": self.task, **json.loads(self.recipe)}

    @property
    def published(self) -> Published:
        """Published file."""
        return Published(self.url, self.sha256 or None, tuple(self.aliases.split()), json.loads(self.metrics))


def _read() -> dict[str, UpstreamRow]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    rows = (UpstreamRow(*line.split("\t")) for line in lines[1:])
    return {row.name: row for row in rows}


ROWS: dict[str, UpstreamRow] = _read()
"""Name of a model -> its row."""
