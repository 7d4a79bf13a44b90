"""Before, during and after the fault: three stretches of a run that the load is compared over.

    before   the steady state as it was held: the last `baseline` of the baseline phase, so that what was cold
             or still starting before it is left out
    during   from the command of the first fault until no fault is left
    after    from then on, as long as there is load

A fault ends when its own undo was read back. One whose undo a failover superseded is not undone on the
recovered side; it ends when service had come back there, or else when the undo that took over was read
back. Where a fault does not end in either way, all of the rest is "during".
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.checkers.disruption import disruption
from gameday.checkers.view import View
from gameday.history.events import Phase

SLICE_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the three; `end_ns` is not part of it."""

    name: str
    start_ns: int
    end_ns: int

    def holds(self, at_ns: int) -> bool:
        """Tell whether an instant is in it."""
        return self.start_ns <= at_ns < self.end_ns


Sides = tuple[Side, Side, Side]


def sides_of(view: View) -> Sides | None:
    """Return before, during and after; None where there was no baseline or no fault."""
    began_ns, running_ns = view.phase_at(Phase.BASELINE), view.phase_at(Phase.RUNNING)
    if began_ns is None or running_ns is None or not view.injections:
        return None
    fault_ns = view.injections[0].commanded_ns
    steady_ns = min(running_ns, fault_ns)
    held_ns = view.plan.steady_state.baseline_ns
    began_ns = max(began_ns, steady_ns - held_ns) if held_ns else began_ns
    last_ns = max((bucket.start_ns for bucket in view.trace.load), default=0) + SLICE_NS
    end_ns = _end_ns(view)
    end_ns = last_ns if end_ns is None else max(min(end_ns, last_ns), fault_ns)
    return (
        Side("before", began_ns, steady_ns),
        Side("during", fault_ns, end_ns),
        Side("after", end_ns, last_ns),
    )


def _end_ns(view: View) -> int | None:
    """Return when the last fault had ended; None when one had not."""
    undone = {event.step: event.read_back_ns or at for at, _, event in view.undo_ends if event.undone}
    back_ns = _back_ns(view)
    if back_ns is None:
        back_ns = max(undone.values(), default=None)
    taken = {name for step in view.plan.steps if step.id in view.started for name in step.supersedes}
    ends = []
    for step in (injection.step for injection in view.injections):
        is_taken = (step.target or step.id) in taken
        ends.append(undone.get(step.id, back_ns if is_taken else None))
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None


def _back_ns(view: View) -> int | None:
    """Return when all services that were lost had come back; None when none was, or one had not."""
    found = [disruption(view, objective) for objective in view.plan.objectives]
    lost = [item for item in found if item is not None and item.onset is not None]
    back = [item.recovered.hi_ns for item in lost if item.recovered is not None]
    return max(back) if lost and len(back) == len(lost) else None
