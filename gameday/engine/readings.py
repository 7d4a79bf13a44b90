"""What a meter reads now, in a few words: for the reason of a halt and for the live view."""

from __future__ import annotations

from gameday.engine.meters import Meter, burn_milli, overdue, percentile_ns, spent_ppm
from gameday.plan.model import PPM, LimitKind


def figure_words(meter: Meter, now_ns: int) -> str:
    """Return the figure that is held against the limit; empty when nothing was measured."""
    window = meter.windows[0] if meter.windows else None
    match meter.kind:
        case LimitKind.ROW:
            return f"{meter.row} in a row"
        case LimitKind.COUNT:
            oldest_ns = meter.read_ended_ns - meter.condition.within_ns
            return f"{sum(end_ns >= oldest_ns for end_ns in meter.ends_ns)} within it"
        case LimitKind.SHARE | LimitKind.ERRORS if window is not None and window.valid:
            return f"{window.bad} of {window.valid}"
        case LimitKind.ACHIEVED if window is not None and window.valid:
            return f"{window.good * 100 / window.valid:.1f} %"
        case LimitKind.ANSWERED if window is not None:
            waiting = overdue(meter)
            return f"{window.valid} answered, {waiting} waiting" if window.valid + waiting else ""
        case LimitKind.FAILED if window is not None:
            return f"{window.bad} failed"
        case LimitKind.LATENCY if meter.read_sent_ns is not None:
            latency_ns = percentile_ns(meter)
            return "no request succeeded" if latency_ns is None else f"{latency_ns / 1e6:.0f} ms"
        case LimitKind.BURN:
            burns = [burn_milli(part, meter.slo) for part in meter.windows]
            return " and ".join("-" if burn is None else f"{burn / 1000:.1f}x" for burn in burns)
        case LimitKind.BUDGET:
            return f"{spent_ppm(meter, now_ns) * 100 / PPM:.3g} % spent"
        case _:
            return ""
