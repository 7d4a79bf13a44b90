"""A run as Prometheus metrics: one page of text, made anew from the fold at each scrape.

    # TYPE gameday_phase gauge
    gameday_phase{phase="running"} 1

Everything a label says of the plan is bounded by the plan: probes, SLOs, loads, conditions, steps. What
was not measured is left out, never 0: silence is not health. `METRICS` is the list that documents and
the dashboard are checked against.

Source: OpenMetrics 1.0, "Text Format"; Prometheus, "Exposition formats" (0.0.4) for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gameday.console.follow import RECENT_NS, Follower
from gameday.engine.state import Owed
from gameday.engine.windows import Gauge, burn_rate
from gameday.history.events import Outcome, Phase, Reading
from gameday.history.histogram import merge, percentile_us
from gameday.history.loadevents import LoadBucket
from gameday.plan.model import NS, PPM, StepKind

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
QUANTILES_PPM = {"0.5": 500_000, "0.9": 900_000, "0.95": 950_000, "0.99": 990_000, "0.999": 999_000}
SLOT_NS = 100_000_000
METRICS: dict[str, tuple[str, str]] = {
    "gameday_run_info": ("gauge", "1, with the run, its plan, service, environment and kind as labels."),
    "gameday_run_elapsed_seconds": ("gauge", "How long the run has lasted."),
    "gameday_run_last_record_seconds": ("gauge", "Unix time of the last record of the history."),
    "gameday_run_outcome": ("gauge", "1 for how the run ended; all 0 while it runs."),
    "gameday_phase": ("gauge", "1 for the phase the run is in, 0 for the others."),
    "gameday_halted": ("gauge", "1 from a halt on."),
    "gameday_steps": ("gauge", "How many steps are waiting, running, done or failed."),
    "gameday_step_running": ("gauge", "1 for each step that is under way."),
    "gameday_faults_in_place": ("gauge", "How many faults are, or may be, in place."),
    "gameday_fault_in_place": ("gauge", "1 for each fault that is, or may be, in place."),
    "gameday_undos_owed": ("gauge", "How many undos are owed, of faults and of other changes."),
    "gameday_undos_stuck": ("gauge", "How many undos are stuck: each needs a person."),
    "gameday_slo_good_ratio": ("gauge", "Good share over the SLO's window."),
    "gameday_slo_objective_ratio": ("gauge", "Good share that the SLO asks for."),
    "gameday_slo_burn_rate": ("gauge", "How fast the error budget burns; 1 spends it exactly in its window."),
    "gameday_slo_met": ("gauge", "1 when the SLO holds over its window, 0 when it does not."),
    "gameday_probe_samples_total": ("counter", "Samples by probe and reading: good, bad, unreadable."),
    "gameday_load_requests_total": ("counter", "Requests by load and result: good, bad, dropped."),
    "gameday_load_offered_per_second": ("gauge", "Arrivals that were due over the last two seconds."),
    "gameday_load_achieved_per_second": ("gauge", "Arrivals that were started on time, over two seconds."),
    "gameday_load_latency_seconds": ("gauge", "Latency of successes over two seconds, by quantile."),
    "gameday_stop_condition_breached": ("gauge", "1 when the stop condition has halted the run or warned."),
    "gameday_stop_condition_crossed": ("gauge", "1 while the limit is crossed, before `for:` has passed."),
}  # fmt: skip
Row = tuple[str, dict[str, str], float | int]


def exposition(follower: Follower, now_ns: int, *, is_open: bool) -> str:
    """Return the page; `is_open` in OpenMetrics, else in the older format."""
    found: dict[str, list[Row]] = {}
    for row in rows(follower, now_ns):
        found.setdefault(row[0], []).append(row)
    lines: list[str] = []
    for name, (kind, words) in METRICS.items():
        if name not in found:
            continue
        family = name.removesuffix("_total") if is_open and kind == "counter" else name
        lines += [f"# TYPE {family} {kind}", f"# HELP {family} {words}"]
        lines += [f"{name}{_labels(labels)} {_number(value)}" for _, labels, value in found[name]]
    return "\n".join([*lines, *(["# EOF"] if is_open else []), ""])


def rows(follower: Follower, now_ns: int) -> Iterator[Row]:
    """Yield every value there is: (metric, labels, value)."""
    yield from _run(follower, now_ns)
    yield from _steps(follower)
    yield from _owed(follower)
    for gauge in follower.state.gauges:
        yield from _level(gauge)
    for (probe, reading), number in sorted(_all_readings(follower).items()):
        yield "gameday_probe_samples_total", {"probe": probe, "reading": reading}, number
    yield from _load(follower)
    yield from _limits(follower)


def _run(follower: Follower, now_ns: int) -> Iterator[Row]:
    plan, state = follower.plan, follower.state
    about = {"run": follower.run, "title": plan.title, "service": plan.service, "kind": plan.kind}
    yield "gameday_run_info", {**about, "environment": plan.target.environment}, 1
    yield "gameday_run_elapsed_seconds", {}, max(now_ns, 0) / NS
    yield "gameday_run_last_record_seconds", {}, follower.wall_ns(follower.last_ns) / NS
    ended = follower.ended.outcome if follower.ended is not None else None
    for outcome in Outcome:
        yield "gameday_run_outcome", {"outcome": str(outcome)}, int(outcome is ended)
    for phase in Phase:
        yield "gameday_phase", {"phase": str(phase)}, int(phase is state.phase)
    yield "gameday_halted", {}, int(state.halted is not None)


def _steps(follower: Follower) -> Iterator[Row]:
    state, steps = follower.state, follower.plan.steps
    running = {one.step for one in state.running}
    failed = set(state.failed) - running
    done = set(state.ended) - failed - running
    waiting = len(steps) - len(running) - len(failed) - len(done)
    numbers = {"waiting": waiting, "running": len(running), "done": len(done), "failed": len(failed)}
    for word, number in numbers.items():
        yield "gameday_steps", {"state": word}, number
    for step in steps:
        if step.id in running:
            yield "gameday_step_running", {"step": step.id, "name": step.name, "kind": str(step.kind)}, 1


def chain(owed: Owed) -> Iterator[str]:
    """Yield the step whose undo is owed, and all those it stands in for."""
    yield owed.step
    for replaced in owed.replaced:
        yield from chain(replaced)


def _owed(follower: Follower) -> Iterator[Row]:
    state = follower.state
    in_place = [
        (step, owed.target)
        for owed in state.owed
        for step in map(state.step, chain(owed))
        if step.kind is StepKind.FAULT
    ]
    yield "gameday_faults_in_place", {}, len(in_place)
    for step, target in in_place:
        yield "gameday_fault_in_place", {"step": step.id, "name": step.name, "target": target}, 1
    yield "gameday_undos_owed", {}, len(state.owed)
    yield "gameday_undos_stuck", {}, len(follower.stuck)


def _level(gauge: Gauge) -> Iterator[Row]:
    slo, share, met = gauge.slo, gauge.good_ppm(), gauge.is_met()
    labels = {"slo": slo.name}
    yield "gameday_slo_objective_ratio", labels, slo.objective_ppm / PPM
    if share is not None:
        burn = burn_rate(good=gauge.good(), valid=gauge.valid(), objective_ppm=slo.objective_ppm)
        yield "gameday_slo_good_ratio", labels, share / PPM
        yield "gameday_slo_burn_rate", labels, burn
    if met is not None:
        yield "gameday_slo_met", labels, int(met)


def _all_readings(follower: Follower) -> dict[tuple[str, str], int]:
    """Return the samples of every probe by reading; 0 from the beginning, so that a rate has a start."""
    names = [probe.name for probe in follower.plan.probes]
    none = {(name, str(reading)): 0 for name in names for reading in Reading}
    return {**none, **follower.readings}


def _load(follower: Follower) -> Iterator[Row]:
    for (load, result), number in sorted(follower.requests.items()):
        yield "gameday_load_requests_total", {"load": load, "result": result}, number
    recent: dict[str, list[LoadBucket]] = {}
    for bucket in follower.recent:
        recent.setdefault(bucket.load, []).append(bucket)
    for load, buckets in sorted(recent.items()):
        if follower.ended is not None:
            break  # The last two seconds of a run that is over are no longer the last two seconds.
        span_s = len({(b.start_ns + SLOT_NS // 2) // SLOT_NS for b in buckets}) * SLOT_NS / NS
        span_s = min(max(span_s, SLOT_NS / NS), RECENT_NS / NS)
        yield "gameday_load_offered_per_second", {"load": load}, sum(b.intended for b in buckets) / span_s
        yield "gameday_load_achieved_per_second", {"load": load}, sum(b.started for b in buckets) / span_s
        counts = merge(b.latency for b in buckets)
        for quantile, ppm in QUANTILES_PPM.items():
            latency_us = percentile_us(counts, ppm)
            if latency_us is not None:
                yield "gameday_load_latency_seconds", {"load": load, "quantile": quantile}, latency_us / 1e6


def _limits(follower: Follower) -> Iterator[Row]:
    state = follower.state
    halted = state.halted.condition if state.halted is not None else ""
    crossed = {meter.condition.name for meter in state.meters if meter.crossed_ns is not None}
    for stop in follower.plan.stop_conditions:
        labels = {"condition": stop.name, "then": stop.then}
        yield "gameday_stop_condition_breached", labels, int(stop.name == halted or stop.name in state.warned)
        yield "gameday_stop_condition_crossed", labels, int(stop.name in crossed)


# --- text ------------------------------------------------------------------------------------


def _labels(labels: dict[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}" if value < 1e6 else f"{value:.3f}"


def names_in(text: str) -> set[str]:
    """Return the names of the metrics that stand on a page."""
    return {_name(line) for line in _samples(text)}


def _samples(text: str) -> Iterable[str]:
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]
