"""Commands ``data convert``, ``data split`` and ``data merge``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from splitnest.errors import UsageError, first_few, tell

if TYPE_CHECKING:
    from splitnest.data.editing.convert import Written
    from splitnest.data.editing.dataset import Dataset

CONVERT_EXAMPLE = "Example: splitnest data convert exports/cvat fruits --to yolo"
SPLIT_EXAMPLE = "Example: splitnest data split fruits fruits_split --fractions 0.8,0.1,0.1 --group-by folder"
MERGE_EXAMPLE = "Example: splitnest data merge fruits vegetables food --to coco"

Format = Literal[
    "coco",
    "yolo",
    "voc",
    "labelme",
    "cvat",
    "label_studio",
    "roboflow",
    "label_maps",
    "coco_panoptic",
    "class_folders",
    "csv",
]
_COUNTED = {"instances": "instances", "label maps": "regions", "panoptic segments": "segments"}
"""Kind of annotations -> what is counted."""

Source = Annotated[Path, typer.Argument(metavar="IN", help="File or folder of a dataset; its format is recognized.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="New folder.")]
Link = Annotated[bool, typer.Option("--link", help="Write symbolic links to the images instead of copies.")]
To = Annotated[Format | None, typer.Option(help="Format of the new dataset; that of the first one by default.")]


def convert(
    source: Source,
    out: Out,
    to: Annotated[Format, typer.Option(help="Format of the new dataset.")],
    link: Link = False,
) -> None:
    """Convert a dataset to another format, with its images and splits."""
    from splitnest.data.editing import convert as editing
    from splitnest.data.editing.open import open_dataset
    from splitnest.data.writers.dataset_writer import check_new_folder

    check_new_folder(out)
    dataset = open_dataset(source)
    _report(editing.convert(dataset, out, to, links=link), [dataset], out, to)


def split(
    source: Source,
    out: Out,
    fractions: Annotated[str, typer.Option(help="Fraction of the images of each split.")] = "0.8,0.2",
    names: Annotated[
        str | None, typer.Option(help="Names of the splits; train,val or train,val,test by default.")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Images that stay together: 'folder', or FILE.csv#COLUMN for those with one value in a column."
        ),
    ] = None,
    to: To = None,
    link: Link = False,
) -> None:
    """Split a dataset at random, the same way each time, with the same share of every class in each split."""
    from splitnest.data.editing import split as editing
    from splitnest.data.editing.open import open_dataset
    from splitnest.data.writers.dataset_writer import check_new_folder

    parsed = editing.parse_fractions(fractions, names)
    check_new_folder(out)
    dataset = open_dataset(source)
    groups = None
    if group_by == "folder":
        groups = editing.groups_by_folder(editing.image_names(dataset))
    elif group_by is not None:
        path, separator, column = group_by.rpartition("#")
        if not separator:
            raise UsageError(
                f"--group-by is {group_by!r}. Give 'folder', or a file and a column, as in FILE.csv#COLUMN."
            )
        groups = editing.groups_by_column(editing.image_names(dataset), Path(path), column)
    format = to or _format_of(dataset)
    if len(dataset.splits) > 1:
        tell(f"note: the splits {first_few([str(part.name) for part in dataset.splits])} are pooled")
    _report(editing.split(dataset, out, format, parsed, groups=groups, links=link), [dataset], out, format)


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="IN...", help="Files or folders of two or more datasets.")],
    out: Out,
    to: To = None,
    link: Link = False,
) -> None:
    """Merge datasets: classes are unified by name, images with one name are numbered, ids are new."""
    from splitnest.data.editing import convert as editing
    from splitnest.data.editing.open import open_dataset
    from splitnest.data.writers.dataset_writer import check_new_folder

    if len(sources) < 2:
        raise UsageError("One dataset cannot be merged. Give two or more, and then the new folder.")
    check_new_folder(out)
    datasets = [open_dataset(source) for source in sources]
    format = to or _format_of(datasets[0])
    _report(editing.merge(datasets, out, format, links=link), datasets, out, format)


def _format_of(dataset: "Dataset") -> str:
    """Return the format of a dataset, to write the new one in.

    Raises:
        UsageError: The format cannot be written.
    """
    from splitnest.data.writers.formats import EDITED_FORMATS

    if dataset.format not in EDITED_FORMATS:
        raise UsageError(f"{dataset.format} cannot be written. Give --to {', '.join(EDITED_FORMATS)}.")
    return dataset.format


def _report(written: "Written", datasets: "list[Dataset]", out: Path, format: str) -> None:
    """Print what was read and written."""
    read = ", ".join(f"{dataset.source} ({dataset.format})" for dataset in datasets)
    counts = ", ".join(f"{count} {split or 'images'}" for split, count in written.num_images.items()) or "no images"
    names = first_few(written.categories.names) or "none"
    counted = _COUNTED.get(datasets[0].kind)
    annotations = f"; {written.num_instances} {counted}" if counted else ""
    print(f"{read} -> {out} ({format}): {counts}{annotations}; classes {names}")
    for dataset in datasets:
        for part in dataset.splits:
            for kind, cases in part.notes.items():
                if cases:
                    tell(f"note: {dataset.source}: {kind}: {first_few(cases)}")
    for note in written.notes:
        tell(f"note: {format}: {note}")
