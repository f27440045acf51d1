"""Pictures of a report page."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.visualize.write import encoded_image


@dataclass(frozen=True)
class Figure:
    """Pictures side by side with a caption.

    Attributes:
        images: JPEG files.
        title: Title of the caption.
        text: Further text of the caption.
    """

    images: Sequence[bytes]
    title: str
    text: str = ""


def thumbnail(pixels: NDArray[np.uint8], max_side: int) -> bytes:
    """Return an image, uint8 RGB ``[H, W, 3]``, as a JPEG file whose sides are at most ``max_side`` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return encoded_image(np.asarray(image), ".jpg")


def pictures(figures: Sequence[Figure], *, small: bool = False) -> str:
    """Return figures in a grid as HTML.

    Args:
        figures: Figures in order.
        small: Whether the columns of the grid are narrow, as for cut-outs.
    """
    shown = "\n".join(
        f"<figure><div>{''.join(_image(image, figure.title) for image in figure.images)}</div>"
        f"<figcaption>{html.escape(figure.title)}<span>{html.escape(figure.text)}</span></figcaption></figure>"
        for figure in figures
    )
    return f'<div class="pictures{" small" if small else ""}">\n{shown}\n</div>'


def _image(jpeg: bytes, title: str) -> str:
    source = base64.b64encode(jpeg).decode("ascii")
    return f'<img loading="lazy" alt="{html.escape(title)}" src="data:image/jpeg;base64,{source}">'
