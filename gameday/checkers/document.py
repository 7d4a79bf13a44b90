"""Findings as findings.json has them: for people and tools, seconds as numbers."""

from __future__ import annotations

from typing import Any

from gameday.checkers.findings import AUDITOR_WORD, Finding, Findings, Interval

_LEDGER = (
    "acked", "lost", "unknown_recovered", "unknown_lost", "phantom", "duplicate", "corrupt", "holes",
    "acked_after_onset_then_lost",
)  # fmt: skip


def as_document(findings: Findings) -> dict[str, Any]:
    """Return the content of findings.json."""
    rta = next((f for f in findings.findings if f.name.startswith("RTA ")), None)
    rpa = _worst([f for f in findings.findings if f.name.startswith("RPA ")])
    document: dict[str, Any] = {
        "checker_version": findings.checker_version,
        "outcome": findings.outcome,
        "verdict": str(findings.verdict),
        "auditor": AUDITOR_WORD[findings.verdict],
        "halted_by": findings.halted_by or None,
        "stuck": list(findings.stuck),
        "failed_over": findings.failed_over,
        "not_tested": list(findings.not_tested),
        "rta_s": _seconds(rta.interval) if rta else None,
        "rpa_s": _seconds(rpa.interval) if rpa else None,
        "ledger": {key: value for key, value in rpa.numbers if key in _LEDGER} if rpa else None,
        "findings": [_finding(finding) for finding in findings.findings],
    }
    return document


def _worst(found: list[Finding]) -> Finding | None:
    """Of several stores the one that lost most; one that was not measured may be the worst of all."""
    measured = [f for f in found if f.interval is not None]
    unmeasured = [f for f in found if f.interval is None]
    key = lambda f: (f.interval.max_ns is None, f.interval.max_ns or 0, f.interval.min_ns)  # noqa: E731 - one use
    return unmeasured[0] if unmeasured else max(measured, key=key, default=None)


def _seconds(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    high = None if interval.max_ns is None else round(interval.max_ns / 1e9, 6)
    return {"min": round(interval.min_ns / 1e9, 6), "max": high}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "verdict": str(finding.verdict),
        "auditor": AUDITOR_WORD[finding.verdict],
        "observed": finding.observed,
        "limit": finding.limit,
        "unit": finding.unit,
        "why": finding.why,
        "interval_s": _seconds(finding.interval),
        "numbers": dict(finding.numbers),
        "events": list(finding.events),
    }
