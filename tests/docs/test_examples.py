"""Every command's own example, typed as `--help` and the reference show it, in one project and in this order.

A real lab, a real drill, a real key. Where an example needs somebody else (a running drill, an auditor's trust
file, a channel), it is typed all the same, and what it says then is looked at.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from gameday.cli.help_texts import COMMANDS
from tests.drills import ROOT
from tests.people.keys import People

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# What each ends with, and a word of what it says. Those that are not here end with 0.
ENDS = {
    "notify": (3, "names no channel"),
    "done": (3, "no drill is running"),
    "failed": (3, "no drill is running"),
    "halt": (3, "no drill is running"),
    "note": (3, "no drill is running"),
    "mark": (3, "no drill is running"),
    "approve": (3, "asks for no approval beforehand"),
    "recover": (3, "nothing is left to undo"),
    "readiness": (1, "NOT READY"),
    "register": (2, "20261124T201500Z"),
    "verify": (4, "recomputation  pass"),  # No time stamps: unknown, never a pass.
}
SERVERS = ("console", "publish")  # They stay until they are interrupted.
FIRST = ("init", "lab", "run", "validate", "drill")
LAST = ("lever",)  # Engaged, it refuses what comes after.


def order():
    middle = [name for name in COMMANDS if name not in (*FIRST, *LAST)]
    return (*FIRST, *middle, *LAST)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    work = tmp_path_factory.mktemp("work")
    env = {
        **os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": f"{work}/bin:{os.environ['PATH']}",
        "GAMEDAY_KEY": str(home / "runner.key"),
    }  # fmt: skip
    env.pop("GAMEDAY_LAB_DIR", None)
    (work / "bin").mkdir()
    program = work / "bin" / "gameday"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gameday "$@"\n')
    program.chmod(0o755)
    yield work, env, home
    subprocess.run(["gameday", "lab", "down"], cwd=work / "my-drills", env=env, capture_output=True)


def test_every_example_does_what_its_help_promises(shell):
    work, env, home = shell
    project = work / "my-drills"
    took, wrong = {}, []
    for name in order():
        example = COMMANDS[name].example
        folder = work if name == "init" else project
        if name == "approve":
            sign_as_a_chen(home, project)
        if name == "verify":
            (project / "trust.yaml").write_text(f"runners: [{home / 'runner.pub'}]\n")
        if name == "load":
            log = work / "access.log"
            log.write_text('1.2.3.4 - - [24/Nov/2026:20:15:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n' * 50)
            example = example.replace("/var/log/nginx/access.log", str(log))
        began = time.monotonic()
        code, said = typed(example, folder, env, stays=name in SERVERS)
        took[name] = time.monotonic() - began
        expected, word = ENDS.get(name, (0, ""))
        if code != expected or word not in said or "Traceback" in said:
            wrong.append(
                f"$ {example}\n  ended with {code}, expected {expected} and {word!r}:\n{said[-1200:]}"
            )
    assert not wrong, "\n\n".join(wrong)
    print(f"{len(took)} examples, {sum(took.values()):.0f} s")


def typed(example, folder, env, *, stays):
    process = subprocess.Popen(
        ["bash", "-c", f"exec {example}" if stays else example], cwd=folder, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    if stays:
        time.sleep(4)
        assert process.poll() is None, process.communicate()[0]
        os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def sign_as_a_chen(home, project):
    """A key of their own where ssh-keygen looks for it, and in the list of who may sign."""
    people = People(home / "people", project)
    (home / ".ssh").mkdir()
    for end in ("", ".pub"):
        key = people.key("a.chen")
        (home / ".ssh" / f"id_ed25519{end}").write_bytes(key.with_name(f"{key.name}{end}").read_bytes())
    signers = project / "approvals" / "allowed_signers"
    signers.write_text(signers.read_text().replace("gameday-approval", "gameday-approval,gameday-signoff"))
    (home / ".ssh" / "id_ed25519").chmod(0o600)
