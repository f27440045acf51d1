"""Images per second of ResNeSt-50 at 224x224 and batch size 8, against timm's eager network, in turn in one process.

    pip install timm
    python benchmarks/classification.py [--rounds 15] [--batch-size 8]

It prints the table of ``docs/performance.md``: medians, and ratios of medians.
"""

import argparse
from collections.abc import Callable

import timm
import torch
from measuring import in_turn, machine, matmul_gflops, variants
from torch import Tensor

NAME, PEER = "resnest50d", "timm, eager"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    images = torch.randn(arguments.batch_size, 3, 224, 224)
    runs = {PEER: forward(timm.create_model(NAME).eval(), images)}
    for title, model in variants(f"{NAME}_imagenet.timm", None).items():
        runs[title] = forward(model.module, images.to(model.dtype))
    medians = in_turn(runs, arguments.rounds, before=1)
    print("| | images per second | against timm |\n|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {arguments.batch_size / median:.1f} | {medians[PEER] / median:.2f} |")
    print(f"\n{matmul_gflops():.0f} GFLOP/s of a float32 matrix product; {machine()}")


def forward(network: torch.nn.Module, images: Tensor) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        return network(images)

    return run


if __name__ == "__main__":
    main()
