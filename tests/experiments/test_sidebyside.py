"""Chaos Toolkit experiments, run by both: the same outcome, but for what docs/chaostoolkit.md lists."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments.fixtures import replay, show
from tests.experiments.judge import (
    DIFFERENT,
    ENCODING,
    FAILED_ROLLBACK,
    ROLLBACKS,
    TOLERANCE,
    TRACEBACK,
    UNGRACEFUL,
    row,
)
from tests.experiments.sidebyside import BIN, VERSION, alone, both, expected_code

FIXTURES = {"1.44.0": 113}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OK, NO = {"type": "process", "path": "true"}, {"type": "process", "path": "false"}
MODULE = """
import time
from chaoslib.exceptions import ActivityFailed
from chaoslib.exit import exit_gracefully
def value(it=None): return it
def fail(): raise ActivityFailed("no")
def boom(): raise ValueError("boom")
def within(value, limit): return value < limit
def stop(): exit_gracefully(); time.sleep(9)
def secret(secrets=None): return secrets
def raw(): return {b"x": {1, 2}, "y": b"z"}
def count(path):
    with open(path, "a") as file: file.write("x")
    return len(open(path).read())
"""
CONTROL = """
def before_activity_control(context, **kw): context.setdefault("seen", []).append("before")
def after_activity_control(context, state, **kw): state["controlled"] = True
def after_experiment_control(context, state, **kw): state["mine"] = "here"
"""


def python(func, **arguments):
    return {"type": "python", "module": "mine", "func": func, "arguments": arguments}


def act(name="act", provider=OK, **more):
    return {"type": "action", "name": name, "provider": provider, **more}


def look(provider=OK, tolerance=0, **more):
    return {"type": "probe", "name": "look", "provider": provider, "tolerance": tolerance, **more}


def experiment(*method, probes=(), rollbacks=(act("undo"),), **more):
    hypothesis = {"steady-state-hypothesis": {"title": "t", "probes": list(probes)}} if probes else {}
    return (
        {"title": "x", "description": "y", "method": list(method), "rollbacks": list(rollbacks)}
        | hypothesis
        | more
    )


def held(tolerance, value):
    return experiment(act(), probes=[look(python("value", it=value), tolerance)])


BOTH = {
    "all fine": (experiment(act(), probes=[look()]), ()),
    "not met before": (experiment(act(), probes=[look(NO)]), ()),
    "not met before, always": (experiment(act(), probes=[look(NO)]), ("--rollback-strategy", "always")),
    "an action that fails": (experiment(act(provider=python("fail")), act("b")), ()),
    "a program that fails": (experiment(act(provider=NO)), ()),
    "a probe that raises": (experiment(act(), probes=[look(python("boom"), True)]), ()),
    "deviated": (experiment(act(), probes=[look(python("count", path="n"), {"type": "range", "range": [0, 1]})]), ()),
    "deviated, deviated": (
        experiment(act(), probes=[look(python("count", path="n"), {"type": "range", "range": [0, 1]})]),
        ("--rollback-strategy", "deviated"),
    ),
    "fine, deviated": (experiment(act()), ("--rollback-strategy", "deviated")),
    "fine, never": (experiment(act()), ("--rollback-strategy", "never")),
    "strategy in the file": (experiment(act(), runtime={"rollbacks": {"strategy": "never"}}), ()),
    "before only": (experiment(act(), probes=[look()]), ("--hypothesis-strategy", "before-method-only")),
    "after only": (experiment(act(), probes=[look(NO)]), ("--hypothesis-strategy", "after-method-only")),
    "continuously, failing fast": (
        experiment(
            *[act(f"a{n}", pauses={"after": 0.4}) for n in range(6)],
            probes=[look(python("count", path="n"), {"type": "range", "range": [0, 3]})],
        ),
        ("--hypothesis-strategy", "continuously", "--hypothesis-frequency", "0.2", "--fail-fast",
         "--rollback-strategy", "always"),
    ),
    "in the background": (experiment(act(background=True, pauses={"before": 0.3}), act("b")), ()),
    "refs": (experiment(act(), {"ref": "act"}, {"ref": "look"}, probes=[look()]), ()),
    "variables": (
        experiment(
            act(provider=python("value", it="${a}-${c}")), configuration={"a": "1", "c": {"type": "env", "key": "MY_C"}}
        ),
        ("--var", "a=2"),
    ),
    "a dynamic configuration": (
        experiment(
            act(provider=python("value", it="${a}")),
            configuration={"a": {"type": "probe", "name": "p", "provider": python("value", it="7")}},
        ),
        (),
    ),
    "secrets": (
        experiment(
            act(provider={**python("secret"), "secrets": ["g"]}), secrets={"g": {"k": {"type": "env", "key": "MY_C"}}}
        ),
        (),
    ),
    "controls": (
        experiment(act(), controls=[{"name": "c", "provider": {"type": "python", "module": "control"}}]), (),
    ),
    "dry: actions": (experiment(act(provider=python("boom")), act("b"), probes=[look()]), ("--dry", "actions")),
    "dry: activities": (experiment(act(provider=NO), probes=[look(NO)]), ("--dry", "activities")),
    "dry: probes": (experiment(act(), probes=[look(NO)]), ("--dry", "probes")),
    "dry: pause": (experiment(act(pauses={"before": 900})), ("--dry", "pause")),
    "a control file": (experiment(act()), ("--control-file", "controls.json", "--control-file", "empty.yaml")),
    "an interruption": (experiment(act(provider=python("stop")), rollbacks=[]), ()),
    "tolerance: regex": (held({"type": "regex", "pattern": "^a"}, "abc"), ()),
    "tolerance: range": (held({"type": "range", "range": [1, 3]}, 4), ()),
    "tolerance: a list": (held([1, 2, 3], 2), ()),
    "tolerance: a text": (held("abc", "abc"), ()),
    "tolerance: true": (held(True, 1), ()),
    "tolerance: a probe": (
        held({"type": "probe", "name": "w", "provider": python("within", value=None, limit=5)}, 4), (),
    ),
    "no HTTP server": (experiment(act(provider={"type": "http", "url": "http://127.0.0.1:9/"})), ()),
    "an empty method": (experiment(probes=[look()]), ()),
    "extensions and contributions": (experiment(act(), extensions=[{"name": "e"}], contributions={"a": "high"}), ()),
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    beside = json.dumps({"beside": {"provider": {"type": "python", "module": "control"}}})
    for name, text in (
        ("mine.py", MODULE), ("control.py", CONTROL), ("controls.json", beside), ("empty.yaml", ""),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


def write(folder, data):
    path = folder / "it.json"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("name", BOTH)
def test_both_come_to_the_same(place, name):
    data, options = BOTH[name]
    path = write(place, data)
    env = {"PYTHONPATH": str(place), "MY_C": "value-of-c-1234"}
    chaos, ours = both(
        path, *options, folder=place, env=env, between=lambda: (place / "n").unlink(missing_ok=True)
    )
    # How many activities were begun before a hypothesis failed is a matter of milliseconds.
    part = slice(1, None) if "failing fast" in name else slice(None)
    assert (ours.word, ours.activities[part]) == (chaos.word, chaos.activities[part]), ours.said
    assert ours.code == expected_code(chaos)
    assert ours.journal["experiment"].get("dry") == chaos.journal["experiment"].get("dry")
    if name in ("controls", "a control file"):
        assert ours.journal["mine"] == chaos.journal["mine"] == "here"
        assert ours.journal["run"][0]["controlled"] is chaos.journal["run"][0]["controlled"] is True
    if name == "variables":
        assert ours.journal["run"][0]["output"] == chaos.journal["run"][0]["output"] == "2-value-of-c-1234"
    if name == "secrets":
        assert "value-of-c-1234" in json.dumps(chaos.journal["run"])  # What is better here:
        for file in (place / "run").rglob("*"):
            assert not file.is_file() or b"value-of-c-1234" not in file.read_bytes(), file


def test_a_settings_file_counts_where_it_is_named(place):
    settings = place / "home" / ".chaostoolkit" / "settings.yaml"
    settings.parent.mkdir(parents=True)
    control = {"provider": {"type": "python", "module": "control"}}
    settings.write_text(
        json.dumps({"controls": {"mine": control}, "runtime": {"rollbacks": {"strategy": "never"}}})
    )
    path = write(place, experiment(act()))
    chaos, unasked = both(path, folder=place, env={"PYTHONPATH": str(place)})
    assert chaos.journal["mine"] == "here" and not chaos.journal["rollbacks"]
    assert "mine" not in unasked.journal and unasked.journal["rollbacks"]
    (place / "run").rename(place / "first")
    ours = alone(path, "--settings", str(settings), folder=place, env={"PYTHONPATH": str(place)})
    assert ours.journal["mine"] == "here" and ours.activities == chaos.activities
    assert "control" in (place / "run" / "plan.json").read_text()


def test_the_deliberate_differences(place):
    path = write(
        place, experiment(act(), probes=[look(python("value", it=None), {"type": "range", "range": [1, 3]})])
    )
    env = {"PYTHONPATH": str(place)}
    chaos, ours = both(path, folder=place, env=env)
    assert "Traceback" in chaos.said and chaos.journal is None
    assert ours.journal["steady_states"]["before"]["steady_state_met"] is False and ours.code == 0


def test_what_an_interrupted_experiment_did_is_taken_back(place):
    rollback = act("undo", {"type": "process", "path": "rm", "arguments": ["fault"]})
    fault = act("fault", {"type": "process", "path": "touch", "arguments": ["fault"]})
    path = write(place, experiment(fault, act(provider=python("stop")), rollbacks=[rollback]))
    chaos, ours = both(path, folder=place, env={"PYTHONPATH": str(place)})
    assert chaos.word == ours.word == "interrupted" and ours.code == 4
    assert not chaos.journal["rollbacks"] and ours.journal["rollbacks"][0]["status"] == "succeeded"
    (place / "run").rename(place / "first")
    compat = alone(path, "--compat", folder=place, env={"PYTHONPATH": str(place)})
    assert compat.word == "interrupted" and not compat.journal["rollbacks"]


def test_failing_fast_cuts_off_what_blocks(place):
    fault = act("fault", {"type": "process", "path": "touch", "arguments": ["fault"]})
    long = act("long", {"type": "process", "path": "sleep", "arguments": ["61.5"]})
    rollback = act("undo", {"type": "process", "path": "rm", "arguments": ["fault"]})
    probe = look(python("count", path="n"), {"type": "range", "range": [0, 3]})
    path = write(place, experiment(fault, long, probes=[probe], rollbacks=[rollback]))
    options = ("--hypothesis-strategy", "continuously", "--hypothesis-frequency", "0.2", "--fail-fast")
    ours = alone(path, *options, folder=place, env={"PYTHONPATH": str(place)})
    assert (ours.word, ours.code) == ("failed", 1) and ours.journal["duration"] < 30
    assert not (place / "fault").exists() and not _running("61.5")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_or_halted_run_is_taken_back(place, number):
    fault = act("fault", {"type": "process", "path": "touch", "arguments": [str(place / "fault")]})
    long = act("long", {"type": "process", "path": "sleep", "arguments": ["73.25"]})
    rollback = act("undo", {"type": "process", "path": "rm", "arguments": [str(place / "fault")]})
    path = write(place, experiment(fault, long, rollbacks=[rollback]))
    command = [BIN / "gameday", "run", "--plain", "--run-dir", place / "run", path]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(place)}
    with subprocess.Popen(list(map(str, command)), cwd=place, env=env, stdout=subprocess.DEVNULL) as process:
        _wait(lambda: (place / "fault").exists())
        began_s = time.monotonic()
        process.send_signal(number)
        _wait(lambda: not (place / "fault").exists())
        assert time.monotonic() - began_s < 30
        code = process.wait(60)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 4)
    _wait(lambda: "RunEnded" in (place / "run" / "history.jsonl").read_text())
    _wait(lambda: not _running("73.25"))
    journal = json.loads((place / "run" / "journal.json").read_text())
    assert journal["status"] == "interrupted"
    assert [run["status"] for run in journal["rollbacks"]] == ["succeeded"]


def _wait(until, limit_s=60.0):
    give_up_s = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


def _running(argument):
    return any(
        argument.encode() in path.read_bytes().split(b"\0")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.parent.exists() and os.access(path, os.R_OK)
    )


@pytest.mark.timeout(1800)
def test_chaos_toolkits_own_fixtures_come_to_the_same(tmp_path):
    found = list(replay(tmp_path))
    expected = FIXTURES.get(VERSION)  # None: another version, whose fixtures nobody has counted yet.
    assert len(found) == expected if expected else len(found) > 100
    assert not [show(row) for row in found if row[3] == DIFFERENT]


def test_each_reason_for_a_difference_is_a_row_of_the_page():
    for begins in (TRACEBACK, ROLLBACKS, UNGRACEFUL, TOLERANCE, FAILED_ROLLBACK, ENCODING):
        assert row(begins)
