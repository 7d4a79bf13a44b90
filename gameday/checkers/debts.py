"""Which undo stands for which fault, by the engine's own rule, read back from a history.

A step that owes an undo owes it from its start. One that supersedes takes over what was owed on those
targets; when it certainly did not happen, what it took over is owed again. A debt ends with an undo
that was read back as done, and with nothing else: a stuck one stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.history.events import Effect, StepEnded, StepStarted, UndoEnded
from gameday.history.record import Trace
from gameday.plan.model import Plan, Step


@dataclass(frozen=True, slots=True)
class Debt:
    """An undo that is owed: by which step, on which target, and for which steps since when."""

    step: str
    target: str
    covers: tuple[str, ...]
    replaced: tuple[Debt, ...] = ()


@dataclass(frozen=True, slots=True)
class Debts:
    """`left` is still owed; `ended` says of each step whose undo it was that paid, and when."""

    left: tuple[Debt, ...]
    ended: tuple[tuple[str, str, int], ...]

    def end_of(self, step: str) -> tuple[str, int] | None:
        """Return by whose undo what `step` left was first taken back, and when it was gone."""
        return next((found[1:] for found in self.ended if found[0] == step), None)


def debts_of(plan: Plan, trace: Trace) -> Debts:
    """Return what was owed and how it was paid. Linear in the records."""
    steps = {step.id: step for step in plan.steps}
    owed: list[Debt] = []
    running: set[str] = set()
    ended: list[tuple[str, str, int]] = []
    for record in trace.records:
        match record.event:
            case StepStarted(step=name) if name in steps:
                running.add(name)
                if steps[name].owes_undo and all(debt.step != name for debt in owed):
                    owed = _owe(owed, steps[name])
            case StepEnded(step=name, effect=effect) if name in running:
                running.discard(name)
                if effect is Effect.DID_NOT_HAPPEN:
                    owed = [
                        item for debt in owed for item in (debt.replaced if debt.step == name else (debt,))
                    ]
            case UndoEnded(step=name, undone=True) as event:
                gone_ns = event.read_back_ns or record.at_ns
                ended += [(done, name, gone_ns) for debt in owed if debt.step == name for done in debt.covers]
                owed = [debt for debt in owed if debt.step != name]
            case _:
                continue
    return Debts(tuple(owed), tuple(ended))


def _owe(owed: list[Debt], step: Step) -> list[Debt]:
    replaced = tuple(debt for debt in owed if debt.target in step.supersedes)
    target = step.target or (step.supersedes[0] if step.supersedes else step.id)
    covers = (step.id, *(name for debt in replaced for name in debt.covers))
    return [*(debt for debt in owed if debt not in replaced), Debt(step.id, target, covers, replaced)]
