"""Line 4, its second half: nothing was left out, neither a file of the bundle nor a drill of the register.

A drill is entered as `started` before its first fault; the checkpoint that holds this entry is folded
into the genesis of its chain. Its end and its seal follow, so a start without an end is visible and a
failed drill cannot be dropped. The auditor's own checkpoint shows that nothing was rewritten since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from .chain import History
from .folder import Folder
from .integrity import Manifest
from .lines import Broken, Report
from .register import LEAF_MAX, Checkpoint, Leaves, read_checkpoint, read_leaves
from .strictjson import get
from .trust import Trust

REQUIRED = ("plan.json", "history.jsonl", "findings.json")
ATTESTED = ("attest/run.dsse.json", "attest/test-result.dsse.json")
OUTCOMES = {"completed": "finished", "halted": "halted", "crashed": "crashed", "refused": "refused"}


class Register:
    """The register as the bundle holds it, and as it is today if the auditor brought that."""

    def __init__(
        self, folder: Folder, history: History, manifest: Manifest, trust: Trust, report: Report
    ) -> None:
        self._folder, self._history, self._manifest = folder, history, manifest
        self._trust, self._report, self._line = trust, report, report.completeness
        self.run = get(manifest.data, "run", str, "manifest.json")
        self.leaves = Leaves()
        self.checkpoints: list[tuple[str, Checkpoint]] = []
        self.at_start: Checkpoint | None = None
        self.sealed_index = -1

    def check(self, there: dict[str, int], outcome: str, verdict: str) -> None:
        """Check files, roots and the leaves of this run; then that every start has an end."""
        for path in (*REQUIRED, *ATTESTED):
            if path not in there:
                self._line.fail(f"{path}: is missing")
        newest = read_checkpoint(self._folder.small("register/checkpoint", LEAF_MAX), "register/checkpoint")
        self.checkpoints.append(("register/checkpoint", newest))
        self._seen_at_start()
        self._roots(newest)
        self._mine(there, outcome, verdict)
        self._ends()
        if not self._line.problems:
            self._line.good = (
                f"leaf {self.leaves.mine[-1]['index']} of a register in which every start has an end"
                + (", and which extends the checkpoint you kept" if self._trust.checkpoint else "")
            )

    def _seen_at_start(self) -> None:
        seen = get(self._history.records[0].data, "register_sha256", str, "history.jsonl:1")
        if not seen:
            self._line.unknown("the run did not see the register when it began")
            return
        data = self._folder.small("register/at-start", LEAF_MAX)
        if hashlib.sha256(data).hexdigest() != seen:
            raise Broken("register/at-start: is not the checkpoint that the run saw when it began")
        self.at_start = read_checkpoint(data, "register/at-start")
        self.checkpoints.append(("register/at-start", self.at_start))

    def _roots(self, newest: Checkpoint) -> None:
        kept = self._trust.checkpoint
        earlier = [("register/at-start", self.at_start), ("the checkpoint you kept", kept)]
        sizes = [checkpoint.size for _, checkpoint in earlier if checkpoint] + [newest.size]
        where = "register/leaves.jsonl"
        leaves = read_leaves(self._folder.lines(where, LEAF_MAX), where, self.run, sizes)
        if newest.size != leaves.count or leaves.roots[leaves.count] != newest.root:
            self._line.fail("register/checkpoint: is not over these leaves")
        if leaves.origin != newest.origin:
            self._line.fail(f"register/checkpoint: its id is not that of its first leaf, {leaves.origin}")
        self.leaves = leaves
        if self._trust.register is not None:
            today = read_leaves(
                _lines(self._trust.register), "your register", self.run, [*sizes, leaves.count]
            )
            if today.roots.get(leaves.count) != leaves.roots[leaves.count]:
                self._line.fail("the bundle's leaves are not the beginning of the register you brought")
            self.leaves = today
        for name, checkpoint in earlier:
            if checkpoint is None:
                continue
            if checkpoint.origin != newest.origin:
                self._line.fail(
                    f"{name}: is of {checkpoint.origin}, the bundle's register is {newest.origin}"
                )
            elif checkpoint.size > self.leaves.count:
                self._line.fail(
                    f"{name} has {checkpoint.size} leaves, this register {self.leaves.count}: "
                    "it was rolled back, or the bundle is older (then bring `register:`, its leaves of today)"
                )
            elif self.leaves.roots[checkpoint.size] != checkpoint.root:
                self._line.fail(f"{name} is over other leaves: the register was rewritten")

    def _mine(self, there: dict[str, int], outcome: str, verdict: str) -> None:
        mine = self.leaves.mine
        kinds = [get(leaf, "kind", str, "register") for leaf in mine]
        started = [leaf for leaf in mine if leaf["kind"] == "started"]
        if not started or kinds[0] != "started":
            raise Broken("the register does not hold the start of this run")
        if started[0].get("plan_sha256") != self._manifest.data.get("plan_sha256"):
            self._line.fail("the register holds the start of this run with another plan")
        if self.at_start is not None and self.at_start.size <= started[0]["index"]:
            self._line.fail("the start was not yet in the register when the run began")
        self._end(mine, outcome, verdict)
        self._seal(there, [leaf for leaf in mine if leaf["kind"] == "sealed"])
        for leaf in mine:
            if leaf["kind"] == "voided":
                self._line.unknown(f"this run was voided by {leaf.get('by')}: {leaf.get('reason')}")

    def _end(self, mine: list[dict[str, Any]], outcome: str, verdict: str) -> None:
        ends = [leaf for leaf in mine if leaf["kind"] in OUTCOMES.values()]
        if not ends:
            self._line.fail("the register does not hold the end of this run")
            return
        for leaf in ends:
            # A crash may be entered before a person finishes the undos: its head stays part of the chain.
            events, head = leaf.get("events"), leaf.get("head")
            if leaf["kind"] == "refused" and events is None:
                continue
            if type(events) is not int or self._history.digest(events) != head:
                self._line.fail(f"the register (leaf {leaf['index']}) holds another history of this run")
        last = ends[-1]
        if last.get("events", self._history.count) != self._history.count:
            self._line.fail("the history goes on after the end that the register holds")
        if outcome and last["kind"] != OUTCOMES.get(outcome):
            self._line.fail(f"the register says that this run was {last['kind']}, its findings say {outcome}")
        if verdict and last.get("verdict", verdict) != verdict:
            self._line.fail(f"the register says {last.get('verdict')!r}, the findings say {verdict!r}")

    def _seal(self, there: dict[str, int], seals: list[dict[str, Any]]) -> None:
        if not seals:
            raise Broken("the register does not hold the seal of this bundle")
        previous = self._manifest.data.get("previous")
        earlier = [leaf.get("manifest_sha256") for leaf in seals]
        if self._manifest.sha256 not in earlier:
            raise Broken("the register holds the seal of another manifest for this run")
        place = earlier.index(self._manifest.sha256)
        if previous != (earlier[place - 1] if place else ""):
            self._line.fail("manifest.json: previous is not the manifest that was sealed before it")
        self.sealed_index = seals[place]["index"]
        if self._trust.register is None and self.sealed_index != self.leaves.count - 1:
            self._line.fail("the seal is not the last leaf of the bundle's register")
        listed = {}
        for row in get(seals[place], "attestations", list, "register"):
            listed[get(row, "path", str, "register")] = get(row, "sha256", str, "register")
        for path in sorted(set(listed) | {path for path in there if path.startswith("attest/")}):
            if path not in there:
                self._line.fail(f"{path}: is listed in the register and missing")
            elif path not in listed:
                self._line.fail(f"{path}: the register does not know it")
            elif self._folder.digest(path)[1] != listed[path]:
                self._line.fail(f"{path}: is not the attestation that was sealed")

    def _ends(self) -> None:
        for text in self.leaves.strange:
            self._line.fail(text)
        running = [
            run for run in self.leaves.started if self.leaves.ended.get(run, -1) < self.leaves.started[run]
        ]
        if running:
            names = ", ".join(running[:3]) + (" …" if len(running) > 3 else "")
            self._line.unknown(f"{len(running)} started and not ended: {names}")

    def check_addenda(self, addenda: list[str]) -> None:
        """Hold the addenda (digests of their manifests) against today's register, if there is one."""
        if self._trust.register is None:
            return
        entered = [leaf.get("manifest_sha256") for leaf in self.leaves.mine if leaf["kind"] == "addendum"]
        if entered != addenda:
            self._line.fail(
                f"the register holds {len(entered)} addenda, the bundle {len(addenda)} that may be others"
            )


def _lines(data: bytes) -> Iterator[tuple[bytes, bool]]:
    *whole, rest = data.split(b"\n")
    yield from ((line, True) for line in whole)
    if rest:
        yield rest, False
