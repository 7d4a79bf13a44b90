"""The figures of a run's load beside its timeline: against rate, over time, and before, during and after."""

from __future__ import annotations

from gameday.checkers.comparison import Comparison
from gameday.checkers.findings import Findings
from gameday.checkers.view import View
from gameday.evidence import sidebyside
from gameday.evidence.figure import Figure
from gameday.evidence.heatmap import heat_map
from gameday.evidence.ratecharts import against_rate
from gameday.evidence.series import Window
from gameday.plan.model import NS


def figures(view: View, findings: Findings, compared: list[Comparison]) -> list[Figure]:
    """Return the figures of the load, those without anything to show left out."""
    buckets = view.trace.load
    if not buckets:
        return []
    start_ns = min(bucket.start_ns for bucket in buckets)
    window = Window(start_ns, max(max(bucket.start_ns for bucket in buckets) + NS // 10, start_ns + NS))
    sides = compared[0].sides if compared else ()
    marks = [(side.start_ns, side.name) for side in sides if side.end_ns > side.start_ns]
    drawn = [
        against_rate(view.plan, findings),
        heat_map(buckets, window, marks),
        *(sidebyside.drawing(item) for item in compared),
    ]
    return [figure for figure in drawn if figure is not None]
