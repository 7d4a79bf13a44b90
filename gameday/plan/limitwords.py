"""What a stop condition says, in one wording for the plan, the halt, the live view and the report."""

from __future__ import annotations

from gameday.plan.model import LimitKind, StopCondition
from gameday.plan.units import as_text


def limit_words(stop: StopCondition) -> str:
    """Return the limit that a stop condition sets: `SLO a: more than 90 % bad for 25 s`."""
    return f"{_limit(stop)}{_lasting(stop)}"


def subject_words(stop: StopCondition) -> str:
    """Return what the condition reads."""
    if stop.slo is not None:
        return f"SLO {stop.slo}"
    if stop.probe is not None:
        return f"probe {stop.probe}"
    return "load"


def time_words(duration_ns: int) -> str:
    """Return a planned duration the way a person would say it: `30 s`, `5 min`."""
    text = as_text(duration_ns)
    for unit, word in (("ms", "ms"), ("s", "s"), ("m", "min"), ("h", "h")):
        if text.endswith(unit):
            return f"{text.removesuffix(unit)} {word}"
    return text


def _limit(stop: StopCondition) -> str:  # noqa: C901, PLR0912 - one case a kind
    subject, within = subject_words(stop), time_words(stop.within_ns)
    match stop.kind:
        case LimitKind.ROW:
            return f"{subject}: {stop.in_a_row} {stop.reading} {_samples(stop.in_a_row)} in a row"
        case LimitKind.COUNT:
            return f"{subject}: {stop.count} {stop.reading} {_samples(stop.count)} within {within}"
        case LimitKind.SHARE:
            return f"{subject}: more than {_percent(stop.bad_above_ppm)} {stop.reading} within {within}"
        case LimitKind.SLO:
            return f"{subject}: more than {_percent(stop.bad_above_ppm)} bad"
        case LimitKind.BURN:
            rate = (stop.burn_above_milli or 0) / 1000
            windows = f"{time_words(stop.long_ns)} and {time_words(stop.short_ns)}"
            return f"{subject}: budget burns over {rate:g}x in {windows}"
        case LimitKind.BUDGET:
            share = _percent(stop.budget_above_ppm)
            return f"{subject}: more than {share} of the budget of {_long(stop.budget_ns)} spent"
        case LimitKind.LATENCY:
            return f"load: {stop.load} above {time_words(stop.above_ns or 0)} within {within}"
        case LimitKind.ERRORS:
            return f"load: more than {_percent(stop.bad_above_ppm)} failed within {within}"
        case LimitKind.ACHIEVED:
            return f"load: less than {_percent(stop.below_ppm)} of it on time within {within}"
        case LimitKind.ANSWERED:
            return f"load: less than {_percent(stop.below_ppm)} of it answered within {within}"
        case LimitKind.FAILED:
            lately = f" within {within}" if stop.within_ns else ""
            return f"load: more than {stop.failed_above} failed requests{lately}"
        case LimitKind.DURATION:
            return f"the drill runs longer than {time_words(stop.duration_ns or 0)}"
        case LimitKind.SILENCE:
            which = f"probe {stop.probe}" if stop.probe else "any probe"
            return f"{which}: cannot be read for {time_words(stop.silence_ns or 0)}"


def _lasting(stop: StopCondition) -> str:
    return f" for {time_words(stop.for_ns)}" if stop.for_ns else ""


def _samples(count: int | None) -> str:
    return "sample" if count == 1 else "samples"


def _percent(ppm: int | None) -> str:
    return f"{(ppm or 0) / 10_000:g} %"


def _long(duration_ns: int) -> str:
    days, rest = divmod(duration_ns, 86_400_000_000_000)
    if days and not rest:
        return f"{days} {'day' if days == 1 else 'days'}"
    return time_words(duration_ns)
