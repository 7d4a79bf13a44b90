"""A capacity sign-off for its readers: the decision first, then the trials, the limit, and what to sign."""

from __future__ import annotations

from gameday.capacity.judge import Judgement
from gameday.checkers.capacity import LIMIT, Assessment, Tried, assess, interval_words, worst
from gameday.checkers.findings import Finding, Findings
from gameday.checkers.view import View
from gameday.evidence.tables import Cell, Table, figure, judged, row
from gameday.evidence.words import count, shown, span
from gameday.plan.capacity import Capacity
from gameday.plan.model import Plan

_SIGN = {"holds": "pass", "fails": "fail", "undecided": "unknown"}
NOT_YET = "____________________   ____________ (gameday signoff RUN --role capacity-owner)"


def tables(view: View, findings: Findings) -> list[Table]:
    """Return the tables of a sign-off, the decision first; none for other kinds of drill."""
    found = assess(view)
    if found is None:
        return []
    by_name = {finding.name: finding for finding in findings.findings}
    decision = by_name.get(f"capacity {view.plan.service}")
    made = [] if decision is None else [_decision(view.plan, found, decision)]
    made.append(_trials(found))
    limit = by_name.get(LIMIT)
    return made if limit is None else [*made, _limit(found, limit)]


def sentence(plan: Plan, findings: Findings) -> str:
    """Return the decision in one sentence; empty where there is none."""
    name = f"capacity {plan.service}"
    finding = next((f for f in findings.findings if f.name == name), None)
    if finding is None or plan.capacity is None:
        return ""
    asked = f"{rate(plan.capacity.tested_per_1000s)} was to be held"
    expires = dict(finding.numbers).get("expires_utc")
    until = f" Valid until {expires}, for this artefact." if expires and finding.observed == "GO" else ""
    return f"{finding.observed}: {asked}; {finding.why}.{until}"


def rate(per_1000s: int | None) -> str:
    """Return a rate as a person reads it."""
    return "not known" if per_1000s is None else f"{per_1000s / 1000:g}/s"


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.3g} %"


def _decision(plan: Plan, found: Assessment, finding: Finding) -> Table:
    wanted = found.capacity
    peak = wanted.forecast
    said = f"{rate(peak.peak_per_1000s)} forecast ({peak.source}), {_percent(wanted.headroom_ppm)} on top"
    rows = [
        row("Decision", Cell(finding.observed, shown(finding.why), "verdict", str(finding.verdict))),
        row("Rate that must hold", figure(rate(wanted.tested_per_1000s), said)),
    ]
    rows += [_signed(tried, found) for tried in found.signed]
    rows += [
        row("Service levels", "; ".join(_levels(plan, wanted))),
        row("Confidence", figure(_percent(wanted.confidence_ppm))),
        row("Saturated first", found.saturated or "nothing that a probe tells"),
        row("Artefact", Cell(shown(found.artefact), shown(f"from {found.artefact_source}"), "mono")),
        row("Environment", plan.target.environment),
        row("With one part lost (N-1)", found.fault or "not tested"),
        row("Valid until", f"{found.expires_utc}, or until the artefact changes"),
        row("Capacity owner", NOT_YET),
    ]
    return Table("Capacity sign-off", ("", ""), tuple(rows), kind="capacity")


def _levels(plan: Plan, wanted: Capacity) -> list[str]:
    told = []
    for slo in plan.slos:
        if slo.name in wanted.slos:
            below = f", {slo.load_stat} below {span(slo.below_ns)}" if slo.below_ns is not None else ""
            told.append(f"{slo.name}: {_percent(slo.objective_ppm)} answered{below}")
    return told


def _signed(tried: Tried, found: Assessment) -> tuple[Cell, ...]:
    j = tried.judgement
    name = f"with N-1 ({found.fault})" if tried.condition == "N-1" else "with N"
    level = worst(j)
    seen = ""
    if level is not None:
        seen = f"; worst window {_percent(level.worst_ppm)} spoilt of {_percent(level.allowed_ppm)} allowed"
    text = f"{j.verdict}, {count(j.requests, 'request')} in {span(j.judged_ns)}"
    why = "; ".join(dict.fromkeys((*j.generator, *j.reasons)))
    return row(
        f"Tried {name}",
        Cell(shown(text), shown(f"{why}{seen}".removeprefix("; ")), "verdict", _SIGN[j.verdict]),
    )


def _trials(found: Assessment) -> Table:
    rows = [_trial(tried) for tried in found.trials]
    columns = (
        "Trial", "Rate", "Throughput", "Judged", "Requests", "p50 / p99", "Spoilt, worst level",
        "Generator", "Verdict",
    )  # fmt: skip
    note = (
        "Warm-up is not counted. Spoilt is the share of requests that failed, were never started, or were too"
        " slow, with the interval that its true value lies in. The generator's lag and its busiest core tell"
        " whether it can be believed; a trial it spoilt is undecided."
    )
    return Table("Trials", columns, tuple(rows), note)


def _trial(tried: Tried) -> tuple[Cell, ...]:
    j = tried.judgement
    level = worst(j)
    spoilt = figure("")
    if level is not None:
        seen = f"{_percent(level.low_ppm)} to {_percent(level.high_ppm)}"
        spoilt = figure(_percent(level.share_ppm), f"{seen}; {_percent(level.allowed_ppm)} allowed")
    purpose = (tried.condition and f"{tried.started.purpose} with {tried.condition}") or tried.started.purpose
    settled = "" if tried.started.settled else "the target was not calm before it"
    return row(
        Cell(str(tried.started.number), shown(purpose)),
        figure(rate(tried.started.rate_per_1000s)),
        figure(rate(j.throughput_per_1000s)),
        figure(span(j.judged_ns), f"after {span(j.cut_ns)}"),
        figure(str(j.requests)),
        figure(_latencies(j)),
        spoilt,
        figure(_percent(j.busy_ppm), shown(_generator(j))),
        Cell(shown(str(j.verdict)), shown(settled), "verdict", _SIGN[j.verdict]),
    )


def _latencies(j: Judgement) -> str:
    known = dict(j.latency_us)
    return " / ".join(span(known[name] * 1000) if name in known else "-" for name in ("p50", "p99"))


def _generator(j: Judgement) -> str:
    if j.generator:
        return "; ".join(j.generator)
    little = f", Little {_percent(j.little_ppm)}" if j.little_ppm else ""
    return f"late {_percent(j.late_ppm)}, dropped {_percent(j.dropped_ppm)}{little}"


def _limit(found: Assessment, finding: Finding) -> Table:
    limit, numbers = found.limit, dict(finding.numbers)
    assert limit is not None
    rows = [
        row("The limit lies", Cell(shown(interval_words(limit)), shown(finding.why), "n"), judged(finding)),
        row("Most likely at", figure(rate(limit.estimate_per_1000s)), "a guess, shown as such"),
        row("After an overload", limit.hysteresis, ""),
    ]
    if limit.proven_per_1000s:
        over = numbers.get("headroom_over_forecast_ppm")
        rows.append(row("Above the forecast peak", figure(_percent(int(over or 0))), "what is proven"))
    cost = numbers.get("cost_per_million_micro")
    if isinstance(cost, int):
        price = f"{cost / 1_000_000:.4g} {numbers['currency']}"
        rows.append(row("Cost of a million requests", figure(price), "at the proven rate"))
    if found.knee is not None:
        where = f"between {rate(found.knee.low_per_1000s)} and {rate(found.knee.high_per_1000s)}"
        rows.append(
            row("Knee", figure(rate(found.knee.rate_per_1000s), where), "most throughput for its latency")
        )
    rows += _usl(found)
    return Table("Limit", ("", "", ""), tuple(rows))


def _usl(found: Assessment) -> list[tuple[Cell, ...]]:
    usl = found.usl
    if usl is None:
        return []
    rows = []
    for name, value, unit in (
        ("contention (sigma)", usl.sigma_ppm, 1_000_000), ("coherency (kappa)", usl.kappa_ppm, 1_000_000),
        ("peak, requests/s", usl.peak_per_1000s, 1000),
    ):  # fmt: skip
        if value is not None:
            high = "unbounded" if value.high is None else f"{value.high / unit:.4g}"
            told = f"{value.low / unit:.4g} to {high}"
            rows.append(row(f"Scalability law: {name}", figure(f"{value.value / unit:.4g}"), told))
    return rows
