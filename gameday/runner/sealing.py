"""From a run that has ended to a bundle that stands alone; see docs/evidence-format.md.

In this order, so that whatever fails leaves no half of it: findings anew from the history, the files,
the manifest over them, the runner's signatures and a stamp over the manifest, the leaf in the register;
then the folder gets its name. A run that was halted or refused, or that crashed, is sealed like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gameday.canonical import canonical, from_json
from gameday.checkers.check import check
from gameday.checkers.findings import Findings
from gameday.checkers.view import view_of
from gameday.errors import GameDayError, RecordError, Refused
from gameday.evidence.attest import EVIDENCE, TEST_RESULT, Facts, envelopes, evidence, statement, test_results
from gameday.evidence.bundle import MANIFEST, Draft, drafted, manifest
from gameday.evidence.controls import citations
from gameday.evidence.findings_file import FINDINGS
from gameday.evidence.howto import HOWTO, Signer, howto
from gameday.evidence.keys import sign
from gameday.evidence.register import CHECKPOINT, LEAVES, Register
from gameday.history.codec import line_digest
from gameday.history.events import TargetsResolved
from gameday.history.people import ApprovalGiven
from gameday.history.read import read_trace
from gameday.history.record import Trace
from gameday.history.store import HISTORY, SEGMENTS
from gameday.hosts.clock import utc_text
from gameday.hosts.stamping import stamp
from gameday.plan.keeping import Keeping
from gameday.plan.model import Plan
from gameday.plan.policy import Policy
from gameday.plan.policyfile import STORED_FILE
from gameday.plan.stored import PLAN_FILE, read_plan
from gameday.runner.anchor import AT_START, TIME, enter_end, register_of_run
from gameday.runner.approvals import FOLDER as APPROVALS
from gameday.runner.conclude import REPORT, conclude
from gameday.runner.listing import outcome_of

BUNDLE = "bundle"
PREDICATES = {"run": EVIDENCE, "test-result": TEST_RESULT}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A bundle, the digest of its manifest, its place in the register, and its time stamp or why none."""

    bundle: Path
    manifest_sha256: str
    leaf: int
    keyid_file: Path
    stamped: str


@dataclass(frozen=True, slots=True)
class _Run:
    """A run as it is read for sealing."""

    folder: Path
    plan: Plan
    trace: Trace
    findings: Findings
    keeping: Keeping
    register: Register
    lines: tuple[bytes, ...]

    @property
    def head(self) -> str:
        """The digest of the last record."""
        return line_digest(self.lines[-1]) if self.lines else ""


def seal(run_dir: Path) -> Sealed:
    """Make the bundle of a run and return it.

    Raises:
        Refused: The run goes on, is sealed already, or stands in no register; the key or the register
            cannot be used; or the policy requires a time stamp and there is none.
        RecordError: The run folder cannot be read or written.
    """
    run = _read(run_dir)
    with drafted(run_dir / BUNDLE) as draft:
        _fill(draft, run)
        whole = manifest(draft, _about(draft, run))
        draft.write(MANIFEST, whole)
        sha256 = hashlib.sha256(whole).hexdigest()
        _attest(draft, run, sha256)
        stamped = _stamp(draft, run.keeping, whole)
        leaf = {"kind": "sealed", "run": run_dir.name, "manifest_sha256": sha256,
                "attestations": draft.digests("attest/")}  # fmt: skip
        entered = run.register.enter(leaf, at_utc=utc_text())
        draft.write(f"register/{LEAVES}", entered.leaves)
        draft.write(f"register/{CHECKPOINT}", entered.checkpoint)
        draft.place()
    return Sealed(
        run_dir / BUNDLE, sha256, entered.index, run_dir / BUNDLE / "attest" / "runner.pub", stamped
    )


def keeping_of(run_dir: Path) -> Keeping:
    """Return how the record of a run is kept, as the policy said that was in force.

    Raises:
        RecordError: The policy in the run folder cannot be read.
    """
    path = run_dir / STORED_FILE
    try:
        return from_json(Policy, json.loads(path.read_bytes()), path.name).keeping
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from error


def _read(run_dir: Path) -> _Run:
    plan, trace = read_plan(run_dir), read_trace(run_dir)
    if outcome_of(trace) == "running":
        raise Refused(
            f"the run {run_dir.name} is still going on",
            todo="Seal it when it has ended, or `gameday halt` it.",
        )
    register = register_of_run(run_dir)
    if register is None:
        raise Refused(
            f"the run {run_dir.name} stands in no register: {run_dir / 'register'} does not say which",
            todo="Runs of older versions were not entered before they began, and cannot be sealed.",
        )
    try:
        findings = conclude(run_dir)
    except GameDayError:  # What cannot be written anew is sealed as it is.
        findings = check(plan, trace)
    enter_end(run_dir, str(findings.verdict))
    lines = tuple((run_dir / HISTORY).read_bytes().split(b"\n")[:-1])
    return _Run(run_dir, plan, trace, findings, keeping_of(run_dir), register, lines)


def _fill(draft: Draft, run: _Run) -> None:
    for name in _names(run.folder):
        draft.copy(run.folder / name, name)
    draft.copy(run.folder / AT_START, AT_START)
    draft.write(HOWTO, howto(_signers(draft, run.trace), _stamped(draft)))


def _names(run_dir: Path) -> Iterator[str]:
    """Return what a bundle takes along: never what is only for developers, like the logs of hosts."""
    for name in (PLAN_FILE, STORED_FILE, HISTORY, FINDINGS, REPORT):
        if (run_dir / name).exists():
            yield name
    for path in sorted(run_dir.glob("journal*.json")):  # What experiments came to, as they say it.
        yield path.name
    for folder in (SEGMENTS, APPROVALS, TIME):
        for path in sorted((run_dir / folder).glob("*")):
            yield f"{folder}/{path.name}"


def _signers(draft: Draft, trace: Trace) -> list[Signer]:
    there = {item.path for item in draft.listed}
    found = (record.event for record in trace.records if isinstance(record.event, ApprovalGiven))
    signed = [Signer(f"{APPROVALS}/{given.file}", given.principal) for given in found if given.verified]
    return [signer for signer in signed if {signer.path, f"{signer.path}.sig"} <= there]


def _stamped(draft: Draft) -> list[tuple[str, str]]:
    tokens = [item.path for item in draft.listed if item.path.endswith(".tsr")]
    pairs = [
        (token.removesuffix(".tsr") + (".json" if "start" in token else ".txt"), token) for token in tokens
    ]
    return [*pairs, (MANIFEST, "attest/manifest.tsr")] if pairs else []


def _about(draft: Draft, run: _Run) -> dict[str, Any]:
    keeping = run.keeping
    return {
        "kind": "gameday-manifest-v1", "run": run.folder.name, "plan_sha256": _plan_sha256(draft),
        "events": len(run.lines), "head": run.head, "redactions": draft.redactions(), "previous": "",
        "retention": {"class": keeping.retention_class, "until_utc": until_utc(keeping.retention_years),
                      "legal_hold": keeping.legal_hold},
    }  # fmt: skip


def _plan_sha256(draft: Draft) -> str:
    return hashlib.sha256((draft.folder / PLAN_FILE).read_bytes().removesuffix(b"\n")).hexdigest()


def until_utc(years: int, now: datetime | None = None) -> str:
    """Return to when a record made now is held, as text."""
    now = now or datetime.now(UTC)
    try:
        until = now.replace(year=now.year + years)
    except ValueError:  # The 29th of February.
        until = (now + timedelta(days=1)).replace(year=now.year + years)
    return until.strftime("%Y-%m-%dT%H:%M:%SZ")


def _attest(draft: Draft, run: _Run, sha256: str) -> None:
    listed = {item.path: item.sha256 for item in draft.listed}
    resolved = run.trace.first(TargetsResolved)
    facts = Facts(
        run=run.folder.name,
        environment=resolved.environment if resolved else run.plan.target.environment,
        findings_sha256=listed.get(FINDINGS, ""),
        head=run.head,
        events=len(run.lines),
        stamped=f"{TIME}/start.tsr" in listed,
        controls=tuple(
            (cited.control.framework, cited.control.clause, cited.control.shown)
            for cited in citations(view_of(run.plan, run.trace), run.findings)
        ),
    )
    configuration = [{"name": PLAN_FILE, "digest": {"sha256": listed[PLAN_FILE]}}]
    bodies = {
        "run": evidence(run.plan, run.trace, run.findings, facts),
        "test-result": test_results(run.findings, configuration),
    }
    made, public = envelopes((statement(sha256, PREDICATES[n], body) for n, body in bodies.items()), sign)
    for name, envelope in zip(bodies, made, strict=True):
        draft.write(f"attest/{name}.dsse.json", envelope)
    draft.write("attest/runner.pub", public.encode())


def _stamp(draft: Draft, keeping: Keeping, whole: bytes) -> str:
    if not keeping.stamp_url:
        return "none: the policy names no time stamp authority"
    found = stamp(whole, keeping.stamp_url)
    if found.missing and keeping.stamps_required:
        raise Refused(
            f"the policy requires a time stamp over the manifest, and there is none: {found.missing}",
            todo="Seal again when the authority answers; the run stays as it is.",
        )
    if found.missing:
        return f"none: {found.missing}"
    draft.write("attest/manifest.tsr", found.token)
    return f"{found.utc} by {keeping.stamp_url}"


def manifest_of(bundle: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the manifest of a bundle or an addendum, as it is and as it reads.

    Raises:
        RecordError: There is none, or it is not in canonical form.
    """
    path = bundle / MANIFEST
    try:
        data = path.read_bytes()
        found = json.loads(data)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}", todo="`gameday seal RUN` makes the bundle.") from error
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict) or canonical(found) + b"\n" != data:
        raise RecordError(f"{path}: is not as it was sealed: not in canonical form")
    return data, found
