"""Command line application. Commands call public functions; errors are printed without a traceback."""

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from splitnest._version import __version__
from splitnest.cli.command import Command, Group
from splitnest.cli.commands import (
    bench,
    card,
    compare,
    convert,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    hub,
    info,
    list_models,
    new,
    predict,
    scan,
    serve,
    train,
    weights,
)
from splitnest.errors import Interrupted, SplitnestError, UsageError, tell

EXAMPLE = "Example: splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet image.jpg"

app = typer.Typer(
    cls=Group,
    help="ResNeSt models for classification, detection, segmentation and pose.",
    epilog=EXAMPLE,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list", epilog=list_models.EXAMPLE, cls=Command)(list_models.list_models)
app.command("info", epilog=info.EXAMPLE, cls=Command)(info.info)
app.command("predict", epilog=predict.EXAMPLE, cls=Command)(predict.predict)
app.command("eval", epilog=evaluate.EXAMPLE, cls=Command)(evaluate.evaluate)
app.command("compare", epilog=compare.EXAMPLE, cls=Command)(compare.compare)
app.command("explain", epilog=explain.EXAMPLE, cls=Command)(explain.explain)
app.command("train", epilog=train.EXAMPLE, cls=Command, help=train.HELP)(train.train)
app.command("new", epilog=new.EXAMPLE, cls=Command)(new.new)
app.command("convert", epilog=convert.EXAMPLE, cls=Command)(convert.convert)
app.command("export", epilog=export.EXAMPLE, cls=Command)(export.export)
app.command("card", epilog=card.EXAMPLE, cls=Command)(card.card)
app.command("push", epilog=hub.PUSH_EXAMPLE, cls=Command)(hub.push)
app.command("pull", epilog=hub.PULL_EXAMPLE, cls=Command)(hub.pull)
app.command("serve", epilog=serve.EXAMPLE, cls=Command)(serve.serve)
app.command("bench", epilog=bench.EXAMPLE, cls=Command)(bench.bench)
app.command("doctor", epilog=doctor.EXAMPLE, cls=Command)(doctor.doctor)
app.command("demo", epilog=demo.EXAMPLE, cls=Command)(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(scan.app, name="scan")
app.add_typer(weights.app, name="weights")

_state = {"debug": False}


def _print_version(asked: bool) -> None:
    if asked:
        print(f"splitnest {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
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
                tell(interruption)
        sys.exit(interruption.exit_code)
    except SplitnestError as error:
        if _state["debug"]:
            raise
        rank = _rank()
        if rank == 0 or not isinstance(error, UsageError):  # a usage error is the same in all processes
            tell(f"error in process {rank}: {error}" if rank else f"error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output exited, as in `splitnest list | head`
    except (MemoryError, RuntimeError, OSError) as error:
        _exit_out_of_memory(error)
        raise


def _exit_out_of_memory(error: Exception) -> None:
    """Exit with the code of wrong usage if memory ran out."""
    from splitnest.device import is_out_of_memory

    if not _state["debug"] and is_out_of_memory(error):
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        print(
            f"error: Memory ran out ({reason}). Use a smaller batch size, smaller images or fewer workers, or close "
            f"other programs.",
            file=sys.stderr,
        )
        sys.exit(UsageError.exit_code)


def _rank() -> int:
    """Return the rank of this process without importing torch."""
    return int(os.environ.get("RANK", "0"))
