"""Command line application. Commands call public functions; errors are printed without a traceback."""

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from splitnest.cli.commands import (
    bench,
    convert,
    data,
    demo,
    doctor,
    evaluate,
    export,
    info,
    list_models,
    predict,
    train,
)
from splitnest.errors import Interrupted, SplitnestError, UsageError

app = typer.Typer(
    help="ResNeSt models for classification, detection, segmentation and pose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list", epilog=list_models.EXAMPLE)(list_models.list_models)
app.command("info", epilog=info.EXAMPLE)(info.info)
app.command("predict", epilog=predict.EXAMPLE)(predict.predict)
app.command("eval", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("train", epilog=train.EXAMPLE)(train.train)
app.command("convert", epilog=convert.EXAMPLE)(convert.convert)
app.command("export", epilog=export.EXAMPLE)(export.export)
app.command("bench", epilog=bench.EXAMPLE)(bench.bench)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.add_typer(data.app, name="data")

_state = {"debug": False}


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """ResNeSt models for classification, detection, segmentation and pose."""
    _state["debug"] = debug


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 2 wrong usage or recipe, 3 bad data, 4 weights that do not fit, 5 an output cannot be written,
    75 interrupted but resumable.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names that the terminal cannot show are escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Interrupted as interruption:
        if _rank() == 0:
            with suppress(OSError):  # after SIGHUP there may be no terminal
                print(interruption, file=sys.stderr)
        sys.exit(interruption.exit_code)
    except SplitnestError as error:
        if _state["debug"]:
            raise
        rank = _rank()
        if rank == 0 or not isinstance(error, UsageError):  # a usage error is the same in all processes
            print(f"error in process {rank}: {error}" if rank else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output exited, as in `splitnest list | head`


def _rank() -> int:
    """Return the rank of this process without importing torch."""
    return int(os.environ.get("RANK", "0"))
