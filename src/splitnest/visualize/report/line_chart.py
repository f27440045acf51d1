"""Line charts of a report page, as SVG."""

import html
from collections.abc import Mapping, Sequence

from splitnest.visualize.curves import Points, ticks

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 40
"""Size and margins in units of the drawing."""

NUM_COLORS = 10
"""Number of line colors of the page; further lines are faint."""

MAX_POINTS = 200
"""Number of points of a line up to which all are drawn."""


def line_chart(
    curves: Mapping[str, Points],
    *,
    x_label: str,
    y_label: str,
    bold: str | None = None,
    diagonal: bool = False,
    end: tuple[float, float] = (1.0, 1.0),
) -> str:
    """Return a chart of lines with a legend as HTML.

    Args:
        curves: Name -> points; both axes start at 0.
        x_label, y_label: Names of the axes.
        bold: Name of the line that is drawn thicker.
        diagonal: Whether to draw the line from the origin to the opposite corner.
        end: Maximum of the x axis and of the y axis.
    """
    parts = [_axes(x_label, y_label, end)]
    if diagonal:
        parts.append(_line([(0.0, 0.0), end], end, 'class="line dashed"'))
    drawn = list(enumerate(curves.items()))[::-1]  # first line on top
    for number, (name, points) in drawn:
        style = f'class="line{" bold" if name == bold else ""}" style="stroke:var(--c{number})"'
        if number >= NUM_COLORS:
            style = 'class="line faint"'
        parts.append(_line(_thinned(points), end, style, name))
    items = "".join(
        f'<span><b style="background:var(--c{number})"></b>{html.escape(name)}</span>'
        for number, name in enumerate(list(curves)[:NUM_COLORS])
    )
    if len(curves) > NUM_COLORS:
        items += f"<span>thin: {len(curves) - NUM_COLORS} more</span>"
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
    return f'{svg}<div class="legend">{items}</div>'


def _axes(x_label: str, y_label: str, end: tuple[float, float]) -> str:
    parts = []
    for value in ticks(0.0, end[0]):
        x, bottom = _place((min(value, end[0]), 0.0), end)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{value:g}</text>')
    for value in ticks(0.0, end[1]):
        left, y = _place((0.0, min(value, end[1])), end)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>'
        f'<text transform="translate(11 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(y_label)}</text>"
    )
    return "".join(parts)


def _place(point: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    x, y = (min(max(value / limit, 0.0), 1.0) for value, limit in zip(point, end, strict=True))
    return LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)


def _line(points: Sequence[tuple[float, float]], end: tuple[float, float], style: str, title: str = "") -> str:
    places = " ".join("{:.1f},{:.1f}".format(*_place(point, end)) for point in points)
    tip = f"<title>{html.escape(title)}</title>" if title else ""
    return f'<polyline {style} points="{places}">{tip}</polyline>'


def _thinned(points: Points) -> Points:
    """Return at most about ``MAX_POINTS`` of the points, the last one included."""
    step = -(-len(points) // MAX_POINTS)
    return points if step < 2 else [*points[:-1:step], points[-1]]
