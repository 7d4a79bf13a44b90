"""Intervals: do RTA and RPA contain the truth, in simulated drills whose truth is known?

    python -m tests.bench.intervals [N [FIRST]]       N drills, 10 000 by default, from seed FIRST on

Beside it: how often today's usual figure, first good sample minus first bad one, says less than the
service was really out for.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

from gameday.checkers.check import check
from gameday.checkers.findings import Finding
from gameday.history.events import Reading
from tests.simulated import Drill, simulate

SHOWN = 20


@dataclass
class Tally:
    """What was counted over many drills; `misses` and `unexplained` hold the seeds to look at."""

    drills: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    misses: list[tuple[int, str]] = field(default_factory=list)
    unexplained: list[tuple[int, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        n, c = self.drills, self.counts
        outages = max(c["outages"], 1)
        return [
            f"{n} drills: {c['RTA']} RTA and {c['RPA']} RPA intervals, of {c['no RTA']} and {c['no RPA']} none",
            f"RTA: {c['RTA holds']} of {c['RTA']} contain the truth ({c['RTA open']} have no upper end)",
            f"RPA: {c['RPA holds']} of {c['RPA']} contain the truth ({c['RPA open']} have no upper end)",
            f"counts of the ledger: {c['counts right']} of {c['counts']} read-backs are as they truly were",
            *(
                f"{name} width: {c[f'{name} narrow']} within 2 x (period + timeout), {c[f'{name} wide']} wider"
                f" and say why, {len([u for u in self.unexplained if u[1] == name])} wider without a word"
                for name in ("RTA", "RPA")
            ),
            f"first good - first bad understates {c['understated']} of {c['outages']} outages"
            f" ({100 * c['understated'] / outages:.1f} %); of the intervals' upper ends, "
            f"{c['upper end understates']}",
        ]


def measure(seeds) -> Tally:
    """Hold the findings of simulated drills against their truth."""
    tally = Tally()
    for seed in seeds:
        drill = simulate(seed)
        tally.drills += 1
        for finding in check(drill.plan, drill.trace).findings:
            if finding.name.startswith("RTA"):
                _rta(tally, drill, finding)
            elif finding.name.startswith("RPA"):
                _rpa(tally, drill, finding)
    return tally


def _rta(tally: Tally, drill: Drill, finding: Finding) -> None:
    numbers = dict(finding.numbers)
    recovered = numbers.get("recovered_max_ns") is not None
    if finding.interval is None:
        tally.counts["no RTA"] += 1
        return
    _holds(tally, drill, finding, drill.truth.is_rta_in(finding.interval, says_recovered=recovered))
    naive_ns = first_good_minus_first_bad(drill)
    if recovered and naive_ns is not None and drill.truth.outage_ns is not None:
        tally.counts["outages"] += 1
        tally.counts["understated"] += naive_ns < drill.truth.outage_ns
        tally.counts["upper end understates"] += finding.interval.max_ns < drill.truth.outage_ns
    if recovered:
        _width(tally, drill, finding)


def _rpa(tally: Tally, drill: Drill, finding: Finding) -> None:
    numbers = dict(finding.numbers)
    true = drill.truth.counts.get(str(numbers.get("read_back")))
    if true is not None:
        tally.counts["counts"] += 1
        right = all(numbers[key] == value for key, value in true.items())
        tally.counts["counts right"] += right
        if not right:
            tally.misses.append((drill.seed, f"counts {true}, found {numbers}"))
    if finding.interval is None:
        tally.counts["no RPA"] += 1
        return
    _holds(tally, drill, finding, drill.truth.is_rpa_in(finding.interval))
    _width(tally, drill, finding)


def _holds(tally: Tally, drill: Drill, finding: Finding, holds: bool) -> None:
    name = finding.name[:3]
    tally.counts[name] += 1
    tally.counts[f"{name} holds"] += holds
    tally.counts[f"{name} open"] += finding.interval.max_ns is None
    if not holds:
        true = drill.truth.outage_ns if name == "RTA" else drill.truth.loss_ns
        tally.misses.append((drill.seed, f"{drill.kind} {name} is {true}, found {finding.interval}"))


def _width(tally: Tally, drill: Drill, finding: Finding) -> None:
    name, numbers = finding.name[:3], dict(finding.numbers)
    if finding.interval.max_ns is None:
        return
    if finding.interval.max_ns - finding.interval.min_ns <= numbers["width_allowed_ns"]:
        tally.counts[f"{name} narrow"] += 1
    elif numbers.get("wide_because"):
        tally.counts[f"{name} wide"] += 1
    else:
        tally.unexplained.append((drill.seed, name))


def first_good_minus_first_bad(drill: Drill) -> int | None:
    """Return what is usually reported: the time from the first bad sample to the next good one."""
    first_ns = None
    for sample in sorted(drill.trace.samples, key=lambda s: s.sent_ns):
        if sample.reading is Reading.BAD and first_ns is None:
            first_ns = sample.sent_ns
        elif sample.reading is Reading.GOOD and first_ns is not None:
            return sample.sent_ns - first_ns
    return None


def main() -> int:
    count, first = [int(word) for word in sys.argv[1:]] + [10_000, 0][len(sys.argv) - 1 :]
    tally = measure(range(first, first + count))
    print("\n".join(tally.lines()))
    for seed, words in tally.misses[:SHOWN]:
        print(f"MISS: seed {seed}: {words}")
    return 1 if tally.misses or tally.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
