"""Prediction of shards with one model: from the images of each to its file of results."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from splitnest.inference.loaded_images import LoadedImage
from splitnest.inference.person_boxes import FindPeople
from splitnest.inference.predict_loaded import predict_loaded
from splitnest.inference.predictor import Predictor
from splitnest.inference.score_filter import score_filter
from splitnest.models.build import build_categories
from splitnest.scanning.columns import Row, error_row, feature_row, result_row, schema_of
from splitnest.scanning.decode import DecodedImage, ShardEnd, decoded_images
from splitnest.scanning.encoded import read_shard
from splitnest.scanning.features import predict_features
from splitnest.scanning.manifest import Manifest
from splitnest.scanning.options import ScanOptions
from splitnest.scanning.part import PartWriter
from splitnest.scanning.shard_list import ShardList
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.storage import Storage
from splitnest.structures.categories import Categories


def default_workers() -> int:
    """Return the number of threads that read and decode: one for each core, at most 8."""
    return min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Scanner:
    """Model with everything that predicting a shard takes.

    Attributes:
        predictor: Model.
        options: Options of the scan, with the path of the person boxes.
        manifest: Manifest of the output folder.
        storage: Output folder.
        find_people: Function from an image to its person boxes (pose only).
        workers: Number of threads that read and decode.
    """

    predictor: Predictor
    options: ScanOptions
    manifest: Manifest
    storage: Storage
    find_people: FindPeople | None = None
    workers: int = field(default_factory=default_workers)

    @cached_property
    def categories(self) -> Categories:
        """Classes that the labels index."""
        return build_categories(self.predictor.recipe)

    def predict(self, images: Iterator[DecodedImage], errors: dict[int, Row]) -> Iterator[tuple[int, Row]]:
        """Yield number and row of each image of a shard; rows of unreadable images are added to ``errors``.

        Args:
            images: Images of one shard.
            errors: Number of an image -> its row.
        """
        options, predictor = self.options, self.predictor

        def loaded() -> Iterator[LoadedImage]:
            for image in images:
                if image.pixels is None:
                    errors[image.number] = error_row(image.key, str(image.error))
                else:
                    yield LoadedImage(image.number, image.key, image.pixels)

        if options.what == "features":
            for image, size_hw, vector in predict_features(predictor, loaded(), options.batch_size):
                yield image[0], feature_row(image[1], size_hw, vector)
            return
        keep = score_filter(options.score_threshold, predictor.required_score_thresholds)
        results = predict_loaded(
            predictor.module,
            predictor.recipe,
            loaded(),
            lambda image: (image.index, image.name),
            batch_size=options.batch_size,
            tta=options.tta,
            tile=options.tile,
            overlap=options.overlap,
            find_people=self.find_people,
        )
        for (number, key), result in results:
            yield number, result_row(key, keep(result))

    def run(
        self,
        shards: Iterator[int],
        statistics: WorkerStatistics,
        on_row: Callable[[Row], None] = lambda _: None,
        on_shard: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Predict shards in their order, and write the file of each; images of the next are read ahead.

        Args:
            shards: Numbers of shards, consumed in a thread.
            statistics: Statistics that are updated.
            on_row: Function that is called with each row.
            on_shard: Function that is called with each finished shard.
        """
        shard_list, sources = ShardList(self.storage, self.manifest.shard_list), self.manifest.sources
        stream = decoded_images(
            shards,
            lambda index: read_shard(shard_list[index], sources.image_column, sources.key_column),
            self.workers,
        )
        schema = schema_of(self.predictor.recipe.task, self.options.what, self.categories)
        try:
            for first in stream:
                with PartWriter(schema) as writer:
                    self._predict_into(writer, first, stream, on_row)
                    predicted = time.perf_counter()
                    writer.finish(self.storage, first.shard)
                on_shard(first.shard)
                statistics.add_shard(writer.images, writer.errors, time.perf_counter() - predicted)
        finally:
            stream.close()

    def _predict_into(
        self, writer: PartWriter, first: DecodedImage | ShardEnd, stream: Iterator[Any], on_row: Callable[[Row], None]
    ) -> None:
        """Add the rows of one shard, whose first image was read already, to its file."""
        errors: dict[int, Row] = {}

        def add_errors() -> None:
            for number in list(errors):
                row = errors.pop(number)
                writer.add(number, row)
                on_row(row)

        for number, row in self.predict(_until_end(chain([first], stream)), errors):
            writer.add(number, row)
            on_row(row)
            add_errors()
        add_errors()


def _until_end(items: Iterator[DecodedImage | ShardEnd]) -> Iterator[DecodedImage]:
    for item in items:
        if isinstance(item, ShardEnd):
            return
        yield item
