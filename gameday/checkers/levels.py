"""The steady state before and after, and whether the load was what was asked for."""

from __future__ import annotations

from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View
from gameday.history.events import Phase

ACHIEVED_MIN_PPM = 980_000
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
    """Return, for each load, whether what was offered was achieved."""
    return tuple(_one_load(view, load.name) for load in view.plan.load)


def _one_load(view: View, name: str) -> Finding:
    buckets = [b for b in view.trace.load if b.load == name]
    intended = sum(b.intended for b in buckets)
    started = sum(b.started for b in buckets)
    late, dropped = sum(b.late for b in buckets), sum(b.dropped for b in buckets)
    good, bad = sum(b.good for b in buckets), sum(b.bad for b in buckets)
    busy_ppm = max((b.busy_ppm for b in buckets), default=0)
    share_ppm = started * 1_000_000 // intended if intended else 0
    numbers: tuple[tuple[str, int | str | None], ...] = (
        ("intended", intended), ("started_on_time", started), ("late", late), ("dropped", dropped),
        ("good", good), ("bad", bad), ("generator_busy_max_ppm", busy_ppm),
    )  # fmt: skip
    title, limit = f"load {name}", f"{ACHIEVED_MIN_PPM / 10_000:g}"
    observed = f"{share_ppm / 10_000:.1f}"
    if view.load_lost:
        why = f"the load was lost: {view.load_lost}"
        return Finding(title, Verdict.UNKNOWN, observed, limit, "%", why, (), None, numbers)
    if not intended or not good + bad:
        why = "no request was made"
        return Finding(title, Verdict.UNKNOWN, "0", limit, "%", why, (), None, numbers)
    if share_ppm >= ACHIEVED_MIN_PPM:
        why = "arrivals started on time against arrivals intended, whatever the answer"
        return Finding(title, Verdict.PASS, observed, limit, "%", why, (), None, numbers)
    if busy_ppm > BUSY_MAX_PPM or late > dropped:
        why = "the generator was late or busy: what it says of the target is not to be trusted"
        return Finding(title, Verdict.UNKNOWN, observed, limit, "%", why, (), None, numbers)
    why = "arrivals found every user hanging in a stalled target, with a healthy generator"
    return Finding(title, Verdict.FAIL, observed, limit, "%", why, (), None, numbers)
