"""The briefing: participants learn nothing of what comes, facilitators all of it, calendars only when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from gameday.evidence.calendarfile import folded, text
from gameday.evidence.pages import Page, Section, as_html, block, inline, markdown
from gameday.plan.load import load_plan
from tests.commands import in_this_process
from tests.drills import ROOT, make_project

HOSTILE = '<script>alert(1)</script>|=cmd()\n# @all #1 https://x.example [a](b) ;,\\"&\u202e'
PEOPLE = """people:
  - {name: m.okafor, role: observer}
  - {name: "Ana <b>Chen</b>", role: dba, absent: true}
roles: {commander: r.ito, operator: a.chen}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("project"))
    path = folder / "experiments" / "primary-loss.yaml"
    path.write_text(path.read_text() + PEOPLE)
    (folder / "policy.yaml").write_text(
        "time_zone: Europe/Berlin\n"
        "environments: {lab: {modules: ['*'], providers: [python, process, http],\n"
        "  windows: [{days: [mon, tue, wed, thu, fri, sat, sun], hours: '09:00-16:00'}]}}\n"
        "blackouts: [{from: 2031-12-20, to: 2032-01-06, reason: year-end freeze}]\n"
    )
    return folder


def brief(project, *words):
    return in_this_process(project, "brief", "experiments/primary-loss.yaml", *words)


def tells(plan):
    """Every word of a plan that would give its inject away."""
    about = dict(plan.about)
    names = [plan.title, about["hypothesis"], about["scenario.threat"], about["scenario.why"], plan.source]
    names += [step.name for step in plan.steps] + [step.target for step in plan.steps if step.target]
    names += [probe.name for probe in plan.probes] + [load.profile for load in plan.load]
    names += [step.runbook for step in plan.steps if step.runbook] + ["postgres", "region", "standby"]
    return [name.lower() for name in names]


@pytest.mark.parametrize("form", ["md", "html", "ics"])
def test_participants_learn_nothing_of_what_comes(project, form):
    done = brief(project, "--for", "participants", "--as", form, "--at", "2031-12-10T14:00+01:00")
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace("\r\n ", "").lower()
    plan = load_plan(project / "experiments" / "primary-loss.yaml")
    assert [name for name in tells(plan) if name in said] == []
    assert "gameday halt" in said and "30 s" in said


def test_facilitators_learn_all_of_it_with_people_and_times(project):
    done = brief(project, "--for", "facilitators", "--at", "2031-12-10T14:00+01:00")
    said = done.stdout
    plan = load_plan(project / "experiments" / "primary-loss.yaml")
    assert all(inline(step.name) in said for step in plan.steps) and plan.title in said
    assert "FACILITATORS ONLY" in said and "| commander | r.ito | takes part |" in said
    assert r"| dba | Ana \<b\>Chen\</b\> | absent: not to be asked |" in said
    assert "Wednesday 10 December 2031, 14:00 Europe/Berlin." in said and "year-end freeze" in said
    html = brief(project, "--for", "facilitators", "--as", "html").stdout
    assert "Ana &lt;b&gt;Chen" in html and "<b>" not in html


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        ("2031-12-24T10:00+01:00", 3, "nothing may run from 2031-12-20 to 2032-01-06: year-end freeze"),
        ("2031-12-10T15:55+01:00", 3, "is inside none of the 1 windows"),
        ("2031-12-10T08:00Z", 0, ""),
        ("2031-12-10T10:00", 2, "expected a time with its zone"),
        ("2021-12-10T10:00Z", 2, "is past"),
        ("tomorrow", 2, "expected a time with its zone"),
    ],
)
def test_a_calendar_entry_stands_only_where_the_drill_may(project, at, code, said):
    done = brief(project, "--as", "ics", "--at", at)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert bool(done.stdout) == (code == 0)


def test_a_calendar_entry_is_one_by_rfc_5545(project):
    at = (datetime.now(UTC) + timedelta(days=30)).replace(hour=9, minute=0).strftime("%Y-%m-%dT%H:%M+01:00")
    first, again = (brief(project, "--as", "ics", "--at", at).stdout for _ in range(2))
    assert first.endswith("END:VCALENDAR\r\n") and "\n" not in first.replace("\r\n", "")
    assert all(len(line.encode()) <= 75 for line in first.split("\r\n"))
    lines = first.replace("\r\n ", "").split("\r\n")
    found = dict(line.split(":", 1) for line in lines if line)
    assert re.fullmatch(r"[0-9a-f]{32}@gameday", found["UID"]) and found["UID"] in again
    assert {"DTSTAMP", "DTSTART", "DTEND", "SUMMARY"} <= found.keys()
    assert found["DTSTART"] < found["DTEND"] and found["DTSTART"].endswith("Z")
    other = brief(project, "--as", "ics").stderr
    assert "--at is missing" in other


def test_an_octet_is_never_cut_out_of_its_character():
    line = "SUMMARY:" + "ä€😀" * 60
    assert folded(line).replace("\r\n ", "") == line
    assert all(len(part.encode()) <= 75 for part in folded(line).split("\r\n"))
    assert text(HOSTILE).count("\n") == 0 and r"\;\,\\" in text(HOSTILE)


def test_no_text_of_strangers_becomes_markup():
    page = Page(
        HOSTILE, "", (Section(HOSTILE, (HOSTILE,), (HOSTILE, "- x", "1. x"), ("a", "b"), ((HOSTILE, "=1"),)),)
    )
    html = as_html(page)
    assert "<script" not in html and html.count("<li>") == 3 and "\u202e" not in html
    said = markdown(page)
    assert not re.search(r"(?<!\\)[<\[]|(?<!\\)\]\(|https://", said)
    assert "@all" not in said and "#1" not in said and block("# x").startswith("\\#")
    assert [line.count(" | ") for line in said.splitlines() if line.startswith("| ")] == [1, 1, 1]
    assert sum(line.startswith("#") for line in said.splitlines()) == 2
    assert block("- x") == r"\- x" and block("1. x") == r"1\. x"


def test_a_person_twice_is_an_error_and_an_absent_commander_a_warning(project):
    path = project / "experiments" / "twice.yaml"
    text = (ROOT / "experiments" / "primary-loss.yaml").read_text()
    path.write_text(text + "people: [{name: a}, {name: a}]\n")
    done = in_this_process(project, "validate", "experiments/twice.yaml")
    assert done.returncode == 2 and "'a' stands here twice" in done.stderr
    path.write_text(text + "people: [{name: a, absent: true}]\nroles: {commander: a}\n")
    done = in_this_process(project, "validate", "experiments/twice.yaml")
    assert done.returncode == 0 and "a holds the role commander and is absent" in done.stdout
