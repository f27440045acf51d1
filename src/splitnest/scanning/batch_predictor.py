"""Model as a function from a batch of columns to a batch of columns, for pipelines of others: ``BatchPredictor``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from splitnest.data.images.read import decode_image, to_array
from splitnest.errors import DataError, UsageError
from splitnest.scanning.addresses import import_parquet, is_remote
from splitnest.scanning.columns import Row, schema_of
from splitnest.scanning.decode import DecodedImage
from splitnest.scanning.encoded import StoreError, read_file
from splitnest.scanning.manifest import Manifest
from splitnest.scanning.options import ModelSource, ScanOptions, What
from splitnest.scanning.scanner import Scanner
from splitnest.scanning.storage import open_storage


class BatchPredictor:
    """Prediction for batches of columns, which may be pickled; each process loads the model for its first batch.

        dataset.map_batches(splitnest.BatchPredictor("resnest50", what="features"), compute=..., batch_size=32)  # Ray
        frame.mapInArrow(lambda batches: map(predictor, batches), schema)  # Spark
        dataset.map(predictor, batched=True)  # datasets of Hugging Face

    Args:
        model: Name or file of a model, as for ``load``.
        image: Column of the images: bytes of image files, uint8 RGB arrays ``[H, W, 3]``, paths or URLs, or structs of
            ``bytes`` and ``path``. It is not in the result.
        what, batch_size, score_threshold: Same as in ``scan``; ``batch_size`` is of the network.
        weights, config, fast, precision, device: Same as in ``load``.

    Raises:
        UsageError: An argument is out of range.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        image: str = "image",
        what: What = "results",
        batch_size: int = 8,
        score_threshold: float | Literal["auto"] | None = None,
        weights: str | Path | None = "auto",
        config: str | Path | None = None,
        fast: bool = False,
        precision: str = "fp32",
        device: str = "auto",
    ) -> None:
        self._source = ModelSource(
            str(model),
            None if weights is None else str(weights),
            None if config is None else str(config),
            fast,
            precision,
        )
        self._options = ScanOptions(what, batch_size, score_threshold)
        self._image, self._device = image, device
        self._scanner: Scanner | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scanner": None}

    def __call__(self, batch: Any) -> Any:
        """Return the other columns of a batch with those of the results, see ``splitnest.scanning.columns``.

        Args:
            batch: Dictionary of columns (arrays or lists), or a batch or a table of pyarrow.

        Returns:
            Same kind of batch: a dictionary of arrays, or pyarrow's.

        Raises:
            UsageError: The batch has no column of images.
            WeightsError: The weights cannot be read, or do not fit.
        """
        if isinstance(batch, Mapping):
            return self._of_arrays(batch)
        pyarrow, _ = import_parquet()
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        images = self._images(columns)
        rows = self._rows(images)
        schema = self._schema()
        kept = [field for field in batch.schema if field.name != self._image]
        kind = type(batch)
        values = [batch.column(field.name) for field in kept]
        values += [pyarrow.array([row.get(field.name) for row in rows], field.type) for field in schema]
        return kind.from_arrays(values, schema=pyarrow.schema([*kept, *schema]))

    def _of_arrays(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        rows = self._rows(self._images(batch))
        kept = {name: values for name, values in batch.items() if name != self._image}
        return kept | {field.name: _column([row.get(field.name) for row in rows]) for field in self._schema()}

    def _images(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        if self._image not in columns:
            raise UsageError(
                f"The batch has no column {self._image!r}; it has {', '.join(map(str, columns))}. Give the column of "
                f"the images: BatchPredictor(..., image=...)."
            )
        return columns[self._image]

    def _schema(self) -> list[Any]:
        """Return the fields of the results; the key is up to the user."""
        scanner = self._loaded()
        schema = schema_of(scanner.predictor.recipe.task, self._options.what, scanner.categories)
        return [field for field in schema if field.name != "key"]

    def _rows(self, images: Sequence[Any]) -> list[Row]:
        errors: dict[int, Row] = {}
        rows = dict(self._loaded().predict(_decoded(images), errors)) | errors
        return [rows[number] for number in range(len(images))]

    def _loaded(self) -> Scanner:
        if self._scanner is None:
            predictor = self._source.load(self._device)
            manifest = Manifest(predictor.recipe, {}, self._source, 0, "")
            self._scanner = Scanner(predictor, self._options, manifest, open_storage("."))
        return self._scanner


def _decoded(images: Sequence[Any]) -> Iterator[DecodedImage]:
    for number, image in enumerate(images):
        try:
            pixels, message = _pixels(image), None
        except (DataError, StoreError) as error:
            pixels, message = None, str(error)
        yield DecodedImage(0, number, str(number), pixels, message)


def _pixels(image: Any) -> Any:
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), "The image")
    if isinstance(image, str) and is_remote(image):
        return decode_image(read_file(image), image)
    if isinstance(image, list):
        image = np.array(image, np.uint8)
    return to_array(image)[0]


def _column(values: list[Any]) -> Any:
    """Return the values of a column as an array, one element for each image, whatever their lengths."""
    if values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values)
    column = np.empty(len(values), object)
    for index, value in enumerate(values):
        column[index] = value
    return column
