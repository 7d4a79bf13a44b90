"""A programme of forty drills, three of them real: every number counted again from the files, by other code.

37 drills are simulated whole (plan, history, segments, findings) and entered in the register day by day over five
quarters. Three are run here: one to its end, one that halts itself, one whose runner is killed.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import date, timedelta

import pytest

from gameday.runner.programme import read_ground
from tests.commands import in_this_process
from tests.drills import Run
from tests.golden import unpack
from tests.programme.made import PLANS, SIMULATED, make_programme
from tests.web.doors import Doors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

REAL_ENDS = {"primary-loss": "finished", "latency": "halted", "cpu-pressure": "crashed"}


@pytest.fixture(scope="module")
def project(tmp_path_factory, lab_folder):
    project = make_programme(tmp_path_factory.mktemp("programme"))
    for plan in ("primary-loss", "latency"):  # One after the other: a drill holds the machine's lease.
        Run(project, plan).end(120)
    killed = Run(project, "cpu-pressure")
    killed.wait_for(lambda kind, data: kind == "StepStarted")
    killed.kill(signal.SIGKILL)
    killed.wait_rescued()
    killed.end()
    give_up = time.monotonic() + 30
    while not [
        leaf for leaf in leaves(project) if leaf["kind"] == "crashed" and leaf["run"] == killed.folder.name
    ]:
        assert time.monotonic() < give_up, "the watchdog enters the crash"
        time.sleep(0.05)
    return project


def leaves(project):
    return [json.loads(line) for line in (project / "register" / "leaves.jsonl").read_text().splitlines()]


def counted(project):
    """All forty as {run: (plan, day, end, verdict)}, from the register's lines alone."""
    found = {}
    for leaf in leaves(project):
        if leaf["kind"] == "started":
            found[leaf["run"]] = [leaf["plan"], leaf["at_utc"][:10], "", ""]
        elif leaf["kind"] in ("finished", "halted", "crashed", "refused"):
            found[leaf["run"]][2:] = [leaf["kind"], leaf.get("verdict", "")]
    return found


def quarter_of(day):
    return f"{day[:4]} Q{(int(day[5:7]) - 1) // 3 + 1}"


def told(project, *words):
    done = in_this_process(project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_three_real_drills_ended_as_they_were_meant_to(project):
    drills = counted(project)
    assert len(drills) == SIMULATED + len(REAL_ENDS) == 40
    real = {plan: end for run, (plan, _, end, _) in drills.items() if not run.startswith("sim-")}
    assert real == {f"experiments/{plan}.yaml": end for plan, end in REAL_ENDS.items()}
    ends = Counter(end for _, _, end, _ in drills.values())
    passed = [run for run, (_, _, end, verdict) in drills.items() if (end, verdict) == ("finished", "pass")]
    assert len(passed) >= 5, "a programme in which something was shown"
    assert min(ends["finished"], ends["halted"], ends["crashed"]) >= 2, ends


def test_quarter_by_quarter(project):
    drills = counted(project).values()
    expected = {}
    for name in {quarter_of(day) for _, day, _, _ in drills}:
        there = [(end, verdict) for _, day, end, verdict in drills if quarter_of(day) == name]
        expected[name] = {
            "begun": len(there),
            "demonstrated": there.count(("finished", "pass")),
            "failed": there.count(("finished", "fail")),
            "halted": sum(end == "halted" for end, _ in there),
            "crashed": sum(end == "crashed" for end, _ in there),
        }
    card = told(project, "scorecard", "--as", "json")
    shown = {
        q["name"]: {
            "begun": q["begun"], "demonstrated": q["demonstrated"], "failed": q["failed"],
            "halted": q["ends"].get("halted", 0), "crashed": q["ends"].get("crashed", 0),
        }
        for q in card["quarters"] if q["begun"]
    }  # fmt: skip
    assert shown == expected
    assert sum(q["begun"] for q in card["quarters"]) == 40
    assert card["register"] == f"holds {len(leaves(project))} entries, as its checkpoint signed"
    assert card["doubt"] is None and card["without_folder"] == []


def test_each_objective_drill_by_drill(project):
    drills, expected = counted(project), {}
    for folder in (project / "runs").glob("**/findings.json"):
        run = folder.parent.name
        if folder.parent.is_symlink() or run not in drills:
            continue
        for finding in json.loads(folder.read_text())["findings"]:
            if finding["name"].startswith(("RTA ", "RPA ")):
                most = (finding["interval_s"] or {}).get("max")
                key = (drills[run][0], finding["name"])
                expected.setdefault(key, []).append((drills[run][1], run, most))
    card = told(project, "scorecard", "--as", "json")
    shown = {
        (t["plan"], t["objective"]): [(d["started_utc"][:10], d["run"], d["most_s"]) for d in t["drills"]]
        for t in card["trends"]
    }
    assert shown == {key: sorted(found) for key, found in expected.items()}
    assert sum(len(found) for found in shown.values()) >= 37
    for trend in card["trends"]:
        known = [d["most_s"] for d in trend["drills"][-2:]]
        step = None if len(known) < 2 or None in known else known[1] - known[0]
        assert trend["step_s"] == step


def test_coverage(project):
    drills = counted(project).values()
    policy_days = read_ground(project).policy.retest_days
    rows = {row["plan"]: row for row in told(project, "coverage", "--json")["scenarios"]}
    assert set(rows) == {f"experiments/{plan}.yaml" for plan in PLANS}
    for plan, row in rows.items():
        mine = sorted((day, end, verdict) for name, day, end, verdict in drills if name == plan)
        passed = [day for day, end, verdict in mine if (end, verdict) == ("finished", "pass")]
        assert row["runs"] == len(mine)
        assert row["demonstrated"] == (passed[-1] if passed else None)
        if passed:
            due = date.fromisoformat(passed[-1]) + timedelta(days=policy_days)
            assert row["due"] == str(due)
            assert row["overdue"] == (row["in_experiments"] and due < date.today())
    assert not rows["experiments/no-longer-there.yaml"]["in_experiments"]
    assert rows["experiments/primary-loss.yaml"]["service"] == "orders"
    assert rows["experiments/primary-loss.yaml"]["demonstrated"] == str(date.today())


def test_the_page_of_the_console_says_the_same_within_a_second(project, tmp_path):
    doors = Doors(unpack("primary-loss", tmp_path / "run"), tmp_path, project=project)
    try:
        began = time.perf_counter()
        page = doors.ask("GET", "/programme")
        took_s = time.perf_counter() - began
        assert page.status_code == 200
        assert took_s < 1.0, f"{took_s:.2f} s for a page of forty drills"
        card = told(project, "scorecard", "--as", "json")
        assert card["headline"] in page.text
        assert page.text.count('class="spark"') == len(card["trends"])
        assert "<style" not in page.text and " style=" not in page.text and "<script" not in page.text
        assert doors.ask("GET", "/api/programme").json() == card
        assert doors.ask("GET", "/page/report.css").status_code == 200
        assert doors.ask("GET", "/programme", inside=False).status_code == 401
        print(f"the page of forty drills: {took_s:.3f} s")
    finally:
        doors.close()


def test_a_register_with_one_changed_verdict_is_not_relied_on(project, tmp_path):
    path = project / "register" / "leaves.jsonl"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"verdict":"fail"', b'"verdict":"pass"', 1))
    doors = Doors(unpack("primary-loss", tmp_path / "run"), tmp_path, project=project)
    try:
        assert path.read_bytes() != kept
        assert "Not to be relied on" in doors.ask("GET", "/programme").text
        path.write_bytes(kept[:-20] + b"\xff\n")
        time.sleep(2.1)
        assert doors.ask("GET", "/programme").status_code in (200, 409)
    finally:
        path.write_bytes(kept)
        doors.close()
