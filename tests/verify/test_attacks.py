"""Every row of the attack table: what somebody does to a bundle, and the line that catches it.

Most of them are insiders: they hold the runner's key and seal again what they changed. `integrity` is
then sound by construction, and something else must speak.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gameday.canonical import canonical, to_json
from gameday.history.events import Reading
from gameday.verify.trust import read_trust
from gameday.verify.verify import verify
from tests.verify.made import Maker, indexed, line, note, pem, sha256, small_story


def lines_of(report):
    return {found.name: found.verdict for found in report.lines}


def judged(made, folder, trust):
    return verify(made.write(folder), trust)


def only(report, name, verdict="fail"):
    """That line speaks, and nothing else says fail."""
    found = lines_of(report)
    assert found[name] == verdict, {x.name: x.why for x in report.lines}
    others = {n: v for n, v in found.items() if v == "fail" and n != name}
    assert not others, {x.name: x.why for x in report.lines}
    return next(x.why for x in report.lines if x.name == name)


def caught(report, name):
    """That line says fail, whatever others say."""
    assert lines_of(report)[name] == "fail", {x.name: x.why for x in report.lines}
    assert report.exit_code == 1
    return " ".join(next(x.problems for x in report.lines if x.name == name))


def test_the_whole_bundle_passes_all_five_lines(bundle, trust):
    report = verify(bundle, trust)
    assert set(lines_of(report).values()) == {"pass"}, {x.name: x.why for x in report.lines}
    assert report.exit_code == 0
    assert len(report.signatures) == 3 and len(report.addenda) == 2
    assert any(row.startswith("RTA orders: ") for row in report.measured)


# --- without the key: integrity and what holds the manifest -----------------------------------


def edit(bundle, path, old, new, count=1):
    data = (bundle / path).read_bytes()
    assert old in data
    (bundle / path).write_bytes(data.replace(old, new, count))


def test_an_edited_event(bundle, trust):
    edit(bundle, "history.jsonl", b'"in_place":true', b'"in_place":null')
    assert "chain is broken" in caught(verify(bundle, trust), "integrity")


def test_an_edited_sample(bundle, trust):
    edit(bundle, "segments/samples.jsonl", b'"detail":"HTTP 503"', b'"detail":"HTTP 502"')
    assert "are not what record" in caught(verify(bundle, trust), "integrity")


@pytest.mark.parametrize("path", ["history.jsonl", "segments/samples.jsonl", "segments/ledger.jsonl"])
def test_a_truncated_tail(bundle, trust, path):
    kept = (bundle / path).read_bytes().splitlines(keepends=True)[:-1]
    (bundle / path).write_bytes(b"".join(kept))
    caught(verify(bundle, trust), "integrity")


def test_a_truncated_tail_with_a_new_manifest(whole, trust, tmp_path):
    """Without the key the statement and the register are about the old manifest."""
    bundle = whole.write(tmp_path / "b")
    (bundle / "report.html").write_bytes(b"better")
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    for row in manifest["files"]:
        if row["path"] == "report.html":
            row |= {"bytes": 6, "sha256": sha256(b"better")}
    (bundle / "manifest.json").write_bytes(line(manifest))
    report = verify(bundle, trust)
    assert "another manifest" in caught(report, "authenticity")
    assert "another manifest" in caught(report, "completeness")
    assert "does not hold" in caught(report, "time")


@pytest.mark.parametrize(
    "path",
    ["attest/test-result.dsse.json", "attest/run.dsse.json", "attest/manifest.tsr", "attest/runner.pub"],
)
def test_a_stripped_attestation(bundle, trust, path):
    (bundle / path).unlink()
    assert "missing" in caught(verify(bundle, trust), "completeness")


def test_a_signature_spelt_in_another_way(bundle, trust):
    """The same envelope with a space, and the same signature with loose base64: one form only is sealed."""
    path = bundle / "attest" / "run.dsse.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'{"keyid"', b'{ "keyid"'))
    assert "canonical" in caught(verify(bundle, trust), "authenticity")


@pytest.mark.parametrize("kind", ["approval", "signoff"])
def test_a_stripped_signature_of_a_person(bundle, trust, kind):
    pattern = "approvals/*.sig" if kind == "approval" else "addenda/2/*.sig"
    next(bundle.glob(pattern)).unlink()
    report = verify(bundle, trust)
    caught(report, "integrity")
    assert "nobody you list" in caught(report, "authenticity")


def test_a_dropped_addendum(bundle, trust, whole, world):
    import shutil

    shutil.rmtree(bundle / "addenda" / "2")
    only(verify(bundle, trust), "authenticity")
    shutil.rmtree(bundle / "addenda")
    today = world.trust / "today.jsonl"
    leaves = [*whole.leaves, *({"kind": "addendum", "run": whole.run, "manifest_sha256": "5" * 64,
                                "attestations": [], "number": n} for n in (1, 2))]  # fmt: skip
    today.write_bytes(b"".join(raw + b"\n" for raw in indexed(leaves)))
    free = read_trust(world.write_trust("today.yaml", register="today.jsonl", signoffs=""))
    assert "holds 2 addenda" in only(verify(bundle, free), "completeness")


# --- with the runner's key: everything is sealed again -----------------------------------------


class Rewritten(Maker):
    """The run is told anew: a quicker recovery, sealed again with the runner's own key."""

    def __init__(self, world):
        story = small_story()
        story.samples = [
            replace(s, reading=Reading.GOOD, detail="")
            if s.probe == "place-order" and s.sent_ns > 9 * 10**9
            else s
            for s in story.samples
        ]
        super().__init__(world, story)


def test_rewrite_and_reseal_against_the_checkpoint_that_was_kept(world, whole, tmp_path):
    """The auditor kept the checkpoint with the first end of the run: the new leaves are others."""
    (world.trust / "later").write_bytes(note(world.runner, whole.leaves))
    later = read_trust(world.write_trust("later.yaml", checkpoint="later"))
    assert "rewritten" in only(judged(Rewritten(world).make(), tmp_path / "b", later), "completeness")


def test_rewrite_and_reseal_with_the_old_tokens(world, whole, trust, tmp_path):
    class Old(Rewritten):
        with_tokens = True

        def stamp(self, at_ns):
            super().stamp(at_ns)
            theirs = [path for path in whole.files if path.startswith("time/head-") and path.endswith(".tsr")]
            path = f"time/head-{len(self.lines) - 1}.tsr"
            self.lines.pop()
            self.prev = sha256(self.lines[-1])
            token = self.files[path] = whole.files[theirs[0]]
            stamped = {"covers_seq": len(self.lines), "head_sha256": self.prev, "token_sha256": sha256(token),
                       "authority": "", "detail": ""}  # fmt: skip
            self.append(at_ns, "TimeStamped", stamped)

    assert "does not hold" in only(judged(Old(world).make(), tmp_path / "b", trust), "time")


def test_rewrite_and_append_to_the_register(world, whole, trust, tmp_path):
    """The first end stays in the register, a better one is entered after it."""

    class Appended(Rewritten):
        def end(self):
            self.leaves += whole.leaves[3:]
            super().end()

    report = judged(Appended(world).make(), tmp_path / "b", trust)
    text = only(report, "completeness")
    assert "another history of this run" in text


def with_failed_run():
    failed = {"run": "failed", "plan_sha256": "1" * 64}
    end = {"kind": "halted", "run": "failed", "head": "3" * 64, "events": 7, "verdict": "fail"}
    return [{"kind": "started", **failed, "plan": "p", "service": "orders", "drill_kind": "dr"}, end]


def test_a_failed_run_is_dropped_from_the_register(world, trust, tmp_path):
    """It was entered before this one began, so the checkpoint in the genesis still holds it."""

    class Dropping(Maker):
        def start(self):
            honest = self.leaves
            self.leaves = [*honest, *with_failed_run()]
            super().start()
            self.leaves = [*honest, self.leaves[-1]]

    assert "over other leaves" in only(judged(Dropping(world).make(), tmp_path / "b", trust), "completeness")


def test_a_failed_run_since_is_dropped_from_the_register(world, whole, tmp_path):
    """It was entered later: the auditor's own checkpoint holds it."""
    (world.trust / "with-failed").write_bytes(note(world.runner, [*whole.leaves[:-1], *with_failed_run()]))
    kept = read_trust(world.write_trust("failed.yaml", checkpoint="with-failed"))
    only(verify(whole.write(tmp_path / "b"), kept), "completeness")


def test_only_the_end_of_a_failed_run_is_dropped(world, trust, tmp_path):
    made = Maker(world)
    made.leaves += with_failed_run()[:1]
    report = judged(made.make(), tmp_path / "b", trust)
    assert "started and not ended: failed" in only(report, "completeness", "unknown")
    assert report.exit_code == 4


def test_this_runs_own_end_is_not_in_the_register(world, trust, tmp_path):
    class Silent(Maker):
        def end(self):
            pass

    only(judged(Silent(world).make(), tmp_path / "b", trust), "completeness")


def test_the_register_is_rolled_back_or_an_old_bundle_is_replayed(world, whole, tmp_path):
    """A checkpoint newer than the bundle: with the leaves of today it is known which of the two it was."""
    leaves = [*whole.leaves, *with_failed_run()]
    (world.trust / "newer").write_bytes(note(world.runner, leaves))
    bundle = whole.write(tmp_path / "b")
    assert "rolled back" in only(
        verify(bundle, read_trust(world.write_trust("n.yaml", checkpoint="newer"))), "completeness"
    )
    (world.trust / "today.jsonl").write_bytes(b"".join(raw + b"\n" for raw in indexed(leaves)))
    today = read_trust(world.write_trust("t.yaml", checkpoint="newer", register="today.jsonl", signoffs=""))
    report = verify(bundle, today)
    assert "holds 0 addenda" in only(report, "completeness")
    (world.trust / "other.jsonl").write_bytes(
        b"".join(raw + b"\n" for raw in indexed(leaves[:2] + leaves[4:]))
    )
    other = read_trust(world.write_trust("o.yaml", checkpoint="", register="other.jsonl"))
    caught(verify(bundle, other), "completeness")


def test_two_views_of_the_register(world, whole, tmp_path):
    other = [*whole.leaves[:-1], {**whole.leaves[-1], "manifest_sha256": "4" * 64}]
    (world.trust / "split").write_bytes(note(world.runner, other))
    kept = read_trust(world.write_trust("split.yaml", checkpoint="split"))
    only(verify(whole.write(tmp_path / "b"), kept), "completeness")


@pytest.mark.parametrize(("days", "why"), [(-365, "start token is"), (365, "later than")])
def test_a_run_dated_back_or_forward(world, trust, tmp_path, days, why):
    made = Maker(world)
    made.utc0 += timedelta(days=days)
    made.with_tokens = True
    made.approve = lambda: {}
    report = judged(made.make(), tmp_path / "b", trust)
    assert why in caught(report, "time")


def test_a_clock_moved_in_the_middle(world, trust, tmp_path):
    class Moved(Maker):
        with_tokens = True

        def utc(self, at_ns):
            whole_s = 3600 * 10**10 if 10 * 10**9 < at_ns < 10**12 else 0
            return super().utc(at_ns + whole_s)

    assert "a clock was moved" in only(judged(Moved(world).make(), tmp_path / "b", trust), "time")


def test_a_run_prepared_beforehand(world, trust, tmp_path):
    """The chain was made first; a token that was taken later cannot be in its genesis."""

    class Prepared(Maker):
        def start(self):
            self.with_tokens = False
            super().start()

        def conclude(self):
            self.with_tokens = True
            self.files["time/start.tsr"] = self.tsa.token(self.files["time/start.json"])
            super().conclude()

    assert "does not know" in only(judged(Prepared(world).make(), tmp_path / "b", trust), "time")


def test_a_run_without_tokens_is_never_a_pass(world, trust, tmp_path):
    made = Maker(world)
    report = judged(made.make(), tmp_path / "b", trust)
    assert "internal only" in only(report, "time", "unknown")
    assert report.exit_code == 4


def test_tokens_by_an_authority_the_auditor_does_not_trust(world, trust, tmp_path):
    made = Maker(world)
    made.tsa, made.with_tokens = world.other_tsa, True
    assert "does not hold" in only(judged(made.make(), tmp_path / "b", trust), "time")


class Eased(Maker):
    """The objective is moved to a value that is easily met, after the run."""

    def ease(self):
        objective = replace(self.story.plan.objectives[0], rto_ns=10**12)
        self.story.plan = replace(self.story.plan, objectives=(objective,))
        self.plan = canonical(to_json(self.story.plan))


def test_the_objective_is_moved_in_the_plan_alone(world, trust, tmp_path):
    class Late(Eased):
        def conclude(self):
            self.ease()
            super().conclude()

    assert "is not the plan" in caught(judged(Late(world).make(), tmp_path / "b", trust), "integrity")


def test_the_objective_is_moved_and_the_chain_made_anew(world, trust, tmp_path):
    class Later(Eased):
        with_tokens = True

        def history(self):
            self.ease()
            super().history()

    report = judged(Later(world).make(), tmp_path / "b", trust)
    assert "not about this plan" in caught(report, "time")
    assert "with another plan" in caught(report, "completeness")


def test_a_run_is_given_another_name(world, trust, tmp_path):
    """An old run as the new one that is due: its start was stamped and entered under its own name."""

    class Renamed(Maker):
        with_tokens = True

        def history(self):
            self.run = "20261231T000000Z-ffffff"
            super().history()

    report = judged(Renamed(world).make(), tmp_path / "b", trust)
    assert "not about this plan, register and run" in caught(report, "time")
    assert "does not hold the start" in caught(report, "completeness")


def slow(*values, **more):
    """A twin of a case that is tried in every run of the suite."""
    return pytest.param(*values, marks=pytest.mark.slow, **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["rta_s"].update(max=0.5),
        slow(lambda d: d["rpa_s"].update(max=0.0)),
        lambda d: d["ledger"].update(lost=0, acked=9999),
        lambda d: d.update(verdict="unknown", auditor="INCONCLUSIVE"),
        slow(lambda d: d.update(stuck=["1-dies"])),
        slow(lambda d: d.update(not_tested=["x"])),
        slow(lambda d: d["findings"].pop(0)),
        lambda d: d["findings"][1]["numbers"].update(onset_min_ns=1),
        slow(lambda d: d["findings"][1].update(verdict="unknown")),
        slow(lambda d: d["findings"][1]["interval_s"].update(min=0)),
    ],
    ids="rta rpa ledger verdict stuck not_tested dropped number finding interval".split(),
)
def test_findings_that_the_records_do_not_give(world, whole, trust, tmp_path, change):
    made = Maker(world)
    made.findings = json.loads(json.dumps(whole.findings))
    change(made.findings)
    only(judged(made.make(), tmp_path / "b", trust), "recomputation")


def test_a_statement_that_says_more_than_the_findings(world, trust, tmp_path):
    class Boasting(Maker):
        def predicate(self):
            stated = super().predicate()
            stated["objectives"][0]["max_ns"] = 1
            return stated

    assert "signed statement" in only(judged(Boasting(world).make(), tmp_path / "b", trust), "recomputation")


def test_a_test_result_that_says_more_than_the_findings(world, trust, tmp_path):
    class Boasting(Maker):
        def results(self):
            return super().results() | {"passedTests": ["all of it"]}

    assert "passedTests" in only(judged(Boasting(world).make(), tmp_path / "b", trust), "recomputation")


def test_a_finding_that_is_not_computed_here_is_never_a_pass(world, whole, trust, tmp_path):
    made = Maker(world)
    made.findings = json.loads(json.dumps(whole.findings))
    made.findings["findings"].append({"name": "all is well", "verdict": "pass", "numbers": {}})
    assert "all is well" in only(judged(made.make(), tmp_path / "b", trust), "recomputation", "unknown")


def test_the_runners_key_was_stolen_and_revoked(world, trust, tmp_path):
    from tests.verify.made import keyid

    made = Maker(world)
    made.leaves.append({"kind": "key-revoked", "run": "", "keyid": keyid(world.runner), "reason": "stolen"})
    assert "revoked" in only(judged(made.make(), tmp_path / "b", trust), "authenticity")


def test_another_key_signs_all_of_it(world, trust, tmp_path):
    made = Maker(world)
    made.key = world.stranger
    report = judged(made.make(), tmp_path / "b", trust)
    text = only(report, "authenticity")
    assert "no runner you trust" in text
    made.beside["attest/runner.pub"] = pem(world.runner)
    caught(judged(made, tmp_path / "b", trust), "authenticity")


def test_the_checkpoint_alone_is_signed_by_another_key(world, whole, trust, tmp_path):
    bundle = whole.write(tmp_path / "b")
    (bundle / "register" / "checkpoint").write_bytes(note(world.stranger, whole.leaves))
    only(verify(bundle, trust), "authenticity")


# --- people -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        "operator",
        slow("author"),
        slow("after"),
        slow("unverified"),
        "another plan",
        slow("expired"),
        "not listed",
        slow("other namespace"),
    ],  # fmt: skip
)
def test_an_approval_that_does_not_count(world, trust, tmp_path, case):
    made = Maker(world)
    if case == "operator":
        made.operator = world.approver.name
    elif case == "author":
        about = (("author", world.approver.name),)
        made.story.plan = replace(made.story.plan, about=about)
        made.plan = canonical(to_json(made.story.plan))
    else:
        made = broken_approval(world, case)
    report = judged(made.make(), tmp_path / "b", trust)
    assert "approver" in only(report, "authenticity")
    assert any("does not count" in row for row in report.signatures)


def broken_approval(world, case):
    class Broken(Maker):
        def approve(self):
            plan, expires = self.plan, self.world.expires_utc
            if case == "another plan":
                self.plan = b"{}"
            if case == "expired":
                self.world.expires_utc = self.world.given_utc
            who, self.world.approver = self.world.approver, self.signer()
            space = "file" if case == "other namespace" else "gameday-approval"
            self.sign = lambda person, raw, _: person.quickly_sign(raw, space)
            try:
                found = super().approve()
            finally:
                del self.sign
                self.plan, self.world.expires_utc, self.world.approver = plan, expires, who
            return found | ({"verified": False} if case == "unverified" else {})

        def signer(self):
            if case != "not listed":
                return self.world.approver
            other = self.world.owner
            return type("Other", (), {"name": self.world.approver.name, "quickly_sign": other.quickly_sign})()

        def events(self):
            found = super().events()
            if case == "after":
                given = next(n for n, row in enumerate(found) if row[1] == "ApprovalGiven")
                first = next(n for n, row in enumerate(found) if row[1] == "StepStarted")
                found.insert(first, found.pop(given))
            return found

    return Broken(world)


def test_one_person_signs_off_in_two_roles(world, trust, tmp_path):
    """Under two names with one key: one key is one person."""

    class Twice(Maker):
        def sign_off(self, person, role):
            return super().sign_off(self.world.owner, role)

    assert "by different people" in only(judged(Twice(world).make(), tmp_path / "b", trust), "authenticity")


def test_a_sign_off_of_another_bundle(world, whole, trust, tmp_path):
    class Borrowed(Rewritten):
        def sign_off(self, person, role):
            return whole.sign_off(person, role)

    report = judged(Borrowed(world).make(), tmp_path / "b", trust)
    assert "nobody you list signed off" in only(report, "authenticity")
