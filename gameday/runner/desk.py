"""Where people come to a running drill: to approve at a gate, to say what they did by hand.

The desk looks at the run through the engine's last state, an immutable snapshot which the deciding
thread puts here between its turns, and answers with events into the inbox. It decides nothing.
Signatures are verified on the thread of whoever asks, so a slow ssh-keygen is in nobody's way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.canonical import to_json
from gameday.engine.people import Gate, missing, said_of
from gameday.engine.state import State
from gameday.errors import GameDayError, Refused
from gameday.history.people import ApprovalGiven, ManualReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.plan.approvals import START, Requirement, parse_statement
from gameday.plan.model import Plan, StepKind
from gameday.runner.approvals import Judge, Paper, Terms, claimed, file_name, keep, parts_of, subject_of

TEXT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """What approvals of this run are judged by."""

    plan: Plan
    terms: Terms
    run_dir: Path
    targets: tuple[str, ...]
    operator: str
    login: str = ""


class Desk:
    """Answers people. `state` is set by the deciding thread; None before its first turn."""

    def __init__(self, clock: RunClock, inbox: Inbox, session: Session | None = None) -> None:
        self.state: State | None = None
        self._clock = clock
        self._inbox = inbox
        self._session = session
        self._lock = threading.Lock()
        self._taken: tuple[ApprovalGiven, ...] = ()

    def answer(self, asked: Mapping[str, Any], by: str) -> dict[str, object]:
        """Return the reply to one request: gates, approve, claim, done or failed.

        Args:
            asked: The request, from outside.
            by: Who asks, as claimed, with the uid that is known.
        """
        try:
            match asked.get("kind"):
                case "gates":
                    return {"ok": True, "gates": self._gates()}
                case "approve":
                    return self._approve(_bytes(asked, "statement"), _bytes(asked, "signature"))
                case "claim":
                    return self._claim(_bytes(asked, "statement"))
                case "done" | "failed" as kind:
                    step, note = str(asked.get("step") or ""), str(asked.get("text") or "")[:TEXT_MAX]
                    return self._report(step, by, note, done=kind == "done")
                case kind:
                    return {"ok": False, "error": f"unknown request {kind!r}"}
        except GameDayError as error:
            return {"ok": False, "error": str(error)}
        except OSError as error:
            return {"ok": False, "error": f"cannot be kept: {error.strerror}"}

    # --- approvals -----------------------------------------------------------------------------

    def _waiting(self) -> tuple[Session, State, tuple[Gate, ...]]:
        if self._session is None or self.state is None:
            raise Refused("this run takes no approvals now")
        gates = tuple(gate for gate in self.state.people.gates if gate.passed is None)
        if not gates:
            raise Refused("no gate waits for an approval in this run")
        return self._session, self.state, gates

    def _gates(self) -> list[dict[str, object]]:
        session, state, gates = self._waiting()
        return [
            {
                "gate": gate.gate,
                "name": "the start" if gate.gate == START else state.step(gate.gate).name,
                "needs": said_of(missing(gate.needs, self._given(state, gate))),
                "roles": [need.role for need in missing(gate.needs, self._given(state, gate)) if need.live],
                "left_ns": max(gate.deadline_ns - self._clock.now_ns(), 0),
                "subject": to_json(self._judge(session, state, gate).subject),
            }
            for gate in gates
        ]

    def _given(self, state: State, gate: Gate) -> tuple[ApprovalGiven, ...]:
        known = state.people.given(gate.gate)
        return (*known, *(a for a in self._taken if a.gate == gate.gate and a not in known))

    def _judge(self, session: Session, state: State, gate: Gate) -> Judge:
        plan, terms = session.plan, session.terms
        required: tuple[Requirement, ...] = terms.before_faults
        if gate.gate != START:
            required = state.step(gate.gate).needs
        subject = subject_of(
            plan, gate.gate, terms.policy_sha256, run=session.run_dir.name, targets=session.targets
        )
        parts = parts_of(plan, session.operator, session.login)
        return Judge(subject, required, parts, terms, live=True, given=self._given(state, gate))

    def _approve(self, data: bytes, signature: bytes) -> dict[str, object]:
        with self._lock:
            session, state, gates = self._waiting()
            statement = parse_statement(data)
            gate = next((g for g in gates if g.gate == statement.subject.gate), None)
            if gate is None:
                raise Refused(f"the gate {statement.subject.gate!r} does not wait")
            if self._clock.now_ns() >= gate.deadline_ns:
                raise Refused("the time to approve is over")
            file = file_name(statement)
            approval = self._judge(session, state, gate).judge(data, signature, file)
            keep(session.run_dir, session.terms, [Paper(approval, data, signature)])
            self._taken = (*self._taken, approval)
            self._inbox.put((self._clock.now_ns(), approval))
            return {"ok": True, "still": said_of(missing(gate.needs, self._given(state, gate)))}

    def _claim(self, data: bytes) -> dict[str, object]:
        session, _, _ = self._waiting()
        statement = parse_statement(data)
        approval = claimed(statement, data, f"claimed.{file_name(statement)}", live=True)
        keep(session.run_dir, session.terms, [Paper(approval, data)])
        self._inbox.put((self._clock.now_ns(), approval))
        return {"ok": True}

    # --- work by hand --------------------------------------------------------------------------

    def _report(self, step: str, by: str, note: str, *, done: bool) -> dict[str, object]:
        waiting = by_hand(self.state) if self.state is not None else ()
        if self.state is None or not waiting:
            raise Refused("nobody is asked to do anything by hand in this run now")
        names = {name: self.state.step(name).name for name, _ in waiting}
        fits = [item for item in waiting if not step or item[0] == step or names[item[0]].startswith(step)]
        if len(fits) != 1:
            there = "; ".join(f"{name} ({names[name]})" for name, _ in waiting)
            what = f"{step!r} fits {len(fits)} of what waits" if step else "several things wait"
            raise Refused(f"{what}: name one with --step: {there}")
        name, role = fits[0]
        self._inbox.put((self._clock.now_ns(), ManualReported(name, role, done, by, note)))
        return {"ok": True, "step": names[name], "role": role}


def by_hand(state: State) -> tuple[tuple[str, str], ...]:
    """Return what people are asked to do now: (step, `do` or `undo`), stuck undos last."""
    doing = [(r.step, "do") for r in state.running if state.step(r.step).kind is StepKind.MANUAL]
    undoing = [(u.step, "undo") for u in state.undoing if state.step(u.step).undo_by_hand]
    stuck = [(name, "undo") for name in state.stuck if state.step(name).undo_by_hand]
    return tuple([*doing, *undoing] or stuck)


def _bytes(asked: Mapping[str, Any], key: str) -> bytes:
    return str(asked.get(key) or "").encode()
