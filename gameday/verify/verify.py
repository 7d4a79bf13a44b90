"""All five lines over one bundle, in the order in which they lean on one another."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .chain import History, read_history
from .complete import Register
from .dsse import open_envelope, predicate_of
from .folder import Folder
from .integrity import Manifest, addenda_of, check_files, check_head, read_manifest
from .levels import load_levels
from .lines import Broken, Report, clean
from .people import People
from .recompute import RULES, Result, check_statement, check_test_result, differences, recompute, seconds
from .stamps import Clock
from .strictjson import get, parse, parse_canonical
from .trust import Trust

ENVELOPE_MAX = 1 << 20
RUN_TYPE = "urn:gameday:drill-evidence:v1"
RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
ADDENDUM_TYPE = "urn:gameday:drill-addendum:v1"


class Bundle:
    """One bundle while it is verified. Each method fills one line, or part of one."""

    def __init__(self, folder: Folder, trust: Trust) -> None:
        self._folder, self._trust, self.report = folder, trust, Report()
        self._there: dict[str, int] = {}
        self._plan: dict[str, Any] = {}
        self._plan_sha256 = ""
        self._history = History()
        self._manifest: Manifest | None = None
        self._addenda: list[Manifest] = []
        self._findings: Any = None
        self._predicate: dict[str, Any] | None = None
        self._result: dict[str, Any] | None = None

    def integrity(self) -> None:
        """Read everything once and hold it against the manifest."""
        line = self.report.integrity
        with line.guard("the folder"):
            self._there, strange = self._folder.files()
            for text in strange:
                line.fail(text)
        with line.guard("manifest.json"):
            self._manifest = read_manifest(self._folder, "manifest.json", "gameday-manifest-v1")
        levels = []
        with line.guard("plan.json"):
            raw = self._folder.small("plan.json")
            self._plan = parse_canonical(raw.removesuffix(b"\n"), "plan.json")
            self._plan_sha256 = hashlib.sha256(raw.removesuffix(b"\n")).hexdigest()
            levels = load_levels(self._plan)
        self._history = read_history(self._folder, line, levels)
        if self._manifest is None:
            return
        check_files(self._folder, self._there, self._manifest, "", line)
        with line.guard("the first record"):
            first = self._history.first("RunStarted")
            run = get(first.data, "run", str, "history.jsonl:1") if first else ""
            if first and first.data.get("plan_sha256") != self._plan_sha256:
                line.fail("plan.json: is not the plan that the history grows from")
            head, count = self._history.head, self._history.count
            check_head(self._manifest, self._plan_sha256, run, count, head, line)
            self.report.about |= {"run": clean(run, 120), "began": clean(first.utc if first else "", 40)}
        self._read_addenda()
        files = len(self._manifest.files) + sum(len(m.files) for m in self._addenda)
        line.good = f"{files} files, {self._history.count} records and every slice are what was sealed"

    def _read_addenda(self) -> None:
        line = self.report.integrity
        assert self._manifest is not None
        previous, run = self._manifest.sha256, self._manifest.data.get("run")
        for number in range(1, addenda_of(self._there, line) + 1):
            at = f"addenda/{number}/"
            with line.guard(at):
                manifest = read_manifest(self._folder, f"{at}manifest.json", "gameday-addendum-v1")
                check_files(self._folder, self._there, manifest, at, line)
                for key, value in (("previous", previous), ("run", run), ("number", number)):
                    if manifest.data.get(key) != value:
                        line.fail(
                            f"{at}manifest.json: {key} is {manifest.data.get(key)!r}, expected {value!r}"
                        )
                previous = manifest.sha256
                self._addenda.append(manifest)

    def completeness(self) -> Register | None:
        """Read the register; what it holds is needed to judge who signed."""
        line = self.report.completeness
        if self._manifest is None or not self._history.records:
            line.fail("without a manifest and a history nothing can be complete")
            return None
        with line.guard("findings.json"):
            self._findings = parse(self._folder.small("findings.json"), "findings.json", floats=True)
        stated = self._findings if isinstance(self._findings, dict) else {}
        outcome, verdict = (str(stated.get(key) or "") for key in ("outcome", "verdict"))
        register: Register | None = None
        with line.guard("register/"):
            register = Register(self._folder, self._history, self._manifest, self._trust, self.report)
            register.check(self._there, outcome, verdict)
            register.check_addenda([manifest.sha256 for manifest in self._addenda])
        return register

    def authenticity(self, register: Register | None) -> None:
        """Check who signed what."""
        line = self.report.authenticity
        if self._manifest is None or not self._history.records:
            line.fail("without a manifest and a history there is nothing that could have been signed")
            return
        keyids = set()
        with line.guard("attest/run.dsse.json"):
            self._predicate, keyid = self._envelope("attest/run.dsse.json", RUN_TYPE, self._manifest.sha256)
            keyids.add(keyid)
        if "attest/test-result.dsse.json" in self._there:
            with line.guard("attest/test-result.dsse.json"):
                path = "attest/test-result.dsse.json"
                self._result, keyid = self._envelope(path, RESULT_TYPE, self._manifest.sha256)
                keyids.add(keyid)
        for number, manifest in enumerate(self._addenda, start=1):
            path = f"addenda/{number}/attest/addendum.dsse.json"
            with line.guard(path):
                keyids.add(self._envelope(path, ADDENDUM_TYPE, manifest.sha256)[1])
                self.report.addenda.append(
                    f"addendum {number}: {', '.join(map(clean, manifest.files))}"[:400]
                )
        for name, checkpoint in register.checkpoints if register else ():
            with line.guard(name):
                if checkpoint.signed_by(self._trust.runners.values()) is None:
                    line.fail(f"{name}: is not signed by a runner you trust")
        for keyid in keyids & set(register.leaves.revoked if register else ()):
            if register and register.leaves.revoked[keyid] < register.sealed_index:
                line.fail(f"the key {keyid} was revoked before this bundle was sealed")
        people = People(self._folder, self._history, self._plan, self._trust, self.report)
        with line.guard("approvals/"):
            people.approvals(self._there, self._plan_sha256)
        with line.guard("addenda/"):
            people.signoffs(self._there, len(self._addenda), self._manifest)
        asked = [*self._trust.approvals, *self._trust.signoffs]
        line.good = f"signed by {', '.join(sorted(keyids))}; " + (
            f"{', '.join(asked)} by people you list"
            if asked
            else "your trust file asks for no approval or sign-off"
        )

    def _envelope(self, path: str, kind: str, manifest_sha256: str) -> tuple[dict[str, Any], str]:
        data = self._folder.small(path, ENVELOPE_MAX)
        statement, keyid = open_envelope(data, path, self._trust.runners)
        return predicate_of(statement, path, kind, manifest_sha256), keyid

    def time(self) -> None:
        """Check the tokens."""
        line = self.report.time
        if self._manifest is None:
            line.fail("without a manifest there is nothing that a token could be over")
            return
        with line.guard("time/"):
            Clock(self._folder, self._history, self._trust, line).check(self._manifest.raw)

    def recomputation(self) -> None:
        """Compute the findings anew and compare."""
        line = self.report.recomputation
        if not self._history.is_sound:
            line.fail("the records are not sound, so nothing can be computed from them")
            return
        if self._history.too_much:
            line.unknown(f"not recomputed: {self._history.too_much}")
            return
        with line.guard("the raw records"):
            result = recompute(self._plan, self._history)
            self._compare(result)
            self.report.measured = [_measured(row) for row in result.objectives]
            line.good = (
                f"{len(result.findings)} findings from {self._history.samples.count} samples come out "
                f"the same: {result.outcome}, {result.verdict}"
            )

    def _compare(self, result: Result) -> None:
        line = self.report.recomputation
        if not isinstance(self._findings, dict):
            raise Broken("findings.json: holds no findings")
        wrong, foreign = differences(result, self._findings)
        made_by = self._findings.get("checker_version")
        for text in wrong:
            if made_by == RULES:
                line.fail(text)
            else:
                line.unknown(f"made by other rules ({made_by!r}, here {RULES}): {text}")
        if foreign:
            line.unknown(f"not computed here: {', '.join(foreign[:5])}")
        if self._predicate is None:
            line.unknown("there is no signed statement that could be compared")
            return
        if self._result is not None:
            check_test_result(self._result, self._findings, line)
        facts = {
            "startedAt": self._history.records[0].utc, "finishedAt": self._history.last_utc,
            "run": self._history.records[0].data.get("run"), "verdict": self._findings.get("verdict"),
            "head": self._history.head,
            "events": self._history.count, "findings_sha256": self._folder.digest("findings.json")[1],
        }  # fmt: skip
        check_statement(self._predicate, self._plan, result, line, **facts)


def _measured(row: tuple[str, str, int, tuple[int, int | None] | None, str]) -> str:
    service, measure, limit_ns, interval, verdict = row
    found = seconds(interval)
    if found is None:
        text = "not measured"
    elif found["max"] is None:
        text = f"at least {found['min']:.3f} s"
    else:
        text = f"{found['min']:.3f} to {found['max']:.3f} s"
    return clean(f"{measure.upper()} {service}: {text}, objective {limit_ns / 1e9:g} s: {verdict}")


def verify(bundle: Path, trust: Trust) -> Report:
    """Return the answer on a bundle's folder. Never raises for what stands in it.

    Raises:
        OSError: `bundle` is no folder that can be read.
    """
    with Folder(bundle) as folder:
        found = Bundle(folder, trust)
        found.integrity()
        register = found.completeness()
        found.authenticity(register)
        found.time()
        found.recomputation()
        return found.report
