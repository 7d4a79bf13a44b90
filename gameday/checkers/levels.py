"""The steady state before and after, and whether the load was what was asked for."""

from __future__ import annotations

from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.offered import Asked, asked_of
from gameday.checkers.view import View
from gameday.history.events import Phase
from gameday.history.loadevents import LoadReported
from gameday.plan.model import NS, PPM, Load

ACHIEVED_MIN_PPM = 980_000
OFFERED_MIN_PPM = 980_000
GENERATOR_LOST = " was lost: "  # In what a crew, or the master of workers, says of one of them.
BUSY_MAX_PPM = 900_000


def check_baseline(view: View) -> Finding:
    """Return whether the steady state held before the first fault."""
    needed = f"{view.plan.steady_state.baseline_ns / 1e9:g} s"
    running = next((seq for _, seq, e in view.phases if e.phase is Phase.RUNNING), None)
    if running is None:
        why = "it never held long enough, so nothing was injected"
        return Finding("steady state before", Verdict.UNKNOWN, "not held", needed, "s", why)
    why = "every SLO was met, without a break, before the first fault"
    return Finding("steady state before", Verdict.PASS, f"held {needed}", needed, "s", why, (running,))


def check_after(view: View) -> Finding:
    """Return whether the steady state was held again at the end."""
    needed = f"{view.plan.steady_state.stabilise_ns / 1e9:g} s"
    name = "steady state after"
    if not view.started:
        return Finding(name, Verdict.NOT_TESTED, "nothing was injected", needed, "s", "no step was started")
    finished = next(((seq, e) for _, seq, e in view.phases if e.phase is Phase.FINISHED), None)
    if finished is None or view.lost:
        why = "the runner died, so nobody watched the recovery"
        return Finding(name, Verdict.UNKNOWN, "not seen", needed, "s", why)
    if finished[1].reason == "the steady state held":
        why = "every SLO was met again, without a break, after the last undo"
        return Finding(name, Verdict.PASS, f"held {needed}", needed, "s", why, (finished[0],))
    if finished[1].reason.startswith("the load was stopped by the halt"):
        return Finding(name, Verdict.UNKNOWN, "not seen", needed, "s", finished[1].reason, (finished[0],))
    if view.is_interrupted:
        why = "a person ended the observation"
        return Finding(name, Verdict.UNKNOWN, "not seen", needed, "s", why, (finished[0],))
    why = "it had not returned when patience ended"
    return Finding(name, Verdict.FAIL, "not held", needed, "s", why, (finished[0],))


def check_load(view: View) -> tuple[Finding, ...]:
    """Return, for each load, whether what was offered was achieved.

    The load of a capacity sign-off overloads the target on purpose: each of its trials says that for itself.
    """
    tried = view.plan.capacity.load if view.plan.capacity is not None else None
    return tuple(_one_load(view, load) for load in view.plan.load if load.name != tried)


def _one_load(view: View, load: Load) -> Finding:
    buckets = [b for b in view.trace.load if b.load == load.name]
    counts = {
        key: sum(getattr(b, key) for b in buckets)
        for key in ("intended", "started", "late", "dropped", "good", "bad")
    }
    busy_ppm = max((b.busy_ppm for b in buckets), default=0)
    asked = asked_of(load, [(at, e) for at, e in view.load_asks if e.load == load.name], buckets)
    shorts = [(at_ns, seq, e) for at_ns, seq, e in view.load_shorts if e.load == load.name]
    share_ppm = counts["started"] * PPM // counts["intended"] if counts["intended"] else 0
    numbers: tuple[tuple[str, int | str | None], ...] = (
        ("asked", asked.arrivals if asked else None), ("intended", counts["intended"]),
        ("started_on_time", counts["started"]), ("late", counts["late"]), ("dropped", counts["dropped"]),
        ("good", counts["good"]), ("bad", counts["bad"]), ("generator_busy_max_ppm", busy_ppm),
        ("times_short", len(shorts)),
    )  # fmt: skip
    observed, limit = f"{share_ppm / 10_000:.1f}", f"{ACHIEVED_MIN_PPM / 10_000:g}"
    if not counts["intended"] or not counts["good"] + counts["bad"]:
        observed = "0" if not view.load_lost else observed
    verdict, why = _judged(view, load, counts, busy_ppm, _offered(load, asked, counts["intended"], shorts))
    events = tuple(seq for _, seq, _ in shorts)
    return Finding(f"load {load.name}", verdict, observed, limit, "%", why, events, None, numbers)


def _judged(
    view: View, load: Load, counts: dict[str, int], busy_ppm: int, offered: tuple[bool, str]
) -> tuple[Verdict, str]:
    """Return the verdict on one load, and why."""
    is_short, said = offered
    intended, started = counts["intended"], counts["started"]
    if view.load_lost:
        return Verdict.UNKNOWN, f"the load was lost: {view.load_lost}"
    if not intended or not counts["good"] + counts["bad"]:
        return Verdict.UNKNOWN, "no request was made"
    if is_short:
        return Verdict.UNKNOWN, said
    if started * PPM // intended >= ACHIEVED_MIN_PPM:
        why = "arrivals started on time against arrivals intended, whatever the answer"
        return Verdict.PASS, f"{why}; {said}" if said else why
    if busy_ppm > BUSY_MAX_PPM or counts["late"] > counts["dropped"]:
        why = "the generator was late or busy: what it says of the target is not to be trusted"
        if busy_ppm > BUSY_MAX_PPM:
            more = "the number of workers" if load.workers else f"`processes` (now {load.processes})"
            why += f"; it took {busy_ppm // 10_000} % of a core: raise {more}"
        return Verdict.UNKNOWN, why
    why = "arrivals found every user hanging in a stalled target, with a healthy generator"
    return Verdict.FAIL, f"{why}; {said}" if said else why


def _offered(
    load: Load, asked: Asked | None, intended: int, shorts: list[tuple[int, int, LoadReported]]
) -> tuple[bool, str]:
    """Tell whether less was offered than the plan asked for, and say so; empty where all went well."""
    lost = _short_words(load, shorts)
    if asked is None:
        return bool(shorts), f"{lost}: what users would have done meanwhile cannot be told" if lost else ""
    is_short = (intended + asked.slack) * PPM < asked.arrivals * OFFERED_MIN_PPM
    share_ppm = min(intended * PPM // asked.arrivals, PPM) if asked.arrivals else PPM
    said = f"{share_ppm // 1000 / 10:.1f} % of the asked load was offered"
    if lost:
        return is_short, f"{lost}; {said}"
    return is_short, f"{said}: the generator stood still" if is_short else ""


def _short_words(load: Load, shorts: list[tuple[int, int, LoadReported]]) -> str:
    """Return how many generators were lost and when, or what else made the load short; empty for nothing."""
    times = [f"{at_ns / NS:.1f} s" for at_ns, _, event in shorts if GENERATOR_LOST in event.detail]
    if times:
        count, noun = (load.workers, "workers") if load.workers else (load.processes, "generators")
        verb = "was" if len(times) == 1 else "were"
        return f"{len(times)} of {count} {noun} {verb} lost at {', '.join(times)}"
    return f"short since {shorts[0][0] / NS:.1f} s, {shorts[0][2].detail}" if shorts else ""
