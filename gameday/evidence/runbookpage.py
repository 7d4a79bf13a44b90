"""A runbook as a page for the wiki: what each step does, by hand too, within what time, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gameday.evidence.pages import Page, Section
from gameday.evidence.words import limit
from gameday.plan.byhand import command_of, instructions
from gameday.plan.model import Step, StepKind


def runbook_page(title: str, purpose: str, owner: str, steps: Iterable[Step], source: str) -> Page:
    """Return the page of a runbook."""
    told = tuple(steps)
    head = Section("What it is for", (purpose, f"Owner: {owner}" if owner else "", f"Source: {source}"))
    rows = tuple(_row(number, step) for number, step in enumerate(told, start=1))
    columns = ("No", "Step", "Who", "What to do", "Within", "Part")
    mind = tuple(_mind(told))
    return Page(
        title,
        "",
        (
            Section(head.title, tuple(filter(None, head.sentences))),
            Section("Steps", columns=columns, rows=rows),
            Section("Mind", points=mind),
        ),
    )


def _row(number: int, step: Step) -> tuple[str, ...]:
    is_hand = step.kind in (StepKind.MANUAL, StepKind.APPROVAL)
    who = (step.who or "somebody") if is_hand else "gameday, or by hand"
    within = step.for_ns if step.kind is StepKind.HOLD else step.deadline_ns
    part = str(step.segment) if step.segment else ""
    return str(number), step.name, who, instructions(step), limit(within), part


def _mind(steps: tuple[Step, ...]) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        if step.point_of_no_return:
            replaced = (
                f"; it replaces what was owed on {', '.join(step.supersedes)}" if step.supersedes else ""
            )
            yield f"Step {number} is the point of no return: from here go on to the end{replaced}."
        if step.complete and not step.point_of_no_return:
            yield f"Step {number} is finished even after a halt, once the point of no return is passed."
        if step.undo_by_hand:
            yield f"Step {number} is taken back by hand: {step.undo_by_hand}"
        elif step.undo is not None:
            yield f"Step {number} is taken back by hand: {command_of(step.undo)}"
