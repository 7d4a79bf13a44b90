"""A capacity sign-off: its decision from the trials in the chain, and a GO once more from the requests.

Whether a trial holds was decided by the runner, with a statistic that knows of correlated requests. Here
that is not taken for true: for a GO each trial must pass a plain test as well. Of the requests in its judged
stretch, so few were spoilt (failed, never started, slower than the limit) that a system at its limit would
show no more with a probability of at most one minus the confidence: the exact binomial tail, each request
on its own. A trial that does not pass is not held, whatever the record says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .others import Other
from .run import PLAN, Run
from .segments import PERCENTILES_PPM, PPM
from .strictjson import get, maybe, rows, texts

VERDICT = {"GO": "pass", "NO-GO": "fail", "UNDECIDED": "unknown"}


def check_capacity(run: Run) -> list[Other]:
    """Return the decision; nothing for other kinds of drill."""
    capacity = maybe(run.plan, "capacity", dict, PLAN)
    if not capacity:
        return []
    forecast = get(capacity, "forecast", dict, PLAN)
    peak = get(forecast, "peak_per_1000s", int, PLAN)
    required = -(-peak * (PPM + get(capacity, "headroom_ppm", int, PLAN)) // PPM)
    wanted = 2 if get(capacity, "fault", str, PLAN) else 1
    verdicts = [_verdict(run, capacity, *trial) for trial in _trials(run, capacity, required)][:wanted]
    decision = "UNDECIDED"
    if "fails" in verdicts:
        decision = "NO-GO"
    elif len(verdicts) == wanted and all(verdict == "holds" for verdict in verdicts):
        decision = "GO"
    verdict = VERDICT[decision]
    if not run.history.all("TrialStarted") and run.outcome != "completed":
        verdict = "not_tested"
    numbers = {"decision": decision, "required_per_1000s": required, "forecast_peak_per_1000s": peak}
    return [Other(f"capacity {get(run.plan, 'service', str, PLAN)}", verdict, numbers)]


def _trials(run: Run, capacity: dict[str, Any], required: int) -> Iterator[tuple[str, int, int]]:
    """Yield the recorded verdict of each sign-off trial, and the stretch of time that it is about."""
    ends = {get(r.data, "number", int, "TrialEnded"): r.data for r in run.history.all("TrialEnded")}
    for record in run.history.all("TrialStarted"):
        data = record.data
        if get(data, "purpose", str, "TrialStarted") != "sign-off":
            continue
        end = ends.get(get(data, "number", int, "TrialStarted"))
        from_ns = get(data, "from_ns", int, "TrialStarted")
        at_rate = get(data, "rate_per_1000s", int, "TrialStarted") >= required
        if end is None or not at_rate:
            yield "undecided", 0, 0
            continue
        to_ns = get(end, "to_ns", int, "TrialEnded")
        judged_ns = maybe(end, "judged_ns", int, "TrialEnded") or 0
        stated = get(end, "verdict", str, "TrialEnded")
        least_ns = get(capacity, "warm_up_ns", int, PLAN) + get(capacity, "duration_ns", int, PLAN)
        if stated == "holds" and to_ns - from_ns < least_ns:
            stated = "undecided"  # Too short for what was planned.
        yield stated, max(to_ns - judged_ns, from_ns), to_ns


def _verdict(run: Run, capacity: dict[str, Any], stated: str, start_ns: int, to_ns: int) -> str:
    """Return what is left of a stated verdict: one that holds must hold here as well."""
    if stated != "holds":
        return stated
    alpha = 1 - get(capacity, "confidence_ppm", int, PLAN) / PPM
    held = (
        _tail(spoilt, valid, allowed / PPM) <= alpha
        for spoilt, valid, allowed in _counts(run, capacity, start_ns, to_ns)
    )
    return "holds" if all(held) else "undecided"


def _counts(run: Run, capacity: dict[str, Any], start_ns: int, to_ns: int) -> Iterator[tuple[int, int, int]]:
    """Yield spoilt, all, and allowed (ppm) requests of a stretch, for each service level."""
    loads, names = run.history.loads, texts(capacity, "slos", PLAN)
    load = get(capacity, "load", str, PLAN)
    inside = [n for n, at_ns in enumerate(loads.start) if start_ns <= at_ns < to_ns and loads.load[n] == load]
    good, valid = (sum(column[n] for n in inside) for column in (loads.good, loads.valid))
    for slo in rows(run.plan, "slos", PLAN):
        name = get(slo, "name", str, PLAN)
        if name not in names:
            continue
        share = PERCENTILES_PPM.get(maybe(slo, "load_stat", str, PLAN) or "")
        objective = get(slo, "objective_ppm", int, PLAN)
        if maybe(slo, "below_ns", int, PLAN) is None or share is None:
            yield valid - good, valid, PPM - objective
            continue
        below = sum(loads.below[name][n] for n in inside)
        yield valid - below, valid, PPM - share
        if objective > share:
            yield valid - good, valid, PPM - objective


def _tail(spoilt: int, valid: int, allowed: float) -> float:
    """Return the probability of at most `spoilt` of `valid` where each is spoilt with `allowed`."""
    if not valid or spoilt >= valid:
        return 1.0
    if allowed <= 0:
        return 0.0 if spoilt == 0 else 1.0
    if spoilt > valid * allowed:
        return 1.0  # It is more than may be: no test is needed.
    total = 0.0
    log_p, log_q = math.log(allowed), math.log1p(-allowed)
    whole = math.lgamma(valid + 1)
    for k in range(spoilt + 1):
        total += math.exp(
            whole - math.lgamma(k + 1) - math.lgamma(valid - k + 1) + k * log_p + (valid - k) * log_q
        )
    return total
