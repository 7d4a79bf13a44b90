"""What the web page is told of a run, as plain data: the plan once, the picture of now again and again.

    plan      what does not change: title, steps, levels, limits
    picture   where the run stands now: phase, next, faults with their ttl, levels, limits, load, asks
    bars      stretches on the time axis: all of them, later those that changed
    notes     (number, second, topic, words) of all that happened

Seconds count from the start of the run. Texts come from plans, targets and people, which means from
strangers: `shown` spells out what would not print, and the page puts every text in as text.
"""

from __future__ import annotations

from typing import Any

from gameday.console.figures import held_words, recent_load, stale_ns
from gameday.console.follow import Note
from gameday.console.nearness import nearness
from gameday.console.story import Bar, Story
from gameday.engine.people import missing
from gameday.engine.state import Undoing
from gameday.engine.windows import Gauge, burn_rate
from gameday.evidence.handwork import gate_name, needs, task
from gameday.evidence.words import OUTCOME_WORDS, condition, limit, load_words, percent, shown, span
from gameday.history.events import Phase
from gameday.history.people import Need
from gameday.plan.model import NS, PPM, Step, StepKind

Data = dict[str, Any]
BEGINS = (Phase.ARMING, Phase.BASELINE, Phase.RUNNING)
FINDINGS_MAX = 200


def seconds(at_ns: int | None) -> float | None:
    """Return an instant or a duration in seconds, to the millisecond."""
    return None if at_ns is None else round(at_ns / NS, 3)


def watched(story: Story) -> tuple[str, ...]:
    """Return the probes whose readings the page draws: those that a service level rests on."""
    return tuple(dict.fromkeys(slo.probe for slo in story.plan.slos if slo.probe is not None))


def plan_of(story: Story) -> Data:
    """Return what does not change while the run goes on."""
    plan = story.plan
    return {
        "title": shown(plan.title),
        "kind": plan.kind,
        "service": shown(plan.service),
        "environment": shown(plan.target.environment),
        "source": shown(plan.source),
        "run": shown(story.run_dir.name),
        "operator": shown(story.operator),
        "wall_s": round(story.wall_ns(0) / NS, 3) if story.origin_boot_ns else None,
        "steps": [_step(step) for step in plan.steps],
        "probes": list(watched(story)),
        "has_load": bool(plan.load),
    }


def _step(step: Step) -> Data:
    book = step.runbook.rpartition("/")[2].rpartition(".")[0] if step.runbook else ""
    return {
        "id": step.id,
        "name": shown(step.name, 120),
        "kind": str(step.kind),
        "group": step.group,
        "runbook": shown(book, 40),
        "target": shown(step.target, 60),
        "for_s": seconds(step.for_ns),
        "load": load_words(step.load) if step.load is not None else "",
    }


def bars_of(story: Story) -> list[Data]:
    """Return every stretch on the time axis."""
    return [_bar(bar) for bar in story.bars]


def bars_changed(story: Story) -> list[tuple[int, Data]]:
    """Return the stretches that began or ended since the last call, each with its place among all."""
    numbers = sorted(story.touched)
    story.touched.clear()
    return [(number, _bar(story.bars[number])) for number in numbers]


def _bar(bar: Bar) -> Data:
    ends = seconds(bar.end_ns)
    return {"what": bar.what, "of": bar.of, "from": seconds(bar.start_ns), "to": ends, "state": bar.state}


def note_of(number: int, note: Note) -> list[object]:
    """Return one line of the story."""
    return [number, seconds(note.at_ns), note.topic, note.words]


def picture(story: Story, now_ns: int) -> Data:
    """Return where the run stands at `now_ns`."""
    state, ended = story.state, story.ended
    return {
        "now": seconds(max(now_ns, 0)),
        "phase": str(state.phase),
        "held": held_words(story, now_ns),
        "halt": _halt(story),
        "quiet": seconds(max(now_ns - story.last_ns, 0)) if ended is None else 0,
        "running": [_running(story, run.step, run.started_ns, now_ns) for run in state.running],
        "next": _next(story),
        "done": [step for step in state.ended if step not in state.failed],
        "failed": list(state.failed),
        "faults": _faults(story, now_ns),
        "asks": _asks(story, now_ns),
        "slos": [_level(story, gauge, now_ns) for gauge in state.gauges],
        "limits": _limits(story, now_ns),
        "load": _load(story),
        "end": None if ended is None else _end(story),
    }


def _halt(story: Story) -> Data | None:
    halting = story.halting
    if halting.asked_ns is None and halting.at_ns is None:
        return None
    began_ns = halting.asked_ns if halting.asked_ns is not None else halting.at_ns
    took_ns = None
    if halting.gone_ns is not None and began_ns is not None:
        took_ns = halting.gone_ns - began_ns
    return {
        "asked": seconds(halting.asked_ns),
        "asked_by": shown(halting.asked_by, 160),
        "at": seconds(halting.at_ns),
        "by": shown(halting.by, 160),
        "reason": shown(halting.reason, 300),
        "in_place": halting.in_place,
        "gone": seconds(halting.gone_ns),
        "took": seconds(took_ns),
        "left": len(story.faults_in_place),
    }


def _running(story: Story, name: str, started_ns: int, now_ns: int) -> Data:
    step, past_ns = story.state.step(name), max(now_ns - started_ns, 0)
    most_ns = step.for_ns if step.kind is StepKind.HOLD and step.for_ns else step.deadline_ns
    return {"step": name, "since": seconds(started_ns), "past": seconds(past_ns), "most": seconds(most_ns)}


def _next(story: Story) -> Data | None:
    """Return the steps that start together next; None when nothing will."""
    state, steps = story.state, story.plan.steps
    running = {run.step for run in state.running}
    waiting = [step for step in steps if step.id not in state.ended and step.id not in running]
    if state.halted is not None or state.phase not in BEGINS or not waiting:
        return None
    first = [step.id for step in waiting if step.group == waiting[0].group]
    return {"steps": first, "more": len(waiting) - len(first)}


def _faults(story: Story, now_ns: int) -> list[Data]:
    state = story.state
    undoing = {undo.step: undo for undo in state.undoing}
    ttl_ns = {owed.step: (owed.ttl_at_ns, owed.for_until_ns) for owed in state.owed}
    found = []
    for fault, by in story.faults_in_place.items():
        if by in story.stuck:
            continue
        ends_ns = min((at_ns for at_ns in ttl_ns.get(by, ()) if at_ns is not None), default=None)
        found.append(_fault(story, fault, by, undoing.get(by), ends_ns, now_ns))
    for stuck in story.stuck:
        step = state.step(stuck)
        by_hand = step.manual_command or step.undo_by_hand or "a person is needed"
        found.append(
            {"step": stuck, "name": shown(step.name, 120), "target": shown(step.target, 60), "state": "stuck",
             "words": shown(f"by hand: {by_hand}"), "left": None, "of": None}
        )  # fmt: skip
    return found


def _fault(story: Story, fault: str, by: str, undo: Undoing | None, ends_ns: int | None, now_ns: int) -> Data:
    step, how = story.state.step(fault), story.state.step(by)
    since = next((bar.start_ns for bar in reversed(story.bars) if (bar.what, bar.of) == ("fault", fault)), 0)
    by_words = f"will be taken back by: {how.undo.name}" if how is not step and how.undo is not None else ""
    words = f"being taken back for {span(max(now_ns - undo.started_ns, 0))}" if undo is not None else by_words
    return {
        "step": fault,
        "name": shown(step.name, 120),
        "target": shown(step.target, 60),
        "state": "undoing" if undo is not None else "in place",
        "words": shown(words),
        "since": seconds(since),
        "left": None if ends_ns is None else seconds(max(ends_ns - now_ns, 0)),
        "of": None if ends_ns is None else seconds(max(ends_ns - since, 1)),
    }


def _asks(story: Story, now_ns: int) -> list[Data]:
    """Return what is asked of people now: gates to sign for, steps and undos to do by hand."""
    state, found = story.state, []
    for gate in state.people.gates:
        if gate.passed is None:
            left = missing(gate.needs, state.people.given(gate.gate))
            left = tuple(need for need in left if need.live) or left
            found.append(_gate(story, gate.gate, left, gate.deadline_ns, now_ns))
    for running in state.running:
        step = state.step(running.step)
        if step.kind is StepKind.MANUAL:
            found.append(_hand(story, step, "do", task(step), running.deadline_ns, now_ns))
    for undo in state.undoing:
        step = state.step(undo.step)
        if step.undo_by_hand:
            words = f"undo {step.name}: {step.undo_by_hand}"
            found.append(_hand(story, step, "undo", words, undo.deadline_ns, now_ns))
    return found


def _gate(story: Story, gate: str, left: tuple[Need, ...], deadline_ns: int, now_ns: int) -> Data:
    given = [
        f"{shown(a.principal, 80)} as {shown(a.role, 80)}, {'signed' if a.verified else 'claimed only'}"
        for a in story.state.people.given(gate)
    ]
    roles = [role for need in left for role in need.role.split("/")]
    return {
        "what": "approve",
        "gate": gate,
        "words": shown(f"{gate_name(story.plan, gate)} waits for {needs(left)}"),
        "roles": list(dict.fromkeys(roles)) or ["approver"],
        "given": given,
        "left": seconds(max(deadline_ns - now_ns, 0)),
    }


def _hand(story: Story, step: Step, role: str, words: str, deadline_ns: int, now_ns: int) -> Data:
    return {
        "what": "hand",
        "step": step.id,
        "role": role,
        "words": shown(words),
        "taken": shown(story.taken.get(step.id, ""), 160) if role == "do" else "",
        "left": seconds(max(deadline_ns - now_ns, 0)),
    }


def _level(story: Story, gauge: Gauge, now_ns: int) -> Data:
    slo, share, latency_ns, met = gauge.slo, gauge.good_ppm(), gauge.latency_ns(), gauge.is_met()
    burn = None
    if share is not None:
        burn = burn_rate(good=gauge.good(), valid=gauge.valid(), objective_ppm=slo.objective_ppm)
    latency = ""
    if slo.below_ns is not None:
        now = "-" if latency_ns is None else f"{latency_ns / 1e6:.0f}"
        latency = f"{slo.load_stat} {now} of {limit(slo.below_ns)}"
    return {
        "name": shown(slo.name, 60),
        "aim": f"{percent(slo.objective_ppm)} in {limit(slo.window_ns)}",
        "good": None if share is None else round(share * 100 / PPM, 1),
        "latency": latency,
        "budget": None if burn is None else round(max(0.0, 1.0 - burn) * 100),
        "burn": None if burn is None else round(burn, 1),
        "met": met,
        "stale": seconds(stale_ns(story, gauge, now_ns)),
    }


def _limits(story: Story, now_ns: int) -> list[Data]:
    found = []
    for stop in story.plan.stop_conditions:
        words, near = nearness(story, stop, now_ns)
        what = shown(condition(stop), 120)
        found.append({"then": stop.then, "what": what, "words": shown(words), "near": str(near)})
    return found


def _load(story: Story) -> Data | None:
    """Return the load over the last two seconds; None where there is none, or no more."""
    now = recent_load(story) if story.ended is None else None
    if now is None:
        return None
    return {
        "offered": round(now.offered, 1),
        "achieved": round(now.achieved, 1),
        "failed": round(now.failed, 1),
        "short": now.short,
        "p99": None if now.p99_ms is None else round(now.p99_ms, 1),
    }


def _end(story: Story) -> Data:
    ended, document = story.ended, story.findings
    assert ended is not None
    found: Data = {
        "at": seconds(story.ended_ns),
        "outcome": str(ended.outcome),
        "words": OUTCOME_WORDS.get(ended.outcome, str(ended.outcome)),
        "stuck": [shown(story.state.step(step).name) for step in story.stuck],
        "failed_over": ended.failed_over,
        "report": shown(story.run_dir / "report.html"),
        "verdict": None,
        "findings": [],
    }
    if document is not None:
        found["verdict"] = shown(document.get("verdict", ""), 40)
        found["auditor"] = shown(document.get("auditor", ""), 80)
        found["findings"] = [_finding(one) for one in document.get("findings", [])[:FINDINGS_MAX]]
    return found


def _finding(found: Data) -> Data:
    keys = ("name", "verdict", "observed", "limit", "unit", "why")
    return {key: shown("" if found.get(key) is None else found[key], 300) for key in keys}
