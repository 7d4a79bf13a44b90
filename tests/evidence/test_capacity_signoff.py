"""The capacity owner signs for a rate, an artefact and a day; it lapses by itself, and the bundle verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gameday.errors import NotAuthorised, UsageError
from gameday.evidence.casefile import open_case
from gameday.evidence.report import render
from gameday.history.capacityevents import ArtefactRead
from gameday.history.events import LoadBucket, Outcome, RunEnded, Sample
from gameday.plan.model import NS, Target
from gameday.plan.stored import plan_digest
from gameday.runner.sealing import seal
from gameday.runner.signoff import CAPACITY_OWNER, sign_off
from gameday.runner.standing import Word, standing
from tests.engine.capacity_world import CapacityWorld, sign_off as plan_of
from tests.evidence import synthetic
from tests.evidence.sealed import ended

DAY = "2026-02-01"


def story_of(**more):
    """A sign-off that has run in a simulated target, as a drill leaves it."""
    world = CapacityWorld(replace(plan_of(), target=Target("lab", "http://127.0.0.1:9/i")), **more)
    world.run(3000 * NS)
    began = next(e for _, e in synthetic.completed().records if type(e).__name__ == "RunStarted")
    began = replace(began, plan_sha256=plan_digest(world.plan))
    records = [(0, began), (1, ArtefactRead("a test", "sha256:1")), *world.log]
    records += [(at, e) for at, e in world.events if e is not None and not isinstance(e, LoadBucket | Sample)]
    records.append((world.now + 1, RunEnded(Outcome.COMPLETED, (), failed_over=False)))
    return SimpleNamespace(
        plan=world.plan, records=records, ledger=(),
        samples=[e for _, e in world.events if isinstance(e, Sample)],
        load=[e for _, e in world.events if isinstance(e, LoadBucket)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("owner")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    line = f'c.owner namespaces="gameday-signoff" {(folder / "key.pub").read_text()}'
    (folder / "allowed_signers").write_text(line)
    return folder


@pytest.fixture(scope="module")
def signed(tmp_path_factory, owner):
    project = tmp_path_factory.mktemp("project")
    run_dir = ended(project, story_of())
    before = stands(run_dir, owner, project)
    seal(run_dir)
    made = sign_off(
        run_dir, owner / "allowed_signers", who="c.owner", role=CAPACITY_OWNER, key=owner / "key", said="go"
    )
    return project, run_dir, before, made


def stands(run_dir, owner, project, *, artefact="sha256:1", today=DAY):
    return standing(run_dir, owner / "allowed_signers", project, artefact=artefact, today=today)


@pytest.mark.slow
def test_what_is_signed_names_rate_artefact_and_day(signed):
    _, run_dir, before, made = signed
    assert before.word is Word.NOT_SIGNED
    said = json.loads((made.addendum / "signoff-capacity_owner-c.owner.json").read_bytes())
    assert (said["role"], said["decision"], said["required_per_1000s"]) == (CAPACITY_OWNER, "GO", 500_000)
    assert (said["artefact"], said["expires_utc"]) == ("sha256:1", "2026-04-01")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "word", "says"),
    [
        ({}, Word.VALID, "500/s for artefact sha256:1, until 2026-04-01"),
        ({"today": "2026-04-01"}, Word.VALID, "signed"),
        ({"today": "2026-04-02"}, Word.LAPSED, "it was valid until 2026-04-01"),
        ({"artefact": "sha256:2"}, Word.LAPSED, "it is for artefact sha256:1, now it is sha256:2"),
        ({"artefact": ""}, Word.UNKNOWN, "nothing tells which one runs now"),
    ],
    ids=str,
)
def test_it_lapses_with_the_day_or_the_artefact(signed, owner, more, word, says):
    project, run_dir, _, _ = signed
    found = stands(run_dir, owner, project, **more)
    assert found.word is word
    assert says in "; ".join(found.reasons) or word is Word.VALID


@pytest.mark.slow
def test_a_signature_that_is_not_theirs_does_not_count(signed, owner, tmp_path):
    project, run_dir, _, _ = signed
    (tmp_path / "allowed_signers").write_text("")
    assert stands(run_dir, tmp_path, project).word is Word.NOT_SIGNED


@pytest.mark.slow
def test_the_bundle_verifies_with_its_decision(signed, owner, tmp_path):
    _, run_dir, _, _ = signed
    (tmp_path / "runner.pub").write_bytes((run_dir / "bundle" / "attest" / "runner.pub").read_bytes())
    (tmp_path / "trust.yaml").write_text(
        f"runners: [runner.pub]\nallowed_signers: {owner / 'allowed_signers'}\nsignoffs: [{CAPACITY_OWNER}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "gameday.verify", str(run_dir / "bundle"), "--trust", str(tmp_path / "trust.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    line = next(text for text in done.stdout.splitlines() if "recomput" in text.lower())
    assert "pass" in line.lower()
    assert "capacity-owner c.owner by" in done.stdout


@pytest.mark.slow
def test_no_go_and_other_drills(tmp_path, owner):
    no_go = ended(tmp_path / "a", story_of(limit_with_fault=450))
    assert stands(no_go, owner, tmp_path / "a").word is Word.NO_GO
    other = ended(tmp_path / "b")
    with pytest.raises(UsageError, match="is no capacity sign-off"):
        stands(other, owner, tmp_path / "b")
    seal(other)
    with pytest.raises(NotAuthorised, match="is no capacity sign-off"):
        sign_off(
            other, owner / "allowed_signers", who="c.owner", role=CAPACITY_OWNER, key=owner / "key", said=""
        )


@pytest.mark.slow
def test_the_report_says_the_decision_first(signed):
    _, run_dir, _, _ = signed
    case = open_case(run_dir)
    page = render(case.plan, case.trace, case.findings)
    assert (
        page.index("GO: 500/s was to be held")
        < page.index("Capacity sign-off</h3>")
        < page.index("Trials</h3>")
    )
