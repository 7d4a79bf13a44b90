"""What may be done with a finding, and what has to be shown for it: the rules of its life.

    add      what failed or is unknown in a run, or what a person saw in it
    assign   owner, due day, severity
    close    shown by a later run of the same plan in which it passes, or for a reason, said so
    accept   somebody answers for it, until a day to come

Each returns changes or refuses; nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from gameday.checkers.findings import Finding, Verdict
from gameday.errors import Refused, UsageError
from gameday.evidence.casefile import Case
from gameday.evidence.tracking import (
    SEVERITIES,
    Accepted,
    Added,
    Assigned,
    Change,
    Closed,
    SeenAgain,
    State,
    Tracked,
)
from gameday.evidence.words import shown

SEEN = "seen: "
DEFAULT_SEVERITY = {Verdict.FAIL: "high", Verdict.UNKNOWN: "medium"}
TEXT_MAX = 500


def proposed(case: Case, name: str = "", text: str = "") -> list[Finding]:
    """Return what of a run is to be tracked: all that failed or is unknown, the one named, or a person's.

    Raises:
        UsageError: The run has no finding of that name.
    """
    if text:
        said = shown(text, TEXT_MAX)
        return [Finding(f"{SEEN}{said}", Verdict.UNKNOWN, "", "", "", "a person saw it in this run")]
    open_ones = [f for f in case.findings.findings if f.verdict in (Verdict.FAIL, Verdict.UNKNOWN)]
    if not name:
        return open_ones
    found = [f for f in case.findings.findings if f.name == name]
    if not found:
        names = ", ".join(f"“{f.name}”" for f in open_ones) or "none that failed or is unknown"
        raise UsageError(f"run {case.run} has no finding “{shown(name)}”", todo=f"It has {names}.")
    return found


def add(
    case: Case, found: Iterable[Finding], tracked: tuple[Tracked, ...], severity: str = ""
) -> list[tuple[str, Change]]:
    """Return the changes that track findings of a run; one that is tracked already was seen again."""
    known = {item.key: item for item in tracked}
    changes: list[tuple[str, Change]] = []
    for finding in found:
        before = known.get((case.plan.source, finding.name))
        if before is not None and case.run in before.runs:
            continue
        if before is not None:
            changes.append((before.id, SeenAgain(case.run, str(finding.verdict), _why(finding))))
            continue
        added = Added(
            run=case.run,
            plan=case.plan.source,
            service=case.plan.service,
            name=finding.name,
            verdict=str(finding.verdict),
            why=_why(finding),
            severity=severity or DEFAULT_SEVERITY.get(finding.verdict, "low"),
        )
        changes.append((f"F-{len(known) + 1}", added))
        known[added.plan, added.name] = Tracked(
            "", added, State.OPEN, (case.run,), added.verdict, added.why, added.severity
        )
    return changes


def _why(finding: Finding) -> str:
    said = f"{finding.observed} against {finding.limit}: " if finding.observed else ""
    return shown(f"{said}{finding.why}", TEXT_MAX)


def assign(item: Tracked, *, owner: str, due: str, severity: str, today: str) -> Change:
    """Return the change that gives a finding an owner, a due day or a severity.

    Raises:
        UsageError: Nothing is assigned, or the day is not one to come.
        Refused: The finding is closed.
    """
    if not (owner or due or severity):
        raise UsageError("finding assign: say --owner, --due or --severity")
    if severity and severity not in SEVERITIES:
        raise UsageError(f"--severity {severity}: expected one of {', '.join(SEVERITIES)}")
    _not_closed(item, "assigned")
    return Assigned(shown(owner.strip(), 100), to_come("--due", due, today) if due else "", severity)


def close(item: Tracked, *, retest: Case | None, reason: str) -> Change:
    """Return the change that closes a finding.

    Raises:
        UsageError: Neither a retest nor a reason is given.
        Refused: The retest does not show that it is mended.
    """
    _not_closed(item, "closed")
    if retest is None:
        if not reason.strip():
            raise UsageError(
                f"finding close {item.id}: expected --retest RUN, or --reason TEXT",
                todo="A retest is a later run of the same plan in which the finding passes.",
            )
        return Closed("", shown(reason.strip(), TEXT_MAX))
    not_shown = unshown(item, retest)
    if not_shown:
        raise Refused(
            f"{item.id} is not closed by run {retest.run}: {not_shown}",
            todo="Run the drill again, or close it with --reason TEXT, which says that no run shows it.",
        )
    return Closed(retest.run, shown(reason.strip(), TEXT_MAX))


def unshown(item: Tracked, retest: Case) -> str:
    """Return why a run does not show that a finding is mended; empty when it does."""
    if retest.plan.source != item.added.plan:
        return f"it is a run of {retest.plan.source}, the finding is of {item.added.plan}"
    if retest.run in item.runs or retest.run <= max(item.runs):
        return f"it is not later than run {max(item.runs)}, which has the finding"
    if retest.trace.faults:
        return f"its history is damaged: {retest.trace.faults[0]}"
    if retest.findings.outcome != "completed":
        return f"it did not run to its end: {retest.findings.outcome}"
    if item.added.name.startswith(SEEN):
        verdict = retest.findings.verdict
        return "" if verdict is Verdict.PASS else f"its verdict is {verdict}"
    same = [f for f in retest.findings.findings if f.name == item.added.name]
    if not same:
        return f"it has no finding “{item.added.name}”"
    bad = next((f for f in same if f.verdict is not Verdict.PASS), None)
    return f"“{bad.name}” is {bad.verdict} in it: {bad.why}" if bad is not None else ""


def accept(item: Tracked, *, accepted_by: str, until: str, reason: str, today: str) -> Change:
    """Return the change by which somebody answers for a finding that is left as it is.

    Raises:
        UsageError: It is not said who, or until when.
        Refused: The finding is closed.
    """
    if not accepted_by.strip() or not until:
        raise UsageError(
            f"finding accept {item.id}: expected --accepted-by NAME and --until DAY",
            todo="A risk that is accepted is somebody's, and for a time.",
        )
    _not_closed(item, "accepted")
    return Accepted(
        shown(accepted_by.strip(), 100), to_come("--until", until, today), shown(reason.strip(), TEXT_MAX)
    )


def to_come(option: str, text: str, today: str) -> str:
    """Return a day as YYYY-MM-DD.

    Raises:
        UsageError: It is no day, or is past.
    """
    try:
        day = date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{option} {text}: expected a day like 2026-12-24") from None
    if day < today:
        raise UsageError(f"{option} {text}: is past; today is {today}")
    return day


def _not_closed(item: Tracked, what: str) -> None:
    if item.state is State.CLOSED:
        raise Refused(
            f"{item.id} is closed and cannot be {what}",
            todo="If it is back, `gameday finding add RUN` opens it again.",
        )
