"""The strokes, fills and tags that all drawings are made of. They clip at the border, so any box and size will do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from splitnest.visualize.colors import Color, text_color

Box = tuple[float, float, float, float]


@lru_cache(maxsize=32)
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)


def text_size(text: str, font_size: int) -> tuple[int, int]:
    """Width of a text, and height of a line, in pixels."""
    font = font_of(font_size)
    left, _, right, _ = font.getbbox(text)
    return round(right - left), round(font_size * 1.2)


def shortened(text: str, font_size: int, width: float) -> str:
    """The text, or as much of its start as fits into ``width`` pixels, with an ellipsis."""
    if text_size(text, font_size)[0] <= width:
        return text
    while text and text_size(text + "...", font_size)[0] > width:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


@dataclass(frozen=True)
class Tag:
    """A text on a coloured ground, to be put near a box.

    Attributes:
        texts: The text, and shorter ones for where there is no room.
        box: The box it names, xyxy in pixels.
        color: Ground.
        centred: Whether it stands on the middle of the box, not at its corners.
    """

    texts: tuple[str, ...]
    box: Box
    color: Color
    centred: bool = False


class Canvas:
    """A copy of a photograph to draw on.

    Attributes:
        pixels: uint8 [H, W, 3].
        line: Line width in pixels for an image of this size: 2 at 640 x 480.
        font_size: Text height in pixels for an image of this size: 15 at 640 x 480.
    """

    def __init__(self, image: np.ndarray, image_size: tuple[int, int]) -> None:
        if image.dtype != np.uint8 or image.shape != (*image_size, 3):
            raise ValueError(
                f"image must be uint8 [{image_size[0]}, {image_size[1]}, 3], the size of the result, "
                f"but is {image.dtype} {list(image.shape)}."
            )
        self.pixels = image.copy()
        self.height, self.width = image_size
        side = (self.height * self.width) ** 0.5
        self.line = max(1, round(side / 277))
        self.font_size = max(11, round(side / 37))

    def crop(self, box: Box, margin: float = 0) -> tuple[slice, slice]:
        """The rows and columns of the image that a box touches, widened by ``margin`` pixels."""
        x1, y1, x2, y2 = box
        rows = slice(max(0, int(y1 - margin)), max(0, min(self.height, int(np.ceil(y2 + margin)))))
        columns = slice(max(0, int(x1 - margin)), max(0, min(self.width, int(np.ceil(x2 + margin)))))
        return rows, columns

    def blend(self, where: tuple[slice, slice], coverage: np.ndarray, color: Color) -> None:
        """Mix a colour into a part of the image; ``coverage`` is [h, w] from 0 to 1."""
        part = self.pixels[where].astype(np.float32)
        part += coverage[..., None] * (np.array(color, np.float32) - part)
        self.pixels[where] = np.rint(part)

    def fill(self, mask: np.ndarray, color: Color, alpha: float) -> None:
        """Tint the pixels of a mask, bool [H, W], and draw a smooth line around it.

        A blurred mask rises from 0 to 1 across the edge, so its value tells how far the edge is: that makes a line
        without steps.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        box = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
        where = self.crop(box, margin=2 * self.line)
        sigma = max(0.8, self.line / 2)
        solid = Image.fromarray(mask[where].astype(np.uint8) * 255)
        soft = np.asarray(solid.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255
        distance = np.abs(soft - 0.5) * np.float32(sigma * np.sqrt(2 * np.pi))
        outline = np.clip(self.line / 2 + 0.5 - distance, 0, 1) * (soft > 0.02)
        self.blend(where, np.maximum(outline, alpha * np.clip(soft * 2 - 0.5, 0, 1)), color)

    def rectangle(self, box: Box, color: Color, width: int, alpha: float = 1) -> None:
        """Draw the border of a box, half inside and half outside of it."""
        x1, y1, x2, y2 = (round(side) for side in box)
        outer, inner = width // 2, width - width // 2
        rows, columns = self.crop((x1 - outer, y1 - outer, x2 + outer, y2 + outer))
        y, x = np.ogrid[rows, columns]
        hole = (x >= x1 + inner) & (x < x2 - inner) & (y >= y1 + inner) & (y < y2 - inner)
        self.blend((rows, columns), np.where(hole, np.float32(0), np.float32(alpha)), color)

    def stroke(self, start: np.ndarray, end: np.ndarray, radius: float, color: Color, alpha: float = 1) -> None:
        """Draw a smooth line with round ends between two points (x, y); a disc where they are the same."""
        low, high = np.minimum(start, end), np.maximum(start, end)
        rows, columns = self.crop((*low, *high), margin=radius + 1)
        y, x = np.ogrid[rows, columns]
        along = np.asarray(end - start, np.float64)
        dx, dy = x + 0.5 - start[0], y + 0.5 - start[1]
        share = np.clip((dx * along[0] + dy * along[1]) / max(float(along @ along), 1e-9), 0, 1)
        distance = np.hypot(dx - share * along[0], dy - share * along[1])
        self.blend((rows, columns), np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32) * alpha, color)

    def panel(self, box: Box) -> None:
        """Darken a part of the image, so that light text can be read on it."""
        rows, columns = self.crop(box)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        self.blend((rows, columns), np.full(shape, 0.72, np.float32), (18, 21, 26))

    def legend(self, entries: Sequence[tuple[str, Color]]) -> None:
        """Name colours in a strip at the bottom; at most a quarter of the height, what does not fit is left out."""
        size = self.font_size
        row_height, gap = round(size * 1.6), round(size * 0.9)
        places: list[tuple[int, int, str, Color]] = []
        x, row = gap, 0
        for name, color in entries:
            width = round(size * 1.3) + text_size(name, size)[0]
            if width + 2 * gap > self.width:
                continue
            if x > gap and x + width + gap > self.width:
                x, row = gap, row + 1
            if (row + 1) * row_height > self.height // 4:
                break
            places.append((x, row, name, color))
            x += width + gap
        if not places:
            return
        top = self.height - (places[-1][1] + 1) * row_height
        self.panel((0, top, self.width, self.height))
        picture = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(picture)
        for x, row, name, color in places:
            middle = top + (row + 0.5) * row_height
            swatch = (x, round(middle - size * 0.45), x + round(size * 0.9), round(middle + size * 0.45))
            draw.rounded_rectangle(swatch, radius=2, fill=color)
            draw.text((x + size * 1.3, middle), name, fill=(240, 240, 240), font=font_of(size), anchor="lm")
        self.pixels = np.array(picture)

    def tags(self, tags: Iterable[Tag]) -> None:
        """Put each tag at its box: inside the image, off the tags before it. One that finds no room is left out."""
        picture = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(picture)
        taken: list[Box] = []
        for tag in tags:
            size = self._tag_font_size(tag)
            padding = max(2, size // 4)
            for text in tag.texts:
                width, height = text_size(text, size)
                spot = self._spot(tag, (width + 2 * padding, height + padding // 2), taken)
                if spot is not None:
                    taken.append(spot)
                    x1, y1, x2, y2 = spot
                    draw.rounded_rectangle((x1, y1, x2 - 1, y2 - 1), radius=padding // 2, fill=tag.color)
                    middle = (x1 + padding, (y1 + y2) / 2)
                    draw.text(middle, text, fill=text_color(tag.color), font=font_of(size), anchor="lm")
                    break
        self.pixels = np.array(picture)

    def _tag_font_size(self, tag: Tag) -> int:
        """Small objects have small tags: down to 0.72 of the usual size, but never under 10 pixels."""
        x1, y1, x2, y2 = tag.box
        share = 1 if tag.centred else min(1, 0.6 + ((x2 - x1) * (y2 - y1)) ** 0.5 / (16 * self.font_size))
        return max(10, round(self.font_size * max(0.72, share)))

    def _spot(self, tag: Tag, size: tuple[int, int], taken: list[Box]) -> Box | None:
        """The first place for a tag of this size (width, height) that is inside the image and covers no other."""
        width, height = size
        for x, y in self._places(tag, size):
            x = min(max(x, 0), self.width - width)
            inside = x >= 0 and 0 <= y <= self.height - height
            if inside and all(x >= x2 or x1 >= x + width or y >= y2 or y1 >= y + height for x1, y1, x2, y2 in taken):
                return x, y, x + width, y + height
        return None

    def _places(self, tag: Tag, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Left upper corners for a tag of this size (width, height), the best first."""
        (x1, y1, x2, y2), (width, height) = (round(side) for side in tag.box), size
        if tag.centred:
            x, y = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
            return [(x, y), (x, y - height), (x, y + height)]
        left, right = x1 - self.line // 2, x2 + self.line // 2 - width
        above, below = y1 - self.line // 2 - height, y2 + self.line // 2
        outside = [(left, above), (right, above), (left, below), (right, below)]
        inside = [(left, y1), (right, y1), (left, y2 - height)]
        return [outside[0], inside[0], *outside[1:], *inside[1:]]


def eroded(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask whose four neighbours are in it too; beyond the border there is none. bool [h, w]."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
