"""Line 5: the findings computed anew from plan, chain and segments, and held against findings.json.

Compared are the outcome, the intervals of RTA and RPA, the ledger's counts, what is left, and the
verdict of every finding and of the whole. The statement that the runner signed must say the same. Times
for which the plan sets no limit (TTD, WRT, …), and the limit that a search found, stand as stated. Any
other finding that is not computed here makes the line unknown; it can never make the verdict better.
Findings made by other rules than these (`checker_version`) are compared too, but where they differ the
line is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from .capacity import check_capacity
from .chain import History
from .clocks import bound_ns, check_clock, widened
from .data import check_data
from .experiments import experiments, is_experiment
from .hand import by_hand, is_table_top, table_top
from .lines import Broken, Line
from .others import after, before, effects, halt, left, loads
from .recovery import Interval, coverage_ppm, judge, outage_of, recovered_by, segments, unseen_ns
from .run import PLAN, Run
from .sides import compared
from .stores import check_reconciled, check_stores
from .strictjson import get, maybe, rows

RULES = "3"  # The checker_version whose rules are written down here.
LIMIT = "capacity limit"
AS_STATED = (LIMIT, "TTD ", "TTA ", "TTM ", "WRT ", "dwell ", "fail-back ", "minimum capacity ")
ORDER = ("fail", "unknown", "not_tested", "pass")
AUDITOR = {
    "pass": "DEMONSTRATED", "fail": "NOT DEMONSTRATED", "unknown": "INCONCLUSIVE", "not_tested": "NOT TESTED",
}  # fmt: skip
LEDGER = (
    "acked", "lost", "unknown_recovered", "unknown_lost", "phantom", "duplicate", "corrupt", "holes",
    "acked_after_onset_then_lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """One finding as it was computed here."""

    name: str
    verdict: str
    interval: Interval | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """All of it. `objectives` holds (service, measure, objective, interval, verdict)."""

    findings: list[Found]
    outcome: str
    halted_by: str
    stuck: list[str]
    failed_over: bool
    not_tested: list[str]
    left: set[str]
    objectives: list[tuple[str, str, int, Interval | None, str]]

    @property
    def verdict(self) -> str:
        """Fail over unknown over not_tested over pass."""
        return merge([found.verdict for found in self.findings])


def merge(verdicts: list[str]) -> str:
    """Return the weightiest verdict; without any, nothing was tested."""
    return next((verdict for verdict in ORDER if verdict in verdicts), "not_tested")


def recompute(plan: dict[str, Any], history: History) -> Result:
    """Return what the raw records prove.

    Raises:
        Broken: The plan or a record is not what it must be.
    """
    run = Run(plan, history)
    if is_table_top(run):
        return _result(run, [_plain(other) for other in table_top(run)], [], set())
    alone = is_experiment(run)
    findings = [] if alone else [_plain(before(run))]
    findings += [_plain(other) for other in experiments(run)]
    objectives: list[tuple[str, str, int, Interval | None, str]] = []
    for objective in rows(plan, "objectives", PLAN):
        service = get(objective, "service", str, PLAN)
        rta = _rta(run, objective, f"RTA {service}")
        findings.append(rta)
        objectives.append((service, "rta", get(objective, "rto_ns", int, PLAN), rta.interval, rta.verdict))
        data = check_data(run, objective)
        findings += [Found(d.name, d.verdict, d.interval, d.numbers) for d in data]
        findings += _tolerable(run, objective, f"MTPD {service}")
        for d in data:
            if d.name.startswith("RPA "):
                what = d.name.removeprefix("RPA ")
                objectives.append((what, "rpa", objective["rpo_ns"], d.interval, d.verdict))
    findings += [_plain(other) for other in check_capacity(run)]
    findings += [Found(o.name, o.verdict, interval, o.numbers) for o, interval in check_stores(run)]
    findings += [_plain(other) for other in check_reconciled(run)]
    residual, steps = left(run)
    end_state = () if alone else (after(run),)
    rest = (
        *effects(run), *loads(run), *compared(run), *end_state, residual, *halt(run), *check_clock(run),
        *by_hand(run),
    )  # fmt: skip
    return _result(run, [*findings, *(_plain(other) for other in rest)], objectives, steps)


def _result(
    run: Run,
    findings: list[Found],
    objectives: list[tuple[str, str, int, Interval | None, str]],
    steps: set[str],
) -> Result:
    end = run.end.data if run.end else {}
    return Result(
        findings=findings,
        outcome=run.outcome,
        halted_by=run.halted_by,
        stuck=get(end, "stuck", list, "RunEnded") if end else [],
        failed_over=get(end, "failed_over", bool, "RunEnded") if end else False,
        not_tested=[get(step, "name", str, PLAN) for step in run.steps if step["id"] not in run.started],
        left=steps,
        objectives=objectives,
    )


def _plain(other: Any) -> Found:
    return Found(other.name, other.verdict, None, other.numbers)


def _rta(run: Run, objective: dict[str, Any], name: str) -> Found:
    found = outage_of(run, objective)
    if found is None:
        return Found(name, "not_tested")
    probe = get(objective, "measured_by", str, PLAN)
    every_ns, timeout_ns = run.probe(probe)
    if every_ns <= 0:
        raise Broken(f"plan.json: probe {probe} has no period")
    if found.onset is None:
        return _undisturbed(run, objective, name, every_ns + timeout_ns)
    by = recovered_by(run, found)
    plain = found.interval
    assert plain is not None
    bound = bound_ns(run, found.onset[0], found.back[1] if found.back else found.down_until_ns)
    interval = widened(plain, bound or 0)
    verdict = "unknown" if bound is None else judge(run, objective, found, interval, by)
    numbers = {
        "onset_min_ns": found.onset[0], "onset_max_ns": found.onset[1],
        "recovered_min_ns": found.back[0] if found.back else None,
        "recovered_max_ns": found.back[1] if found.back else None,
        "width_allowed_ns": 2 * (every_ns + timeout_ns + (bound or 0)), "clock_bound_ns": bound,
        "unreadable_samples": found.unreadable,
        "recovered_by": by, "coverage_ppm": coverage_ppm(run, probe), **segments(run, found),
    }  # fmt: skip
    return Found(name, verdict, interval, numbers)


def _tolerable(run: Run, objective: dict[str, Any], name: str) -> list[Found]:
    """Judge the whole disruption, with the steps that validate after it, by its maximum tolerable period."""
    mtpd_ns, found = maybe(objective, "mtpd_ns", int, PLAN), outage_of(run, objective)
    if mtpd_ns is None or found is None:
        return []
    if found.onset is None:
        return [Found(name, "pass")]
    interval = found.interval
    assert interval is not None
    if found.back is not None:
        low_ns, high_ns = found.back
        # What is validated after failing back is no work on the recovered side.
        before = takewhile(lambda step: step.get("segment") != "fail-back", run.steps)
        checks = [step["id"] for step in before if step.get("segment") == "validate"]
        if checks and all(step in run.started and step in run.ended for step in checks):
            done_ns = max(run.ended[step].at_ns for step in checks)
            low_ns, high_ns = (done_ns, max(done_ns, high_ns)) if done_ns > low_ns else (low_ns, high_ns)
        bound = bound_ns(run, found.onset[0], high_ns)
        if bound is None:
            return [Found(name, "unknown")]
        plain = max(low_ns - found.onset[1], 0), max(high_ns - found.onset[0], 0)
        interval = widened(plain, bound)
    verdict = "fail" if interval[0] > mtpd_ns else "unknown"
    verdict = "pass" if interval[1] is not None and interval[1] <= mtpd_ns else verdict
    return [Found(name, verdict, interval)]


def _undisturbed(run: Run, objective: dict[str, Any], name: str, unit_ns: int) -> Found:
    if run.outcome == "crashed":
        return Found(name, "not_tested", (0, None))
    hidden_ns = unseen_ns(run, objective)
    if hidden_ns is None:
        return Found(name, "unknown")
    bound_ns = max(unit_ns, hidden_ns)
    if any(fault.took_effect is not True for fault in run.faults):
        return Found(name, "unknown")
    verdict = "pass" if bound_ns <= get(objective, "rto_ns", int, PLAN) else "unknown"
    coverage = coverage_ppm(run, get(objective, "measured_by", str, PLAN))
    return Found(
        name,
        verdict if run.outcome == "completed" else "not_tested",
        (0, bound_ns),
        {"longest_unseen_ns": hidden_ns, "coverage_ppm": coverage},
    )


def _worst(found: list[Found]) -> Found | None:
    """Of several stores the one that lost most; one that was not measured may be the worst of all."""
    unmeasured = next((f for f in found if f.interval is None), None)
    measured = [f for f in found if f.interval is not None]
    return unmeasured or max(
        measured, key=lambda f: ((f.interval or (0, 0))[1] or 0, (f.interval or (0,))[0]), default=None
    )


def seconds(interval: Interval | None) -> dict[str, float | None] | None:
    """Return an interval as findings.json has it."""
    if interval is None:
        return None
    low_ns, high_ns = interval
    return {"min": round(low_ns / 1e9, 6), "max": None if high_ns is None else round(high_ns / 1e9, 6)}


def differences(result: Result, stated: Any) -> tuple[list[str], list[str]]:
    """Return where findings.json says something else, and which of its findings are not computed here."""
    where = "findings.json"
    rta = next((f for f in result.findings if f.name.startswith("RTA ")), None)
    rpa = _worst([f for f in result.findings if f.name.startswith("RPA ")])
    listed = rows(stated, "findings", where)
    names = {found.name for found in result.findings}
    foreign = [get(row, "name", str, where) for row in listed if row.get("name") not in names]
    measured = [
        row["name"]
        for row in listed
        if row["name"] == LIMIT or (row["name"].startswith(AS_STATED) and row.get("verdict") == "pass")
    ]
    verdict = merge(
        [result.verdict, *(get(row, "verdict", str, where) for row in listed if row["name"] in foreign)]
    )
    expected = {
        "outcome": result.outcome, "verdict": verdict, "auditor": AUDITOR[verdict],
        "halted_by": result.halted_by or None, "stuck": result.stuck, "failed_over": result.failed_over,
        "not_tested": result.not_tested,
        "rta_s": seconds(rta.interval) if rta else None, "rpa_s": seconds(rpa.interval) if rpa else None,
        "ledger": {k: v for k, v in rpa.numbers.items() if k in LEDGER} if rpa else None,
    }  # fmt: skip
    wrong = [
        f"{key} is stated as {stated.get(key)!r}, recomputed it is {value!r}"
        for key, value in expected.items()
        if key not in stated or not same(stated[key], value)
    ]
    mine = [row for row in listed if row.get("name") in names]
    if [row["name"] for row in mine] != [found.name for found in result.findings]:
        wrong.append("the findings are not those that the records give")
    else:
        for row, found in zip(mine, result.findings, strict=True):
            wrong += _difference(row, found)
    return wrong, [name for name in foreign if name not in measured]


def _difference(row: dict[str, Any], found: Found) -> list[str]:
    expected: dict[str, Any] = {
        "verdict": found.verdict, "auditor": AUDITOR[found.verdict], "interval_s": seconds(found.interval),
    }  # fmt: skip
    wrong = [
        f"{found.name}: {key} is stated as {row.get(key)!r}, recomputed it is {value!r}"
        for key, value in expected.items()
        if not same(row.get(key), value)
    ]
    numbers = get(row, "numbers", dict, "findings.json")
    return wrong + [
        f"{found.name}: {key} is stated as {numbers.get(key)!r}, recomputed it is {value!r}"
        for key, value in found.numbers.items()
        if not same(numbers.get(key), value)
    ]


def same(stated: object, value: object) -> bool:
    """Tell whether two JSON values are the same; true is no number."""
    return stated == value and isinstance(stated, bool) == isinstance(value, bool)


def check_test_result(predicate: dict[str, Any], stated: Any, line: Line) -> None:
    """Hold the in-toto test-result against findings.json: what passed, warned and failed."""
    listed = [
        (get(row, "name", str, "findings.json"), row.get("verdict"))
        for row in rows(stated, "findings", "findings.json")
    ]
    by = {verdict: [name for name, found in listed if found == verdict] for verdict in ORDER}
    expected = {
        "result": {"pass": "PASSED", "fail": "FAILED"}.get(str(stated.get("verdict")), "WARNED"),
        "passedTests": by["pass"], "warnedTests": by["unknown"] + by["not_tested"], "failedTests": by["fail"],
    }  # fmt: skip
    for key, value in expected.items():
        if predicate.get(key) != value:
            line.fail(f"attest/test-result.dsse.json: {key} is not what findings.json says")


def check_statement(
    predicate: dict[str, Any], plan: dict[str, Any], result: Result, line: Line, **facts: object
) -> None:
    """Hold what the runner signed against what was computed here."""
    target = get(plan, "target", dict, PLAN)
    services = [row.get("service") for row in rows(plan, "objectives", PLAN)]
    expected: dict[str, object] = {
        **facts, "kind": plan.get("kind"), "service": plan.get("service"),
        "environment": target.get("environment"),
        "outcome": result.outcome,
        "objectives": [
            {
                "service": service, "measure": measure, "objective_ns": limit_ns, "verdict": verdict,
                "min_ns": interval[0] if interval else None, "max_ns": interval[1] if interval else None,
            }
            for service, measure, limit_ns, interval, verdict in result.objectives
            if measure == "rta" or service in services
        ],
    }  # fmt: skip
    for key, value in expected.items():
        if not same(predicate.get(key), value):
            line.fail(f"the signed statement says {key} {predicate.get(key)!r}, recomputed it is {value!r}")
