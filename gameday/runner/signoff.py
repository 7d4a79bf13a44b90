"""Sign-offs: a person answers with their SSH key for what a bundle says, after it was sealed.

    BUNDLE/addenda/N/signoff-ROLE-NAME.json[.sig]   what they sign, and their signature (a role's - is _ here)
    BUNDLE/addenda/N/manifest.json, attest/         over it, naming the manifest before

Whoever reviews is neither the author of the plan nor its operator, nor one of those who approved it;
an owner may have written or run it, but nobody signs off twice. A typed name is never a sign-off.

The owner of a capacity signs for one rate of one artefact until a day: all of that stands in what they sign.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.canonical import canonical
from gameday.checkers.capacity import assess
from gameday.checkers.view import view_of
from gameday.errors import NotAuthorised, RecordError, Refused
from gameday.evidence.attest import ADDENDUM, envelopes, statement
from gameday.evidence.bundle import MANIFEST, drafted, manifest
from gameday.evidence.findings_file import FINDINGS
from gameday.evidence.keys import sign as sign_by_runner
from gameday.history.events import RunStarted
from gameday.history.people import ApprovalGiven
from gameday.history.read import read_records, read_trace
from gameday.hosts.clock import utc_text
from gameday.hosts.sshkeygen import Signature, sign, verify
from gameday.plan.approvals import is_principal
from gameday.plan.stored import read_plan
from gameday.runner.anchor import register_of_run
from gameday.runner.approvals import parts_of
from gameday.runner.sealing import BUNDLE, manifest_of

NAMESPACE = "gameday-signoff"
OWNER = "owner"
CAPACITY_OWNER = "capacity-owner"
ADDENDA = "addenda"
STATEMENT_MAX = 4096
_SIGNED = re.compile(r"signoff-[^/]+\.json\Z")
_ROLE = re.compile(r"[a-z][a-z0-9]{0,31}(-[a-z0-9]{1,31}){0,2}\Z")


@dataclass(frozen=True, slots=True)
class SignOff:
    """A sign-off as it was kept."""

    addendum: Path
    number: int
    principal: str
    role: str
    fingerprint: str


def sign_off(run_dir: Path, signers: Path, *, who: str, role: str, key: Path, said: str) -> SignOff:
    """Have a person sign for a sealed run, and keep that as an addendum to its bundle.

    Args:
        run_dir: The run's folder.
        signers: The allowed_signers file that says whose key is whose.
        who: Their name in it.
        role: In which role.
        key: Their SSH key.
        said: What they say in their own words; may be empty.

    Raises:
        NotAuthorised: The key is not theirs, or they may not sign in this role.
        Refused: The register or the runner's key cannot be used.
        RecordError: The run is not sealed, or something in it cannot be read.
    """
    bundle = run_dir / BUNDLE
    whole, about = manifest_of(bundle)
    if not is_principal(who) or not _ROLE.match(role) or len(said) > STATEMENT_MAX:
        raise NotAuthorised(
            f"{who!r} as {role!r} is no name and role", todo="For example: --as a.chen --role owner"
        )
    found = {item["path"]: item["sha256"] for item in about["files"]}
    data = canonical(
        {
            "kind": "gameday-signoff-v1", "run": run_dir.name, "role": role, "principal": who,
            "statement": said, "manifest_sha256": hashlib.sha256(whole).hexdigest(),
            "findings_sha256": found.get(FINDINGS, ""), "given_utc": utc_text(),
            **(_terms(run_dir) if role == CAPACITY_OWNER else {}),
        }
    ) + b"\n"  # fmt: skip
    signature = sign(data, key, NAMESPACE)
    held = verify(data, signature, _read(signers), who, NAMESPACE)
    _check_apart(run_dir, bundle, held, role)
    name = f"signoff-{role.replace('-', '_')}-{who}.json"
    number, folder = _add(run_dir, {name: data, f"{name}.sig": signature})
    return SignOff(folder, number, who, role, held.fingerprint)


def _terms(run_dir: Path) -> dict[str, Any]:
    """Return what a capacity owner signs for.

    Raises:
        NotAuthorised: The run is no capacity sign-off.
    """
    found = assess(view_of(read_plan(run_dir), read_trace(run_dir)))
    if found is None:
        raise NotAuthorised(
            f"{run_dir.name} is no capacity sign-off, so it has no {CAPACITY_OWNER}",
            todo="`--role owner` signs for any other drill.",
        )
    return {
        "decision": str(found.decision.decision), "required_per_1000s": found.decision.required_per_1000s,
        "artefact": found.artefact, "expires_utc": found.expires_utc,
    }  # fmt: skip


def _add(run_dir: Path, files: dict[str, bytes]) -> tuple[int, Path]:
    """Add files to a sealed bundle, with a manifest, an attestation and a leaf of their own."""
    bundle = run_dir / BUNDLE
    register = register_of_run(run_dir)
    if register is None:
        raise Refused(f"the run {run_dir.name} stands in no register")
    before = _addenda(bundle)
    number = len(before) + 1
    previous, _ = manifest_of(before[-1] if before else bundle)
    (bundle / ADDENDA).mkdir(mode=0o700, exist_ok=True)
    with drafted(bundle / ADDENDA / str(number)) as draft:
        for name, data in files.items():
            draft.write(name, data)
        about = {
            "kind": "gameday-addendum-v1", "run": run_dir.name, "number": number,
            "previous": hashlib.sha256(previous).hexdigest(),
        }  # fmt: skip
        whole = manifest(draft, about)
        draft.write(MANIFEST, whole)
        sha256 = hashlib.sha256(whole).hexdigest()
        predicate = {"run": run_dir.name, "number": number}
        (envelope,), _ = envelopes((statement(sha256, ADDENDUM, predicate),), sign_by_runner)
        draft.write("attest/addendum.dsse.json", envelope)
        leaf = {
            "kind": "addendum", "run": run_dir.name, "number": number, "manifest_sha256": sha256,
            "attestations": draft.digests("attest/"),
        }  # fmt: skip
        register.enter(leaf, at_utc=utc_text())
        draft.place()
    return number, bundle / ADDENDA / str(number)


def _addenda(bundle: Path) -> list[Path]:
    """Return the addenda of a bundle in their order.

    Raises:
        RecordError: One of them is missing.
    """
    there = {path.name: path for path in (bundle / ADDENDA).glob("[0-9]*")}
    found = [there.get(str(number)) for number in range(1, len(there) + 1)]
    if None in found:
        raise RecordError(f"{bundle / ADDENDA}: addendum {found.index(None) + 1} is missing")
    return [path for path in found if path is not None]


def _check_apart(run_dir: Path, bundle: Path, held: Signature, role: str) -> None:
    """Refuse whoever has another part in this drill already.

    Raises:
        NotAuthorised: They have.
    """
    for who, other in _signed_off(bundle):
        if who in held.names:
            raise NotAuthorised(f"{who} has signed off already, as {other}; another person is needed")
    if role in (OWNER, CAPACITY_OWNER):
        return
    trace = read_records(run_dir)
    first = trace.first(RunStarted)
    parts = list(parts_of(read_plan(run_dir), first.operator if first else ""))
    given = (record.event for record in trace.records if isinstance(record.event, ApprovalGiven))
    parts += [("approver", event.principal) for event in given if event.verified]
    for part, name in parts:
        if name and name in held.names:
            raise NotAuthorised(
                f"{name} is the {part} of this drill and cannot also be its {role}",
                todo="Somebody who had no part in it must sign.",
            )


def _signed_off(bundle: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for addendum in _addenda(bundle):
        _, about = manifest_of(addendum)
        names: list[dict[str, Any]] = [item for item in about["files"] if _SIGNED.match(item["path"])]
        for item in names:
            role, _, who = item["path"].removeprefix("signoff-").removesuffix(".json").partition("-")
            found.append((who, role.replace("_", "-")))
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotAuthorised(
            f"{path}: {error.strerror}, so nobody can tell whose key is whose",
            todo=f'One line a person: `NAME namespaces="gameday-approval,{NAMESPACE}" ssh-ed25519 AAAA…`.',
        ) from error
