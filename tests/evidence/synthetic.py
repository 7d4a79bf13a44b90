"""A made-up run that looks like a real one: fault at 8 s, 2.5 s out of service, ledger, load, failback.

The run is written by the real history writer, so its chain and its digests are whole.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from gameday.canonical import from_json
from gameday.history.codec import Roots
from gameday.history.codec import encode_item
from gameday.history.events import (
    Armed,
    ClockRead,
    Effect,
    Halted,
    HostStarted,
    LedgerAsked,
    LedgerEntry,
    LedgerMark,
    LedgerRead,
    Noted,
    Outcome,
    Phase,
    PhaseChanged,
    PurgeAsked,
    Reading,
    RunEnded,
    RunStarted,
    Sample,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    TargetsResolved,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.loadevents import LoadAsked, LoadBucket, LoadReported
from gameday.history.histogram import index_of
from gameday.history.store import HistoryWriter
from gameday.plan.model import (
    NS,
    Activity,
    BlastRadius,
    Ledger,
    Load,
    Objective,
    Plan,
    Probe,
    ProbeKind,
    Segment,
    Slo,
    SteadyState,
    Step,
    StepKind,
    StopCondition,
    Target,
)
from gameday.plan.stored import plan_digest, write_plan

MS = 1_000_000
FAULT_NS, BACK_NS, END_NS = 8 * NS, 10 * NS + 500 * MS, 28 * NS


def act(name, module="postgres", func="kill", **arguments):
    provider = {"type": "python", "module": f"gameday.actions.{module}", "func": func, "arguments": arguments}
    return Activity(name, json.dumps(provider), 10 * NS)


def make_plan(**changes) -> Plan:
    book = "runbooks/promote-standby.yaml"
    steps = (
        Step(
            "1-dies", "primary database dies", StepKind.FAULT, 0, 10 * NS, target="node:a",
            do=act("primary database dies", node="a"), undo=act("start a", func="start", node="a"),
            in_place=act("a is down", func="is_down", node="a"), ttl_ns=120 * NS,
            survives="Runner killed: the watchdog undoes it within seconds.",
            manual_command="gameday.actions.postgres start --node a --at ${lab.control}",
        ),
        Step("2-detect", "notice that orders are refused", StepKind.FAILOVER, 1, 25 * NS, runbook=book,
             segment=Segment.DETECT, do=act("notice", "lab", "wait_unhealthy")),
        Step("3-fence", "fence the old primary", StepKind.FAILOVER, 2, 10 * NS, runbook=book, target="node:a",
             segment=Segment.FAIL_OVER, do=act("fence", func="fence", node="a")),
        Step("4-promote", "promote b", StepKind.FAILOVER, 3, 40 * NS, runbook=book, target="node:a",
             segment=Segment.FAIL_OVER, do=act("promote", func="promote", node="b"), point_of_no_return=True,
             undo=act("bring a back as a standby of b", func="rejoin", node="a", source="b"),
             supersedes=("node:a",), complete=True),
        Step("5-verify", "place an order and read it back", StepKind.FAILOVER, 4, 15 * NS, runbook=book,
             segment=Segment.COME_UP, do=act("verify", "lab", "verify_order")),
        Step("6-hold", "hold 6 s", StepKind.HOLD, 5, 7 * NS, for_ns=6 * NS),
        Step("7-back", "bring a back", StepKind.UNDO, 6, 60 * NS, runbook="runbooks/failback.yaml",
             target="node:a", segment=Segment.FAIL_BACK),
    )  # fmt: skip
    plan = Plan(
        title="Lose the primary database at peak",
        kind="dr",
        service="orders",
        source="experiments/primary-loss.yaml",
        about=(
            ("author", "r.ito"),
            ("hypothesis", "Orders are accepted again within 30 s."),
            ("owner", "payments-sre"),
        ),
        target=Target("lab", "${lab.url}/identity"),
        objectives=(Objective("orders", "place-order", 30 * NS, NS, 900 * NS, 800_000, "BIA-2026-04"),),
        recovery="plan",
        load=(Load("orders", "loadprofiles/orders.py", "0" * 64, rate_per_1000s=50_000),),
        probes=(
            Probe("place-order", ProbeKind.HTTP, "{}", 100 * MS, 400 * MS, writes=True),
            Probe("payments-untouched", ProbeKind.HTTP, "{}", 500 * MS, 400 * MS),
        ),
        slos=(
            Slo("availability", 5 * NS, 950_000, probe="place-order"),
            Slo("latency", 5 * NS, 950_000, load_stat="p99", below_ns=300 * MS),
        ),
        steady_state=SteadyState(("availability", "latency"), 5 * NS, 5 * NS),
        stop_conditions=(
            StopCondition(
                "1-availability", "halt", slo="availability", bad_above_ppm=900_000, for_ns=25 * NS
            ),
            StopCondition("2-payments", "halt", probe="payments-untouched", in_a_row=3),
            StopCondition("3-silence", "warn", silence_ns=2 * NS),
        ),
        blast_radius=BlastRadius((("region", "a"),), 1, 2, 300 * NS),
        steps=steps,
        ledger=Ledger("orders", "{}", 20 * MS, 400 * MS),
    )
    return replace(plan, **changes)


@dataclass
class Story:
    """What happens, as (at_ns, event), and the measurements beside it."""

    plan: Plan
    records: list = field(default_factory=list)
    samples: list = field(default_factory=list)
    load: list = field(default_factory=list)
    ledger: list = field(default_factory=list)

    def add(self, at_ns, event):
        self.records.append((at_ns, event))


def opening(story: Story) -> None:
    digest = plan_digest(story.plan)
    software = (("python", "3.11.7"), ("locust", "2.47.0"))
    story.add(
        MS, RunStarted("20260101T000000Z-abcdef", digest, "0", "boot", "0.1.0", software, "r.ito", "host")
    )
    story.add(2 * MS, ClockRead("chrony", 3 * MS, "0"))
    story.add(
        3 * MS,
        TargetsResolved(
            "lab", '{"name":"gameday-lab"}', ("node:a",), 2, (("lab.control", "http://127.0.0.1:9"),)
        ),
    )
    story.add(4 * MS, HostStarted("1-dies", "action", 4242, 1, "boot"))
    story.add(2500 * MS, Armed(8))
    story.add(2501 * MS, PhaseChanged(Phase.BASELINE, "armed"))
    story.add(2502 * MS, LoadAsked("orders", "start", rate_per_1000s=50_000))
    story.add(2510 * MS, LoadReported("orders", "running"))
    story.add(FAULT_NS - 2 * MS, PhaseChanged(Phase.RUNNING, "the steady state held"))


def step(story: Story, name: str, start_ns: int, end_ns: int, **ended) -> None:
    story.add(start_ns, StepStarted(name))
    story.add(end_ns, StepEnded(name, ended.pop("effect", Effect.HAPPENED), **ended))


def completed(plan: Plan | None = None) -> Story:
    """The whole drill: lost, failed over in 2.5 s, failed back, steady again."""
    story = Story(plan or make_plan())
    opening(story)
    step(story, "1-dies", FAULT_NS, FAULT_NS + 30 * MS, in_place=True, read_back_ns=FAULT_NS + 28 * MS)
    step(story, "2-detect", FAULT_NS + 31 * MS, FAULT_NS + 900 * MS)
    step(story, "3-fence", FAULT_NS + 950 * MS, FAULT_NS + 1000 * MS)
    step(story, "4-promote", FAULT_NS + 1001 * MS, FAULT_NS + 2300 * MS)
    step(story, "5-verify", FAULT_NS + 2301 * MS, FAULT_NS + 2520 * MS)
    story.add(10_530 * MS, LedgerAsked("after-failover", resume=True))
    story.add(10_600 * MS, LedgerRead("after-failover", ok=True, recovered=270))
    story.add(11 * NS, Noted("r.ito", "detected", "the pager went off"))
    story.add(11 * NS + 1, Warned("3-silence", "probe payments-untouched could not be read for 2 s"))
    step(story, "6-hold", 12 * NS, 18 * NS)
    story.add(18 * NS, StepStarted("7-back"))
    story.add(18 * NS + MS, UndoStarted("4-promote", "step"))
    story.add(19 * NS, UndoEnded("4-promote", undone=True, read_back_ns=19 * NS - MS))
    story.add(19 * NS + MS, StepEnded("7-back", Effect.HAPPENED))
    closing(story, Outcome.COMPLETED, 20 * NS)
    measured(story, lost_ns=FAULT_NS - 200 * MS)
    return story


def halted(plan: Plan | None = None, *, stuck: bool = False) -> Story:
    """A stop condition halts during the hold; the undo works, or sticks."""
    story = Story(plan or make_plan())
    opening(story)
    step(story, "1-dies", FAULT_NS, FAULT_NS + 30 * MS, in_place=True, read_back_ns=FAULT_NS + 28 * MS)
    story.add(FAULT_NS + 31 * MS, StepStarted("2-detect"))
    at = 10 * NS
    story.add(
        at, Halted("stop condition", "SLO availability: more than 90 % bad", "1-availability", at - NS, at)
    )
    story.add(at + MS, StepEnded("2-detect", Effect.INDETERMINATE, detail="killed: halt"))
    story.add(at + 2 * MS, UndoStarted("1-dies", "halt"))
    story.add(at + 3 * MS, PhaseChanged(Phase.UNDOING, "halted"))
    undone = not stuck
    back = BACK_NS if undone else None
    story.add(
        BACK_NS, UndoEnded("1-dies", undone=undone, detail="" if undone else "no answer", read_back_ns=back)
    )
    closing(story, Outcome.HALTED, 11 * NS, stuck=() if undone else ("1-dies",))
    measured(story)
    return story


def closing(story: Story, outcome: Outcome, at_ns: int, stuck=()) -> None:
    story.add(at_ns, PhaseChanged(Phase.RECOVERING, "nothing is left to undo"))
    story.add(27 * NS, LedgerAsked("end", resume=False))
    story.add(27 * NS + 50 * MS, LedgerRead("end", ok=True, recovered=900))
    story.add(27 * NS + 60 * MS, LoadAsked("orders", "stop"))
    story.add(27 * NS + 61 * MS, PurgeAsked("run"))
    story.add(27 * NS + 90 * MS, SyntheticPurged(1000, 1000, ok=True))
    story.add(END_NS - 10 * MS, PhaseChanged(Phase.FINISHED, "the steady state held"))
    story.add(END_NS, RunEnded(outcome, stuck, failed_over=False))


def measured(story: Story, lost_ns: int | None = None) -> None:
    """Probe samples, load buckets and ledger entries for the outage from FAULT_NS to BACK_NS."""
    dice = random.Random(7)
    for probe, every, first in (
        ("place-order", 100 * MS, 2510 * MS),
        ("payments-untouched", 500 * MS, 2600 * MS),
    ):
        for sent in range(first, 27 * NS, every):
            took = 3 * MS + dice.randrange(4 * MS)
            bad = probe == "place-order" and FAULT_NS <= sent < BACK_NS
            reading = Reading.BAD if bad else Reading.GOOD
            if probe == "place-order" and 22 * NS <= sent < 22_400 * MS:
                reading = Reading.UNREADABLE
            story.samples.append(Sample(probe, sent, sent + took, reading, "HTTP 503" if bad else ""))
    for start in range(2520 * MS, 27 * NS, 100 * MS):
        down = FAULT_NS <= start < BACK_NS
        latency = {}
        for _ in range(0 if down else 5):
            index = index_of(2000 + dice.randrange(3000))
            latency[index] = latency.get(index, 0) + 1
        errors = (("http-503", 5),) if down else ()
        counts = tuple(sorted(latency.items()))
        good, bad = (0, 5) if down else (5, 0)
        bucket = LoadBucket(
            "orders", start + dice.randrange(900_000), 5, 5, 0, 0, good, bad, errors, counts, 0, MS, 30_000
        )
        story.load.append(bucket)
    ledger(story, lost_ns)


def ledger(story: Story, lost_ns: int | None) -> None:
    acked, sent, seen = [], 2600 * MS, []
    for number in range(1, 1200):
        sent += 20 * MS
        if 10_530 * MS < sent < 10_620 * MS or sent > 27 * NS:
            continue
        sha = f"{number:064x}"
        story.ledger.append(LedgerEntry(number, LedgerMark.INTENT, sent, sha))
        down = FAULT_NS - 2 * MS <= sent < BACK_NS
        mark = LedgerMark.UNKNOWN if down else LedgerMark.ACKED
        story.ledger.append(LedgerEntry(number, mark, sent + 4 * MS, sha))
        lost = lost_ns is not None and lost_ns <= sent < FAULT_NS
        if not down and not lost:
            acked.append((number, sent, sha))
    for occasion, at in (("after-failover", 10_600 * MS), ("end", 27 * NS + 50 * MS)):
        seen += [
            LedgerEntry(number, LedgerMark.PRESENT, at, sha, occasion)
            for number, sent, sha in acked
            if sent < at
        ]
    story.ledger += seen


def write_run(folder: Path, story: Story) -> Path:
    """Write a run folder as the runner would, and return it."""
    folder.mkdir(parents=True)
    write_plan(folder, story.plan)
    history = HistoryWriter(folder, Roots(plan_digest(story.plan)))
    with (folder / "segments" / "ledger.jsonl").open("ab") as file:
        file.writelines(encode_item(entry) for entry in story.ledger)
    for item in (*story.samples, *story.load):
        history.keep(item)
    for at_ns, event in sorted(story.records, key=lambda pair: pair[0]):
        history.record(at_ns, utc(at_ns), "runner", event, sync=False)
    history.close()
    history = HistoryWriter(folder, Roots(plan_digest(story.plan)))
    history.seal(END_NS, utc(END_NS))
    history.close()
    return folder


def utc(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, NS)
    return f"2026-01-01T00:00:{seconds % 60:02d}.{rest:09d}Z"


def hostile_plan(text: str) -> Plan:
    """The plan with a text in every place where a person or a target may write one."""
    from gameday.canonical import to_json

    data = to_json(make_plan())

    def poison(value, key=""):
        if isinstance(value, dict):
            return {name: poison(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        free = key in (
            "title",
            "name",
            "manual_command",
            "survives",
            "source",
            "about",
            "warnings",
            "identity_url",
        )
        return f"{value}{text}" if isinstance(value, str) and free else value

    data = poison(data)
    data["about"] = [["author", text], ["hypothesis", text]]
    data["warnings"] = [text]
    for probe, name in zip(data["probes"], ("place-order", "payments-untouched"), strict=True):
        probe["name"] = name
    for slo, name in zip(data["slos"], ("availability", "latency"), strict=True):
        slo["name"] = name
    data["load"][0]["name"] = "orders"
    return from_json(Plan, data)
