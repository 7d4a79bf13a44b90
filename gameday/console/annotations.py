"""A run as Grafana annotations: a region for the run and for each fault, a mark for a halt or a warning.

    {"time": ms, "timeEnd": ms, "tags": ["gameday", "service:orders", "fault", …], "text": "…"}

The tags are the scope: service, environment, kind of drill, run, and of a fault its step and target, so
a dashboard of the service shows its drills by `gameday` and `service:orders` alone. A region is posted
when it begins and its end is patched in, so that a drill is seen while it runs.

Source: Grafana HTTP API, "Annotations": POST /api/annotations answers {"id": …}; PATCH /api/annotations/:id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gameday.evidence.narrate import narrate
from gameday.history.events import (
    Effect,
    Halted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    UndoEnded,
    Warned,
)
from gameday.history.record import Record
from gameday.plan.model import Plan, StepKind

MS = 1_000_000
TAG_MAX = 100


@dataclass(frozen=True, slots=True)
class Post:
    """Make an annotation; `key` names it for what ends it."""

    key: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """Set the end of an annotation, and what it says by then."""

    key: str
    body: dict[str, Any]


@dataclass(slots=True)
class Annotations:
    """Folds the records of one run into what Grafana is told."""

    plan: Plan
    run: str = ""
    open: dict[str, str] = field(default_factory=dict)  # key -> text

    def take(self, record: Record, wall_ns: int) -> list[Post | End]:
        """Take in one record and return what is to be told, in order."""
        event, ms = record.event, wall_ns // MS
        match event:
            case RunStarted():
                self.run = event.run
                return [self._begin("run", ms, self.plan.title, "drill")]
            case StepStarted() if self._is_fault(event.step):
                step = next(one for one in self.plan.steps if one.id == event.step)
                more = ["fault", f"step:{step.id}", *([f"target:{step.target}"] if step.target else [])]
                return [self._begin(f"fault {step.id}", ms, step.name, *more)]
            case StepEnded(effect=Effect.DID_NOT_HAPPEN):
                return self._end(f"fault {event.step}", ms, "did not happen")
            case UndoEnded(undone=True):
                return self._end(f"fault {event.step}", ms, "taken back")
            case Halted() | Warned():
                said = narrate(self.plan, event)
                word = "halt" if isinstance(event, Halted) else "warning"
                text = said[1] if said is not None else event.reason
                named = [f"condition:{event.condition}"] if event.condition else []
                return [Post(f"{word} {record.seq}", self._body(ms, text, word, *named))]
            case RunEnded():
                faults = [key for key in self.open if key != "run"]
                ends = [one for key in faults for one in self._end(key, ms, "not known to be taken back")]
                return [*ends, *self._end("run", ms, str(event.outcome))]
            case _:
                return []

    def _is_fault(self, step_id: str) -> bool:
        return any(one.id == step_id and one.kind is StepKind.FAULT for one in self.plan.steps)

    def _begin(self, key: str, ms: int, text: str, *tags: str) -> Post:
        self.open[key] = text
        return Post(key, self._body(ms, text, *tags))

    def _end(self, key: str, ms: int, how: str) -> list[Post | End]:
        text = self.open.pop(key, None)
        return [] if text is None else [End(key, {"timeEnd": ms, "text": f"{text}: {how}"})]

    def _body(self, ms: int, text: str, *tags: str) -> dict[str, Any]:
        plan = self.plan
        scope = (f"service:{plan.service}", f"environment:{plan.target.environment}", f"kind:{plan.kind}")
        every = ("gameday", *scope, f"run:{self.run}", *tags)
        return {"time": ms, "timeEnd": ms, "tags": [tag[:TAG_MAX] for tag in every], "text": text}
