"""Models on the Hugging Face Hub: a safetensors file with its recipe, and a card; nothing of it is executed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from splitnest.errors import UsageError, WeightsError
from splitnest.exporting.card import CARD, MODEL_FILE, card
from splitnest.exporting.convert import convert
from splitnest.files import check_output, replacing_path, write_text
from splitnest.inference.resolve import checkpoint_of_run, read_recipe
from splitnest.weights.read import read_recipe_json
from splitnest.weights.save import SUFFIX


def push(model: str | Path, repository: str, license: str | None = None, private: bool = False) -> str:
    """Upload a checkpoint as ``model.safetensors`` with its recipe and a card, in one commit, and return its address.

    Args:
        model: Checkpoint of any code base that has its recipe or configuration, or run folder.
        repository: Repository, such as ``name/fruit``; it is created if it does not exist.
        license: Identifier of the license, for the card; None for none.
        private: Whether a new repository is private.

    Raises:
        UsageError: The model is no checkpoint, or the package huggingface_hub is not installed.
        WeightsError: The checkpoint cannot be read, or the hub refuses the upload.
    """
    hub = _hub()
    path = checkpoint_of_run(model)
    _, checkpoint = read_recipe(path)
    if checkpoint is None:
        raise UsageError(f"{model} is not a checkpoint. Give a checkpoint or a run folder.")
    with tempfile.TemporaryDirectory() as folder:
        convert(checkpoint, None, Path(folder) / MODEL_FILE)
        write_text(Path(folder) / CARD, card(checkpoint, license, repository))
        with _hub_errors(repository):
            api = hub.HfApi(endpoint=_endpoint())
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"Upload of {Path(path).name} by splitnest"
            )
    return str(getattr(commit, "commit_url", commit))


def pull(repository: str, out: str | Path, revision: str | None = None) -> None:
    """Download ``model.safetensors`` of a repository, and check that it is a checkpoint of splitnest.

    Only this file is downloaded. It is data: tensors, and a recipe as JSON.

    Args:
        repository: Repository, such as ``name/fruit``.
        out: File to write, whose name ends in .safetensors.
        revision: Branch, tag or commit; None for the main branch.

    Raises:
        UsageError: The name of the file has another suffix, or the package huggingface_hub is not installed.
        WeightsError: The repository does not exist, cannot be reached, or has no checkpoint of splitnest.
        OutputError: The file cannot be written.
    """
    hub, out = _hub(), Path(out)
    if out.suffix != SUFFIX:
        raise UsageError(f"{out} is not a file name for a checkpoint. Give one that ends in {SUFFIX}.")
    check_output(out)
    with tempfile.TemporaryDirectory() as folder:
        with _hub_errors(repository):
            path = hub.hf_hub_download(
                repository, MODEL_FILE, revision=revision, local_dir=folder, endpoint=_endpoint()
            )
        if read_recipe_json(path) is None:
            raise WeightsError(
                f"{MODEL_FILE} of {repository} has no recipe of splitnest. Download it by hand, and give its model "
                f"with --model."
            )
        with replacing_path(out) as part:
            shutil.copyfile(path, part)


_HTTP_CLIENTS = ("httpx", "httpcore", "requests", "urllib3")
"""Beginnings of the modules whose errors huggingface_hub lets through, by its version."""


def _endpoint() -> str | None:
    """Return the address of the hub; None for the public one."""
    return os.environ.get("HF_ENDPOINT") or None


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UsageError("The Hugging Face Hub needs a further package: pip install 'splitnest[hub]'.") from error
    return huggingface_hub


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub and of the connection into errors that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repository!r} is not the name of a repository. Write owner/name.") from error
    except errors.EntryNotFoundError as error:
        raise WeightsError(
            f"{repository} has no file {MODEL_FILE}, or the hub cannot be reached: {_first(error)}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{repository} does not exist on the hub, or you may not see it. Check the name, and HF_TOKEN if it is "
            f"private."
        ) from error
    except errors.HfHubHTTPError as error:
        raise WeightsError(f"The hub refuses {repository}: {_first(error)}. Check HF_TOKEN and its rights.") from error
    except OSError as error:
        raise WeightsError(f"The hub cannot be reached for {repository}: {_first(error)}. Try again later.") from error
    except Exception as error:
        if not type(error).__module__.startswith(_HTTP_CLIENTS):
            raise
        raise WeightsError(f"The hub cannot be reached for {repository}: {_first(error)}. Try again later.") from error


def _first(error: Exception) -> str:
    """Return the first line of an error, without its final stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
