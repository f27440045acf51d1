"""Results of ``splitnest predict`` in the formats of datasets and tables, made from the JSON lines."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath

from splitnest.cli.results import ResultsFile
from splitnest.data.images.read import Source, is_url
from splitnest.data.writers.dataset_writer import check_new_folder, new_folder
from splitnest.data.writers.formats import DATASET_FORMATS, PICTURE_FORMATS, TABLE_FORMATS
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import image_of_result
from splitnest.data.writers.tables import import_pyarrow, result_rows
from splitnest.errors import printable
from splitnest.models.build import build_categories
from splitnest.progress import track
from splitnest.recipe import Recipe
from splitnest.structures.score_thresholds import ScoreThresholds


def check_written(formats: Iterable[str], folder: Path) -> None:
    """Check that formats can be written into subfolders of a folder, before anything is predicted.

    Raises:
        UsageError: A subfolder has files that splitnest did not write, or a package is not installed.
        OutputError: A subfolder cannot be written.
    """
    for name in formats:
        check_new_folder(folder / name, replaces=True)
        if name == "parquet":
            import_pyarrow()


def write_formats(
    formats: Sequence[str],
    folder: Path,
    results: ResultsFile,
    sources: Sequence[tuple[Source, PurePath]],
    recipe: Recipe,
    score_threshold: float | ScoreThresholds,
) -> list[str]:
    """Write all results of a file in each format, into a subfolder with its name; one image is in memory at a time.

    Args:
        formats: Names of the formats.
        folder: Folder of the subfolders.
        results: Complete results.
        sources: Images, each with its path in a dataset, without suffix.
        recipe: Recipe of the model.
        score_threshold: Minimum score of written detections, and of the boxes of persons; or the threshold of each
            class.

    Returns:
        A line for each kind of annotation that a format cannot hold.

    Raises:
        OutputError: A file cannot be written.
        DataError: A format cannot hold a class name.
    """
    categories = build_categories(recipe)
    min_scores: Sequence[float] = [0.0] * len(categories)
    if isinstance(score_threshold, ScoreThresholds):
        min_scores = score_threshold.by_class
    else:
        min_scores = [score_threshold] * len(categories)
    labels = {name: label for label, name in enumerate(categories.names)}
    named = {printable(str(source)): (source, name) for source, name in sources}
    with ExitStack() as stack:
        folders = {name: stack.enter_context(new_folder(folder / name, replaces=True)) for name in formats}
        writers = {
            name: writer(folders[name], categories, ImageFiles(links=True, required=False))
            for name, writer in (DATASET_FORMATS | PICTURE_FORMATS).items()
            if name in folders
        }
        tables = {
            name: table(folders[name] / f"results.{name}", recipe.task, categories)
            for name, table in TABLE_FORMATS.items()
            if name in folders
        }
        for row in track(results.rows(), len(results.done), "writing"):
            name, path = _image_file(row["file"], named)
            image = image_of_result(name, path, row["result"], labels, min_scores)
            for writer in writers.values():
                writer.add(image, None)
            for table in tables.values():
                table.add(result_rows(row["file"], row["result"], categories, min_scores))
        for finished in (*writers.values(), *tables.values()):
            finished.finish()
    return [f"{name}: {line}" for name, writer in writers.items() for line in writer.describe_notes()]


def _image_file(file: str, named: Mapping[str, tuple[Source, PurePath]]) -> tuple[str, Path | None]:
    """Return the path of an image in a dataset, and its file; None for an image from the web.

    Args:
        file: Name of the image in the results, which may be of an earlier run.
        named: Name -> image and its path in a dataset without suffix.
    """
    source, name = named.get(file, (file, PurePath(PurePath(file).stem)))
    if not isinstance(source, str | Path) or is_url(source):
        return f"{name}.jpg", None
    return f"{name}{PurePath(source).suffix}", Path(source)
