"""That each fault took effect, that none is left, and why the run halted if it did."""

from __future__ import annotations

from gameday.checkers.debts import debts_of
from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View, seconds
from gameday.plan.model import StepKind

_NOT_THE_TARGETS = (
    "baseline", "history", "load", "watchdog", "safety lever", "lease", "approval", "policy",
)  # fmt: skip


def check_effects(view: View) -> tuple[Finding, ...]:
    """Return, for each fault, whether its own read-back saw it in place."""
    findings = []
    for step in view.plan.steps:
        if step.kind is not StepKind.FAULT:
            continue
        title = f"fault took effect: {step.name}"
        injection = next((i for i in view.injections if i.step.id == step.id), None)
        if injection is None:
            why = "it was not injected"
            findings.append(Finding(title, Verdict.NOT_TESTED, "not injected", "in place", "", why))
            continue
        effect = injection.took_effect
        verdict = Verdict.PASS if effect is True else Verdict.UNKNOWN
        observed = {True: "in place", False: "absent", None: "not read"}[effect]
        detail = injection.ended.detail if injection.ended else "no reply"
        why = "shown by its own read-back" if effect is True else f"no read-back shows it. {detail}".strip()
        findings.append(Finding(title, verdict, observed, "in place", "", why, (injection.seq,)))
    return tuple(findings)


def check_residual(view: View) -> Finding:
    """Return whether anything that may have been put in place is left there."""
    title = "no fault is left"
    if not view.started:
        return Finding(title, Verdict.PASS, "0 left", "0", "faults", "nothing was started")
    owed = {debt.step for debt in debts_of(view.plan, view.trace).left}
    stuck = view.run_ended.stuck if view.run_ended is not None else ()
    left = sorted(owed | set(stuck))
    numbers: tuple[tuple[str, int | str | None], ...] = tuple(
        (f"undo {event.step}: seconds from start to read-back", seconds(_time(view, event.step)))
        for _, _, event in view.undo_ends
        if event.undone
    )
    events = tuple(seq for _, seq, event in view.undo_ends)
    if left:
        names = ", ".join(_name(view, step) for step in left)
        why = f"not shown to be undone: {names}. Run `gameday recover`, then look at the target."
        return Finding(title, Verdict.FAIL, f"{len(left)} left", "0", "faults", why, events, None, numbers)
    unread = {s.id for s in view.plan.steps if s.kind is StepKind.FAULT and s.undo and s.in_place is None}
    if any(event.undone and event.step in unread for _, _, event in view.undo_ends):
        why = "each undo says that it did its work, and none is read back (so it is with Chaos Toolkit's own)"
        return Finding(
            title, Verdict.UNKNOWN, "0 left, as undos say", "0", "faults", why, events, None, numbers
        )
    by_hand = {step.id for step in view.plan.steps if step.undo_by_hand}
    said = any(event.undone and event.step in by_hand for _, _, event in view.undo_ends)
    taken_back = {event.step for _, _, event in view.undo_ends if event.undone}
    unseen = any(s.undo and s.in_place is None and s.id in taken_back for s in view.plan.steps)
    why = "each was read back as gone after its undo"
    why += ", or, where nothing reads it back, its undo said that it did its work" if unseen else ""
    why += "; what was undone by hand is gone as people say" if said else ""
    return Finding(title, Verdict.PASS, "0 left", "0", "faults", why, events, None, numbers)


def _time(view: View, step: str) -> int | None:
    start = next((at for at, _, e in view.undo_starts if e.step == step), None)
    end = next((e.read_back_ns or at for at, _, e in view.undo_ends if e.step == step and e.undone), None)
    return None if start is None or end is None else end - start


def _name(view: View, step_id: str) -> str:
    return next((step.name for step in view.plan.steps if step.id == step_id), step_id)


def check_halt(view: View) -> tuple[Finding, ...]:
    """Return why the run halted, and how long a limit was crossed; nothing when it did not halt."""
    if view.halted is None:
        return ()
    at_ns, seq, halted = view.halted
    verdict = Verdict.FAIL
    if view.is_interrupted or view.lost or halted.by in _NOT_THE_TARGETS:
        verdict = Verdict.UNKNOWN
    gone_ns = max((e.read_back_ns or at for at, _, e in view.undo_ends if e.undone), default=None)
    numbers: list[tuple[str, int | str | None]] = [("halted_at_ns", at_ns)]
    if halted.breach_after_ns is not None and halted.breach_before_ns is not None:
        numbers += [("breach_min_ns", halted.breach_after_ns), ("breach_max_ns", halted.breach_before_ns)]
    if gone_ns is not None:
        numbers.append(("last_fault_gone_ns", gone_ns))
        numbers.append(("halt_to_gone_ns", max(gone_ns - at_ns, 0)))
    took = f"; the last fault was gone {seconds(max(gone_ns - at_ns, 0))} later" if gone_ns else ""
    why = f"{halted.reason}{took}"
    title = "no stop condition was breached"
    return (
        Finding(title, verdict, f"halted by {halted.by}", "no halt", "", why, (seq,), None, tuple(numbers)),
    )
