"""Twenty secrets, placed wherever a drill can meet one: none in any file of the run folder or the bundle."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from urllib.parse import quote

import pytest

from gameday.errors import PlanError, TargetAbsent
from gameday.history.events import Noted, Reading, Sample, StepEnded, Effect
from gameday.history.redact import MARK, Redactor
from gameday.history.read import read_trace
from gameday.history.codec import Roots
from gameday.history.store import HistoryWriter
from gameday.hosts.secretvalues import from_environment, redactor, sweep
from gameday.plan.load import load_plan
from tests.drills import ROOT, Run
from tests.evidence import synthetic

COUNT = 20
CANARY = {n: f'cAnary/{n:02d}+Zq"x&{n * 7919}' for n in range(1, COUNT + 1)}

ACTIONS = '''
import base64, os, subprocess, sys

def leak(password="", configuration=None):
    """Says it in every way in which a program can say something."""
    open("leaking", "w").close()
    print("stdout", password, flush=True)
    sys.stderr.write("stderr " + password + "\\n")
    os.write(2, ("raw " + os.environ["LEAKY_SECRET"] + "\\n").encode())
    subprocess.run([sys.executable, "-c", "import os, sys; print(os.environ['CHILD_TOKEN'], file=sys.stderr)"])
    print("Authorization: Basic", base64.b64encode(("user:" + os.environ["BASIC_PASSWORD"]).encode()).decode())
    return {"connected": "with " + password}

def fail(dsn=""):
    try:
        raise ValueError("the driver says: " + dsn)
    except ValueError as error:
        raise RuntimeError("cannot connect as " + os.environ["RUNTIME_API_KEY"]) from error

def undo(credential=""):
    print("undoing with", credential)
    os.path.exists("leaking") and os.unlink("leaking")

def undo_badly(credential=""):
    raise RuntimeError("refused: " + credential)

def there():
    return os.path.exists("leaking")

def gone():
    return False

def probe(said=""):
    if os.path.exists("leaking"):
        raise RuntimeError("probe failed: " + said)
    return True
'''

PLAN = """
title: "Leaky"
hypothesis: A basic authentication, and no bearer of it leaks a password.
kind: game-day
service: orders
author: r.ito
target: {environment: lab, identity: {http: "${lab.url}/identity?token=${env.V1}"}}
load:
  - {profile: loadprofiles/leaky.py, rate: 20/s, host: "${lab.url}"}
probes:
  userinfo: {http: {url: "http://user:${env.V2}@127.0.0.1:9/x?api_key=${env.V3}"}, every: 200ms, timeout: 100ms}
  header:
    http:
      url: "${lab.url}/orders"
      method: POST
      headers: {authorization: "Bearer ${env.V4}"}
      body: {item: probe, quantity: 1, marker: "${run}", password: "${env.V5}"}
    writes: synthetic
    every: 100ms
    timeout: 400ms
  program: {process: {argv: [sh, -c, "echo $0 >&2; exit 1", "${env.V6}"]}, every: 500ms, timeout: 400ms}
  database: {sql: {dsn: "${env.V7}", query: "select 1"}, every: 500ms, timeout: 400ms}
  own: {activity: {provider: {type: python, module: leaky, func: probe, arguments: {said: "${env.V8}"}}}, every: 500ms, timeout: 400ms}
slos:
  availability: {probe: header, objective: 50%, window: 1s}
steady_state: {slos: [availability], baseline: 1s, stabilise: 1s}
stop_conditions:
  - {silence: 20s, then: halt}
blast_radius: {max: "1", duration: 1m}
steps:
  - fault: it leaks
    do: {provider: {type: python, module: leaky, func: leak, arguments: {password: "${env.V9}"}}}
    undo: {provider: {type: python, module: leaky, func: undo, arguments: {credential: "${env.V10}"}}}
    in_place: {provider: {type: python, module: leaky, func: there}}
    ttl: 20s
    target: "proxy:users"
  - hold: 1s
  - fault: it fails
    do: {provider: {type: python, module: leaky, func: fail, arguments: {dsn: "${env.V11}"}}}
    undo: {provider: {type: python, module: leaky, func: undo_badly, arguments: {credential: "${env.V12}"}}}
    in_place: {provider: {type: python, module: leaky, func: gone}}
    ttl: 20s
    target: "proxy:users"
"""

PROFILE = """
import os, sys
from locust import HttpUser, task, constant
print("profile", os.environ["PROFILE_PASSWORD"], file=sys.stderr, flush=True)

class User(HttpUser):
    wait_time = constant(0)

    @task
    def go(self):
        self.client.get("/payments/health?signature=" + os.environ["SIGNING_KEY"])
        raise RuntimeError("load: " + os.environ["LOAD_SECRET"])
"""


def environment():
    named = {f"V{n}": CANARY[n] for n in range(1, 13)}
    named["V2"] = quote(CANARY[2], safe="")
    named["V7"] = f"postgresql://user:{quote(CANARY[7], safe='')}@127.0.0.1:9/db"
    by_name = ("LEAKY_SECRET", "CHILD_TOKEN", "BASIC_PASSWORD", "RUNTIME_API_KEY", "LOAD_SECRET", "SIGNING_KEY",
               "NOTE_TOKEN", "PROFILE_PASSWORD")  # fmt: skip
    named |= {name: CANARY[n] for n, name in enumerate(by_name, start=13)}
    assert len(named) == COUNT
    return named


def forms(value):
    """How a secret may look; base64 wherever it may begin in what is coded."""
    yield from (value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1])
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + value.encode()).decode()
        yield coded[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]


@pytest.mark.slow
def test_no_canary_reaches_a_file(lab, tmp_path):
    for part in ("experiments", "loadprofiles"):
        (tmp_path / part).mkdir()
    (tmp_path / "experiments" / "leaky.yaml").write_text(PLAN)
    (tmp_path / "leaky.py").write_text(ACTIONS)
    (tmp_path / "loadprofiles" / "leaky.py").write_text(PROFILE)
    env = environment()
    run = Run(tmp_path, "leaky", env=env)
    run.wait_for(lambda kind, data: kind == "StepStarted")
    words = [sys.executable, "-m", "gameday", "note", f"the pager says {env['NOTE_TOKEN']}", str(run.folder)]
    here = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": str(ROOT), **env},
        "capture_output": True,
        "text": True,
    }
    noted = subprocess.run(words, **here)
    assert noted.returncode == 0, noted.stderr
    code, out = run.end()
    assert any(kind == "UndoEnded" for kind, _ in run.kinds()), out
    sealed = subprocess.run([sys.executable, "-m", "gameday", "seal", str(run.folder)], **here)
    assert sealed.returncode == 0, sealed.stderr
    files = [path for path in [*run.folder.rglob("*"), *(tmp_path / "register").rglob("*")] if path.is_file()]
    assert len(files) > 25 and (run.folder / "bundle" / "manifest.json") in files
    found = []
    for path in files:
        data = path.read_bytes().decode(errors="replace")
        found += [
            (n, str(path.relative_to(tmp_path)))
            for n, v in CANARY.items()
            if any(f in data for f in forms(v))
        ]
    assert not found
    # And they were met: what was said stands there without them.
    history = (run.folder / "history.jsonl").read_text()
    assert "cannot connect as ***" in history and f"the pager says {MARK}" in history
    assert f"probe failed: {MARK}" in (run.folder / "segments" / "samples.jsonl").read_text()
    logs = "".join(
        path.read_text(errors="replace") for path in (run.folder / "hosts").rglob("*") if path.is_file()
    )
    for said in (f"stderr {MARK}", f"raw {MARK}", f"profile {MARK}"):
        assert said in logs, logs
    assert not read_trace(run.folder).faults
    manifest = json.loads((run.folder / "bundle" / "manifest.json").read_bytes())
    assert {item["path"] for item in manifest["redactions"]} >= {"history.jsonl"}


def test_a_secret_is_found_in_each_of_its_forms():
    secret = CANARY[3]
    redact = Redactor([secret])
    for form in forms(secret):
        assert redact.text(f"a {form} b") == f"a {MARK} b" or MARK in redact.text(f"a {form} b"), form
        assert form not in redact.text(f"a {form} b")
    coded = base64.b64encode(f"user:{secret}".encode()).decode()
    assert MARK in redact.text(coded) and secret not in redact.text(coded)
    assert not Redactor(["abc"]).is_in(b"abc") and Redactor().text(secret) == secret


def test_the_history_holds_no_secret_and_reads_back(tmp_path):
    secret = CANARY[5]
    writer = HistoryWriter(tmp_path, Roots("0" * 64), Redactor([secret]))
    writer.record(0, "now", "runner", Noted("me", "", f"it said {secret}"), sync=True)
    writer.record(1, "now", "runner", StepEnded("1-s", Effect.HAPPENED, detail=secret), sync=True)
    writer.keep(Sample("p", 1, 2, Reading.BAD, f"401 for {secret}"))
    writer.close()
    trace = read_trace(tmp_path)
    assert [r.event.text if isinstance(r.event, Noted) else r.event.detail for r in trace.records] == [
        f"it said {MARK}",
        MARK,
    ]
    assert trace.samples[0].detail == f"401 for {MARK}" and trace.samples[0].reading is Reading.BAD


def test_which_values_are_secret():
    plan = synthetic.make_plan()
    plan = replace(plan, target=replace(plan.target, identity_url="http://x/?token=${env.MY_VALUE}"))
    with pytest.raises(TargetAbsent, match="MY_VALUE is not set"):
        from_environment(plan, {})
    values = from_environment(plan, {"MY_VALUE": "postgresql://u:p%40ssw0rd@h/db?sslkey=kkkkkk1"})
    assert list(values) == ["env.MY_VALUE"]
    names = {
        "API_TOKEN": "tok-123456",
        "TOKEN_FILE": "/var/run/token",
        "HOME": "/home/somebody",
        "A_KEY": "short",
    }
    redact = redactor(values, names)
    for text in ("p%40ssw0rd", "p@ssw0rd", "kkkkkk1", "tok-123456"):
        assert MARK in redact.text(f"x{text}y")
    for text in ("/var/run/token", "/home/somebody", "short"):
        assert redact.text(text) == text


def test_logs_are_swept_and_links_left_alone(tmp_path):
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "a.log").write_text(f"says {CANARY[1]} twice {CANARY[1]}")
    (tmp_path / "outside").write_text(CANARY[1])
    (tmp_path / "hosts" / "link").symlink_to(tmp_path / "outside")
    sweep(tmp_path / "hosts", Redactor([CANARY[1]]))
    assert (tmp_path / "hosts" / "a.log").read_text() == f"says {MARK} twice {MARK}"
    assert (tmp_path / "outside").read_text() == CANARY[1]
    assert sorted(path.name for path in (tmp_path / "hosts").iterdir()) == ["a.log", "link"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Bearer ${env.V4}"', '"Bearer hunter2hunter2"'),
        ('password: "${env.V5}"', 'password: "hunter2hunter2"'),
        ("http://user:${env.V2}@", "http://user:hunter2hunter2@"),
        ("api_key=${env.V3}", "api_key=hunter2hunter2"),
        ('dsn: "${env.V7}"', 'dsn: "host=h password=hunter2hunter2"'),
        ('credential: "${env.V10}"', 'credential: "hunter2hunter2"'),
        ('"${env.V6}"', '"Authorization: Bearer hunter2hunter2"'),
    ],
)
def test_a_secret_in_the_plan_itself_is_refused_without_being_said(tmp_path, old, new):
    for part in ("experiments", "loadprofiles"):
        (tmp_path / part).mkdir()
    (tmp_path / "loadprofiles" / "leaky.py").write_text(PROFILE)
    path = tmp_path / "experiments" / "leaky.yaml"
    path.write_text(PLAN)
    load_plan(path)
    assert PLAN.count(old) == 1
    path.write_text(PLAN.replace(old, new))
    with pytest.raises(PlanError, match="holds a secret") as caught:
        load_plan(path)
    [problem] = caught.value.problems
    assert problem.line == PLAN.replace(old, new).split("hunter2")[0].count("\n") + 1
    assert "hunter2" not in str(caught.value) and re.search(r"\$\{env\.NAME\}", str(caught.value))
