"""What the runner's key signs: in-toto statements over a manifest, in DSSE envelopes.

Ours says what the drill came to. Beside it stands in-toto's own test-result, which other tools know.

Source: in-toto attestation framework v1 (Statement), secure-systems-lab/dsse v1 (envelope, PAE).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gameday import __version__
from gameday.canonical import canonical
from gameday.checkers.findings import Finding, Findings, Verdict
from gameday.evidence.keys import Sign
from gameday.history.record import Trace
from gameday.plan.model import Plan

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
EVIDENCE = "urn:gameday:drill-evidence:v1"
ADDENDUM = "urn:gameday:drill-addendum:v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
ALWAYS_LIMITED = (
    "shows that records are unaltered, complete and not made up later; not that the runner saw the truth",
    "observed by the runner's own probes from where it ran",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the attestations say about a run beside its findings."""

    run: str
    environment: str
    findings_sha256: str
    head: str
    events: int
    stamped: bool
    controls: tuple[tuple[str, str, str], ...] = ()


def statement(manifest_sha256: str, predicate_type: str, predicate: dict[str, Any]) -> bytes:
    """Return a statement about the manifest of that digest, as canonical JSON."""
    subject = [{"name": "manifest.json", "digest": {"sha256": manifest_sha256}}]
    return canonical(
        {"_type": STATEMENT, "subject": subject, "predicateType": predicate_type, "predicate": predicate}
    )


def pae(payload: bytes) -> bytes:
    """Return the bytes that are signed: type and payload, each with its length."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelopes(payloads: Iterable[bytes], signer: Sign) -> tuple[tuple[bytes, ...], str]:
    """Return a signed envelope for each payload, and the public key as PEM.

    Raises:
        Refused: The runner's key does not sign.
    """
    found = tuple(payloads)
    made = signer(tuple(pae(payload) for payload in found))
    sealed = tuple(
        canonical(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": made.keyid, "sig": base64.b64encode(signature).decode()}],
            }
        )
        + b"\n"
        for payload, signature in zip(found, made.signatures, strict=True)
    )
    return sealed, made.public_pem


def evidence(plan: Plan, trace: Trace, findings: Findings, facts: Facts) -> dict[str, Any]:
    """Return our own predicate: what the drill came to, in whole numbers."""
    records = trace.records
    return {
        "run": facts.run, "kind": plan.kind, "service": plan.service, "environment": facts.environment,
        "outcome": findings.outcome, "verdict": str(findings.verdict),
        "startedAt": records[0].utc if records else "", "finishedAt": records[-1].utc if records else "",
        "objectives": list(_objectives(plan, findings)),
        "findings_sha256": facts.findings_sha256, "head": facts.head, "events": facts.events,
        "runner": {"name": "gameday", "version": __version__, "checker": findings.checker_version},
        "controls": [{"framework": f, "clause": c, "shown": s} for f, c, s in facts.controls],
        "limitations": list(_limits(trace, findings, facts)),
    }  # fmt: skip


def test_results(findings: Findings, configuration: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the predicate of in-toto's test-result: passed, warned, failed.

    What is unknown or was not tested warns: it is neither passed nor failed.

    Source: in-toto attestation, predicates/test-result.md, v0.1.
    """
    by_verdict = {verdict: [f.name for f in findings.findings if f.verdict is verdict] for verdict in Verdict}
    words = {Verdict.PASS: "PASSED", Verdict.FAIL: "FAILED"}
    return {
        "result": words.get(findings.verdict, "WARNED"),
        "configuration": list(configuration),
        "passedTests": by_verdict[Verdict.PASS],
        "warnedTests": by_verdict[Verdict.UNKNOWN] + by_verdict[Verdict.NOT_TESTED],
        "failedTests": by_verdict[Verdict.FAIL],
    }


def _objectives(plan: Plan, findings: Findings) -> Iterable[dict[str, Any]]:
    by_name: dict[str, Finding] = {finding.name: finding for finding in findings.findings}
    for objective in plan.objectives:
        for measure, limit_ns in (("rta", objective.rto_ns), ("rpa", objective.rpo_ns)):
            finding = by_name.get(f"{measure.upper()} {objective.service}")
            if limit_ns is None or finding is None:
                continue
            span = finding.interval
            yield {
                "service": objective.service, "measure": measure, "objective_ns": limit_ns,
                "min_ns": span.min_ns if span else None, "max_ns": span.max_ns if span else None,
                "verdict": str(finding.verdict),
            }  # fmt: skip


def _limits(trace: Trace, findings: Findings, facts: Facts) -> Iterable[str]:
    yield from ALWAYS_LIMITED
    if not facts.stamped:
        yield "time: internal only, no time stamp authority confirms it"
    if findings.outcome in ("crashed", "halted", "refused"):
        yield f"the run {'was ' if findings.outcome != 'crashed' else ''}{findings.outcome}"
    if trace.torn:
        yield f"{trace.torn} bytes at the end of its files belong to no whole record"
    if findings.not_tested:
        yield f"not tested: {', '.join(findings.not_tested)}"
