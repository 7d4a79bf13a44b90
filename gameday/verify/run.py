"""What happened in a run, as its records say: steps, undos, phases, halts. One pass, no opinion yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .chain import History, Record
from .strictjson import get, maybe, rows

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected, or may have been."""

    step: dict[str, Any]
    at_ns: int
    end: Record | None

    @property
    def took_effect(self) -> bool | None:
        """What its own read-back said; None when there was none."""
        return maybe(self.end.data, "in_place", bool, "StepEnded") if self.end else None

    @property
    def read_back_ns(self) -> int | None:
        """When it was read back."""
        return maybe(self.end.data, "read_back_ns", int, "StepEnded") if self.end else None


class Run:
    """A plan and what its history says of it."""

    def __init__(self, plan: dict[str, Any], history: History) -> None:
        self.plan, self.history = plan, history
        self.steps = rows(plan, "steps", PLAN)
        self.started: dict[str, int] = {}
        self.ended: dict[str, Record] = {}
        self.phases: dict[str, Record] = {}
        self.halted = history.first("Halted")
        self.end: Record | None = None
        for record in history.records:
            where = f"history.jsonl:{record.seq}"
            if record.kind == "StepStarted":
                self.started.setdefault(get(record.data, "step", str, where), record.at_ns)
            elif record.kind == "StepEnded":
                self.ended.setdefault(get(record.data, "step", str, where), record)
            elif record.kind == "PhaseChanged":
                self.phases.setdefault(get(record.data, "phase", str, where), record)
            elif record.kind == "RunEnded":
                self.end = record
        self.is_lost = history.first("RunnerLost") is not None
        self.last_ns = max(history.last_ns, 0)
        self.faults = sorted(self._faults(), key=lambda fault: fault.at_ns)

    def _faults(self) -> list[Fault]:
        found = []
        for step in self.steps:
            name = get(step, "id", str, PLAN)
            if step.get("kind") != "fault" or name not in self.started:
                continue
            end = self.ended.get(name)
            if end is None or end.data.get("effect") != "did_not_happen":
                found.append(Fault(step, self.started[name], end))
        return found

    @property
    def outcome(self) -> str:
        """How it ended; a history without an end is that of a crash."""
        if self.is_lost or self.end is None:
            return "crashed"
        return get(self.end.data, "outcome", str, "RunEnded")

    @property
    def halted_by(self) -> str:
        """Who or what halted it; empty when nothing did."""
        return get(self.halted.data, "by", str, "Halted") if self.halted else ""

    @property
    def is_interrupted(self) -> bool:
        """Tell whether a person ended it."""
        return self.halted_by.startswith("operator")

    @property
    def failback_ns(self) -> int:
        """When failing back began, or the end: what comes after is not the recovery."""
        backs = [
            self.started[s["id"]]
            for s in self.steps
            if s.get("segment") == "fail-back" and s["id"] in self.started
        ]
        return min(backs, default=self.last_ns)

    def probe(self, name: str) -> tuple[int, int]:
        """Return period and timeout of a probe."""
        probe = next((p for p in rows(self.plan, "probes", PLAN) if p.get("name") == name), {})
        return get(probe, "every_ns", int, PLAN), get(probe, "timeout_ns", int, PLAN)

    def phase_ns(self, name: str) -> int | None:
        """Return when a phase was first entered."""
        return self.phases[name].at_ns if name in self.phases else None
