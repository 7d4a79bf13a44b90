"""What is checked before any effect: fail closed, one line each, and nothing imported that is not allowed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.errors import NotAuthorised, Refused, TargetAbsent
from gameday.history.codec import Roots
from gameday.history.events import (
    Effect,
    HostStarted,
    Outcome,
    Phase,
    PhaseChanged,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    UndoStarted,
)
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.procfs import boot_id
from gameday.hosts.inbox import new_inbox
from gameday.hosts.probes import ProbeCrew
from gameday.procfs import start_ticks
from gameday.plan.approvals import Requirement
from gameday.plan.load import load_plan
from gameday.plan.model import NS, Activity, Probe, ProbeKind, StepKind
from gameday.plan.policy import Approval, Rules, Waiver, default_policy
from gameday.plan.stored import plan_digest, write_plan
from gameday.plan.lasting import longest_ns
from gameday.runner.arming import freeze, labels_of
from gameday.runner.folder import make_run_folder
from gameday.runner.leftovers import leftovers
from gameday.runner.listing import find_run, list_runs
from gameday.runner.preflight import BAD, OK, SKIP, WARN, LookHost, at_home, history_bytes, monitoring, refuse
from tests.drills import ROOT, make_project

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("p"))


@pytest.fixture(scope="module")
def plan(project):
    return load_plan(project / "experiments" / "primary-loss.yaml")


def gameday(project, *words, **env):
    full = {**os.environ, "PYTHONPATH": str(ROOT), "GAMEDAY_LAB_DIR": str(project / "no-lab"), **env}
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *words], cwd=project, capture_output=True, text=True, env=full
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


# --- nothing outside the policy is imported ----------------------------------------------------


@pytest.fixture
def evil(tmp_path):
    """A project with an action module that makes a file when it is imported, and a plan for production."""
    project = make_project(tmp_path / "project")
    mark = tmp_path / "imported"
    (project / "evil.py").write_text(
        f"open({str(mark)!r}, 'w').close()\ndef f(): pass\ndef is_there(): return False\n"
    )
    text = (
        (project / "experiments" / "latency.yaml")
        .read_text()
        .replace("environment: lab", "environment: production")
    )
    do = text.index("    do: {action: gameday.actions.network.add_latency")
    steps = (
        "    do: {action: evil.f}\n    undo: {action: evil.f}\n    in_place: {action: evil.is_there}\n"
        '    target: "node:a"\n    ttl: 30s\n'
    )
    (project / "experiments" / "evil.yaml").write_text(text[:do] + steps)
    return project, mark


@pytest.mark.parametrize("words", [["run", "--plain"], ["run", "--rehearse"], ["plan"]])
def test_production_without_a_policy_is_refused_and_nothing_imported(evil, words):
    project, mark = evil
    done = gameday(project, words[0], "experiments/evil.yaml", *words[1:])
    said = done.stdout if words[0] == "plan" else done.stderr
    assert done.returncode == (0 if words[0] == "plan" else 3), done.stderr
    assert "'production' is not allowed: there is no policy file" in said
    assert not mark.exists() and not (project / "runs").exists()


def test_a_module_that_the_policy_does_not_allow_is_not_imported(evil):
    project, mark = evil
    (project / "policy.yaml").write_text("environments: {production: {modules: [gameday.actions.*]}}\n")
    done = gameday(project, "run", "experiments/evil.yaml", "--plain")
    assert done.returncode == 3 and "would import 'evil', allowed are gameday.actions.*" in done.stderr
    assert not mark.exists()


def test_a_malformed_policy_is_exit_2_with_its_place(evil):
    project, mark = evil
    (project / "policy.yaml").write_text("environments: {production: }\nttl: 5\n")
    for words in (["run", "experiments/evil.yaml"], ["plan", "experiments/evil.yaml"], ["lever", "status"]):
        done = gameday(project, *words)
        assert done.returncode == 2 and "policy.yaml:2:1: ttl: 5 is no duration" in done.stderr
    assert not mark.exists()


def test_approvals_that_nobody_gave_refuse(evil):
    project, mark = evil
    text = "environments: {production: {modules: ['*'], approvals: [{roles: [sre], number: 2}]}}\n"
    (project / "policy.yaml").write_text(text)
    done = gameday(project, "run", "experiments/evil.yaml", "--plain")
    assert done.returncode == 3 and "approval" in done.stderr
    assert not mark.exists()


# --- this machine ------------------------------------------------------------------------------


def checks(plan, project, policy=None, now=NOW):
    return {check.name: check for check in at_home(plan, project, policy or default_policy(), now)}


def test_a_calm_machine_is_ready(plan, project, monkeypatch):
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION", raising=False)
    found = checks(plan, project)
    assert {name: c.state for name, c in found.items() if name != "clock"} == dict.fromkeys(
        ("policy", "code", "leftovers", "disk", "credentials"), OK
    )
    refuse(found.values())


def test_a_clock_that_is_not_synchronised_warns_or_refuses(plan, project, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # no chronyc there
    assert checks(plan, project)["clock"].state == WARN
    strict = replace(default_policy(), environments=(("lab", Rules(synchronised_clock=True)),))
    bad = checks(plan, project, strict)
    assert bad["clock"].state == BAD
    with pytest.raises(Refused, match="clock: unsynchronised"):
        refuse(bad.values())
    waiver = Waiver("synchronised_clock", "", "", "no chrony in this lab", "a.chen", "2026-12-01")
    waived = checks(plan, project, replace(strict, waivers=(waiver,)))["clock"]
    assert waived.state == WARN and "waived by a.chen: no chrony in this lab" in waived.detail


def test_disk_space_is_wanted_tenfold(plan, project):
    assert history_bytes(plan) > 1 << 20
    hungry = tuple(
        Probe(f"p{n}", ProbeKind.TCP, '{"host":"127.0.0.1","port":1}', 1_000, 1_000) for n in range(1000)
    )
    found = checks(replace(plan, probes=hungry), project)["disk"]
    assert found.state == BAD and "MB free" in found.detail


def test_the_record_of_a_wait_that_only_the_policy_asks_for_needs_room_too(plan):
    live = Approval(("lead",), 1, tiers=(), author_may=False, live=True)
    asking = replace(default_policy(), environments=(("lab", Rules(approvals=(live,))),))
    slow = replace(plan, approvals=replace(plan.approvals, timeout_ns=100 * longest_ns(plan)))
    assert history_bytes(slow, default_policy()) == history_bytes(plan)
    assert history_bytes(slow, asking) > 100 * history_bytes(plan)


@pytest.mark.parametrize(
    ("value", "state"),
    [("", OK), ("2026-11-24T10:00:30Z", BAD), ("2026-11-25T10:00:00+00:00", OK), ("2026-11-25T10:00:00", OK),
     ("2026-11-24T09:00:00Z", BAD), ("tomorrow", BAD)],
)  # fmt: skip
def test_credentials_must_outlive_the_drill_and_its_undos(plan, project, monkeypatch, value, state):
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", value)
    assert checks(plan, project)["credentials"].state == state


def test_what_a_ledger_takes_from_the_environment_must_be_there(plan, project, monkeypatch):
    spec = '{"url":"redis://:${env.LEDGER_TEST_PW}@127.0.0.1:1/0"}'
    ledger = replace(plan.ledger, writer="redis", spec=spec, name="carts")
    changed = replace(plan, more_ledgers=(ledger,))
    monkeypatch.delenv("LEDGER_TEST_PW", raising=False)
    check = checks(changed, project)["ledger carts"]
    assert (check.state, check.detail) == (BAD, "the environment has no LEDGER_TEST_PW")
    monkeypatch.setenv("LEDGER_TEST_PW", "secret-7f3a")
    check = checks(changed, project)["ledger carts"]
    assert check.state == OK and "secret" not in check.detail


def test_credentials_must_outlive_the_wait_for_signatures_too(plan, project, monkeypatch):
    def state_of(expires):
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", expires.isoformat())
        asked = replace(plan, approvals=replace(plan.approvals, before_faults=needs))
        return checks(asked, project)["credentials"].state

    needs, enough = (), NOW
    while state_of(enough) == BAD:
        enough += timedelta(minutes=1)
    needs = (Requirement(live=True),)
    assert state_of(enough) == BAD
    assert state_of(enough + timedelta(seconds=plan.approvals.timeout_ns / 10**9)) == OK


@pytest.mark.parametrize(
    "name", ["json.py", "gameday/__init__.py", "chaoslib/__init__.py", "locust_plugin/x.txt"]
)
def test_files_that_stand_in_for_real_modules_are_refused(plan, tmp_path, name):
    project = make_project(tmp_path / "project")
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("")
    assert checks(plan, project)["code"].state == (OK if name.endswith(".txt") else BAD)


# --- leftovers ---------------------------------------------------------------------------------


def a_run(project, plan, events, *, name="20260101T000000Z-abc", runner=True, run_dir=None):
    folder = run_dir or project / "runs" / "primary-loss" / name
    if run_dir is None:
        (folder / "hosts").mkdir(parents=True)
    write_plan(folder, plan)
    history = HistoryWriter(folder, Roots(plan_digest(plan)))
    clock = RunClock()
    first = RunStarted(name, plan_digest(plan), str(clock.origin_boot_ns), boot_id(), "0", (), "t", "m")
    mine = HostStarted("runner", "runner", os.getpid(), start_ticks(os.getpid()) if runner else 1, boot_id())
    for event in (first, mine, PhaseChanged(Phase.RUNNING, "x"), *events):
        history.record(clock.now_ns(), utc_text(), "runner", event, sync=True, safe=False)
    history.close()
    return folder


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dead", "crashed, and still owes the undo of 1-primary-database-dies"),
        ("undoing", "crashed, and still owes the undo of 1-primary-database-dies"),
        ("stuck", "ended with its undo stuck: 1-primary-database-dies"),
        ("alive", ""),
        ("clean", ""),
        ("nothing done", ""),
        ("torn", "cannot be read"),
    ],
)
def test_leftovers_of_earlier_runs_are_found(plan, tmp_path, kind, said):
    project = make_project(tmp_path / "project")
    fault = next(step for step in plan.steps if step.kind is StepKind.FAULT)
    done = [StepStarted(fault.id), StepEnded(fault.id, Effect.HAPPENED, in_place=True)]
    events = {
        "dead": done,
        "alive": done,
        "torn": done,
        "nothing done": [],
        "undoing": [*done, UndoStarted(fault.id, "halt")],
        "stuck": [*done, RunEnded(Outcome.HALTED, (fault.id,), False)],
        "clean": [*done, RunEnded(Outcome.COMPLETED, (), False)],
    }[kind]
    folder = a_run(project, plan, events, runner=kind == "alive")
    if kind == "torn":
        (folder / "plan.json").write_text("{")
    found = leftovers(project)
    assert len(found) == bool(said)
    if said:
        assert said in found[0].reason and found[0].run.startswith("runs/primary-loss/2026")
        bad = checks(plan, project)["leftovers"]
        assert bad.state == BAD and f"gameday recover {found[0].run}" in bad.todo


def test_a_run_that_was_put_elsewhere_is_found_listed_and_owes_as_any(plan, tmp_path):
    project = make_project(tmp_path / "project")
    fault = next(step for step in plan.steps if step.kind is StepKind.FAULT)
    done = [StepStarted(fault.id), StepEnded(fault.id, Effect.HAPPENED, in_place=True)]
    places = [tmp_path / "a" / "out", tmp_path / "b" / "out", project / "runs" / "here", tmp_path / "latest"]
    folders = [make_run_folder(project, plan, place) for place in places]
    for folder in folders:
        a_run(project, plan, done, runner=False, run_dir=folder)
    assert folders == places and sorted(run.path for run in list_runs(project)) == sorted(places)
    assert {run.plan for run in list_runs(project)} == {"primary-loss"}
    owing = leftovers(project)
    assert len(owing) == 4 and "runs/primary-loss/out" in {left.run for left in owing}
    for left in owing:
        assert find_run(project, left.run) in places
    assert find_run(project, "out") == places[0] and find_run(project, "here") == places[2]
    last = max(list_runs(project), key=lambda run: run.started_utc).started_utc
    assert find_run(project, None) in {r.path for r in list_runs(project) if r.started_utc == last}
    shutil.rmtree(places[0])
    assert len(leftovers(project)) == 3
    again = make_run_folder(project, plan, places[0])
    assert (project / "runs" / "primary-loss" / "out").resolve() == again


def test_a_project_that_cannot_hold_a_link_is_no_reason_to_refuse(plan, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "runs").write_text("in the way")
    assert make_run_folder(tmp_path / "project", plan, tmp_path / "out").is_dir()


# --- armed: read-backs and monitoring ----------------------------------------------------------


def with_read_backs(plan, **answers):
    fault = next(step for step in plan.steps if step.kind is StepKind.FAULT)
    steps = []
    for name, argv in answers.items():
        provider = {"type": "process", "path": "/bin/sh", "arguments": ["-c", argv]}
        activity = Activity(name, json.dumps(provider), 5 * NS)
        steps.append(replace(fault, id=name, name=name, target=f"thing:{name}", in_place=activity))
    return replace(plan, steps=tuple(steps))


def test_a_fault_that_is_in_place_already_or_cannot_be_read_is_bad(plan, tmp_path):
    armed = with_read_backs(plan, absent="exit 1", there="exit 0", broken="exit 7")
    host = LookHost(armed, log_dir=tmp_path, configuration={})
    try:
        found = list(host.look())
    finally:
        host.close()
    assert [check.state for check in found] == [OK, BAD, BAD]
    assert "in place on thing:there already" in found[1].detail and "gameday recover" in found[1].todo
    assert "cannot be read back" in found[2].detail
    assert (tmp_path / "preflight.log").exists()


def test_monitoring_must_answer_and_named_probes_must_not_be_red(plan, tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/good" else 503)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    def probe(name, kind, spec, writes=False):
        return Probe(name, kind, json.dumps(spec), 100_000_000, 400_000_000, writes)

    probes = (
        probe("good", ProbeKind.HTTP, {"url": f"{url}/good", "method": "GET"}),
        probe("red", ProbeKind.HTTP, {"url": f"{url}/red", "method": "GET"}),
        probe("broken", ProbeKind.PROCESS, {"argv": ["/no/such/program"]}),
        probe("writer", ProbeKind.HTTP, {"url": f"{url}/good", "method": "GET"}, writes=True),
    )
    crew = ProbeCrew(probes, run="r", clock=RunClock(), inbox=new_inbox(), log_dir=tmp_path, configuration={})
    asked = replace(plan, probes=probes)
    try:
        calm = {c.name: c.state for c in monitoring(asked, crew, Rules())}
        strict = {c.name: c.state for c in monitoring(asked, crew, Rules(not_red=("red", "good")))}
    finally:
        crew.stop(1.0)
        server.shutdown()
        server.server_close()
    assert calm["probe good"] == OK and calm["probe red"] == WARN and calm["probe writer"] == SKIP
    assert calm["probe broken"] == BAD
    assert strict["probe red"] == BAD and strict["probe good"] == OK


# --- what may be touched -----------------------------------------------------------------------

IDENTITY = {
    "nodes": {"a": {"region": "a"}, "b": {"region": "b"}},
    "targets": {"proxy:users": {}, "proxy:link-a": {"region": "a", "node": "a"}},
}


def frozen(plan, labels=None, policy=None, **radius):
    asked = replace(plan, blast_radius=replace(plan.blast_radius, **radius))
    return freeze(asked, labels_of(IDENTITY) if labels is None else labels, policy or default_policy(), NOW)


def test_targets_are_resolved_once_with_what_is_left_alone_and_why(plan):
    reach = frozen(plan)
    assert reach.units == ("node:a",) and reach.population == 2
    assert dict(reach.excluded)["proxy:users"] == "outside the selector region=a: it has no label 'region'"
    assert dict(reach.excluded)["proxy:link-a"] == "no fault names it"


@pytest.mark.parametrize(
    ("radius", "error", "said"),
    [
        ({"select": (("region", "b"),)}, NotAuthorised, "node:a is outside the selector region=b: its region is 'a'"),
        ({"select": (("region", "z"),)}, TargetAbsent, "nothing matches blast_radius.select region=z"),
        ({"select": (("regio", "a"),)}, TargetAbsent, "nothing matches"),
        ({"protect": ("node:a",)}, NotAuthorised, "protected by the plan (node:a)"),
        ({"only": ("node:b",)}, NotAuthorised, "not on the plan's list of targets"),
        ({"max_of": 3}, NotAuthorised, "blast_radius.max is written for 3 targets, there are 2"),
        ({"max_targets": None, "max_of": None, "max_ppm": 400_000}, NotAuthorised, "(40%) allows 0"),
    ],
)  # fmt: skip
def test_what_is_outside_is_refused(plan, radius, error, said):
    with pytest.raises(error) as caught:
        frozen(plan, **radius)
    assert said in str(caught.value) and caught.value.exit_code == 3


def test_an_empty_target_is_refused(plan):
    with pytest.raises(TargetAbsent, match="nothing matches"):
        frozen(plan, labels={})
    with pytest.raises(NotAuthorised, match="there are 1"):
        frozen(plan, labels={}, select=())
    assert labels_of({"nodes": ["a", 3], "targets": "x"}) == {"node:a": {}, "node:3": {}}
    assert labels_of({"nodes": None, "targets": {"x:y": None}}) == {"x:y": {}}


def test_the_policys_caps_hold_at_arming_and_can_be_waived(plan):
    both = replace(plan, steps=(*plan.steps, replace(plan.steps[0], id="z", target="node:b", group=0)))
    wide = {"select": (), "max_targets": 2}
    assert len(frozen(both, **wide).units) == 2
    for rules, rule, said in (
        (Rules(cap="50%"), "targets", "the policy's `targets` (50%) allows 1"),
        (
            Rules(at_once=1),
            "at_once",
            "2 targets may be under fault at once (node:a, node:b), the policy allows 1",
        ),
        (Rules(protect=("node:b",)), "", "protected by the policy"),
    ):
        policy = replace(default_policy(), environments=(("lab", rules),))
        with pytest.raises(NotAuthorised) as caught:
            frozen(both, policy=policy, **wide)
        assert said in str(caught.value)
        if rule:
            waiver = Waiver(rule, "", "", "r", "b", (NOW + timedelta(days=1)).date().isoformat())
            assert frozen(both, policy=replace(policy, waivers=(waiver,)), **wide)
