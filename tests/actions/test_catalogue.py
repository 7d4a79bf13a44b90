"""The catalogue against the code: each inverse exists, takes what it is given, and says how by hand."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import pytest

from gameday.plan.catalogue import INVERSES, derive, has_native_ttl, with_ttl
from gameday.plan.model import NS, Activity

VALUES = {
    "node": "a", "proxy": "users", "proxies": ["users", "replication-a"], "name": "some-name", "kind": "latency",
    "latency_ms": 5, "kilobytes_per_s": 9, "percent": 50, "match": "orders serve", "start": ["/bin/x", "a b"],
    "megabytes": 10, "folder": "/srv/my data", "host": "db.internal", "port": 5432, "count": 3, "group": "/g",
    "device": "eth0", "write_kb_per_s": 100, "kbit_per_s": 100, "address": "10.0.0.1", "hosts_file": "/etc/h",
    "argv": ["x"], "offset_s": 60, "file": "/run/clock", "table": "orders", "mode": "remote_apply",
    "account": "123456789012", "region": "eu-west-1", "cluster": "c", "global_cluster": "g", "to": "new", "zone": "eu-west-1a",
    "to_cluster_arn": "arn:c", "allow_data_loss": True, "snapshot": "s", "instance": "i", "backup_arn": "arn:b",
    "record": "db.example.com", "type": "A", "values": ["10.0.0.1"], "weights": {"a": 0}, "health_check": "h",
    "states": {"arn:r": "On"}, "endpoints": {"eu-west-1": "https://e"}, "resource": "arn:lb", "away_from": "euw1-az1",
    "tags": {"app": "orders"}, "most": 1, "desired": 0, "service": "s", "nodegroup": "n", "to_region": "eu-central-1",
    "template": "EXT1", "document": "Restart",
    "kubeconfig": "~/.kube/config", "context": "staging", "namespace": "shop", "selector": "app=web",
    "deployment": "web", "replicas": 2, "spec": {}, "ingress": "web",
    "container": "app", "command": ["touch", "/tmp/x"],
}  # fmt: skip


def function(action):
    module, _, name = action.rpartition(".")
    return getattr(importlib.import_module(module), name)


def activity(action, **more):
    wanted = inspect.signature(function(action)).parameters
    arguments = {key: VALUES[key] for key, p in wanted.items() if p.default is p.empty and key in VALUES}
    if action.endswith("lock_table"):
        arguments |= {"mode": "SHARE", "node": "a"}
    if "node" in wanted:
        arguments["node"] = "a"
    arguments |= {key: value for key, value in more.items() if key in wanted}
    module, _, name = action.rpartition(".")
    provider = {"type": "python", "module": module, "func": name, "arguments": arguments}
    return Activity("x", json.dumps(provider), NS)


@pytest.mark.parametrize("action", sorted(INVERSES))
def test_action_undo_and_read_back_take_the_arguments_that_they_get(action):
    do = with_ttl(activity(action), 7 * NS + 1)
    found = derive(do)
    given = json.loads(do.provider)["arguments"]
    inspect.signature(function(action)).bind(**given)
    inspect.signature(function(found.undo)).bind(**found.undo_with)
    inspect.signature(function(found.in_place)).bind(**found.in_place_with)
    assert inspect.signature(function(found.in_place)).return_annotation == "bool"
    assert has_native_ttl(do) == ("ttl_s" in inspect.signature(function(action)).parameters)
    assert given.get("ttl_s", 10) == 10  # rounded up, and two seconds to spare
    for name in (action, found.undo, found.in_place):
        module, _, func = name.rpartition(".")
        assert func in importlib.import_module(module).__all__


@pytest.mark.parametrize("action", sorted(INVERSES))
def test_it_says_the_command_by_hand_and_what_it_survives(action):
    found = derive(activity(action, start=["/bin/x", "a b"]))
    assert found.manual and "{n" not in found.manual and "?" not in found.target
    assert "Runner killed" in found.survives and "Host lost" in found.survives
    assert subprocess.run(["sh", "-n", "-c", found.manual]).returncode == 0, found.manual


@pytest.mark.parametrize("action", sorted(INVERSES))
def test_two_faults_of_one_kind_are_told_apart_by_name(action):
    if "name" not in inspect.signature(function(action)).parameters:
        return
    one, two = derive(activity(action, name="one")), derive(activity(action, name="two"))
    assert (one.undo_with, one.in_place_with) != (
        two.undo_with,
        two.in_place_with,
    ) or one.target == two.target
    assert one.undo_with.get("name", "one") == "one"


def test_arguments_with_spaces_are_quoted_for_a_shell():
    assert (
        derive(activity("gameday.actions.process.kill", start=["/bin/x", "a b"])).manual
        == "cd / && /bin/x 'a b'"
    )
    assert derive(activity("gameday.actions.process.stop")).manual == "pkill -CONT -f 'orders serve'"
    cpu = derive(activity("gameday.actions.pressure.cpu")).manual
    assert cpu == "pkill -KILL -f 'gameday-fault gameday-cpu$'"
    cut = derive(activity("gameday.actions.network.cut", api="http://h:1")).manual
    assert cut == "curl -fsS http://h:1/proxies/users -d '{\"enabled\": true}'"


def test_a_ttl_that_the_plan_gives_itself_stays(tmp_path):
    do = activity("gameday.actions.pressure.cpu", ttl_s=99)
    assert with_ttl(do, 5 * NS) == do
    kill = activity("gameday.actions.postgres.kill")
    assert with_ttl(kill, 5 * NS) == kill


def test_only_some_steps_owe_an_undo_without_saying_so():
    assert derive(activity("gameday.actions.postgres.fence"), by_step=True)
    assert derive(activity("gameday.actions.process.restart"), by_step=True)
    assert derive(activity("gameday.actions.postgres.kill"), by_step=True) is None
    assert derive(Activity("x", json.dumps({"type": "http", "url": "http://h"}), NS)) is None


def hand(*words):
    return subprocess.run([sys.executable, "-m", "gameday.actions", *words], capture_output=True, text=True)


def test_a_function_can_be_carried_out_by_hand(tmp_path):
    file = tmp_path / "clock"
    file.write_text("+60\n")
    assert hand("clock.is_skewed", f"file={file}").stdout == "True\n"
    assert hand("clock.unskew", f"file={file}").returncode == 0
    assert file.read_text() == "+0\n"
    done = hand("clock.unskew", "file=/nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    for words in ((), ("clock.nothing",), ("os.system",), ("clock._read",), ("clock.unskew", "x")):
        assert hand(*words).returncode == 2, words


def test_what_is_typed_by_hand_becomes_what_the_function_asks_for():
    from gameday.actions.__main__ import _typed

    def function(count: int, share: float, either: int | None, fast: bool, name: str, bare) -> None: ...

    given = {"count": "3", "share": "0.5", "either": "7", "fast": "True", "name": "3", "bare": "3"}
    assert list(_typed(function, given).values()) == [3, 0.5, 7, True, "3", "3"]
    done = hand("lab.wait_unhealthy", "misses=many")
    assert (done.returncode, done.stderr) == (1, "lab.wait_unhealthy: misses=many: expected a whole number\n")


def test_the_command_by_hand_gets_the_values_of_the_run_and_needs_none_of_them():
    from pathlib import Path

    from gameday.plan.bind import bind, needed
    from gameday.plan.load import load_plan

    plan = load_plan(Path(__file__).resolve().parents[2] / "experiments" / "latency.yaml")
    assert needed(plan) == ("lab.url",)
    command = bind(plan, {"lab.url": "http://h", "lab.toxiproxy": "http://h:2"}).steps[0].manual_command
    assert command == "curl -fsS -X DELETE http://h:2/proxies/users/toxics/gameday-latency"
    assert "${lab.toxiproxy}" in bind(plan, {"lab.url": "http://h"}).steps[0].manual_command
