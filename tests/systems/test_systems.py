"""Drills on the lab's other systems, each beside an outside watcher that shares no code with gameday.

The watcher places numbered orders of its own all the while; afterwards a client of the store itself says
which of them are there. What it saw of the outage and of the loss must meet the reported intervals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psycopg
import pytest
import redis

from tests.bench.truth import WATCHER, Watched, meets
from tests.conftest import run_lab
from tests.drills import Run, make_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DRILL_S = 200


class Site:
    """A lab of one system, and a project beside it."""

    def __init__(self, folder, system):
        self.system = system
        self.folder = folder / "lab"
        self.project = make_project(folder / "project")
        done = run_lab(self.folder, "up", "--system", system)
        assert done.returncode == 0, done.stderr
        self.env = {"GAMEDAY_LAB_DIR": str(self.folder)}

    @property
    def state(self):
        return json.loads((self.folder / "lab.json").read_text())

    def numbers(self, marker):
        """The orders with that marker that the store itself holds, asked by its own client."""
        if self.system == "sentinel":
            return self._in_valkey(marker)
        for node in self.state["nodes"].values():
            try:
                with psycopg.connect(node["dsn"], connect_timeout=3) as connection:
                    if connection.execute("select pg_is_in_recovery()").fetchone()[0]:
                        continue
                    query = "select number from orders where marker = %s"
                    return {row[0] for row in connection.execute(query, (marker,))}
            except psycopg.OperationalError:
                continue
        raise AssertionError("no node is primary")

    def _in_valkey(self, marker):
        for node in self.state["nodes"].values():
            with redis.Redis(port=node["port"]) as client:
                if client.execute_command("ROLE")[0] == b"master":
                    return {json.loads(item)["number"] for item in client.lrange(f"orders:{marker}", 0, -1)}
        raise AssertionError("no server is master")

    def is_whole(self):
        done = run_lab(self.folder, "status", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["whole"], done.stdout

    def drill(self, plan):
        """Run a drill beside the watcher; return its exit code, findings, what was seen, and its words."""
        path = self.project / f"watch-{plan}.txt"
        watcher = subprocess.Popen(
            [sys.executable, str(WATCHER), self.state["url"], f"watch-{plan}", str(path)],
            stdin=subprocess.PIPE,
        )
        run = Run(self.project, plan, env=self.env)
        try:
            code, out = run.end(DRILL_S)
        finally:
            watcher.communicate()
        assert (run.folder / "findings.json").exists(), out
        found = json.loads((run.folder / "findings.json").read_text())
        return code, found, Seen(path, self.numbers(f"watch-{plan}")), out


class Seen:
    """What the watcher saw, against what the store holds."""

    def __init__(self, path, present):
        self.watched = Watched(path)
        self.lost = self.watched.lost(present)

    def meets_rta(self, found):
        mine, theirs = interval(found["rta_s"]), self.watched.downtime_s()
        return meets(mine, theirs), (mine, theirs)

    def meets_rpa(self, found):
        theirs = self.watched.window_s(self.lost) if self.lost else (0.0, 0.0)
        return meets(interval(found["rpa_s"]), theirs), (interval(found["rpa_s"]), theirs, len(self.lost))


def interval(item):
    return item["min"], float("inf") if item["max"] is None else item["max"]  # All is lost: no upper end.


def finding(found, name):
    return next(f for f in found["findings"] if f["name"] == name)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Labs by system, one up at a time."""
    made = {}

    def get(system):
        if system not in made:
            for other in made.values():
                run_lab(other.folder, "down")
            made.clear()
            made[system] = Site(tmp_path_factory.mktemp(system), system)
        return made[system]

    yield get
    for one in made.values():
        run_lab(one.folder, "down")


def test_a_restore_to_a_point_in_time_loses_what_came_after_it_and_the_ledger_says_how_much(site):
    code, found, seen, out = site("archive").drill("restore-from-backup")
    assert (code, found["verdict"]) == (0, "pass"), out
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    assert seen.lost and seen.meets_rpa(found)[0], seen.meets_rpa(found)
    assert found["rpa_s"]["min"] <= 1.0 <= found["rpa_s"]["max"]  # It went back to 1 s before the accident.
    assert found["ledger"]["lost"] > 20 and found["ledger"]["phantom"] == 0
    assert finding(found, "RTA orders")["numbers"]["recovered_by"] == "plan"
    assert site("archive").is_whole()[0], site("archive").is_whole()


def test_a_backup_that_has_rotted_is_not_demonstrated(site):
    code, found, seen, out = site("archive").drill("corrupted-backup")
    assert (code, found["auditor"]) == (1, "NOT DEMONSTRATED"), out
    assert "checksum mismatch" in out
    assert finding(found, "RTA orders")["verdict"] == "fail"
    assert finding(found, "RTA orders")["numbers"]["recovered_by"] == "fault_removed"
    assert finding(found, "RPA orders")["verdict"] == "fail"
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    assert seen.meets_rpa(found)[0], seen.meets_rpa(found)
    assert not found["stuck"] and site("archive").is_whole()[0], site("archive").is_whole()


def test_a_full_disk_that_only_its_undo_empties_is_not_demonstrated(site):
    code, found, seen, out = site("archive").drill("disk-full")
    assert (code, found["auditor"]) == (1, "NOT DEMONSTRATED"), out
    assert finding(found, "RTA orders")["numbers"]["recovered_by"] == "fault_removed"
    assert found["rta_s"]["min"] > 10.0
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    assert not seen.lost and found["ledger"]["lost"] == 0  # What was acknowledged is on disk.
    assert not found["stuck"] and site("archive").is_whole()[0], site("archive").is_whole()


def test_sentinels_fail_over_by_themselves_and_what_that_cost_is_measured(site):
    code, found, seen, out = site("sentinel").drill("sentinel-failover")
    assert (code, found["verdict"]) == (0, "pass"), out
    assert finding(found, "RTA orders")["numbers"]["recovered_by"] == "system"
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    assert seen.meets_rpa(found)[0], seen.meets_rpa(found)
    assert found["rta_s"]["min"] > 2.0  # Sentinels wait 2 s before they believe it.
    assert site("sentinel").is_whole()[0], site("sentinel").is_whole()


def test_replicas_that_are_new_lose_all_that_was_acknowledged_before(site):
    code, found, seen, out = site("sentinel").drill("sentinel-fresh-replicas")
    assert (code, found["auditor"]) == (1, "NOT DEMONSTRATED"), out
    for store in ("orders", "redis"):
        rpa = finding(found, f"RPA orders ({store})")
        assert rpa["verdict"] == "fail" and rpa["numbers"]["lost"] > 100, rpa
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    before = [row for row in seen.watched.rows[: seen.watched.first] if row[3]]
    assert len(seen.lost) >= len(before) > 100  # The watcher, too, lost everything.
    assert seen.watched.window_s(seen.lost)[1] >= found["rpa_s"]["min"] > 1.0
    assert site("sentinel").is_whole()[0], site("sentinel").is_whole()


def test_patroni_fails_over_by_itself_and_it_takes_what_its_lock_takes(site):
    code, found, seen, out = site("patroni").drill("patroni-failover")
    assert (code, found["verdict"]) == (0, "pass"), out
    assert finding(found, "RTA orders")["numbers"]["recovered_by"] == "system"
    assert 15.0 < found["rta_s"]["min"] < found["rta_s"]["max"] < 40.0  # Its lock lives 20 s.
    assert seen.meets_rta(found)[0], seen.meets_rta(found)
    assert seen.meets_rpa(found)[0], seen.meets_rpa(found)
    rows = next(f for f in found["findings"] if f["name"].startswith("reconciliation"))
    assert rows["verdict"] == "pass" and "rows in" in rows["observed"], rows
    assert site("patroni").is_whole()[0], site("patroni").is_whole()
