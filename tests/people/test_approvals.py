"""Approvals given beforehand, with real keys: what counts, and one clear line for all that does not."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from dataclasses import replace

import pytest

from gameday.engine.people import missing, needs_of
from gameday.errors import NotAuthorised
from gameday.history.people import Need
from gameday.hosts.sshkeygen import sign
from gameday.plan.approvals import Statement, parse_statement, statement_bytes
from gameday.plan.load import load_plan
from gameday.plan.policyfile import find_policy
from gameday.hosts.whoami import login_name
from gameday.runner.approvals import Judge, given_beforehand, keep, parts_of, subject_of, terms_of
from tests.drills import make_project
from tests.people.keys import People

PLAN = "experiments/primary-loss.yaml"
ASKS = "approvals: {before_faults: [%s]}\nsteps:\n"
ONE = "{role: approver}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def people(tmp_path, keys):
    return People(keys, make_project(tmp_path / "project"))


def asks(people, needs=ONE):
    edit(people, PLAN, "steps:\n", ASKS % needs)


def edit(people, name, old, new):
    path = people.project / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def given(people, operator="t.ops"):
    plan = load_plan(people.project / PLAN)
    return given_beforehand(plan, terms_of(plan, people.project), people.project, operator)


def refused(people, words, operator="t.ops"):
    with pytest.raises(NotAuthorised) as caught:
        given(people, operator)
    assert words in str(caught.value) and "\n" not in str(caught.value), str(caught.value)


def statement(people, who="a.chen"):
    return people.project / "approvals" / f"primary-loss.{who}.approver.json"


def sign_again(people, path, *, key, namespace="gameday-approval"):
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(people.key(key)), str(path)],
        check=True,
        input=b"y\n",
        capture_output=True,
    )


def test_a_plan_that_asks_for_nothing_needs_nobody(people):
    assert given(people) == ()


def test_an_approval_counts_and_anybody_can_check_it_with_ssh_keygen(people, tmp_path):
    asks(people)
    done = people.approve(PLAN, "a.chen")
    assert done.returncode == 0, done.stderr
    assert "digest" in done.stderr and "1 of 2 targets (region=a)" in done.stderr
    papers = given(people)
    assert [(p.given.principal, p.given.role, p.given.verified) for p in papers] == [
        ("a.chen", "approver", True)
    ]
    run = tmp_path / "run"
    run.mkdir()
    plan = load_plan(people.project / PLAN)
    keep(run, terms_of(plan, people.project), papers)
    name = papers[0].given.file
    with (run / "approvals" / name).open("rb") as signed:
        checked = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "a.chen", "-n", "gameday-approval", "-s", f"{name}.sig"],
            cwd=run / "approvals", stdin=signed, capture_output=True, text=True,
        )  # fmt: skip
    assert checked.returncode == 0 and papers[0].given.fingerprint in checked.stdout


def test_without_an_approval_the_run_is_refused_with_one_line_and_exit_3(people):
    asks(people)
    done = people.gameday("run", PLAN, "--plain")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "gameday: the drill is not approved: 1 approver must still sign"
    assert "Traceback" not in done.stderr and not (people.project / "runs").exists()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (PLAN, "ttl: 2m", "ttl: 3m"),
        ("runbooks/promote-standby.yaml", "timeout: 40s", "timeout: 41s"),
        ("loadprofiles/orders.py", "import", "\nimport"),
    ],
)
def test_an_edited_plan_runbook_or_load_profile_voids_the_approval(people, name, old, new):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    given(people)
    edit(people, name, old, new)
    refused(people, "the plan, a runbook or a load profile was edited since")


def test_an_edited_policy_voids_the_approval(people):
    asks(people)
    policy = people.project / "policy.yaml"
    policy.write_text("environments: {lab: {modules: ['*'], ttl: 5m}}\n")
    assert people.approve(PLAN, "a.chen").returncode == 0
    given(people)
    policy.write_text("environments: {lab: {modules: ['*'], ttl: 50m}}\n")
    refused(people, "the policy was edited since")


def test_an_approval_expires(people):
    asks(people)
    assert people.approve(PLAN, "a.chen", "--expires", "1ms").returncode == 0
    refused(people, "it expired at 20")


def test_a_key_that_is_not_that_persons_is_refused_when_signing_and_when_running(people):
    asks(people)
    done = people.approve(PLAN, "a.chen", key="mallory")
    assert done.returncode == 3 and "is not that of 'a.chen' in allowed_signers" in done.stderr
    assert people.approve(PLAN, "a.chen").returncode == 0
    sign_again(people, statement(people), key="mallory")
    refused(people, "is not that of 'a.chen' in allowed_signers")


def test_somebody_who_is_not_in_allowed_signers_is_refused(people):
    asks(people)
    done = people.approve(PLAN, "m.allory")
    assert done.returncode == 3 and "is not that of 'm.allory'" in done.stderr
    people.allow("a.chen", "m.allory")
    assert people.approve(PLAN, "m.allory").returncode == 0
    people.allow("a.chen")
    refused(people, "is not that of 'm.allory' in allowed_signers")


def test_a_signature_for_another_purpose_is_refused(people):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    sign_again(people, statement(people), key="a.chen", namespace="git")
    refused(people, "the signature is for another purpose than 'gameday-approval'")


def test_a_key_kept_for_another_purpose_is_refused(people):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    signers = people.project / "approvals" / "allowed_signers"
    signers.write_text(signers.read_text().replace("gameday-approval", "git"))
    refused(people, "key is not permitted for use in signature namespace")


def test_a_tampered_statement_is_refused(people):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    found = parse_statement(statement(people).read_bytes())
    statement(people).write_bytes(statement_bytes(replace(found, expires_utc="2099-01-01T00:00:00Z")))
    refused(people, "the signature does not fit the statement: it was edited after it was signed")


def test_a_statement_in_another_form_is_refused(people):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    statement(people).write_text(json.dumps(json.loads(statement(people).read_text()), indent=1))
    refused(people, "is not written in canonical form")
    statement(people).write_text("{")
    refused(people, "is no JSON")


@pytest.mark.parametrize("role", ["author", "operator"])
def test_author_operator_and_approver_are_different_people(people, role):
    asks(people)
    people.allow("a.chen", "r.ito")
    done = people.approve(PLAN, "r.ito")
    if role == "author":  # r.ito wrote the plan
        assert done.returncode == 3 and "r.ito is the author of this drill" in done.stderr
        return
    assert people.approve(PLAN, "a.chen").returncode == 0
    refused(people, "a.chen is the operator of this drill and cannot also be its approver", operator="a.chen")


def test_an_author_under_another_name_is_the_author_all_the_same(people):
    asks(people)
    people.allow("r.ito", a_chen="r.ito")
    done = people.approve(PLAN, "a.chen", key="r.ito")
    assert done.returncode == 3 and "r.ito is the author of this drill" in done.stderr


def test_two_approvers_are_two_people_with_two_keys(people):
    asks(people, "{role: approver, count: 2}")
    people.allow("a.chen", "b.dee", c_eng="a.chen")
    assert people.approve(PLAN, "a.chen").returncode == 0
    refused(people, "1 approver must still sign")
    assert people.approve(PLAN, "c.eng", key="a.chen").returncode == 0
    refused(people, "c.eng has signed already, as approver; another person is needed")
    assert people.approve(PLAN, "b.dee").returncode == 0
    assert len(given(people)) == 2


def test_two_of_one_team_are_not_one_of_each(people):
    asks(people, "{role: approver, people: [a.chen, b.dee]}, {role: approver, people: [a.chen, s.ec]}")
    people.allow("a.chen", "b.dee", "s.ec")
    assert people.approve(PLAN, "a.chen").returncode == 0
    refused(people, "1 approver must still sign")
    assert people.approve(PLAN, "b.dee").returncode == 0
    assert len(given(people)) == 2
    statement(people).unlink()
    refused(people, "1 approver must still sign")
    asks_again = (people.project / PLAN).read_text().replace("[a.chen, s.ec]", "[s.ec]")
    (people.project / PLAN).write_text(asks_again)
    assert people.approve(PLAN, "a.chen").returncode == 0
    assert people.approve(PLAN, "b.dee").returncode == 0
    refused(people, "nobody else is asked for as approver of whom b.dee is one")
    assert people.approve(PLAN, "s.ec").returncode == 0
    assert len(given(people)) == 2


def test_an_approval_under_a_named_policy_counts_however_the_policy_is_named(people, tmp_path):
    path = tmp_path / "ops.yaml"
    path.write_text("environments: {lab: {modules: ['*'], approvals: [{roles: [approver], number: 1}]}}\n")
    done = people.approve(PLAN, "a.chen", "--policy", os.path.relpath(path, people.project))
    assert done.returncode == 0, done.stderr
    plan = load_plan(people.project / PLAN)
    terms = terms_of(plan, people.project, find_policy(people.project, str(path)))
    (paper,) = given_beforehand(plan, terms, people.project, "t.ops")
    assert paper.given.verified


def test_a_policy_asks_for_one_of_several_roles_and_for_a_second_signature(people):
    asked = "{roles: [owner, commander], number: 2, live: true}"
    policy = f"environments: {{lab: {{modules: ['*'], approvals: [{asked}]}}}}\n"
    (people.project / "policy.yaml").write_text(policy)
    plan = load_plan(people.project / PLAN)
    terms = terms_of(plan, people.project)
    assert [(n.role, n.count, n.live) for n in terms.before_faults] == [
        ("owner/commander", 2, False),
        ("owner/commander", 2, True),
    ]
    subject = subject_of(plan, "start", terms.policy_sha256)
    judge = Judge(subject, terms.before_faults, parts_of(plan, "t.ops"), terms, live=False)
    asks(people, "{role: owner}, {role: commander}")
    for who, role in (("a.chen", "owner"), ("b.dee", "commander")):
        data = statement_bytes(Statement(subject, who, role, "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"))
        signature = sign(data, people.key(who), "gameday-approval")
        assert judge.judge(data, signature, "file").role == "owner/commander"
    assert missing(needs_of(terms.before_faults), judge.given) == (Need("owner/commander", 2, True),)


def test_whoever_claims_another_name_is_still_the_operator_they_logged_in_as(people):
    asks(people, "{role: approver}")
    assert people.approve(PLAN, "a.chen").returncode == 0
    plan = load_plan(people.project / PLAN)
    terms = terms_of(plan, people.project)
    assert len(given_beforehand(plan, terms, people.project, "t.ops", "root")) == 1
    with pytest.raises(NotAuthorised, match="a.chen is the operator of this drill and cannot also be"):
        given_beforehand(plan, terms, people.project, "t.ops", "a.chen")


def test_the_login_is_the_audited_one_and_no_variable_changes_it(tmp_path, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody.else")
    real = pwd.getpwuid(os.getuid()).pw_name
    audited = tmp_path / "loginuid"
    for text, found in (("0", "root"), ("54321", "uid-54321"), (str(2**32 - 1), real), ("x", real)):
        audited.write_text(text)
        assert login_name(audited) == found
    assert login_name(tmp_path / "none") == real
    assert login_name() != "somebody.else"


def test_roles_and_people_are_as_the_plan_says(people):
    asks(people, "{role: commander, people: [b.dee]}")
    done = people.approve(PLAN, "a.chen", "--role", "approver")
    assert done.returncode == 3 and "no 'approver' is asked for here, only commander" in done.stderr
    done = people.approve(PLAN, "a.chen")
    assert done.returncode == 3 and "a.chen is none of those who may: b.dee" in done.stderr
    assert people.approve(PLAN, "b.dee").returncode == 0
    assert [p.given.role for p in given(people)] == ["commander"]


def test_a_typed_name_is_kept_as_claimed_and_never_counts(people):
    asks(people)
    done = people.approve(PLAN, "a.chen", "--unsigned")
    assert done.returncode == 0 and "counts for nothing" in done.stdout
    refused(people, "claimed, not signed")
    assert people.approve(PLAN, "b.dee").returncode == 0
    assert {(p.given.principal, p.given.verified) for p in given(people)} == {
        ("a.chen", False),
        ("b.dee", True),
    }


def test_a_missing_ssh_keygen_and_a_missing_list_of_keys_are_said(people, tmp_path):
    asks(people)
    assert people.approve(PLAN, "a.chen").returncode == 0
    empty = tmp_path / "bin"
    empty.mkdir()
    done = people.gameday("run", PLAN, "--plain", env={"PATH": str(empty)})
    assert done.returncode == 3 and "ssh-keygen is missing" in done.stderr.splitlines()[0]
    done = people.approve(PLAN, "b.dee", "--key", "nowhere")
    assert done.returncode == 3 and "there is no SSH key nowhere" in done.stderr
    (people.project / "approvals" / "allowed_signers").unlink()
    done = people.gameday("run", PLAN, "--plain")
    assert done.returncode == 3 and "approvals/allowed_signers cannot be read" in done.stderr


def test_what_is_to_be_signed_can_be_signed_on_another_machine(people, tmp_path):
    asks(people)
    file = tmp_path / "sign-me"
    assert people.gameday("approve", PLAN, "--as", "b.dee", "--write", str(file)).returncode == 0
    sign_again(people, file, key="b.dee")
    done = people.gameday("approve", PLAN, "--statement", str(file))
    assert done.returncode == 0, done.stderr
    assert [p.given.principal for p in given(people)] == ["b.dee"]


def test_approvals_of_other_plans_are_nobodys_business(people):
    asks(people)
    shutil.copy(people.project / PLAN, people.project / "experiments" / "other.yaml")
    assert people.approve("experiments/other.yaml", "a.chen").returncode == 0
    refused(people, "1 approver must still sign")
    with pytest.raises(NotAuthorised) as caught:
        given(people)
    assert "other" not in str(caught.value)


@pytest.mark.parametrize("name", ["-oProxy", "a*", "../x", "a b", ""])
def test_a_name_is_a_name(people, name):
    asks(people)
    done = people.gameday("approve", PLAN, f"--as={name or ' '}", "--key", str(people.key("a.chen")))
    assert done.returncode == 2 and "expected a name" in done.stderr


def test_the_plan_in_words_says_who_must_approve_and_what_is_done_by_hand(people):
    edit(people, PLAN, "steps:\n", ASKS % "{role: approver, live: true}" + (
        "  - approval: go\n    roles: [commander, dba]\n    timeout: 5m\n"
        "  - manual: open the floodgates\n    who: the dam keeper\n    timeout: 2m\n"
        "    undo: close the floodgates\n    target: dam\n"
    ))  # fmt: skip
    said = people.gameday("plan", PLAN).stdout
    assert "1 approver, not the author or the operator, signing live over the frozen targets" in said
    assert "waits 5m for 1 commander" in said and "by the dam keeper, within 2m" in said
    assert "undone by hand: close the floodgates" in said
