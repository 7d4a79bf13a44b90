"""Line 2: who signed. The runner signs the manifest; people approve before and sign off afterwards.

    approvals/NAME.json[.sig]               before: plan, policy, environment, until when   (gameday-approval)
    addenda/N/signoff-ROLE-NAME.json[.sig]  after: the manifest and the findings            (gameday-signoff)

The runner's key alone never means "approved". A signature counts if its key is that person's in the
auditor's own allowed_signers at that time. One key is one person whatever names it has, and who
approves or reviews is neither the author of the plan nor the operator of the run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from .chain import History
from .folder import Folder
from .integrity import Manifest
from .lines import Broken, Report, clean
from .sshsig import fingerprint, names_of, refusal, signing_key
from .stamps import utc_ns
from .strictjson import get, maybe, parse_canonical, texts
from .trust import Trust

STATEMENT_MAX = 16 << 10
PAPERS_MAX = 500
OWNERS = ("owner", "capacity-owner")  # May have written the plan; other roles are apart from its people.


@dataclass(frozen=True, slots=True)
class Paper:
    """A statement whose signature counts."""

    role: str
    principal: str
    key: bytes


class People:
    """Reads what people signed, and finds the roles that the auditor asks for."""

    def __init__(
        self, folder: Folder, history: History, plan: dict[str, Any], trust: Trust, report: Report
    ) -> None:
        self._folder, self._history, self._plan = folder, history, plan
        self._trust, self._report, self._line = trust, report, report.authenticity
        self._read = 0

    def approvals(self, there: dict[str, int], plan_sha256: str) -> None:
        """Look at every approval, and fail where a role that the auditor asks for is missing."""
        papers = []
        for path in self._paths(there, "approvals/"):
            paper = self._paper(path, lambda data, path=path: self._approval(data, path, plan_sha256))
            papers += [paper] if paper else []
        self._must(self._trust.approvals, papers, "approved before the first fault")

    def signoffs(self, there: dict[str, int], addenda: int, manifest: Manifest) -> None:
        """Look at every sign-off, and fail where a role that the auditor asks for is missing."""
        papers = []
        for number in range(1, addenda + 1):
            for path in self._paths(there, f"addenda/{number}/signoff-"):
                paper = self._paper(path, lambda data, path=path: self._signoff(data, path, manifest))
                papers += [paper] if paper else []
        self._must(self._trust.signoffs, papers, "signed off")

    def _paths(self, there: dict[str, int], prefix: str) -> list[str]:
        found = sorted(path for path in there if path.startswith(prefix) and path.endswith(".json"))
        self._read += len(found)
        if self._read > PAPERS_MAX:
            raise Broken(f"{prefix}: more than {PAPERS_MAX} statements")
        return found

    def _paper(self, path: str, judge: Any) -> Paper | None:
        """Return what counts; whatever else is only listed, with the reason."""
        try:
            paper: Paper = judge(self._folder.small(path, STATEMENT_MAX))
        except Broken as error:
            self._report.signatures.append(clean(f"{path}: does not count: {error}"))
            return None
        said = f"{paper.role} {paper.principal} by {fingerprint(paper.key)} ({path})"
        self._report.signatures.append(clean(said))
        return paper

    def _approval(self, raw: bytes, path: str, plan_sha256: str) -> Paper:
        data = parse_canonical(raw.removesuffix(b"\n"), path)
        subject = get(data, "subject", dict, path)
        event, at_ns = self._given(raw, path)
        signature = self._folder.small(f"{path}.sig", STATEMENT_MAX)
        if hashlib.sha256(signature).hexdigest() != event.get("signature_sha256"):
            raise Broken("its signature is not the one that the history holds")
        target = get(self._plan, "target", dict, "plan.json")
        run = self._history.records[0].data.get("run")
        policy = self._folder.small("policy.json").removesuffix(b"\n")
        expected = {
            "gate": "start", "plan_sha256": plan_sha256, "environment": target.get("environment"),
            "policy_sha256": hashlib.sha256(policy).hexdigest(),
        }  # fmt: skip
        for key, value in expected.items():
            if subject.get(key) != value:
                raise Broken(f"it approves another {key.removesuffix('_sha256')}")
        live = maybe(subject, "run", str, path) or ""
        if live and (live != run or subject.get("targets") != self._targets()):
            raise Broken("it approves another run or other targets")
        given, expires = (utc_ns(get(data, key, str, path), path) for key in ("given_utc", "expires_utc"))
        if not given <= at_ns + 300 * 10**9 or at_ns >= expires:
            raise Broken("it was not valid when the drill began")
        return self._signed(data, raw, signature, path, "gameday-approval", at_ns)

    def _targets(self) -> list[str]:
        resolved = self._history.first("TargetsResolved")
        return texts(resolved.data, "targets", "history.jsonl") if resolved else []

    def _given(self, raw: bytes, path: str) -> tuple[dict[str, Any], int]:
        """Return the record that took an approval, which must come before the first step."""
        first = self._history.first("StepStarted")
        digest = hashlib.sha256(raw).hexdigest()
        for record in self._history.all("ApprovalGiven"):
            if record.data.get("statement_sha256") != digest or record.data.get("verified") is not True:
                continue
            if first is not None and record.seq > first.seq:
                raise Broken("it was given after the first step")
            return record.data, utc_ns(record.utc, path)
        raise Broken("the history holds no such approval")

    def _signoff(self, raw: bytes, path: str, manifest: Manifest) -> Paper:
        data = parse_canonical(raw.removesuffix(b"\n"), path)
        expected = {
            "kind": "gameday-signoff-v1", "run": manifest.data.get("run"), "manifest_sha256": manifest.sha256,
            "findings_sha256": manifest.files.get("findings.json", (0, None))[1],
        }  # fmt: skip
        for key, value in expected.items():
            if not isinstance(data, dict) or data.get(key) != value:
                raise Broken(f"it is about another {key.removesuffix('_sha256')}")
        signature = self._folder.small(f"{path}.sig", STATEMENT_MAX)
        at_ns = utc_ns(get(data, "given_utc", str, path), path)
        return self._signed(data, raw, signature, path, "gameday-signoff", at_ns)

    def _signed(
        self, data: dict[str, Any], raw: bytes, signature: bytes, path: str, space: str, at_ns: int
    ) -> Paper:
        role, principal = get(data, "role", str, path), get(data, "principal", str, path)
        key = signing_key(signature, raw, space, path)
        against = refusal(self._trust.signers, key, principal, space, at_ns)
        if against:
            raise Broken(against)
        about = [
            pair
            for pair in get(self._plan, "about", list, "plan.json")
            if type(pair) is list and len(pair) == 2
        ]
        named = {str(name): str(value) for name, value in about}
        operator = get(self._history.records[0].data, "operator", str, "history.jsonl")
        parts = {"author": [named.get("author", "")], "operator": [operator, named.get("roles.operator", "")]}
        for part, people in parts.items():
            if role not in OWNERS and (principal in people or names_of(self._trust.signers, key, people)):
                raise Broken(f"{principal} is the {part} and cannot also be the {role}")
        return Paper(role, principal, key)

    def _must(self, roles: list[str], papers: list[Paper], what: str) -> None:
        for role in dict.fromkeys(roles):
            if not any(paper.role == role for paper in papers):
                self._line.fail(f"nobody you list {what} as {role}")
        if not self._line.problems and not apart(roles, papers, ()):
            self._line.fail(f"the roles {', '.join(roles)} were not {what} by different people")


def apart(roles: list[str], papers: list[Paper], taken: tuple[bytes | str, ...]) -> bool:
    """Tell whether each role can be given to another person: another key and another name."""
    if not roles:
        return True
    fits = (p for p in papers if p.role == roles[0] and p.key not in taken and p.principal not in taken)
    return any(apart(roles[1:], papers, (*taken, p.key, p.principal)) for p in fits)
