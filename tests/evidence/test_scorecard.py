"""The scorecard is right to the number: 40 made-up drills over a year and a half, counted again by hand."""

from __future__ import annotations

import json
import time

import pytest

from gameday.cli.main import main
from gameday.evidence.programme import Drilled
from gameday.evidence.quarters import Achieved, quarters, trends
from gameday.evidence.register import Register
from gameday.evidence.scorecard import spark
from gameday.evidence.tracking import Accepted, Added, Assigned, Closed, Entry, SeenAgain, fold
from gameday.runner.programme import read_programme

TODAY = "2026-12-01"
SERVICES = ("orders", "payments", "search", "login")
# One quarter a row: its first month, then how its drills ended. 40 drills in all.
YEAR = (
    ("2025-07", "P P F H"),
    ("2025-10", "P P P P U H C"),
    ("2026-01", "P P P F F R"),
    ("2026-04", "P P P P P H -"),
    ("2026-07", "P P P P P P C V"),
    ("2026-10", "P P P P P U H F"),
)
ENDS = {
    "P": ("finished", "pass"), "F": ("finished", "fail"), "U": ("finished", "unknown"), "H": ("halted", "unknown"),
    "C": ("crashed", "unknown"), "R": ("refused", ""), "-": None, "V": ("voided", ""),
}  # fmt: skip


def drills():
    """Yield (run, plan, service, day, letter)."""
    number = 0
    for month, letters in YEAR:
        year, first = map(int, month.split("-"))
        for n, letter in enumerate(letters.split()):
            service = SERVICES[number % 4]
            yield (
                f"run-{number:02}",
                f"experiments/{service}.yaml",
                service,
                f"{year}-{first + n % 2:02}-{3 + n:02}",
                letter,
            )
            number += 1


def findings_of(number, verdict):
    interval = {"min": 0.5, "max": 1.0 + number / 10} if verdict == "pass" else {"min": 40.0, "max": None}
    return {
        "verdict": verdict,
        "findings": [
            {"name": "RTA x", "verdict": verdict, "interval_s": interval, "limit": "30.00 s"},
            {"name": "steady state before", "verdict": "pass", "interval_s": None, "limit": "1 s"},
        ],
    }


@pytest.fixture
def project(tmp_path):
    (tmp_path / "experiments").mkdir()
    register = Register(tmp_path / "register", signer=_signer)
    for number, (run, plan, service, day, letter) in enumerate(drills()):
        at = f"{day}T10:00:00Z"
        leaf = {"kind": "started", "run": run, "plan": plan, "service": service, "drill_kind": "dr"}
        register.enter(leaf, at_utc=at)
        if ENDS[letter] is None:
            continue
        end, verdict = ENDS[letter]
        register.enter({"kind": end, "run": run, "verdict": verdict}, at_utc=at)
        if end == "finished" and number % 5:  # Every fifth folder is gone.
            folder = tmp_path / "runs" / service / run
            folder.mkdir(parents=True)
            (folder / "history.jsonl").write_text("")
            (folder / "findings.json").write_text(json.dumps(findings_of(number, verdict)))
    return tmp_path


def _signer(texts):
    class Made:
        public_raw, signatures = b"k" * 32, [b"s" * 64 for _ in texts]

    return Made


def test_every_number_of_forty_drills(project):
    began = time.perf_counter()
    programme = read_programme(project, today=TODAY)
    took_s = time.perf_counter() - began
    assert len(list(drills())) == 40
    found = {
        q.name: (q.begun, q.demonstrated, q.failed, q.ended("halted"), q.ended("crashed"), q.ended("refused"))
        for q in programme.quarters
    }
    assert found == {
        "2025 Q3": (4, 2, 1, 1, 0, 0),
        "2025 Q4": (7, 4, 0, 1, 1, 0),
        "2026 Q1": (6, 3, 2, 0, 0, 1),
        "2026 Q2": (7, 5, 0, 1, 0, 0),
        "2026 Q3": (7, 6, 0, 0, 1, 0),  # The voided one counts for nothing.
        "2026 Q4": (8, 5, 1, 1, 0, 0),
    }
    assert [q.ended("") for q in programme.quarters] == [0, 0, 0, 1, 0, 0]
    assert (programme.register, programme.doubt) == ("holds 79 entries, as its checkpoint signed", "")
    kept = [n for n, d in enumerate(drills()) if ENDS[d[4]] and ENDS[d[4]][0] == "finished" and n % 5]
    assert sum(len(t.drills) for t in programme.trends) == len(kept)
    orders = next(t for t in programme.trends if t.service == "orders")
    assert [d.run for d in orders.drills] == [f"run-{n:02}" for n in kept if n % 4 == 0]
    assert took_s < 1.0, "a page is to be there within a second"


def test_a_register_that_was_edited_is_said_and_not_relied_on(project, capsys, monkeypatch):
    path = project / "register" / "leaves.jsonl"
    path.write_text(path.read_text().replace('"verdict":"fail"', '"verdict":"pass"', 1))
    monkeypatch.chdir(project)
    assert main(["scorecard"]) == 4
    said = capsys.readouterr().out
    assert "NOT TO BE RELIED ON" in said and "is not what its checkpoint signed" in said


def test_without_a_register_it_is_said(tmp_path):
    (tmp_path / "experiments").mkdir()
    programme = read_programme(tmp_path, today=TODAY)
    assert "there is no register" in programme.doubt
    assert [q.begun for q in programme.quarters] == [0]


def test_the_three_forms_say_the_same(project, capsys, monkeypatch):
    monkeypatch.chdir(project)
    assert main(["scorecard", "--as", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["scorecard"]) == 0
    text = capsys.readouterr().out
    assert main(["scorecard", "--as", "html", "-o", "card.html"]) == 0
    page = (project / "card.html").read_text()
    assert told["headline"] in text and told["headline"] in page
    assert [q["begun"] for q in told["quarters"]] == [4, 7, 6, 7, 7, 8]
    assert page.count('class="spark"') == len(told["trends"])
    assert main(["scorecard", "--as", "html"]) == 2
    assert "-o scorecard.html" in capsys.readouterr().err


def test_findings_stand_in_each_quarter_as_they_stood_on_its_last_day():
    added = Added("r", "p", "orders", "RTA orders", "fail", "why", "high")
    tracked = fold(
        [
            Entry(1, "2026-02-10T09:00:00Z", "a", "F-1", added),
            Entry(2, "2026-02-11T09:00:00Z", "a", "F-1", Assigned("x", "2026-03-15", "")),
            Entry(3, "2026-05-02T09:00:00Z", "a", "F-1", Closed("r2", "")),
            Entry(4, "2026-07-01T09:00:00Z", "a", "F-1", SeenAgain("r3", "fail", "why")),
            Entry(5, "2026-08-01T09:00:00Z", "a", "F-2", added),
            Entry(6, "2026-08-01T09:00:00Z", "a", "F-2", Accepted("boss", "2026-11-30", "small")),
        ]
    )
    rows = [(q.name, q.found, q.mended, q.open, q.overdue) for q in quarters([], tracked, today=TODAY)]
    assert rows == [
        ("2026 Q1", 1, 0, 1, 1),
        ("2026 Q2", 0, 1, 0, 0),
        ("2026 Q3", 1, 0, 1, 1),  # F-1 is back, F-2 accepted.
        ("2026 Q4", 0, 0, 2, 2),  # The acceptance has ended.
    ]


def test_a_drill_on_the_last_day_of_a_quarter_is_in_it():
    one = Drilled("r", "p", "s", "dr", "2026-09-30T23:59:59Z", "finished", "pass")
    assert [(q.name, q.begun, q.last) for q in quarters([one], [], today="2026-10-01")] == [
        ("2026 Q3", 1, "2026-09-30"),
        ("2026 Q4", 0, "2026-10-01"),
    ]


def figure(run, most_s, verdict="pass"):
    return Achieved(run, "p", "s", f"2026-01-{run}T00:00:00Z", "RTA s", 0.1, most_s, "30.00 s", verdict)


def test_a_trend_names_what_changed_and_never_guesses_what_is_not_known():
    (trend,) = trends([figure("02", 3.0), figure("01", 2.0), figure("03", None, "fail")])
    assert [d.run for d in trend.drills] == ["01", "02", "03"]
    assert trend.step_s is None
    (known,) = trends([figure("01", 2.0), figure("02", 3.0)])
    assert known.step_s == 1.0
    drawn = spark(trend)
    assert sum(shape.tag == "circle" for shape in drawn.shapes) == 3
    assert "RTA s, p" in drawn.label


def test_names_are_no_markup(project, monkeypatch):
    register = Register(project / "register", signer=_signer)
    leaf = {
        "kind": "started",
        "run": "x",
        "plan": "<script>alert(1)</script>",
        "service": "<b>",
        "drill_kind": "dr",
    }
    register.enter(leaf, at_utc=f"{TODAY}T10:00:00Z")
    monkeypatch.chdir(project)
    assert main(["scorecard", "--as", "html", "-o", "card.html"]) == 0
    page = (project / "card.html").read_text()
    assert "<script" not in page and "<b>" not in page and "&lt;b&gt;" in page
