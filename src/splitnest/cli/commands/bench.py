"""Command ``bench``: speed of a model on this machine."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from splitnest.cli.options import BatchSize, Compile, Device, Fast, Model, Precision, weights_or_none

if TYPE_CHECKING:
    from splitnest.cli.timing import Timing
    from splitnest.inference.predictor import Predictor

EXAMPLE = (
    "Example: splitnest bench mask_rcnn_resnest50_fpn_1x_coco.mmdet --fast image.jpg. "
    "Against timm: splitnest bench resnest50d_imagenet.timm --batch-size 8 --fast --against timm"
)


def bench(
    model: Model,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Image files, folders, globs or URLs; by default a synthetic scene."),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights as for predict; random weights are as fast as others.")
    ] = "none",
    batch_size: BatchSize = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timed batches.")] = 10,
    against: Annotated[
        Literal["timm"] | None, typer.Option(help="Package whose model of the same name is timed in turn.")
    ] = None,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Time a model on this machine, from files to results: images per second, latency, stages, memory."""
    from splitnest.cli.timing import bench_sources, time_model
    from splitnest.inference.load import load

    predictor = load(model, weights_or_none(weights), device, fast=fast, precision=precision, compile=compile)
    with bench_sources(sources) as files:
        timing = time_model(predictor, files, batch_size=batch_size, rounds=rounds, against=against)
    print_timing(predictor, timing)


def print_timing(predictor: "Predictor", timing: "Timing") -> None:
    """Print throughput, latency, stages and memory of a model."""
    import statistics

    import numpy as np
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, markup=False)
    height, width = timing.size_hw
    batch = f"{timing.batch_size} image{'s' if timing.batch_size > 1 else ''} of {height}x{width}"
    console.print(f"{predictor.recipe.name}, {batch}, {_device(predictor)}, median of {len(timing.totals)} rounds")
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "milliseconds", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    total = statistics.median(timing.totals)
    for stage, seconds in timing.stages.items():
        median = statistics.median(seconds)
        table.add_row(stage, f"{1000 * median:.1f}", f"{median / total:.0%}")
    console.print(table)
    console.print(f"{timing.images_per_second:.2f} images per second, peak memory {timing.peak_mb} MB")
    percentiles = (f"{p}% {1000 * np.percentile(timing.totals, p):.0f} ms" for p in (50, 90, 99))
    console.print(f"latency of a batch: {', '.join(percentiles)}")
    gflops = timing.efficiency * timing.matmul_gflops
    console.print(
        f"layers: {gflops:.0f} GFLOP/s, {timing.efficiency:.0%} of the {timing.matmul_gflops:.0f} of a matrix product"
    )
    if timing.forward_seconds:
        theirs, ours = map(statistics.median, zip(*timing.forward_seconds, strict=True))
        ratio = f"{theirs / ours:.2f} times as fast"
        console.print(f"forward pass: timm {1000 * theirs:.0f} ms, splitnest {1000 * ours:.0f} ms, {ratio}")


def _device(predictor: "Predictor") -> str:
    import torch

    device = predictor.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{str(predictor.dtype).removeprefix('torch.')} on {device} ({name})"
