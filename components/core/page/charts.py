"""Small charts as inline SVG.

Why not matplotlib: a chart has to follow the reader's light or dark setting, stay legible on a phone, and be read
aloud; and the component images would grow by 60 MB. What is here is a scale, ticks, lines and bars; colours and
dashes are the style sheet's (page.css), the markup is chart.html's.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

# Line styles differ in dash and marker, not only in colour: accent is solid with discs, ink dashed with squares,
# reference thin and dotted.
Look = Literal["accent", "ink", "reference"]
MOST_MARKERS = 15
DIGIT_WIDTH = 6.5  # of the 11-pixel labels, in SVG units, with room to spare
LABEL_DIGITS = 5  # room left for at least these, so that charts under each other line up
RIGHT, BOTTOM = 10, 34
TOP, TOP_WITH_MARK = 8, 18


@dataclasses.dataclass(frozen=True)
class Axis:
    """The visible range of a quantity and its labelled values."""

    label: str
    low: float
    high: float
    ticks: list[tuple[float, str]]


@dataclasses.dataclass(frozen=True)
class Line:
    """A line through (x, y) points; `name` goes into the legend."""

    name: str
    points: list[tuple[float, float]]
    look: Look = "accent"
    markers: bool = True


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar from `low` to `high` on the x axis, of the given height."""

    low: float
    high: float
    height: float


@dataclasses.dataclass(frozen=True)
class Chart:
    """What is drawn. `name` is unique on the page; `description` says in words what a sighted reader sees.

    `mark` is a labelled vertical line at an x value. A legend names the lines.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    lines: list[Line] = dataclasses.field(default_factory=list)
    bars: list[Bar] = dataclasses.field(default_factory=list)
    mark: tuple[float, str] | None = None
    legend: bool = True
    width: int = 340
    height: int = 220


def share_axis(label: str, marks: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)) -> Axis:
    """An axis from 0 to 100 %."""
    return Axis(label, 0, 1, [(value, f"{100 * value:g} %") for value in marks])


def axis(label: str, values: Sequence[float], percent: bool = False) -> Axis:
    """An axis with about five round ticks that holds all the values, no two of which read alike."""
    low, high = min(values), max(values)
    if low == high:
        low, high = sorted((0.0, low or 1.0))  # down to 0: an accuracy that stays at 100 % has no 150 % above it
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [i * step for i in range(first, last + 1)]
    return Axis(label, ticks[0], ticks[-1], [(at, f"{100 * at:.12g} %" if percent else f"{at:.12g}") for at in ticks])


def count_axis(label: str, last: int) -> Axis:
    """An axis over the whole numbers 1, 2, ... last, for instance epochs."""
    if last == 1:
        return Axis(label, 0.5, 1.5, [(1, "1")])
    step = max(1, round(_round_step((last - 1) / 5)))
    return Axis(label, 1, last, [(n, str(n)) for n in sorted({1, *range(step, last + 1, step)})])


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 5, 10 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


class Drawing:
    """A chart in the coordinates of its picture, for chart.html."""

    def __init__(self, chart: Chart):
        self.chart = chart
        self.left = 8 + round(DIGIT_WIDTH * max(LABEL_DIGITS, *(len(label) for _, label in chart.y.ticks)))
        self.right = chart.width - RIGHT
        self.top, self.bottom = (TOP_WITH_MARK if chart.mark else TOP), chart.height - BOTTOM

    def render(self, template: Any) -> str:
        """The chart's HTML, from the compiled chart.html."""
        from markupsafe import Markup

        # Safe as it is: the template that made it escapes.
        return Markup(template.render(drawing=self, chart=self.chart))  # noqa: S704

    def x(self, value: float) -> float:
        """The horizontal place of a value, in SVG units."""
        axis = self.chart.x
        return round(self.left + (value - axis.low) / (axis.high - axis.low) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """The vertical place of a value, in SVG units, which grow downwards."""
        axis = self.chart.y
        return round(self.bottom - (value - axis.low) / (axis.high - axis.low) * (self.bottom - self.top), 1)

    def path(self, line: Line) -> str:
        """The line as SVG path data."""
        return "M" + " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in line.points)

    def markers(self, line: Line) -> list[tuple[float, float]]:
        """Where the line's markers go: on every point, or on about a dozen of many."""
        if not line.markers:
            return []
        return [(self.x(x), self.y(y)) for x, y in line.points[:: math.ceil(len(line.points) / MOST_MARKERS)]]
