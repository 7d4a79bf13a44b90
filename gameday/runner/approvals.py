"""Approvals at the border of a run: found and verified before it, taken and verified while it waits.

    PROJECT/approvals/allowed_signers              who may approve, with which key
    PROJECT/approvals/PLAN.NAME.ROLE.json[.sig]    a statement as it was signed, and its signature
    RUN/approvals/                                 copies of what this run rested on

What counts is decided here and in `plan.approvals`; the engine sees events only. An approval without
a signature is recorded as claimed. All files are read once, before anything is started.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gameday.engine.people import missing, needs_of, said_of
from gameday.errors import GameDayError, NotAuthorised, RecordError, Refused
from gameday.history.people import ApprovalGiven, ApprovalsNeeded
from gameday.hosts.clock import utc_text
from gameday.hosts.sshkeygen import SIGNERS_MAX, verify
from gameday.plan.approvals import (
    NAMESPACE,
    START,
    STATEMENT_MAX,
    Requirement,
    Statement,
    Subject,
    can_all_count,
    demanded,
    objection,
    parse_statement,
    unfit,
)
from gameday.plan.model import Plan, StepKind
from gameday.plan.permit import judge
from gameday.plan.policy import Policy, policy_digest
from gameday.plan.radius import cap_words
from gameday.plan.stored import plan_digest

FOLDER = "approvals"
FILES_MAX = 500
_REASONS_MAX = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """What must be met: what the plan asks for, and what the policy adds."""

    before_faults: tuple[Requirement, ...]
    signers: bytes
    timeout_ns: int
    policy_sha256: str

    @property
    def signers_sha256(self) -> str:
        """The digest of allowed_signers; empty when nobody needs it."""
        return _sha256(self.signers) if self.signers else ""


@dataclass(frozen=True, slots=True)
class Paper:
    """One approval as it is kept: the events that say so, and the files behind them."""

    given: ApprovalGiven
    statement: bytes = b""
    signature: bytes = b""


def terms_of(plan: Plan, project: Path, policy: Policy | None = None) -> Terms:
    """Return what must be met before `plan` may inject anything: what it asks for, and what policy adds.

    Args:
        plan: The plan, unbound.
        project: The folder that paths are relative to.
        policy: The policy in force; None to find it as always.

    Raises:
        PlanError: The policy file is wrong.
        NotAuthorised: Approvals are needed, and there is no allowed_signers file.
    """
    if policy is None:
        from gameday.plan.policyfile import find_policy  # noqa: PLC0415 - not in the watchdog, which is here too

        policy = find_policy(project)
    needed = judge(policy, plan, datetime.now(UTC)).approvals
    required = (*plan.approvals.before_faults, *demanded(needed))
    gates = any(step.kind is StepKind.APPROVAL for step in plan.steps)
    signers = _signers(project, plan.approvals.allowed_signers) if required or gates else b""
    return Terms(required, signers, plan.approvals.timeout_ns, policy_digest(policy))


def subject_of(
    plan: Plan, gate: str, policy_sha256: str, *, run: str = "", targets: tuple[str, ...] = ()
) -> Subject:
    """Return what is to be approved at a gate; with `run` and `targets` what is to be signed live."""
    radius = plan.blast_radius
    return Subject(
        gate=gate,
        plan=plan.source,
        plan_sha256=plan_digest(plan),
        policy_sha256=policy_sha256,
        environment=plan.target.environment,
        select=radius.select if radius else (),
        caps=cap_words(radius) if radius else "",
        duration_ns=radius.duration_ns if radius else 0,
        run=run,
        targets=targets,
    )


def parts_of(plan: Plan, operator: str, login: str = "") -> tuple[tuple[str, str], ...]:
    """Return who has which part in a drill: its author, and whoever operates it, by every name.

    Those are the name the plan gives, the one they claim, and the `login` they cannot choose.
    """
    about = dict(plan.about)
    named = about.get("roles.operator", "")
    operators = dict.fromkeys((operator, named, login))
    return (("author", about.get("author", "")), *(("operator", name) for name in operators))


@dataclass(slots=True)
class Judge:
    """Judges one approval after another for one gate; nobody counts twice."""

    subject: Subject
    requirements: tuple[Requirement, ...]
    parts: tuple[tuple[str, str], ...]
    terms: Terms
    live: bool
    given: tuple[ApprovalGiven, ...] = ()

    def judge(self, data: bytes, signature: bytes, file: str) -> ApprovalGiven:
        """Return the approval that a signed statement is.

        Raises:
            NotAuthorised: It does not count, and why.
            RecordError: It is no statement.
        """
        statement = parse_statement(data)
        against = objection(statement, self.subject, now_utc=utc_text())
        if against:
            raise NotAuthorised(against)
        asked = tuple(need for need in self.requirements if need.live == self.live)
        mine = [need for need in asked if statement.role in need.roles]
        if not mine:
            roles = ", ".join(dict.fromkeys(need.role for need in asked))
            raise NotAuthorised(f"no {statement.role!r} is asked for here, only {roles or 'nobody'}")
        held = verify(data, signature, self.terms.signers, statement.principal, NAMESPACE)
        need = self._place(mine, asked, held.names)
        approval = ApprovalGiven(
            gate=self.subject.gate,
            principal=statement.principal,
            role=need.role,
            live=self.live,
            verified=True,
            statement_sha256=_sha256(data),
            signature_sha256=_sha256(signature),
            fingerprint=held.fingerprint,
            expires_utc=statement.expires_utc,
            file=file,
            signers_sha256=self.terms.signers_sha256,
        )
        self.given = (*self.given, approval)
        return approval

    def _place(
        self, mine: list[Requirement], asked: tuple[Requirement, ...], names: tuple[str, ...]
    ) -> Requirement:
        """Return the requirement that a person of these names helps to meet."""
        before = [given for given in self.given if given.live == self.live]
        again = next((given for given in before if given.principal in names), None)
        if again is not None:
            raise NotAuthorised(f"{names[0]} has signed already, as {again.role}; another person is needed")
        reasons = [unfit(need, names, self.parts) for need in mine]
        if all(reasons):
            raise NotAuthorised(reasons[0])
        known = tuple((given.role, (given.principal,)) for given in before)
        for need, reason in zip(mine, reasons, strict=True):
            if not reason and can_all_count(asked, (*known, (need.role, names)), self.parts):
                return need
        raise NotAuthorised(f"nobody else is asked for as {mine[0].role} of whom {names[0]} is one")


def claimed(statement: Statement, data: bytes, file: str, *, live: bool) -> ApprovalGiven:
    """Return what a name without a signature is: recorded, and counted for nothing."""
    return ApprovalGiven(
        gate=statement.subject.gate,
        principal=statement.principal,
        role=statement.role,
        live=live,
        verified=False,
        statement_sha256=_sha256(data),
        expires_utc=statement.expires_utc,
        file=file,
    )


def given_beforehand(
    plan: Plan, terms: Terms, project: Path, operator: str, login: str = ""
) -> tuple[Paper, ...]:
    """Return the approvals that were given before the run.

    Raises:
        NotAuthorised: One that is needed is missing; says what is wrong with those that are there.
    """
    subject = subject_of(plan, START, terms.policy_sha256)
    judge = Judge(subject, terms.before_faults, parts_of(plan, operator, login), terms, live=False)
    papers: list[Paper] = []
    reasons: list[str] = []
    wanted = tuple(need for need in terms.before_faults if not need.live)
    for path in _files(project) if wanted else ():
        try:
            papers.append(_paper(path, judge))
        except (NotAuthorised, RecordError, OSError) as error:
            if not _is_foreign(path, subject):
                reasons.append(f"{path.name}: {error}")
    left = missing(needs_of(wanted), judge.given)
    if left:
        reasons += [f"{p.given.file}: claimed, not signed" for p in papers if not p.given.verified]
        more = "; ".join(reasons[:_REASONS_MAX])
        raise NotAuthorised(
            f"the drill is not approved: {said_of(left)} must still sign{f' ({more})' if more else ''}",
            todo=f"They sign what the plan says now: `gameday approve {plan.source} --as NAME --role ROLE`.",
        )
    return tuple(papers)


def _paper(path: Path, judge: Judge) -> Paper:
    data = _read(path, STATEMENT_MAX)
    signed = path.with_name(f"{path.name}.sig")
    if not signed.is_file():
        statement = parse_statement(data)
        against = objection(statement, judge.subject, now_utc=utc_text())
        if against:
            raise NotAuthorised(against)
        return Paper(claimed(statement, data, path.name, live=False), data)
    signature = _read(signed, STATEMENT_MAX)
    return Paper(judge.judge(data, signature, path.name), data, signature)


def _is_foreign(path: Path, subject: Subject) -> bool:
    """Tell whether a file is a sound approval of another plan or gate, which is none of our business."""
    try:
        other = parse_statement(_read(path, STATEMENT_MAX)).subject
    except (GameDayError, OSError):
        return False
    return other.plan != subject.plan or other.gate != subject.gate or bool(other.run)


def _files(project: Path) -> list[Path]:
    folder = project / FOLDER
    found = sorted(path for path in folder.glob("*.json") if path.is_file())
    if len(found) > FILES_MAX:
        raise Refused(
            f"{folder} holds {len(found)} approvals, more than {FILES_MAX}", todo="Remove old ones."
        )
    return found


def _signers(project: Path, name: str) -> bytes:
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise NotAuthorised(f"approvals.allowed_signers: {name!r}: expected a path inside the project")
    try:
        return _read(project / name, SIGNERS_MAX) or b"\n"
    except OSError as error:
        raise NotAuthorised(
            f"approvals are needed, but {name} cannot be read: {error.strerror}",
            todo='One line a person: `NAME namespaces="gameday-approval" ssh-ed25519 AAAA…`.',
        ) from error


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise RecordError(f"is larger than {most} bytes")
    return data


def needed_event(terms: Terms) -> ApprovalsNeeded:
    """Return the event that tells the engine what is needed before the first fault."""
    return ApprovalsNeeded(needs_of(terms.before_faults), terms.timeout_ns, terms.signers_sha256)


def keep(run_dir: Path, terms: Terms, papers: Iterable[Paper]) -> None:
    """Put what this run rests on into its folder, and make sure that it is on disk."""
    folder = run_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    if terms.signers and not (folder / "allowed_signers").exists():
        _write(folder / "allowed_signers", terms.signers)
    for paper in papers:
        _write(folder / paper.given.file, paper.statement)
        if paper.signature:
            _write(folder / f"{paper.given.file}.sig", paper.signature)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def file_name(statement: Statement) -> str:
    """Return the name under which an approval is kept; a later one of the same person replaces it."""
    stem = Path(statement.subject.plan).stem
    live = f".{statement.subject.gate}" if statement.subject.run else ""
    return f"{stem}{live}.{statement.principal}.{statement.role}.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
