"""A drawing as data: shapes with attributes, which the template writes out and escapes.

No markup is ever put together here, so no name in a plan can become markup. All figures share one
time axis on the left-to-right direction, lanes below one another, and classes instead of colours:
the style sheet decides what a class looks like on paper, in the light and in the dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gameday.evidence.series import Window
from gameday.evidence.words import shown
from gameday.plan.model import NS

WIDTH, LEFT, RIGHT = 960, 138, 18
LANE = 17
LETTER = 5.9  # The mean width of a letter at the size of a figure's text.


@dataclass(frozen=True, slots=True)
class Shape:
    """One SVG element. `tag` and the names of attributes are ours; everything else may be hostile."""

    tag: str
    attributes: tuple[tuple[str, object], ...]
    text: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A finished drawing. `label` is its title, `about` says how to read it."""

    width: int
    height: int
    label: str
    shapes: tuple[Shape, ...]
    about: str = ""


@dataclass(slots=True)
class Canvas:
    """A drawing under way: what time it shows, and how far down the page it has come."""

    window: Window
    y: float = 4
    shapes: list[Shape] = field(default_factory=list)
    behind: list[Shape] = field(default_factory=list)

    def x(self, at_ns: float) -> float:
        """Return the horizontal place of an instant, held within the frame."""
        share = min(max((at_ns - self.window.start_ns) / self.window.span_ns, 0.0), 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def text(self, x: float, y: float, words: str, kind: str = "label", anchor: str = "start") -> None:
        """Write words."""
        where = (("x", round(x, 1)), ("y", round(y, 1)), ("class", kind), ("text-anchor", anchor))
        self.shapes.append(Shape("text", where, text=shown(words, 80)))

    def box(
        self, start_ns: float, end_ns: float, kind: str, title: str, *, top: float = 2, height: float = 12
    ) -> None:
        """Draw a bar in the current lane, with a title for those who point at it."""
        x = self.x(start_ns)
        size = (
            ("x", x),
            ("y", round(self.y + top, 1)),
            ("width", round(max(self.x(end_ns) - x, 1.6), 1)),
            ("height", height),
            ("class", kind),
        )
        self.shapes.append(Shape("rect", size, title=shown(title, 200)))

    def lane(self, words: str, kind: str = "lane") -> None:
        """Name the current lane at the left."""
        self.text(LEFT - 10, self.y + 12, shown(words, 24), kind, "end")

    def beside(self, start_ns: float, end_ns: float, words: str, kind: str = "note") -> None:
        """Write words beside a bar: to its right where there is room, else to its left, else upon it."""
        words = shown(words, 56)
        right, room = self.x(end_ns) + 6, len(words) * LETTER
        if right + room <= WIDTH - RIGHT:
            self.text(right, self.y + 12, words, kind)
        elif self.x(start_ns) - 6 - room >= LEFT:
            self.text(self.x(start_ns) - 6, self.y + 12, words, kind, "end")
        else:
            start = min(self.x(start_ns) + 4, WIDTH - RIGHT - room)
            start = max(start, LEFT + 4)
            size = (("x", round(start - 2, 1)), ("y", round(self.y + 2, 1)), ("width", round(room + 6, 1)))
            self.shapes.append(Shape("rect", (*size, ("height", 13), ("class", "backing"))))
            self.text(start, self.y + 12, words, kind)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Draw a straight line."""
        ends = (("x1", x1), ("y1", round(y1, 1)), ("x2", x2), ("y2", round(y2, 1)), ("class", kind))
        self.shapes.append(Shape("line", ends))

    def curve(self, points: Sequence[tuple[float, float] | None], kind: str) -> None:
        """Draw a line through points; None lifts the pen, because a gap is a gap."""
        pieces, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            dot = "h.01" if pen == "M" else ""  # A lone point must be seen too.
            pieces.append(f"{pen}{point[0]:.1f} {point[1]:.1f}{dot}")
            pen = "L"
        if pieces:
            self.shapes.append(Shape("path", (("d", "".join(pieces)), ("class", kind))))

    def shade(self, start_ns: float, end_ns: float, kind: str, top: float) -> None:
        """Shade a stretch of time behind everything from `top` down to here."""
        x = self.x(start_ns)
        size = (
            ("x", x),
            ("y", round(top, 1)),
            ("width", round(max(self.x(end_ns) - x, 1), 1)),
            ("height", round(self.y - top, 1)),
            ("class", kind),
        )
        self.behind.append(Shape("rect", size))

    def axis(self) -> None:
        """Draw the time axis, in seconds since the run began."""
        self.y += 3
        step = tick_step(self.window.span_ns / NS, 11)
        number = math.ceil(self.window.start_ns / NS / step)
        digits = max(0, -math.floor(math.log10(step)))
        while number * step <= self.window.end_ns / NS + 1e-9:
            x = self.x(number * step * NS)
            self.line(x, self.y, x, self.y + 4, "axis")
            self.text(x, self.y + 15, f"{number * step:.{digits}f} s", "tick", "middle")
            number += 1
        self.y += 20

    def finish(self, label: str, about: str = "") -> Figure:
        """Return the drawing."""
        return Figure(WIDTH, math.ceil(self.y), label, (*self.behind, *self.shapes), about)


def tick_step(span: float, most: int) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that makes at most `most` ticks over a span."""
    rough = max(span / most, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough * (1 - 1e-9))
