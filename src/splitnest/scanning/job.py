"""Job of a scan: everything that a worker needs to start, in any process."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from splitnest.device import pick_device
from splitnest.recipe import Recipe
from splitnest.scanning.addresses import import_parquet
from splitnest.scanning.features import check_features
from splitnest.scanning.fingerprint import fingerprint
from splitnest.scanning.manifest import Manifest, open_or_create
from splitnest.scanning.options import ModelSource, ScanOptions, people_finder
from splitnest.scanning.progress import ScanProgress
from splitnest.scanning.scanner import Scanner, default_workers
from splitnest.scanning.shards import Sources
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.storage import open_storage
from splitnest.scanning.worker import run_worker


@dataclass(frozen=True)
class ScanJob:
    """Everything that a worker of a scan needs to start, in any process.

    Attributes:
        model: Model.
        sources: Images.
        out: Output folder: path or URL.
        options: Options that change results.
        share: Number of this worker and number of workers, each with a fixed share; None for all shards.
        device: Same as in ``load``.
        workers: Number of threads that read and decode.
    """

    model: ModelSource
    sources: Sources
    out: str
    options: ScanOptions
    share: tuple[int, int] | None = None
    device: str = "auto"
    workers: int = field(default_factory=default_workers)

    def open(self) -> Scanner:
        """Load the model, and open the output folder or create it.

        Raises:
            UsageError: An option does not apply to the model, or the folder has results of another scan.
            WeightsError: The weights cannot be read, or do not fit.
            DataError: A source cannot be read, or has no images.
            OutputError: The folder cannot be written.
        """
        import_parquet()
        storage = open_storage(self.out)
        return self._scanner(lambda found, recipe: open_or_create(storage, self.sources, found, recipe, self.model))

    def open_without_output(self) -> Scanner:
        """Load the model for a measurement; no output folder is created.

        Raises:
            UsageError, WeightsError, DataError: Same conditions as ``open``.
        """
        return self._scanner(lambda found, recipe: Manifest(recipe, found, self.model, 0, ""))

    def _scanner(self, manifest_of: Callable[[dict[str, Any], Recipe], Manifest]) -> Scanner:
        predictor, detector = self.model.load(self.device), self.model.load_detector(self.device)
        if self.options.what == "features":
            check_features(predictor)
        elif self.options.score_threshold == "auto":
            predictor.required_score_thresholds()
        find_people = people_finder(predictor, detector, self.model.boxes, self.options)
        found = fingerprint(predictor, detector, self.model, self.options, self.sources)
        manifest = manifest_of(found, predictor.recipe)
        return Scanner(predictor, self.options, manifest, open_storage(self.out), find_people, self.workers)

    def run(self, *, quiet: bool = False) -> WorkerStatistics:
        """Predict the shards of this worker until all of them are finished.

        Args:
            quiet: Whether to show no progress.

        Raises:
            UsageError, WeightsError, DataError, OutputError: Same conditions as ``open``.
        """
        scanner, statistics = self.open(), WorkerStatistics()
        on_row = _nothing if quiet else ScanProgress(scanner.manifest.num_shards, statistics).on_row
        run_worker(scanner, self.share, statistics, on_row, claims=self.share is None)
        return statistics


def _nothing(_: object) -> None:
    """Show no progress."""


def on_device(job: ScanJob, number: int) -> ScanJob:
    """Return the job of one of several processes of a machine: with the GPU of this number, or the CPU."""
    if job.device not in ("auto", "cuda"):
        return job
    kind = pick_device(job.device).type
    return replace(job, device=f"cuda:{number}" if kind == "cuda" else kind)
