"""A service is ready when its drills show it and people signed for the rest: nothing else makes it so."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta

import pytest

from gameday.cli.main import main
from gameday.evidence import readiness as judge
from gameday.evidence.programme import Drilled
from gameday.evidence.readiness import Item, Ready, Shown, Signed, overall
from gameday.hosts.clock import utc_text
from tests.drills import make_project
from tests.evidence.synthetic import completed, write_run

TODAY = "2026-12-01"
ROTA = "the on-call rota is staffed"


def shown(day, *, runbook=True, failover=True):
    return Shown(
        Drilled(f"run-{day}", "p", "orders", "dr", f"{day}T10:00:00Z", "finished", "pass"), runbook, failover
    )


@pytest.mark.parametrize("day, state", [("2026-09-02", Ready.YES), ("2026-09-01", Ready.NO)])
def test_a_demonstration_is_good_through_its_last_day(day, state):
    assert judge.exercised([shown(day)], TODAY, 90).state is state
    assert judge.failed_over([shown(day)], TODAY, 90).state is state


def test_only_what_was_in_a_drill_counts():
    drills = [shown("2026-11-30", runbook=False), shown("2026-01-01", failover=False)]
    assert judge.exercised(drills, TODAY, 90).state is Ready.NO
    assert judge.failed_over(drills, TODAY, 90).state is Ready.YES
    assert "never" in judge.exercised([], TODAY, 90).why


@pytest.mark.parametrize(
    "word, state",
    [
        ("VALID", Ready.YES), ("LAPSED", Ready.NO), ("NO-GO", Ready.NO), ("NOT SIGNED", Ready.NO),
        ("UNKNOWN", Ready.UNKNOWN), ("UNDECIDED", Ready.UNKNOWN), ("", Ready.NO),
    ],
)  # fmt: skip
def test_a_capacity_counts_while_its_sign_off_is_valid(word, state):
    assert judge.capacity(word, "why").state is state


@pytest.mark.parametrize("until, state", [(TODAY, Ready.YES), ("2026-11-30", Ready.NO)])
def test_a_signature_ends_with_its_day(until, state):
    signed = [Signed("orders", ROTA, "a.chen", "2026-09-01T00:00:00Z", until)]
    assert judge.by_hand(ROTA, signed, TODAY).state is state
    assert judge.by_hand("another", signed, TODAY).state is Ready.NO


@pytest.mark.parametrize(
    "states, found",
    [("yy", Ready.YES), ("yu", Ready.UNKNOWN), ("un", Ready.NO), ("", Ready.YES)],
)
def test_the_worst_item_decides(states, found):
    by = {"y": Ready.YES, "n": Ready.NO, "u": Ready.UNKNOWN}
    assert overall(Item("i", by[letter], "") for letter in states) is found


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = make_project(tmp_path)
    (project / "policy.yaml").write_text(f"environments: {{lab: {{modules: ['*']}}}}\nreadiness: [{ROTA}]\n")
    (project / "approvals").mkdir()
    for name in ("a.chen", "m.allory"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", project / name], check=True)
    (project / "approvals" / "allowed_signers").write_text(f"a.chen {(project / 'a.chen.pub').read_text()}")
    monkeypatch.chdir(project)
    return project


def items(capsys):
    code = main(["readiness", "orders", "--json"])
    told = json.loads(capsys.readouterr().out)
    return code, {item["name"]: item["state"] for item in told["items"]}


def sign(project, who="a.chen", *more):
    return main(["readiness", "orders", "--sign", ROTA, "--as", who, "--key", str(project / who), *more])


def test_from_nothing_to_what_drills_and_people_showed(project, capsys):
    code, found = items(capsys)
    assert code == 1
    assert found == {
        "service levels are defined": "yes",
        "a runbook was exercised": "no",
        "a failover was demonstrated": "no",
        "capacity is signed off": "no",
        "no finding is overdue": "yes",
        ROTA: "no",
    }
    assert sign(project) == 0
    assert "signed by a.chen" in capsys.readouterr().out
    run_dir = write_run(project / "runs" / "primary-loss" / "20260101T000000Z-abcdef", completed())
    (run_dir / "findings.json").write_text('{"verdict": "pass"}')
    (project / "policy.yaml").write_text(f"environments: {{lab: }}\nretest_days: 3660\nreadiness: [{ROTA}]\n")
    _, found = items(capsys)
    assert (found[ROTA], found["a failover was demonstrated"]) == ("yes", "yes")
    assert main(["readiness", "orders"]) == 1
    said = capsys.readouterr().out
    assert "orders: NOT READY" in said and "signed on" in said and "a.chen" in said


def test_a_signature_that_is_not_theirs_or_was_edited_signs_nothing(project, capsys):
    assert sign(project, "m.allory") == 3
    assert "allowed_signers" in capsys.readouterr().err
    assert not (project / "readiness").exists()
    assert sign(project) == 0
    (file,) = (project / "readiness").glob("*/*.json")
    file.write_text(file.read_text().replace('"until":"2', '"until":"3'))
    capsys.readouterr()
    assert items(capsys)[1][ROTA] == "no"
    file.write_text("[" * 5000)
    assert items(capsys)[1][ROTA] == "no"


@pytest.mark.parametrize(
    "words, said",
    [
        (["readiness", "nobody"], "no plan and no drill here is of the service 'nobody'"),
        (["readiness", "orders", "--sign", "capacity is signed off"], "is no item that people sign"),
        (["readiness", "orders", "--sign", ROTA, "--until", "soon"], "expected a day"),
        (["readiness", "orders", "--sign", ROTA, "--until", "2020-01-01"], "is over already"),
    ],
)
def test_mistakes_get_one_line(project, capsys, words, said):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_ninety_days_are_meant_where_no_day_is_said(project, capsys):
    assert sign(project) == 0
    day = (date.fromisoformat(utc_text()[:10]) + timedelta(days=90)).isoformat()
    assert f"until {day}" in capsys.readouterr().out
