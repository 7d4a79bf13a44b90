"""A simulated drill from a seed: a world whose truth is known, and the history it would have left.

    drill = simulate(seed)          drill.plan, drill.trace, drill.truth: a pure function of the seed
    write(drill, folder)            the same as a run folder: plan.json, history.jsonl, segments, findings.json

The world: a service that is up or down at each instant, a probe whose samples see it at one instant
of their flight, and (see `simulated_ledger`) two stores of which one is lost. What is assumed, and
nothing else is: a sample is good if the service was up at the instant it was seen; the service is up
from the baseline until the fault; a spell that a probe cannot see (shorter than one and a
half periods and its timeout) does not count; no write reaches a store before it was sent.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.checkers.findings import Interval
from gameday.history.codec import Roots, encode_item, encode_record, genesis, line_digest
from gameday.history.events import (
    Armed,
    ClockRead,
    Effect,
    Halted,
    LedgerAsked,
    LedgerRead,
    Outcome,
    Phase,
    PhaseChanged,
    Reading,
    RunEnded,
    RunnerLost,
    RunStarted,
    Sample,
    SegmentSealed,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadBucket  # fmt: skip
from gameday.history.histogram import index_of
from gameday.history.read import read_trace
from gameday.history.record import Record, Trace
from gameday.plan.model import (
    NS, Activity, Ledger, Load, Objective, Plan, Probe, ProbeKind, Segment, Slo, SteadyState, Step, StepKind,
    Target,
)  # fmt: skip
from gameday.plan.stored import plan_digest, write_plan
from tests.simulated_ledger import DIRT, MS, Data, Stores, make_data

SHAPES = (
    ("none", 6), ("short", 14), ("plain", 40), ("long", 8), ("flapping", 14), ("relapse", 10), ("never", 8),
)  # fmt: skip
ENDS = (("plan", 55), ("system", 20), ("halt", 8), ("ttl", 6), ("person", 4), ("crash", 7))
START = 500 * MS


@dataclass(frozen=True)
class Truth:
    """What really happened; instants in nanoseconds since the run began.

    `loss_ns` is how far back data is lost from the instant the old authority was (None: no ledger, or
    farther than the ledger reaches). `counts` holds the true ledger counts at each read-back.
    """

    onset_ns: int | None
    recovered_ns: int | None
    observed_until_ns: int
    recovered_by: str
    authority_lost_ns: int | None = None
    loss_ns: int | None = None
    is_beyond_ledger: bool = False
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def outage_ns(self) -> int | None:
        """The true recovery time; None where it had not recovered, 0 where nothing was disrupted."""
        if self.onset_ns is None:
            return 0
        return None if self.recovered_ns is None else self.recovered_ns - self.onset_ns

    def is_rta_in(self, interval: Interval, *, says_recovered: bool) -> bool:
        """Tell whether an RTA interval holds the truth, as far as it was observed.

        A run that ended first knows the outage up to then; it must not say that service came back.
        """
        outage_ns = self.outage_ns
        if outage_ns is None:
            outage_ns = self.observed_until_ns - (self.onset_ns or 0)
            if says_recovered:
                return False
        return interval.min_ns <= outage_ns and (interval.max_ns is None or outage_ns <= interval.max_ns)

    def is_rpa_in(self, interval: Interval) -> bool:
        """Tell whether an RPA interval holds the truth; a loss beyond the ledger has no upper end."""
        if self.loss_ns is None or interval.min_ns > self.loss_ns:
            return False
        return interval.max_ns is None or (not self.is_beyond_ledger and self.loss_ns <= interval.max_ns)


@dataclass(frozen=True)
class Drill:
    """A simulated drill. `kind` says what was drawn: shape, end and the ledger's mode."""

    seed: int
    kind: tuple[str, str, str]
    plan: Plan
    trace: Trace
    truth: Truth


@dataclass
class _World:
    """What was drawn for one drill."""

    dice: random.Random
    shape: str = ""
    end: str = ""
    every: int = 0
    timeout: int = 0
    held: int = 1
    stabilise: int = 0
    objective_ppm: int = 0
    fault: int = 0
    effect: int = 0
    read_back: int | None = 0
    spells: list[tuple[int, int]] = field(default_factory=list)
    sampled_until: int = 0
    failback: int | None = None
    finish: int = 0
    relapse: tuple[int, int] | None = None
    split: int = 0

    @property
    def unit(self) -> int:
        return self.every + self.timeout

    def pick(self, weighted):
        return self.dice.choices([name for name, _ in weighted], [weight for _, weight in weighted])[0]

    def between(self, low, high):
        return self.dice.randint(int(low), max(int(high), int(low)))


def simulate(seed: int) -> Drill:
    """Return the drill of a seed."""
    world = _World(random.Random(seed))
    _draw(world)
    _unfold(world)
    records = _records(world)
    mode, ledger, stores, data = _ledger(world, records)
    samples = _samples(world)
    load = _load(world)
    plan = _plan(world, ledger, with_load=bool(load))
    records.sort(key=lambda pair: pair[0])
    trace = Trace(
        tuple(Record(n, at, _utc(at), "runner", event) for n, (at, event) in enumerate(records, start=1)),
        tuple(samples),
        tuple(load),
        tuple(data.entries) if data else (),
    )
    return Drill(seed, (world.shape, world.end, mode), plan, trace, _truth(world, trace, stores, data))


def write(drill: Drill, folder: Path) -> Path:
    """Write a drill as a run folder, its findings beside it, and return the folder."""
    (folder / "segments").mkdir(parents=True)
    write_plan(folder, drill.plan)
    digest = plan_digest(drill.plan)
    events = [(r.at_ns, r.event) for r in drill.trace.records]
    events[0] = (events[0][0], replace(events[0][1], plan_sha256=digest))
    seals = []
    for stream, items in (
        ("samples", drill.trace.samples), ("load", drill.trace.load), ("ledger", drill.trace.ledger),
    ):  # fmt: skip
        data = b"".join(encode_item(item) for item in items)
        (folder / "segments" / f"{stream}.jsonl").write_bytes(data)
        if data:
            import hashlib

            seals.append(SegmentSealed(stream, 0, len(data), hashlib.sha256(data).hexdigest()))
    place = len(events) - isinstance(events[-1][1], RunEnded)
    events[place:place] = [(events[-1][0], seal) for seal in seals]
    prev, lines = genesis(Roots(digest)), []
    for seq, (at_ns, event) in enumerate(events, start=1):
        lines.append(encode_record(Record(seq, at_ns, _utc(at_ns), "runner", event), prev))
        prev = line_digest(lines[-1])
    (folder / "history.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    document = as_document(check(drill.plan, read_trace(folder)))
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "findings.json").write_text(text, encoding="utf-8")
    return folder


def _utc(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, NS)
    whole = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{whole.isoformat()[:19]}.{rest:09d}Z"


# --- what happens ----------------------------------------------------------------------------


def _draw(w: _World) -> None:
    dice = w.dice
    w.shape, w.end = w.pick(SHAPES), w.pick(ENDS)
    w.every = int(10 ** dice.uniform(1, 2.7)) * MS  # 10 to 500 ms
    w.timeout = max(int(w.every * dice.choice((0.3, 0.5, 0.8, 1.0, 1.7, 2.5, 4.0))), 8 * MS)
    w.held = dice.randint(1, 4)
    w.stabilise = int(max(14 * w.every, 3 * w.timeout) * dice.uniform(1, 2))
    w.objective_ppm = dice.choice((900_000, 950_000, 990_000))
    w.fault = START + w.between(8 * w.unit, 14 * w.unit)
    seen_after = w.between(MS, dice.choice((20 * MS, 50 * MS, w.unit, 3 * w.unit)))
    w.effect = w.fault + w.between(0, seen_after)
    w.read_back = None if dice.random() < 0.04 else w.effect + w.between(0, seen_after - (w.effect - w.fault))


def _unfold(w: _World) -> None:
    """Lay out the spells in which the service is down, and when observation ends."""
    dice, unit = w.dice, w.unit
    w.split = w.effect
    down = w.effect if dice.random() < 0.8 else w.effect + w.between(0, 2 * unit)
    if w.shape == "short":
        outage = w.between(MS, unit)
    elif w.shape == "long":
        outage = w.between(20 * unit, 60 * unit)
    else:
        outage = w.between(unit + w.every // 2, 12 * unit)
    up = down + outage
    w.spells = [(down, up)]
    sure = (3 * w.held + 4) * w.every + 2 * w.timeout  # Long enough to be seen, whatever is unreadable.
    if w.shape == "none":
        w.spells = []
    elif w.shape == "flapping":
        for _ in range(dice.randint(1, 3)):
            start = up + w.between(MS, w.stabilise * 2 // 5)
            up = start + w.between(max(w.stabilise * 3 // 5, sure), w.stabilise + sure)
            w.spells.append((start, up))
    elif w.shape == "relapse":
        start = up + w.stabilise + w.between(4 * unit, 8 * unit)
        up = start + w.between(sure, 2 * sure)
        w.relapse = (start, up)
        w.spells.append(w.relapse)
    last = up if w.spells else w.effect + w.between(0, 4 * unit)
    enough = w.stabilise + 3 * unit + w.held * w.every
    watched = w.between(0, enough) if dice.random() < 0.06 else w.between(enough + 3 * unit, 2 * enough)
    w.sampled_until = last + watched
    if w.shape == "never":
        w.spells[-1] = (w.spells[-1][0], w.sampled_until + 100 * NS)
    if w.end in ("plan", "system") and w.shape != "never" and dice.random() < 0.5:
        w.failback = w.sampled_until
        away = w.failback + w.between(MS, 3 * unit)
        w.spells.append((away, away + w.between(MS, 4 * unit)))  # Out of service again: not our recovery.
        w.sampled_until = w.spells[-1][1] + 3 * unit
    if w.end == "crash":
        w.sampled_until = w.between(w.fault, w.sampled_until)
        if w.relapse is not None and w.relapse[0] <= w.sampled_until <= w.relapse[1]:
            w.sampled_until = w.relapse[0]  # Else it dies before the relapse can be told from a hiccup.
    w.finish = w.sampled_until + 2 * w.timeout + 2 * w.every + 200 * MS


def _records(w: _World) -> list[tuple[int, object]]:
    software = (("python", "3.11"),)
    out: list[tuple[int, object]] = [
        (MS, RunStarted(f"sim-{w.fault}", "0" * 64, "0", "boot", "0", software, "nobody", "simulated")),
        (2 * MS, _clock(w)),
        (3 * MS, Armed(1)),
        (START, PhaseChanged(Phase.BASELINE, "armed")),
        (w.fault - MS, PhaseChanged(Phase.RUNNING, "the steady state held")),
        (w.fault, StepStarted("1-fault")),
    ]
    seen = w.read_back
    ended = StepEnded("1-fault", Effect.HAPPENED, True if seen else None, read_back_ns=seen)
    out.append(((seen or w.effect) + MS, ended))
    if w.end == "plan":
        out += _failover(w)
    elif w.end in ("halt", "ttl", "person"):
        out += _taken_away(w)
    if w.failback is not None:
        out.append((w.failback, StepStarted("5-back")))
        out.append((w.spells[-1][1], StepEnded("5-back", Effect.HAPPENED)))
    if w.end == "crash":
        out = [(at, event) for at, event in out if at < w.sampled_until]
        if w.dice.random() < 0.5:
            lost = w.sampled_until + w.between(MS, 200 * MS)
            out.append((lost, RunnerLost("watchdog", "it died")))
            out.append((w.finish, RunEnded(Outcome.CRASHED, (), failed_over=False)))
        return out
    outcome = Outcome.HALTED if w.end in ("halt", "person") else Outcome.COMPLETED
    out.append((w.finish - 3 * MS, PhaseChanged(Phase.FINISHED, "the steady state held")))
    out.append((w.finish - 2 * MS, _clock(w)))
    out.append((w.finish, RunEnded(outcome, (), failed_over=False)))
    return out


def _clock(w: _World) -> ClockRead:
    step_ns = w.between(-3 * NS, 3 * NS) if w.dice.random() < 0.1 else w.between(-MS, MS)
    if w.dice.random() < 0.3:
        return ClockRead("unsynchronised: no chrony on this machine", None, str(step_ns))
    return ClockRead("chrony", w.between(10_000, 30 * MS), str(step_ns))


def _outage(w: _World) -> tuple[int, int]:
    """From the loss of the authority to the end of the last spell before failing back."""
    spells = w.spells[:-1] if w.failback is not None else w.spells
    return w.effect, min(spells[-1][1] if spells else w.effect + 2 * w.unit, w.sampled_until)


def _failover(w: _World) -> list[tuple[int, object]]:
    begin, end = _outage(w)
    begin = max(begin, w.read_back or begin) + 2 * MS
    end = max(end, begin + 8 * MS)
    cuts = sorted(w.between(begin, end) for _ in range(3))
    steps = (
        ("2-detect", begin, cuts[0]),
        ("3-promote", cuts[1], cuts[2]),
        ("4-verify", cuts[2] + 1, end + 5 * MS),
    )
    return [
        pair
        for name, start, stop in steps
        for pair in ((start, StepStarted(name)), (stop, StepEnded(name, Effect.HAPPENED)))
    ]


def _taken_away(w: _World) -> list[tuple[int, object]]:
    begin, end = _outage(w)
    at = w.between(begin, max(end - 2 * MS, begin))
    out: list[tuple[int, object]] = [(at + MS, UndoStarted("1-fault", "ttl" if w.end == "ttl" else "halt"))]
    out.append((max(end, at + MS) + MS, UndoEnded("1-fault", undone=True, read_back_ns=max(end, at + MS))))
    if w.end != "ttl":
        by = "operator nobody" if w.end == "person" else "stop condition"
        out.append((at, Halted(by, "enough")))
    return out


# --- what was measured -----------------------------------------------------------------------


def _is_down(w: _World, at_ns: int) -> bool:
    return any(start <= at_ns < end for start, end in w.spells)


def _samples(w: _World) -> list[Sample]:
    dice = w.dice
    unreadable = dice.choice((0, 0, 0, 0.02, 0.1, 0.3))
    missed = dice.choice((0, 0, 0, 0.02, 0.1))
    jitter = int(w.every * dice.choice((0, 0.02, 0.1, 0.3)))
    slow = dice.choice((0, 0.02, 0.3))
    hangs = dice.choice((0.0, 0.5, 1.0))
    blind = _blind(w)
    samples = []
    due = START + dice.randint(0, w.every)
    while due < w.sampled_until:
        sent = due + dice.randint(0, jitter)
        due += w.every
        most = w.timeout * (98 if dice.random() < slow else 20) // 100
        took = dice.randint(min(MS, most), most)
        is_down = _is_down(w, sent + dice.randint(0, took))
        sure = w.relapse is not None and w.relapse[0] - w.unit <= sent <= w.relapse[1] + w.unit
        if not sure and dice.random() < missed:
            continue
        if is_down and dice.random() < hangs:
            took = w.timeout + dice.randint(0, 2 * MS)
        ended = sent + took
        reading, detail = (Reading.BAD, "refused") if is_down else (Reading.GOOD, "")
        if not sure and (dice.random() < unreadable or any(a <= sent < b for a, b in blind)):
            reading, detail = Reading.UNREADABLE, "no worker was free"
        if ended < w.finish:
            samples.append(Sample("place-order", sent, ended, reading, detail))
    samples.sort(key=lambda s: s.ended_ns)  # As they are written: each when it has ended.
    return samples


def _blind(w: _World) -> list[tuple[int, int]]:
    """Stretches in which the prober itself was blind, about the ends of the outage."""
    if w.dice.random() < 0.8 or not w.spells:
        return []
    last = w.spells[-2] if w.failback is not None and len(w.spells) > 1 else w.spells[-1]
    middle = w.dice.choice((w.spells[0][0], last[1]))
    return [(middle - w.between(0, 3 * w.unit), middle + w.between(0, 3 * w.unit))]


def _load(w: _World) -> list[LoadBucket]:
    """For some drills, a load of 50 requests a second, answered whenever the service is up."""
    if w.dice.random() < 0.8 or w.sampled_until > 60 * NS:
        return []
    buckets = []
    for start in range(START, w.sampled_until, 100 * MS):
        good = sum(not _is_down(w, start + n * 20 * MS) for n in range(5))
        counts = ((index_of(3000), good),) if good else ()
        errors = (("refused", 5 - good),) if good < 5 else ()
        bucket = LoadBucket("orders", start, 5, 5, 0, 0, good, 5 - good, errors, counts, 0, 0, 30_000)
        if w.sampled_until % 4:  # Some are those of an earlier version, which kept no names of requests.
            bucket = replace(bucket, endpoints=(("POST /orders", good, 5 - good, counts),))
        buckets.append(bucket)
    return buckets


def _ledger(w: _World, records: list) -> tuple[str, Ledger | None, Stores | None, Data | None]:
    dice = w.dice
    if dice.random() < 0.15 or not w.spells or w.end == "crash":
        return "no ledger", None, None, None
    mode = w.pick((("async", 60), ("sync", 15), ("restart", 10), ("split", 15)))
    begin, end = _outage(w)
    recovers = w.shape != "never"
    lag = int(10 ** dice.uniform(0, 3.5)) * MS
    if mode in ("sync", "restart"):
        lag = 0
    if mode == "split":  # Cut off, A goes on for a while; users notice when it is fenced.
        begin = w.split
    elif w.spells[0][0] != w.effect:
        return "no ledger", None, None, None  # A service that outlives its store has no numbered writes.
    every = max(int(10 ** dice.uniform(1, 2.3)) * MS, w.sampled_until // 400)
    timeout = max(int(every * dice.choice((0.5, 1, 3))), 10 * MS)
    quiet, read = [], w.sampled_until
    if recovers:
        first = end + 2 * MS
        if first + every + 3 * timeout < (w.failback or w.sampled_until):
            quiet.append(("after-failover", first, first + 2 * timeout + 5 * MS))
    quiet.append(("end", read, read + 2 * timeout + 5 * MS))
    stores = Stores(
        mode=mode, lost_ns=begin, fenced_ns=w.spells[0][0] if mode == "split" else begin,
        back_ns=end if recovers else None, applied_ns=begin - lag, every_ns=every, timeout_ns=timeout,
        jitter_ns=every // 10, first_ns=START, last_ns=read,
        quiet=tuple(quiet), holes_ppm=30_000 if mode == "async" and dice.random() < 0.1 else 0,
        dirt=frozenset(kind for kind in DIRT if dice.random() < 0.03), refuses=dice.random() < 0.4,
    )  # fmt: skip
    data = make_data(stores, dice)
    for occasion, silent, at in quiet:
        if at >= w.finish:
            w.finish = at + 100 * MS
        records.append((silent, LedgerAsked(occasion, resume=occasion != "end")))
        records.append((at, LedgerRead(occasion, ok=True, recovered=0)))
    last = next(n for n, (_, event) in enumerate(records) if isinstance(event, RunEnded))
    records[last] = (w.finish, records[last][1])
    return mode, Ledger("orders", "{}", every, timeout), stores, data


def _truth(w: _World, trace: Trace, stores: Stores | None, data: Data | None) -> Truth:
    until = min(w.sampled_until, w.failback or w.sampled_until)
    # Jitter may send the last sample a little later: then it was observed until that one ended.
    seen = max((s.ended_ns for s in trace.samples if s.sent_ns < (w.failback or w.finish)), default=until)
    spells = [spell for spell in w.spells if spell[0] < until]
    onset = spells[0][0] if spells else None
    back = spells[-1][1] if spells else None
    by = {"plan": "plan", "system": "system", "crash": "system"}.get(w.end, "fault_removed")
    truth = Truth(onset, back if back is not None and back < until else None, max(until, seen), by)
    if stores is None or data is None:
        return truth
    loss = stores.lost_ns - stores.applied_ns
    beyond = data.survivors == 0 and data.lost_back_ns is not None
    if data.lost_back_ns is not None:
        loss = max(loss, stores.lost_ns - data.lost_back_ns)
    return replace(
        truth, authority_lost_ns=stores.lost_ns, loss_ns=loss, is_beyond_ledger=beyond, counts=data.counts
    )


# --- what was planned ------------------------------------------------------------------------


def _act(name: str) -> Activity:
    provider = {"type": "python", "module": "gameday.actions.postgres", "func": name, "arguments": {}}
    return Activity(name, json.dumps(provider, sort_keys=True), 10 * NS)


def _plan(w: _World, ledger: Ledger | None, *, with_load: bool) -> Plan:
    steps = [
        Step("1-fault", "primary database dies", StepKind.FAULT, 0, 10 * NS, target="node:a", do=_act("kill"),
             undo=_act("start"), in_place=_act("is_down"), ttl_ns=120 * NS),
    ]  # fmt: skip
    if w.end == "plan":
        for name, segment in (
            ("2-detect", Segment.DETECT), ("3-promote", Segment.FAIL_OVER), ("4-verify", Segment.COME_UP),
        ):  # fmt: skip
            steps.append(
                Step(name, name, StepKind.FAILOVER, len(steps), 60 * NS, do=_act(name[2:]), segment=segment)
            )
    if w.failback is not None:
        steps.append(
            Step("5-back", "fail back", StepKind.FAILOVER, len(steps), 60 * NS, do=_act("rejoin"),
                 segment=Segment.FAIL_BACK)
        )  # fmt: skip
    begin, end = _outage(w)
    rto = max(int((end - begin) * w.dice.choice((0.5, 1.0, 1.5, 3.0))), 10 * MS)
    rpo = w.dice.choice((100 * MS, NS, 5 * NS)) if w.dice.random() < 0.9 else None
    slos = [Slo("availability", w.stabilise, w.objective_ppm, probe="place-order")]
    if with_load:
        slos.append(Slo("latency", w.stabilise, 500_000, load_stat="p99", below_ns=300 * MS))
    return Plan(
        title="A simulated drill", kind="dr", service="orders", source="tests/simulated.py", about=(),
        target=Target("lab", "http://127.0.0.1:9/identity"),
        objectives=(
            Objective("orders", "place-order", rto, rpo, mtpd_ns=4 * rto, minimum_capacity_ppm=800_000,
                      source="simulated", held_goods=w.held),
        ),
        recovery="system" if w.end in ("system", "crash") else "plan",
        load=(Load("orders", "loadprofiles/orders.py", "0" * 64, rate_per_1000s=50_000),) if with_load else (),
        probes=(Probe("place-order", ProbeKind.HTTP, "{}", w.every, w.timeout, writes=True),),
        slos=tuple(slos),
        steady_state=SteadyState(tuple(slo.name for slo in slos), 5 * w.unit, w.stabilise),
        stop_conditions=(), blast_radius=None, steps=tuple(steps), ledger=ledger,
    )  # fmt: skip
