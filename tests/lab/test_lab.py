"""The lab on real PostgreSQL: fail over, fail back, lose what was in flight, leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from gameday.actions import http, lab as lab_actions, network, postgres
from tests.conftest import run_lab


def place(lab, number=1, marker="t"):
    status, _ = http.call(
        "POST",
        lab["lab.url"] + "/orders",
        {"marker": marker, "number": number, "item": "x", "quantity": 1},
        timeout_s=3,
    )
    return status


def orders(lab, marker="t"):
    return http.ask("GET", f"{lab['lab.url']}/orders?marker={marker}")["orders"]


def purge(lab, marker="t"):
    return http.ask("DELETE", f"{lab['lab.url']}/orders?marker={marker}")["purged"]


def test_an_order_is_a_row_and_can_be_purged(lab):
    assert place(lab, 5) == 201
    assert [o["number"] for o in orders(lab)] == [5]
    assert purge(lab) == 1
    assert orders(lab) == []


def test_it_says_who_it_is_and_has_payments_beside_it(lab):
    assert http.ask("GET", lab["lab.url"] + "/identity")["environment"] == "lab"
    assert http.ask("GET", lab["lab.url"] + "/payments/health") == {"service": "payments"}


def test_control_needs_the_token(lab):
    status, _ = http.call("GET", lab["lab.control"] + "/state")
    assert status == 401


def test_the_whole_cycle_of_failover_and_failback(lab):
    assert place(lab, 1) == 201
    time.sleep(0.1)
    postgres.kill("a", configuration=lab)
    assert place(lab, 2) == 503
    assert http.ask("GET", lab["lab.url"] + "/payments/health")
    assert postgres.is_down("a", configuration=lab)
    postgres.fence("a", configuration=lab)
    with pytest.raises(http.ActionError, match="fenced"):
        postgres.start("a", configuration=lab)
    postgres.promote("b", configuration=lab)
    postgres.promote("b", configuration=lab)
    lab_actions.switch_users_path("b", configuration=lab)
    lab_actions.verify_order(configuration=lab)
    assert place(lab, 3) == 201
    assert {o["number"] for o in orders(lab)} == {1, 3}
    postgres.rejoin("a", "b", configuration=lab)
    assert not postgres.is_down("a", configuration=lab)
    lab_actions.wait_caught_up("a", configuration=lab)
    postgres.fence("b", configuration=lab)
    postgres.promote("a", configuration=lab)
    lab_actions.switch_users_path("a", configuration=lab)
    postgres.rejoin("b", "a", configuration=lab)
    assert {o["number"] for o in orders(lab)} == {1, 3}
    assert http.lab(lab, "GET", "/state")["whole"]
    purge(lab)


def test_two_primaries_are_refused(lab):
    with pytest.raises(http.ActionError, match="running primary"):
        postgres.promote("b", configuration=lab)


def test_a_killed_node_starts_again_as_what_it_was(lab):
    postgres.kill("a", configuration=lab)
    postgres.start("a", configuration=lab)
    assert postgres.is_primary("a", configuration=lab)
    lab_actions.wait_caught_up("b", configuration=lab)
    assert http.lab(lab, "GET", "/state")["whole"]


def test_what_is_in_flight_on_a_delayed_link_is_lost_with_the_node(lab):
    network.add_latency("replication-a", 300, configuration=lab)
    place(lab, 1)
    time.sleep(0.6)
    assert place(lab, 2) == 201
    postgres.kill("a", configuration=lab)
    network.remove_toxic("replication-a", "gameday-latency", configuration=lab)
    postgres.fence("a", configuration=lab)
    postgres.promote("b", configuration=lab)
    lab_actions.switch_users_path("b", configuration=lab)
    assert [o["number"] for o in orders(lab)] == [1]
    purge(lab)


def test_synchronous_replication_waits_for_the_standby(lab):
    lab_actions.set_replication("remote_apply", configuration=lab)
    assert place(lab) == 201
    network.cut("replication-a", configuration=lab)
    assert place(lab) == 503
    network.restore("replication-a", configuration=lab)
    lab_actions.wait_caught_up("b", configuration=lab)
    lab_actions.set_replication("async", configuration=lab)
    purge(lab)


def test_latency_stall_and_cut_take_effect_and_are_undone(lab):
    url = lab["lab.url"] + "/payments/health"
    network.add_latency("users", 200, configuration=lab)
    began = time.monotonic()
    http.ask("GET", url)
    assert time.monotonic() - began >= 0.2
    network.remove_toxic("users", "gameday-latency", configuration=lab)
    network.remove_toxic("users", "gameday-latency", configuration=lab)
    network.add_stall("users", configuration=lab)
    with pytest.raises(http.ActionError):
        http.call("GET", url, timeout_s=0.3)
    network.remove_toxic("users", "gameday-stall", configuration=lab)
    network.cut("users", configuration=lab)
    with pytest.raises(http.ActionError, match="refused"):
        http.call("GET", url)
    network.restore("users", configuration=lab)
    http.ask("GET", url)


def test_a_second_up_joins(lab_folder):
    done = run_lab(lab_folder, "up")
    assert done.returncode == 0
    assert "already" in done.stdout


def test_mistakes_get_one_clear_line(tmp_path, lab_folder):
    env = {**os.environ, "GAMEDAY_PG_BINDIR": str(tmp_path)}
    import sys

    for args, more, words in (
        (["up", "--dir", str(tmp_path / "x")], {"env": env}, "holds no initdb"),
        (["status", "--dir", str(tmp_path / "none")], {}, "not up"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "gameday.lab", *args], capture_output=True, text=True, **more
        )
        assert done.returncode == 3
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_lab(tmp_path / "y", "up", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert "is taken" in done.stderr
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mine").touch()
    assert "holds other things" in run_lab(tmp_path / "z", "up").stderr
    assert (tmp_path / "z" / "mine").exists()


def descendants(marker):
    out = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True).stdout
    return [line for line in out.splitlines() if marker in line]


@pytest.mark.parametrize("how", [pytest.param("down", marks=pytest.mark.slow), "sigkill"])
def test_nothing_is_left_behind(tmp_path, how):
    folder = tmp_path / f"lab-{how}"
    assert run_lab(folder, "up").returncode == 0
    state = json.loads((folder / "lab.json").read_text())
    assert descendants(str(folder))
    if how == "sigkill":
        os.kill(state["pid"], signal.SIGKILL)
        give_up = time.monotonic() + 5
        while descendants(str(folder)) and time.monotonic() < give_up:
            time.sleep(0.02)
        assert not descendants(str(folder))
        assert run_lab(folder, "up").returncode == 0
    done = run_lab(folder, "down")
    assert done.returncode == 0
    assert not folder.exists()
    assert not descendants(str(folder))
