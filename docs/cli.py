"""Write ``cli.md`` beside this file, from the commands of the application.

``python docs/cli.py`` writes the page; with ``--check`` it fails when the page is not what it would write.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from splitnest.cli.app import app
from splitnest.files import replacing

PAGE = Path(__file__).with_suffix(".md")

HEAD = """\
# Commands

Every command with its arguments and options; `make docs` writes this page from the application, and `--help` prints the
same. `--install-completion` installs the completion of commands, options and model names in your shell. `--debug`
before a command shows the traceback of an error. `list`, `info`, `eval` and `data check` print JSON with `--json`.
`key=value` after a command overrides any value of a recipe. [Exit codes](reliability.md) say what went wrong.

{contents}

## At a glance

```sh
splitnest list resnest50 --task instance
splitnest info mask_rcnn_resnest50_fpn_1x_coco.mmdet
splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet images/ --out predictions
splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet images/ --fast --precision bf16
splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet aerial/ --tile 1024 --overlap 0.2    # large images by tiles
splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet street.mp4 --track               # video, with ids of objects
splitnest explain mask_rcnn_resnest50_fpn_1x_coco.mmdet street.jpg --out heat.png            # Grad-CAM, EigenCAM
splitnest predict simplebaseline_resnest50_256x192_coco images/ --detector faster_rcnn_resnest50_fpn_1x_coco.mmdet
splitnest eval mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco       # --tta: test-time augmentation
splitnest eval resnest50_imagenet.official data.root=/data/imagenet
splitnest eval runs/my_detector-20260102-030405 --report report        # a page that says where the model fails
splitnest compare runs/first runs/second       # differences with intervals, and images that got better and worse
splitnest train examples/fine_tune.yaml data.root=flowers    # a classifier of your own: one folder per class
splitnest data check my_detector.yaml          # counts, anomalies, missing files
splitnest train my_detector.yaml --dry-run     # resolved recipe, schedule, memory
splitnest train my_detector.yaml               # run folder: index.html to watch, checkpoints, metrics
splitnest train runs/my_detector-20260102-030405 --resume
splitnest predict runs/my_detector-20260102-030405 images/ --score auto    # its best.pt, with its best score thresholds
splitnest info work_dirs/mine/epoch_12.pth             # a checkpoint of mmdetection: what its configuration became
splitnest predict work_dirs/mine/epoch_12.pth images/  # by its own configuration and classes
splitnest convert work_dirs/mine/epoch_12.pth --out mine.safetensors
splitnest export mask_rcnn_resnest50_fpn_1x_coco.mmdet --out mask_rcnn.onnx
splitnest serve mask_rcnn_resnest50_fpn_1x_coco.mmdet      # HTTP service, and a page to try the model
splitnest weights get resnest50_imagenet.official    # download only; also list, verify, mirror
splitnest scan faster-rcnn_r50_fpn_1x_coco.mmdet s3://bucket/data-{0000..0999}.tar --out s3://bucket/predictions
splitnest bench resnest50d_imagenet.timm --batch-size 8 --fast --against timm
splitnest doctor
```
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the name of each command, with its group, and the command."""
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            for inner, subcommand in command.commands.items():
                default = getattr(command, "default", None)
                yield (name if inner == default else f"{name} {inner}"), subcommand
        else:
            yield name, command


def escaped(text: str) -> str:
    """Return the text of a help as Markdown in a table."""
    return re.sub(r"([\\*_<>\[\]|`])", r"\\\1", " ".join(text.split()))


def usage(name: str, command: Any) -> str:
    """Return the line that shows the arguments of a command."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    shown = []
    for param in arguments:
        metavar = param.metavar or param.name.upper()
        metavar += "..." if param.nargs == -1 and not metavar.endswith("...") else ""
        shown.append(metavar if param.required or metavar.startswith("[") else f"[{metavar}]")
    return " ".join(["splitnest", name, "[OPTIONS]", *shown])


def default_of(param: Any) -> str:
    """Return the default of an option; empty where there is none or the option is a switch that is off."""
    value = param.default() if callable(param.default) else param.default
    if value in (None, False, ()) or type(value).__name__ == "Sentinel":
        return ""
    if value is True:
        return f"`{param.opts[0]}`"
    return f"`{value}`"


def values_of(param: Any, hint: Any) -> str:
    """Return the values that an option takes; nothing for a switch.

    Args:
        param: Option.
        hint: Annotation of the argument of the function, ``Annotated`` or not.
    """
    if param.is_flag:
        return ""
    if param.metavar:
        return f"`{param.metavar}`"
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    kinds = [one for one in get_args(kind) if one is not NoneType] if get_origin(kind) in (Union, UnionType) else [kind]
    if get_origin(kinds[0]) is Literal:
        return " ".join(f"`{choice}`" for choice in get_args(kinds[0]))
    return {int: "integer", float: "number", Path: "path"}.get(kinds[0], "text")


def examples(epilog: str) -> list[str]:
    """Return the commands of an epilog such as ``Example: splitnest list. Poses: splitnest predict ...``."""
    parts = re.split(r"(?:^|\s)[A-Z][\w ,]*: (?=\S*\s?splitnest )", epilog)
    return [part.strip().rstrip(".").partition(", or ")[0] for part in parts if "splitnest " in part]


def option_row(param: Any, hint: Any) -> str:
    """Return the row of an option in the table."""
    names = ", ".join(f"`{text}`" for text in [*param.opts, *param.secondary_opts])
    return f"| {names} | {values_of(param, hint)} | {default_of(param)} | {escaped(param.help or '')} |"


def section(name: str, command: Any) -> str:
    """Return the section of a command."""
    help_text = (command.help or "").split("\f")[0].strip()
    lines = [f"## {name}", "", help_text, "", "```text", usage(name, command), "```", ""]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{param.metavar or param.name.upper()}` | {escaped(param.help or '')} |" for param in arguments]
        lines.append("")
    if options:
        hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
        lines += ["| option | values | default | meaning |", "|---|---|---|---|"]
        lines += [option_row(param, hints.get(param.name)) for param in options]
        lines.append("")
    if command.epilog:
        lines += ["```sh", *examples(command.epilog), "```", ""]
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    found = list(commands())
    contents = ", ".join(f"[{name}](#{name.replace(' ', '-')})" for name, _ in found) + "."
    return HEAD.replace("{contents}", contents) + "\n" + "\n".join(section(name, command) for name, command in found)


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/cli.md.")
    parser.add_argument("--check", action="store_true", help="fail when the page is not what would be written")
    text = page().rstrip() + "\n"
    if not parser.parse_args().check:
        with replacing(PAGE) as file:
            file.write(text.encode())
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.name} is not what the commands give: write it again with `make docs`.")


if __name__ == "__main__":
    main()
