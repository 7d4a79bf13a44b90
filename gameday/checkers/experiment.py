"""What a Chaos Toolkit experiment came to: its own status, as its journal has it."""

from __future__ import annotations

from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View
from gameday.history.experimentevents import ActivityEnded, ExperimentEnded
from gameday.plan.experimentstep import experiment_in

_VERDICTS = {"completed": Verdict.PASS, "failed": Verdict.FAIL}


def check_experiments(view: View) -> tuple[Finding, ...]:
    """Return, for each experiment of a plan, whether it completed without deviating.

    One that was aborted or interrupted says nothing of the target: unknown. So does one whose host ended.
    """
    findings = []
    for step in view.plan.steps:
        if experiment_in(step.do) is None:
            continue
        found = [
            (record.seq, record.event)
            for record in view.trace.records
            if isinstance(record.event, ExperimentEnded | ActivityEnded) and record.event.step == step.id
        ]
        findings.append(_one(view, step.id, step.name, found))
    return tuple(findings)


def _one(
    view: View, step: str, name: str, found: list[tuple[int, ExperimentEnded | ActivityEnded]]
) -> Finding:
    title, limit = f"experiment: {name}", "completed"
    ended = next(((seq, event) for seq, event in found if isinstance(event, ExperimentEnded)), None)
    activities = [event for _, event in found if isinstance(event, ActivityEnded)]
    failed = [event for event in activities if event.status == "failed"]
    unmet = [event for event in activities if event.status == "not met"]
    numbers: tuple[tuple[str, int | str | None], ...] = (
        ("activities", len([event for event in activities if event.name != "hypothesis"])),
        ("activities_failed", len(failed)),
    )
    if ended is None:
        if step not in view.started:
            return Finding(
                title, Verdict.NOT_TESTED, "not begun", limit, "", "it was not begun", (), None, numbers
            )
        why = "it did not come to its own end; its rollbacks were played by its undo"
        return Finding(title, Verdict.UNKNOWN, "interrupted", limit, "", why, (), None, numbers)
    seq, event = ended
    observed = "deviated" if event.deviated else event.status
    verdict = Verdict.FAIL if event.deviated else _VERDICTS.get(event.status, Verdict.UNKNOWN)
    why = f"its hypothesis was not met {unmet[0].part}: {unmet[0].detail}" if unmet else "as its journal says"
    why = event.detail or why
    if failed:
        names = ", ".join(f"{item.name} ({item.part})" for item in failed[:5])
        why += f"; failed activities: {names}"
    return Finding(title, verdict, observed, limit, "", why, (seq,), None, numbers)
