"""A run in a few sentences: the banner, the paragraph below it, and what was not tested."""

from __future__ import annotations

from gameday.checkers.findings import Finding, Findings, Verdict, is_of
from gameday.evidence.account import Account, FaultRun
from gameday.evidence.capacity import sentence
from gameday.evidence.words import OUTCOME_WORDS, begins_at, count, limit, name_of, shown, span
from gameday.history.events import TargetsResolved
from gameday.plan.model import Objective, Plan

_BY = {
    "plan": "The runbook brought it back.",
    "system": "The system came back by itself.",
    "fault_removed": "It came back because the fault was taken away.",
    "nobody": "",
}


def banner(findings: Findings) -> str:
    """Return the engineer's words beside the auditor's: verdict, how the run ended, what is open."""
    plain = str(findings.verdict).replace("_", " ")
    by = f" by {findings.halted_by}" if findings.halted_by else ""
    ended = OUTCOME_WORDS.get(findings.outcome, findings.outcome)
    return shown(f"{plain}: the drill {ended}{by}; {_score(findings)}.")


def _score(findings: Findings) -> str:
    total = len(findings.findings)
    counts = {verdict: sum(f.verdict is verdict for f in findings.findings) for verdict in Verdict}
    if counts[Verdict.PASS] == total:
        return f"all {total} findings pass"
    parts = [f"{number} {str(verdict).replace('_', ' ')}" for verdict, number in counts.items() if number]
    return f"of {count(total, 'finding')}: {', '.join(parts)}"


def story(account: Account, findings: Findings) -> list[str]:
    """Return the run in plain sentences, in the order in which it happened."""
    plan = account.view.plan
    told = [_begun(account, findings)]
    for objective in plan.objectives:
        told += _objective(objective, findings)
    halted = _halted(account)
    told += [halted, _after(findings, told_gone="gone" in halted)]
    return [shown(sentence) for sentence in told if sentence]


def brief(account: Account, findings: Findings) -> list[str]:
    """Return the same without its measurements, for a page that has them in a table."""
    halted = _halted(account)
    told = [_begun(account, findings), halted, _after(findings, told_gone="gone" in halted)]
    return [shown(sentence) for sentence in told if sentence]


def needed(plan: Plan, findings: Findings) -> list[str]:
    """Return what a person must do now, before anything else."""
    told = []
    if findings.stuck:
        names = ", ".join(f"“{name_of(plan, step)}”" for step in findings.stuck)
        told.append(
            f"A person is needed: the undo of {names} is stuck, so the fault may be in place still."
            " Run gameday recover, then look at the target itself."
        )
    if findings.failed_over:
        told.append("A person is needed: service was left failed over, failing back was not done.")
    return [shown(sentence) for sentence in told]


def _begun(account: Account, findings: Findings) -> str:
    decided = sentence(account.view.plan, findings)
    if decided:
        return decided
    if not account.faults:
        return "Nothing was injected, so nothing was tested."
    under = ", ".join(_load(account.view.plan))
    load = f" under {under}" if under else ""
    return f"gameday put {'; then '.join(_fault(fault) for fault in account.faults)}{load}."


def _fault(fault: FaultRun) -> str:
    where = f" on {fault.step.target}" if fault.step.target else ""
    return f"“{fault.step.name}” in place{where} {span(fault.start_ns)} into the run"


def _load(plan: Plan) -> list[str]:
    return [begins_at(item) for item in plan.load]


def _objective(objective: Objective, findings: Findings) -> list[str]:
    by_name = {finding.name: finding for finding in findings.findings}
    time = by_name.get(f"RTA {objective.service}")
    points = [f for f in findings.findings if is_of(f, "RPA", objective.service) and f.interval is not None]
    told = []
    if time is not None:
        told.append(_time(objective, time))
    for point in points:
        store = point.name.removeprefix(f"RPA {objective.service}")
        told.append(f"Data loss{store}: {point.observed}; {limit(objective.rpo_ns)} is allowed.")
    return told


def _time(objective: Objective, finding: Finding) -> str:
    numbers = dict(finding.numbers)
    if finding.interval is None:
        return ""
    allowed = f"{limit(objective.rto_ns)} is allowed."
    if "onset_min_ns" not in numbers:
        return f"Users of {objective.service} saw no disruption ({finding.observed}); {allowed}"
    by = _BY.get(str(numbers.get("recovered_by", "")), "")
    told = f"{_upper(objective.service)} was out of service for {finding.observed}; {allowed}"
    return f"{told} {by}".strip()


def _halted(account: Account) -> str:
    if account.view.halted is None:
        return ""
    at_ns, _, halted = account.view.halted
    gone = [fault.gone_ns for fault in account.faults]
    end = ""
    if gone and None not in gone:
        last_ns = max(ns for ns in gone if ns is not None)
        end = f" Every fault was read back as gone {span(max(last_ns - at_ns, 0))} later."
    return f"After {span(at_ns)} the run was halted by {halted.by}: {halted.reason}.{end}"


def _after(findings: Findings, *, told_gone: bool) -> str:
    by_name = {finding.name: finding for finding in findings.findings}
    clean, steady = by_name.get("no fault is left"), by_name.get("steady state after")
    told = []
    if clean is not None and clean.verdict is Verdict.PASS and clean.events and not told_gone:
        told.append("Every fault was read back as gone")
    if steady is not None and steady.verdict is Verdict.PASS:
        told.append(f"the steady state {steady.observed.replace('held', 'held again for')}")
    sentence = " and ".join(told)
    return f"{_upper(sentence)}." if sentence else ""


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def not_tested(account: Account, findings: Findings) -> list[str]:
    """Return what this run leaves untested."""
    told = [f"Step not started: {name}" for name in findings.not_tested]
    told += [f"{f.name}: {f.why}" for f in findings.findings if f.verdict is Verdict.NOT_TESTED]
    resolved = [r.event for r in account.view.trace.records if isinstance(r.event, TargetsResolved)]
    for targets in resolved[:1]:
        rest = targets.population - len(targets.targets)
        if rest > 0:
            told.append(
                f"{rest} of {targets.population} targets left alone on purpose, within the blast radius"
            )
    objectives = {objective.service for objective in account.view.plan.objectives}
    if account.view.plan.capacity is not None:
        if not account.view.plan.capacity.fault:
            told.append("With one part lost (N-1): the plan names no fault for it")
    elif not objectives:
        told.append("No recovery objective: the plan sets none")
    told += [
        f"Recovery point of {o.service}: the plan sets no RPO"
        for o in account.view.plan.objectives
        if o.rpo_ns is None
    ]
    return [shown(sentence) for sentence in told]
