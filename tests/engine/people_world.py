"""A simulated world with people in it: they sign, refuse, sign twice, come late, or never say a word."""

from __future__ import annotations

from gameday.history.events import StepStarted, UndoStarted
from gameday.history.people import ApprovalGiven, GateWaiting, ManualReported
from gameday.plan.approvals import Approvals, Requirement
from gameday.plan.model import NS, Step, StepKind
from tests.engine.world import ACT, MS, World


def manual(name: str, group: int, **more) -> Step:
    more.setdefault("deadline_ns", 3 * NS)
    return Step(name, name, StepKind.MANUAL, group, who="somebody", undo_deadline_ns=3 * NS, **more)


def by_hand(name: str, group: int, **more) -> Step:
    """A manual step whose undo is done by hand too."""
    more.setdefault("target", f"node:{name}")
    return manual(name, group, undo_by_hand=f"undo {name}", **more)


def manual_with_action(name: str, group: int, **more) -> Step:
    """A manual step whose undo is an action."""
    return manual(name, group, undo=ACT, in_place=ACT, target=f"node:{name}", **more)


def gate(name: str, group: int, *needs: Requirement, deadline_ns: int = 3 * NS) -> Step:
    needs = needs or (Requirement(live=True),)
    return Step(name, name, StepKind.APPROVAL, group, deadline_ns, needs=needs)


def before(*needs: Requirement, timeout_ns: int = 3 * NS) -> Approvals:
    return Approvals(needs, timeout_ns=timeout_ns)


def signed(gate_name: str, who: str, role: str = "approver", **more) -> ApprovalGiven:
    values = dict(live=True, verified=True, statement_sha256="00", fingerprint=f"key of {who}")
    return ApprovalGiven(gate_name, who, role, **{**values, **more})


class PeopleWorld(World):
    """`behave` also takes (gate, "gate"): ok, hang, late, claim, twice, one-key, wrong-role."""

    def carry_out(self, at: int, command) -> None:
        match command:
            case GateWaiting():
                self.at_gate(at, command)
            case StepStarted(step=name) if self.plan_step(name).kind is StepKind.MANUAL:
                self.person(at, name, "do")
            case UndoStarted(step=name) if self.plan_step(name).undo_by_hand:
                self.person(at, name, "undo")
            case _:
                super().carry_out(at, command)

    def choose(self, name: str, role: str, calm: list[str], wild: list[str]) -> str:
        return self.behave.get((name, role)) or self.rng.choice(calm if self.calm else wild)

    def person(self, at: int, name: str, role: str) -> None:
        how = self.choose(name, role, ["ok"], ["ok"] * 5 + ["fail", "hang", "late"])
        delay = self.rng.randrange(10, 800) * MS + (5 * NS if how == "late" else 0)
        if how != "hang":
            self.post(at + delay, ManualReported(name, role, how != "fail", "somebody"))

    def at_gate(self, at: int, waiting: GateWaiting) -> None:
        wild = ["ok"] * 6 + ["hang", "late", "claim", "twice", "one-key", "wrong-role"]
        how = self.choose(waiting.gate, "gate", ["ok"], wild)
        if how == "hang":
            return
        number = 0
        for need in waiting.needs:
            for _ in range(need.count):
                number += 1
                who = "ann" if how == "twice" else f"person-{number}"
                more = {"live": need.live, "verified": how != "claim"}
                more |= {"fingerprint": "one key"} if how == "one-key" else {}
                role = "somebody else" if how == "wrong-role" else need.role
                when = at + self.rng.randrange(10, 400) * MS + (9 * NS if how == "late" else 0)
                self.post(when, signed(waiting.gate, who, role, **more))
