"""Commands ``weights``: the cache of published weights, and mirrors of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitnest.cli.command import Command, Group
from splitnest.errors import UsageError, WeightsError, printable, tell

if TYPE_CHECKING:
    from splitnest.weights.cache import CachedFile

app = typer.Typer(cls=Group, help="Weights of published models: download, verify, mirror.", no_args_is_help=True)

LIST_EXAMPLE = "Example: splitnest weights list"
GET_EXAMPLE = "Example: splitnest weights get mask_rcnn_resnest50_fpn_1x_coco.mmdet 'faster-rcnn_r50*1x_coco.mmdet'"
VERIFY_EXAMPLE = "Example: splitnest weights verify"
MIRROR_EXAMPLE = "Example: splitnest weights mirror /shared/weights 'td-hm_res50*'"

_NAME_HELP = "Names of published models, or patterns with the wildcards *, ? and [...] as 'splitnest list' takes them."
_WILDCARDS = set("*?[")


@app.callback()
def weights() -> None:
    """Weights of published models: download, verify, mirror."""


@app.command("list", epilog=LIST_EXAMPLE, cls=Command)
def list_weights(
    pattern: Annotated[str, typer.Argument(help="Part of the names of models, or a pattern with wildcards.")] = "*",
    needed: Annotated[
        bool, typer.Option("--all", help="All models with the URL of the file that each needs, downloaded or not.")
    ] = False,
) -> None:
    """List the files in the cache: state, size, model, file name."""
    from splitnest import zoo
    from splitnest.weights.cache import cached_files, weights_folder

    matching = zoo.list_models(pattern=pattern)
    files = cached_files()
    if needed:
        of_model = {file.model: file for file in files}
        for name in matching:
            file = of_model.get(name)
            state, size = (file.state, _megabytes(file.size)) if file is not None else ("absent", "-")
            row = zoo.published(name)
            print(f"{state:<10} {size:>10}  {name}  {row.url}  sha256 {row.sha256 or 'not published'}")
        return
    shown = [file for file in files if file.model in matching or (file.model is None and pattern == "*")]
    for file in shown:
        model = file.model or "(no published model)"
        print(f"{file.state:<10} {_megabytes(file.size):>10}  {model}  {printable(file.path.name)}")
    tell(f"{len(shown)} files, {_megabytes(sum(file.size for file in shown))}, in {weights_folder()}")


@app.command("get", epilog=GET_EXAMPLE, cls=Command)
def get(names: Annotated[list[str], typer.Argument(metavar="NAME", help=_NAME_HELP)]) -> None:
    """Download weights to the cache and verify them. Interrupted downloads are continued."""
    _fetch_all(names, None)


@app.command("verify", epilog=VERIFY_EXAMPLE, cls=Command)
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help=f"{_NAME_HELP} All by default.")] = None,
) -> None:
    """Compare the files in the cache with their published SHA-256; those without one must be readable checkpoints."""
    from splitnest.weights.cache import cached_files, weights_folder
    from splitnest.weights.fetch import problem_of, published_weights

    chosen = None if not names else models_of(names)
    files = {file.model: file for file in cached_files() if file.model is not None and file.state != "incomplete"}
    broken = []
    for name in files if chosen is None else chosen:
        if name not in files:
            raise WeightsError(
                f"The weights of {name} are not in {weights_folder()}. Run: splitnest weights get {name}"
            )
        path = files[name].path
        problem = problem_of(path, published_weights(name))
        if problem is not None:
            broken.append((name, f"{path}: {problem}"))
        how = "readable, no published SHA-256" if published_weights(name).sha256 is None else "verified"
        print(f"{'BROKEN' if problem else how}  {name}  {printable(path.name)}", flush=True)
    if not names:
        _tell_unchecked(cached_files())
    if broken:
        texts, models = "\n".join(text for _, text in broken), " ".join(name for name, _ in broken)
        raise WeightsError(
            f"{len(broken)} of {len(files)} files are broken. Delete them, and download them again with 'splitnest "
            f"weights get {models}':\n{texts}"
        )


@app.command("mirror", epilog=MIRROR_EXAMPLE, cls=Command)
def mirror(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to fill; it may have files already.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help=f"{_NAME_HELP} Those in the cache by default.")
    ] = None,
) -> None:
    """Copy weights to a folder, or download them there, for others who set SPLITNEST_MIRROR to it or its URL."""
    from splitnest.weights.cache import cached_files, weights_folder

    if not names:
        names = [file.model for file in cached_files() if file.model is not None and file.state != "incomplete"]
        if not names:
            raise UsageError(f"There are no weights in {weights_folder()}. Name the models to mirror, or '*' for all.")
    _fetch_all(names, folder)


def models_of(names: list[str]) -> list[str]:
    """Return the full names of published models by names and patterns, each once.

    Raises:
        UsageError: A name or pattern fits no model, or a name several.
    """
    from splitnest import zoo

    found = []
    for name in names:
        matching = zoo.list_models(pattern=name) if _WILDCARDS & set(name) else [zoo.full_name(name)]
        if not matching:
            nearest = ", ".join(zoo.nearest(name.strip("*?")))
            raise UsageError(f"No published model matches {name!r}. The nearest are {nearest}.")
        found += matching
    return list(dict.fromkeys(found))


def _fetch_all(names: list[str], folder: Path | None) -> None:
    """Fetch weights, each even if another cannot be fetched, and print their paths.

    Raises:
        WeightsError: Some cannot be fetched.
    """
    from splitnest.weights.fetch import fetch, published_weights

    models, failures = models_of(names), []
    for name in models:
        try:
            path = fetch(published_weights(name), folder)
        except WeightsError as error:
            failures.append(f"{name}: {error}")
            continue
        print(f"{name}  {printable(path)}", flush=True)
    if failures:
        raise WeightsError(f"{len(failures)} of {len(models)} files are not there.\n" + "\n".join(failures))


def _tell_unchecked(files: "list[CachedFile]") -> None:
    for file in files:
        if file.model is None:
            tell(f"note: {file.path} is the file of no published model, and was not checked.")
        elif file.state == "incomplete":
            tell(f"note: {file.path} is an incomplete download. 'splitnest weights get {file.model}' finishes it.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
