"""A run as OpenTelemetry spans: the run, its phases, its steps and their undos, as OTLP in JSON.

    drill ── phase baseline ── …
          └─ step 1-primary-database-dies ── undo (halt)

A span is handed out when it has ended, the run's own last. Trace and span ids are digests of the run's
id and the span's name, so whatever is sent twice is the same span twice, not two. What began and has no
end by the end of the run ends there, and says so. The JSON is written by hand: it is one shape, and the
SDK would bring a batch processor, threads and a protobuf runtime into a program that has no use for them.

Source: OTLP 1.x, "JSON Protobuf Encoding" (ids in hex, 64-bit numbers as text, enumerations as numbers);
trace.proto, `Span`, `Status`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from gameday import __version__
from gameday.evidence.narrate import narrate
from gameday.history.events import (
    Effect,
    Halted,
    HostLostReported,
    Noted,
    Outcome,
    PhaseChanged,
    RunEnded,
    RunnerLost,
    RunStarted,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.loadevents import LoadAsked
from gameday.history.record import Record
from gameday.plan.model import Plan

INTERNAL, OK, ERROR = 1, 1, 2
TEXT_MAX = 500
Attributes = dict[str, str | int | bool]
_TOLD = (Halted, Warned, Noted, RunnerLost, HostLostReported, LoadAsked)


@dataclass(slots=True)
class Open:
    """A span that has not ended."""

    name: str
    key: str
    start_ns: int
    attributes: Attributes
    parent: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Spans:
    """Folds the records of one run into spans."""

    plan: Plan
    run: str = ""
    open: dict[str, Open] = field(default_factory=dict)

    def take(self, record: Record, wall_ns: int) -> list[dict[str, Any]]:
        """Take in one record and return the spans that it ended.

        Args:
            record: The record.
            wall_ns: Its time as nanoseconds of Unix time.
        """
        event = record.event
        if isinstance(event, _TOLD) and "run" in self.open:
            self._tell(event, wall_ns)
        match event:
            case RunStarted():
                self._run(event, wall_ns)
            case PhaseChanged():
                ended = self._end("phase", wall_ns)
                about: Attributes = {"gameday.phase": str(event.phase), "gameday.reason": event.reason}
                self._begin("phase", f"phase {event.phase}", wall_ns, about, "run")
                self.open["phase"].key = f"phase {event.phase} {record.seq}"
                return ended
            case StepStarted():
                return self._step(event, record, wall_ns)
            case StepEnded():
                said: Attributes = {"gameday.effect": str(event.effect), "gameday.detail": event.detail}
                if event.in_place is not None:
                    said["gameday.in_place"] = event.in_place
                status = OK if event.effect is Effect.HAPPENED else ERROR
                return self._end(f"step {event.step}", wall_ns, said, status)
            case UndoStarted():
                return self._undo(event, record, wall_ns)
            case UndoEnded():
                said = {"gameday.undone": event.undone, "gameday.detail": event.detail}
                return self._end(f"undo {event.step}", wall_ns, said, OK if event.undone else ERROR)
            case RunEnded():
                return self._over(event, wall_ns)
            case _:
                pass
        return []

    def _run(self, event: RunStarted, wall_ns: int) -> None:
        self.run, plan = event.run, self.plan
        about: Attributes = {
            "gameday.run": event.run, "gameday.plan.title": plan.title, "gameday.plan.kind": plan.kind,
            "gameday.plan.sha256": event.plan_sha256, "gameday.service": plan.service,
            "gameday.operator": event.operator, "deployment.environment.name": plan.target.environment,
        }  # fmt: skip
        self._begin("run", f"drill {plan.title}", wall_ns, about)

    def _step(self, event: StepStarted, record: Record, wall_ns: int) -> list[dict[str, Any]]:
        step = next((one for one in self.plan.steps if one.id == event.step), None)
        about: Attributes = {"gameday.step": event.step, "gameday.completing": event.completing}
        if step is not None:
            about |= {"gameday.step.kind": str(step.kind), "gameday.step.name": step.name}
            about |= {"gameday.target": step.target, "gameday.runbook": step.runbook or ""}
        before = self._end(f"step {event.step}", wall_ns, unended=True)
        name = f"{step.kind} {step.name}" if step is not None else f"step {event.step}"
        self._begin(f"step {event.step}", name, wall_ns, about, "run")
        if event.completing:
            self.open[f"step {event.step}"].key += f" {record.seq}"
        return before

    def _undo(self, event: UndoStarted, record: Record, wall_ns: int) -> list[dict[str, Any]]:
        before = self._end(f"undo {event.step}", wall_ns, unended=True)
        step = next((one.name for one in self.plan.steps if one.id == event.step), event.step)
        about: Attributes = {"gameday.step": event.step, "gameday.why": event.why}
        self._begin(f"undo {event.step}", f"undo of {step}", wall_ns, about, f"step {event.step}")
        self.open[f"undo {event.step}"].key += f" {record.seq}"
        return before

    def _over(self, event: RunEnded, wall_ns: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for key in [key for key in self.open if key != "run"]:
            found += self._end(key, wall_ns, unended=key != "phase")
        said: Attributes = {
            "gameday.outcome": str(event.outcome), "gameday.stuck": ", ".join(event.stuck),
            "gameday.failed_over": event.failed_over,
        }  # fmt: skip
        went_well = event.outcome is Outcome.COMPLETED and not event.stuck and not event.failed_over
        return found + self._end("run", wall_ns, said, OK if went_well else ERROR)

    # --- one span ----------------------------------------------------------------------------

    def _begin(self, key: str, name: str, wall_ns: int, about: Attributes, parent: str = "") -> None:
        # The step whose undo this is has ended long ago: its key is as stable as its id.
        self.open[key] = Open(name, key, wall_ns, about, parent)

    def _end(
        self,
        key: str,
        wall_ns: int,
        said: Attributes | None = None,
        status: int = 0,
        *,
        unended: bool = False,
    ) -> list[dict[str, Any]]:
        span = self.open.pop(key, None)
        if span is None:
            return []
        about = {**span.attributes, **(said or {})}
        if unended:
            about["gameday.unended"] = True
        made: dict[str, Any] = {
            "traceId": self._id("", 16), "spanId": self._id(span.key, 8), "name": span.name[:TEXT_MAX],
            "kind": INTERNAL, "startTimeUnixNano": str(span.start_ns),
            "endTimeUnixNano": str(max(wall_ns, span.start_ns)),
            "attributes": _attributes(about), "events": span.events,
            "status": {"code": status} if status else {},
        }  # fmt: skip
        if span.parent:
            made["parentSpanId"] = self._id(span.parent, 8)
        return [made]

    def _id(self, key: str, size: int) -> str:
        return hashlib.sha256(f"gameday {self.run} {key}".encode()).hexdigest()[: 2 * size]

    def _tell(self, event: Any, wall_ns: int) -> None:
        said = narrate(self.plan, event)
        topic, words = said if said is not None else (type(event).__name__, "")
        about: Attributes = {"gameday.words": words}
        if isinstance(event, Halted) and event.condition:
            about["gameday.condition"] = event.condition
        name = topic.lower()
        self.open["run"].events.append(
            {"timeUnixNano": str(wall_ns), "name": name, "attributes": _attributes(about)}
        )


def _attributes(values: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value != ""]


def _value(value: str | int | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value[:TEXT_MAX]}


def request(spans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of one export: an ExportTraceServiceRequest."""
    resource: Attributes = {"service.name": "gameday", "service.version": __version__}
    scope = {"name": "gameday", "version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": scope, "spans": spans}],
            }
        ]
    }
