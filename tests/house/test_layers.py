"""Rooms import only from lower layers, pure rooms stay pure, heavy imports stay in their hosts."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "gameday").rglob("*.py"))
LAYER = {
    "errors": 0, "canonical": 0.5, "procfs": 0.5, "capacity": 0.5, "plan": 1, "history": 1, "engine": 2, "checkers": 2, "hosts": 3, "evidence": 3,
    "actions": 3, "runner": 4, "chaostoolkit": 4.5, "console": 5, "cli": 6,
}  # fmt: skip
ALONE = {"lab", "verify"}
PURE = {"engine", "checkers", "capacity"}
ACTS = {
    "os",
    "time",
    "socket",
    "subprocess",
    "threading",
    "random",
    "http",
    "urllib",
    "asyncio",
    "pathlib",
    "httpx",
}
ONLY_IN = {
    # The second line is imported by `chaos` itself, or plays its rollbacks after it.
    "chaoslib": {
        *(f"hosts/{name}.py" for name in ("actionhost", "experimenthost", "experimentrun")),
        *(f"chaostoolkit/{name}.py" for name in ("discovery", "link", "rollback", "telling")),
    },
    "locust": {
        "hosts/loadhost.py",
        "hosts/loadclients.py",
        "hosts/loadstats.py",
        "hosts/loadusers.py",
        "hosts/loadworker.py",
    },
    "gevent": {
        "hosts/loadhost.py",
        "hosts/loadgate.py",
        "hosts/loadclients.py",
        "hosts/loaddeadlines.py",
        "hosts/loadusers.py",
        "hosts/loadguard.py",
        "hosts/loadmaster.py",
        "hosts/loadworker.py",
    },
    "boto3": {"hosts/sink.py", "hosts/objecthost.py", "hosts/s3store.py", "actions/aws/session.py"},
    "cryptography": {"evidence/signer.py"},
    "redis": {"hosts/redisstore.py", "lab/kvorders.py", "lab/sentinel.py"},
    "rfc3161_client": {"hosts/timestamp.py"},
    "fastapi": {"console/web/app.py"},
    "starlette": {"console/web/app.py"},
    "uvicorn": {"console/web/serve.py"},
    "sqlalchemy": {"hosts/sqlstore.py"},
    "kubernetes": {"actions/kubeapi.py"},
    "apprise": {"hosts/notifier.py"},
    "chaosk8s": {f"actions/{name}.py" for name in ("kubeapi", "kubernetes", "kubenet")},
}
ENTRIES = {
    "gameday.hosts.actionhost", "gameday.hosts.ledgerhost", "gameday.hosts.loadhost", "gameday.runner.watchdog",
    "gameday.evidence.signer", "gameday.hosts.timestamp", "gameday.hosts.sink", "gameday.hosts.objecthost",
    "gameday.chaostoolkit.__main__", "gameday.hosts.notifier", "gameday.console.notices",
}  # fmt: skip


def name_of(path):
    return path.relative_to(ROOT / "gameday").as_posix()


def room_of(path):
    return name_of(path).split("/")[0].removesuffix(".py")


@cache
def imports(path):
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_from_lower_layers(path):
    room = room_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "gameday" or len(parts) < 2:
            continue
        other = parts[1]
        if room in ALONE:
            assert other == room, f"{room} stands alone, yet imports {name}"
        elif room not in ("__init__", "__main__") and other in LAYER:
            assert other == room or LAYER[other] < LAYER[room], (
                f"{name_of(path)} imports {name}: not a lower layer"
            )
        assert other not in ALONE or other == room, f"nobody imports {other}: it is run as a program"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in PURE], ids=name_of)
def test_pure_rooms_touch_nothing(path):
    for name in imports(path):
        assert name.split(".")[0] not in ACTS, f"{name_of(path)} is pure, yet imports {name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_stay_in_their_hosts(path):
    for name in imports(path):
        top = name.split(".")[0]
        if top in ONLY_IN and room_of(path) not in ALONE:
            assert name_of(path) in ONLY_IN[top], f"only {ONLY_IN[top] or 'nobody'} may import {top}"
        assert name not in ENTRIES, f"{name} is the entry of a process: nobody imports it"


VERIFIER = sorted((ROOT / "gameday" / "verify").glob("*.py"))


@pytest.mark.parametrize("path", VERIFIER, ids=name_of)
def test_the_verifier_stands_on_little_and_works_under_another_name(path):
    """The standard library, cryptography and rfc3161-client; its own modules by relative imports only."""
    allowed = set(sys.stdlib_module_names) | {"cryptography", "rfc3161_client"}
    offline = {"socket", "ssl", "http", "urllib", "subprocess", "asyncio", "ctypes"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.partition(".")[0]
            assert top in allowed - offline, f"the verifier imports {name}"


@pytest.mark.parametrize(
    "module", ["gameday.runner.watchdog", "gameday.console.__main__", "gameday.cli.main"]
)
def test_what_must_start_quickly_imports_nothing_heavy(module):
    code = f"import {module}, sys; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in out.stdout.split()}
    assert not loaded & {"pydantic", "jinja2", "rich", "chaoslib", "locust", "kubernetes", "boto3", "psycopg"}
    assert not loaded & {"cryptography", "rfc3161_client"}


@pytest.mark.parametrize("words", [["--help"], ["validate", "experiments/primary-loss.yaml"]], ids=" ".join)
def test_looking_at_a_plan_imports_no_tool_that_drills_with_it(words):
    code = "import sys; from gameday.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print('=', *sorted(sys.modules))"
    argv = [sys.executable, "-c", code, *words]
    out = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    said, _, modules = out.rpartition("= ")
    assert "usage" in said or "sound" in said
    loaded = {name.partition(".")[0] for name in modules.split()}
    heavy = {
        "kubernetes",
        "boto3",
        "botocore",
        "locust",
        "gevent",
        "chaoslib",
        "jinja2",
        "rich",
        "cryptography",
    }
    assert not loaded & heavy
    assert not loaded & {"opentelemetry", "google", "urllib3", "requests", "psycopg", "sqlalchemy", "redis"}
    ours = {name.removeprefix("gameday.") for name in modules.split() if name.startswith("gameday.")}
    if words == ["--help"]:
        assert not loaded & {"pydantic", "yaml", "dataclasses", "inspect", "traceback"}
        assert {name.partition(".")[0] for name in ours} == {"cli", "errors"}
    else:
        assert {name.partition(".")[0] for name in ours} <= {"cli", "errors", "canonical", "capacity", "plan"}
        assert not ours & {
            f"plan.{name}" for name in ("policy", "policyfile", "experiment", "sloimport", "permit")
        }
