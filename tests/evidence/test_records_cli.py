"""What a person types about the register, and what a policy says about the record."""

from __future__ import annotations

import json

import pytest

from gameday.cli.main import main
from gameday.errors import PlanError
from gameday.plan.keeping import Keeping
from gameday.plan.policyfile import load_policy
from gameday.runner.anchor import enter_end, register_of
from tests.evidence.sealed import NAME, ended

LAB = "environments: {lab: {}}\n"


def test_the_register_is_listed_and_a_run_is_voided(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["register"]) == 0
    assert "no drill is in the register" in capsys.readouterr().out
    run_dir = ended(tmp_path)
    assert main(["register"]) == 0
    out = capsys.readouterr().out
    assert NAME in out and "NO END" in out and "1 of 1 began and have no end" in out
    for _ in range(2):  # Said twice, entered once.
        enter_end(run_dir, "pass")
    assert main(["register", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["run"], row["end"], row["verdict"], row["sealed"]) == (NAME, "finished", "pass", False)
    assert main(["register", "void", NAME[:8]]) == 2
    assert "--reason" in capsys.readouterr().err
    assert main(["register", "void", "2099", "--reason", "x"]) == 2
    assert main(["register", "void", NAME[:8], "--reason", "wrong target", "--by", "a.chen"]) == 0
    kinds = [(leaf["kind"], leaf.get("by")) for leaf in register_of(tmp_path, Keeping()).leaves()]
    assert kinds == [("started", None), ("finished", None), ("voided", "a.chen")]


def test_what_a_policy_says_about_the_record(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(LAB)
    assert load_policy(path).keeping == Keeping()
    path.write_text(
        LAB + "time_stamps: {url: 'https://tsa.example.com/tsr', required: true}\n"
        "retention: {class: dora, years: 5, legal_hold: true}\nseal: true\n"
        "sink: {to: 's3://evidence/payments/', endpoint_url: 'https://s3.example.com'}\nregister: /mnt/register\n"
    )
    assert load_policy(path).keeping == Keeping(
        "https://tsa.example.com/tsr", True, "dora", 5, True, "s3://evidence/payments", "https://s3.example.com",
        True, "/mnt/register",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("time_stamps: {url: 'ftp://x'}", "expected an http or https URL"),
        ("time_stamps: {url: 'https://me:hunter2@x/'}", "must hold no name, password"),
        ("retention: {years: 0}", "years"),
        ("sink: {to: 'https://x'}", "expected a bucket"),
        ("register: here", "expected an absolute path"),
        ("seal: maybe", "seal"),
        ("time_stamp: {}", "unknown key 'time_stamp'"),
    ],
)
def test_what_is_wrong_about_the_record_is_said_in_its_place(tmp_path, line, said):
    path = tmp_path / "policy.yaml"
    path.write_text(LAB + line + "\n")
    with pytest.raises(PlanError) as caught:
        load_policy(path)
    assert said in str(caught.value) and ":2:" in str(caught.value)
    assert "hunter2" not in str(caught.value)
