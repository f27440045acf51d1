"""Drawing primitives: fills, strokes, rectangles, tags and legends. All are clipped to the image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from splitnest.visualize.colors import Color, text_color
from splitnest.visualize.text import draw_text, text_size

Box = tuple[float, float, float, float]
"""xyxy in pixels."""


@dataclass(frozen=True)
class Tag:
    """Text on a colored background, placed near a box.

    Attributes:
        texts: Alternative texts in order of preference; the first that fits is drawn.
        box: Box that the tag labels, xyxy in pixels.
        color: Background color.
        is_centered: Whether the tag is placed on the center of the box instead of its corners.
    """

    texts: tuple[str, ...]
    box: Box
    color: Color
    is_centered: bool = False


class Canvas:
    """Copy of an image to draw on.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.

    Attributes:
        pixels: uint8 RGB ``[H, W, 3]``.
        height, width: Size in pixels.
        line_width: Line width in pixels, scaled with the image size: 2 at 640 x 480.
        font_size: Text height in pixels, scaled with the image size: 15 at 640 x 480.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.pixels = image.copy()
        self.height, self.width = image.shape[:2]
        side = (self.height * self.width) ** 0.5
        self.line_width = max(1, round(side / 277))
        self.font_size = max(11, round(side / 37))

    def crop(self, box: Box, margin: float = 0) -> tuple[slice, slice]:
        """Return the rows and columns of a box with a margin in pixels, clipped to the image."""
        x1, y1, x2, y2 = box
        rows = slice(max(0, int(y1 - margin)), max(0, min(self.height, int(np.ceil(y2 + margin)))))
        columns = slice(max(0, int(x1 - margin)), max(0, min(self.width, int(np.ceil(x2 + margin)))))
        return rows, columns

    def blend(self, region: tuple[slice, slice], coverage: np.ndarray, color: Color) -> None:
        """Blend a color into a region of the image with an opacity ``coverage`` ``[h, w]``, from 0 to 1."""
        part = self.pixels[region].astype(np.float32)
        part += coverage[..., None] * (np.array(color, np.float32) - part)
        self.pixels[region] = np.rint(part)

    def fill(self, mask: np.ndarray, color: Color, alpha: float, corner: tuple[int, int] = (0, 0)) -> None:
        """Tint a mask and draw an antialiased outline.

        The values of a blurred mask give the distance from its edge, and with it the coverage of the outline.

        Args:
            mask: bool ``[h, w]``, a part of the image that contains the whole mask.
            color: Color of tint and outline.
            alpha: Opacity of the tint.
            corner: Row and column of its top left pixel in the image.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = corner[0] + int(rows[0]), corner[1] + int(columns[0])
        box = float(left), float(top), float(left + mask.shape[1]), float(top + mask.shape[0])
        region = self.crop(box, margin=2 * self.line_width)
        before = top - region[0].start, left - region[1].start
        after = region[0].stop - top - mask.shape[0], region[1].stop - left - mask.shape[1]
        solid = Image.fromarray(np.pad(mask.astype(np.uint8) * 255, tuple(zip(before, after, strict=True))))
        sigma = max(0.8, self.line_width / 2)
        soft = np.asarray(solid.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255
        distance = np.abs(soft - 0.5) * np.float32(sigma * np.sqrt(2 * np.pi))
        outline = np.clip(self.line_width / 2 + 0.5 - distance, 0, 1) * (soft > 0.02)
        self.blend(region, np.maximum(outline, alpha * np.clip(soft * 2 - 0.5, 0, 1)), color)

    def rectangle(self, box: Box, color: Color, width: int, alpha: float = 1) -> None:
        """Draw the outline of a box, centered on its border; ``width`` is in pixels."""
        x1, y1, x2, y2 = (round(side) for side in box)
        outer, inner = width // 2, width - width // 2
        rows, columns = self.crop((x1 - outer, y1 - outer, x2 + outer, y2 + outer))
        y, x = np.ogrid[rows, columns]
        is_inside = (x >= x1 + inner) & (x < x2 - inner) & (y >= y1 + inner) & (y < y2 - inner)
        self.blend((rows, columns), np.where(is_inside, np.float32(0), np.float32(alpha)), color)

    def stroke(self, start: np.ndarray, end: np.ndarray, radius: float, color: Color, alpha: float = 1) -> None:
        """Draw an antialiased line with round ends between two points (x, y); a disc for equal points."""
        low, high = np.minimum(start, end), np.maximum(start, end)
        rows, columns = self.crop((*low, *high), margin=radius + 1)
        y, x = np.ogrid[rows, columns]
        direction = np.asarray(end - start, np.float64)
        dx, dy = x + 0.5 - start[0], y + 0.5 - start[1]
        fraction = np.clip((dx * direction[0] + dy * direction[1]) / max(float(direction @ direction), 1e-9), 0, 1)
        distance = np.hypot(dx - fraction * direction[0], dy - fraction * direction[1])
        self.blend((rows, columns), np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32) * alpha, color)

    def panel(self, box: Box) -> None:
        """Darken a box of the image as a background for light text."""
        rows, columns = self.crop(box)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        self.blend((rows, columns), np.full(shape, 0.72, np.float32), (18, 21, 26))

    def legend(self, entries: Sequence[tuple[str, Color]]) -> None:
        """Draw a legend at the bottom, over at most a quarter of the height; entries that do not fit are left out."""
        size = self.font_size
        row_height, gap = round(size * 1.6), round(size * 0.9)
        placed: list[tuple[int, int, str, Color]] = []
        x, row = gap, 0
        for name, color in entries:
            width = round(size * 1.3) + text_size(name, size)[0]
            if width + 2 * gap > self.width:
                continue
            if x > gap and x + width + gap > self.width:
                x, row = gap, row + 1
            if (row + 1) * row_height > self.height // 4:
                break
            placed.append((x, row, name, color))
            x += width + gap
        if not placed:
            return
        top = self.height - (placed[-1][1] + 1) * row_height
        self.panel((0, top, self.width, self.height))
        image = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(image)
        for x, row, name, color in placed:
            middle = top + (row + 0.5) * row_height
            swatch = (x, round(middle - size * 0.45), x + round(size * 0.9), round(middle + size * 0.45))
            draw.rounded_rectangle(swatch, radius=2, fill=color)
            draw_text(draw, (x + size * 1.3, middle), name, size, (240, 240, 240), "lm")
        self.pixels = np.array(image)

    def tags(self, tags: Iterable[Tag]) -> None:
        """Draw tags at their boxes, inside the image and without overlap; tags that do not fit are left out."""
        image = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(image)
        occupied: list[Box] = []
        for tag in tags:
            size = self._tag_font_size(tag)
            padding = max(2, size // 4)
            for text in tag.texts:
                width, height = text_size(text, size)
                position = self._free_position(tag, (width + 2 * padding, height + padding // 2), occupied)
                if position is not None:
                    occupied.append(position)
                    x1, y1, x2, y2 = position
                    draw.rounded_rectangle((x1, y1, x2 - 1, y2 - 1), radius=padding // 2, fill=tag.color)
                    middle = (x1 + padding, (y1 + y2) / 2)
                    draw_text(draw, middle, text, size, text_color(tag.color), "lm")
                    break
        self.pixels = np.array(image)

    def _tag_font_size(self, tag: Tag) -> int:
        """Return the font size of a tag; small boxes get smaller ones, at least 0.72 ``font_size`` and 10 pixels."""
        x1, y1, x2, y2 = tag.box
        fraction = 1 if tag.is_centered else min(1, 0.6 + ((x2 - x1) * (y2 - y1)) ** 0.5 / (16 * self.font_size))
        return max(10, round(self.font_size * max(0.72, fraction)))

    def _free_position(self, tag: Tag, size: tuple[int, int], occupied: list[Box]) -> Box | None:
        """Return the first free position for a tag of a size (width, height) inside the image, or None."""
        width, height = size
        for x, y in self._positions(tag, size):
            x = min(max(x, 0), self.width - width)
            inside = x >= 0 and 0 <= y <= self.height - height
            if inside and all(x >= x2 or x1 >= x + width or y >= y2 or y1 >= y + height for x1, y1, x2, y2 in occupied):
                return x, y, x + width, y + height
        return None

    def _positions(self, tag: Tag, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return top left corners for a tag of a size (width, height) in order of preference."""
        (x1, y1, x2, y2), (width, height) = (round(side) for side in tag.box), size
        if tag.is_centered:
            x, y = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
            return [(x, y), (x, y - height), (x, y + height)]
        left, right = x1 - self.line_width // 2, x2 + self.line_width // 2 - width
        above, below = y1 - self.line_width // 2 - height, y2 + self.line_width // 2
        outside = [(left, above), (right, above), (left, below), (right, below)]
        inside = [(left, y1), (right, y1), (left, y2 - height)]
        return [outside[0], inside[0], *outside[1:], *inside[1:]]


def erode(mask: np.ndarray) -> np.ndarray:
    """Erode a mask, bool ``[h, w]``, by one pixel in its 4-neighborhood; pixels outside the image are background."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
