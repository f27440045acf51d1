"""Command ``serve``: HTTP service of models."""

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitnest.cli.options import Compile, Device, Fast, Precision, weights_or_none
from splitnest.errors import UsageError, first_few, tell
from splitnest.serving.limits import Limits

if TYPE_CHECKING:
    from splitnest.inference.predictor import Predictor

EXAMPLE = (
    "Example: splitnest serve mask_rcnn_resnest50_fpn_1x_coco.mmdet. "
    "Two models side by side: splitnest serve first=runs/a/best.pt second=runs/b/best.pt"
)

TOKEN = "SPLITNEST_TOKEN"
"""Environment variable of the token."""

DEFAULTS = Limits()

_NAMED = re.compile(r"([\w.-]{1,100})=(.+)", re.ASCII)
_SUFFIX = re.compile(r"\.(pt|pth|pkl|ckpt|safetensors|onnx|yaml|yml)$", re.IGNORECASE)


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]MODEL...",
            help="Published models, recipes (.yaml), checkpoints, run folders or ONNX files, with names for requests; "
            "by default those of the files.",
        ),
    ],
    weights: Annotated[
        str, typer.Option(help="Weights of a single model, as for predict; 'auto' for the published weights.")
    ] = "auto",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for requests from other machines.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    token: Annotated[
        bool, typer.Option("--token", help=f"Require the token that the environment variable {TOKEN} has.")
    ] = False,
    detector: Annotated[
        str | None, typer.Option(help="Detector of the persons for pose estimators: name of a model or checkpoint.")
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Maximum number of images, or of persons for a pose estimator, of a batch.")
    ] = DEFAULTS.max_batch,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="Milliseconds that an image waits for others to share its batch.")
    ] = DEFAULTS.max_wait_ms,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Maximum number of images in process; requests beyond it get status 429.")
    ] = DEFAULTS.max_queue,
    deadline: Annotated[
        float, typer.Option(min=0.001, help="Seconds within which an image is answered; status 504 beyond it.")
    ] = DEFAULTS.deadline_s,
    max_body_mb: Annotated[
        float, typer.Option(min=0.001, help="Maximum size of the body of a request in MB; status 413 beyond it.")
    ] = DEFAULTS.max_body_bytes / 10**6,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Serve models by HTTP: JSON, COCO rows and pictures, the Open Inference Protocol, and a page to try them."""
    named = model_names(models)
    if weights != "auto" and len(named) > 1:
        raise UsageError("--weights belongs to a single model. Give checkpoints as the models.")
    secret = os.environ.get(TOKEN) or None
    if token and secret is None:
        raise UsageError(f"--token needs the token in the environment variable {TOKEN}. Set it.")
    try:
        from splitnest.serving.application import app
        from splitnest.serving.server import Server, address, is_loopback, listen
    except ImportError as error:
        raise UsageError("A service needs further packages: pip install 'splitnest[serve]'.") from error
    from splitnest.inference.load import load

    limits = Limits(
        max_batch=max_batch,
        max_wait_ms=max_wait_ms,
        max_queue=max_queue,
        deadline_s=deadline,
        max_body_bytes=round(max_body_mb * 10**6),
    )
    options = {"device": device, "fast": fast, "precision": precision, "compile": compile}

    def loader(model: str, weights: str) -> "partial[Predictor]":
        runtime = {"device": device} if model.lower().endswith(".onnx") else options
        return partial(load, model, weights_or_none(weights), **runtime)

    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        server.stop()

    application = app(
        {name: loader(model, weights) for name, model in named.items()},
        limits=limits,
        token=secret,
        detector=None if detector is None else loader(detector, "auto"),
        on_failure=fail,
    )
    listener = listen(host, port)
    server = Server(application, limits)
    print(f"{first_few(list(named))} at {address(listener)}, documented at {address(listener)}/docs", flush=True)
    if secret is None and not is_loopback(listener):
        tell(f"note: everybody who reaches {address(listener)} may use it. Set {TOKEN} to require a token.")
    server.serve_on(listener)
    if failures:
        raise failures[0]
    print(f"stopped after {application.state.service.num_answered} images")


def model_names(models: list[str]) -> dict[str, str]:
    """Return name -> model for the arguments.

    Raises:
        UsageError: Two models have the same name.
    """
    named: dict[str, str] = {}
    for argument in models:
        match = None if Path(argument).exists() else _NAMED.fullmatch(argument)
        model = match[2] if match else argument
        name = match[1] if match else _default_name(argument)
        if name in named:
            raise UsageError(
                f"{named[name]} and {model} are both called {name}. Give them names: first={named[name]} second={model}"
            )
        named[name] = model
    return named


def _default_name(model: str) -> str:
    name = _SUFFIX.sub("", Path(model).name)
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:100] or "model"
