"""Schemathesis over the OpenAPI of a real console: whatever is sent, it is never the server's own fault."""

from __future__ import annotations

import queue
import re
import subprocess
import sys

import httpx
import pytest

from gameday.hosts.clock import RunClock
from gameday.runner.control import ControlSocket
from gameday.runner.desk import Desk
from tests.browser.console import ConsoleProcess
from tests.golden import unpack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
STREAM = "/api/stream"  # It has no end; `tests/web` asks for it with wild ids.


@pytest.fixture
def console(lane, tmp_path):
    run_dir = unpack("primary-loss", tmp_path / "run")
    inbox = queue.SimpleQueue()
    socket = ControlSocket(run_dir, RunClock(), inbox, Desk(RunClock(), inbox))
    found = ConsoleProcess(tmp_path, str(run_dir))
    yield found
    found.kill()
    socket.close()


def test_no_request_makes_the_server_fail(console):
    entered = httpx.get(console.link)
    cookie = entered.headers["set-cookie"].partition(";")[0]
    words = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{console.url}/api/openapi.json",
        "-H", f"Cookie: {cookie}", "-H", f"Origin: {console.url}", "-H", "X-Gameday-Console: 1",
        "--checks", "not_a_server_error", "--max-examples", "60", "--request-timeout", "20",
        "--exclude-path", STREAM,
    ]  # fmt: skip
    most = subprocess.run([*words, "--exclude-path", "/api/leave"], capture_output=True, text=True)
    print(most.stdout[-1500:])
    assert most.returncode == 0, most.stdout[-6000:] + most.stderr
    tested = int(re.search(r"Operations:\s+(\d+) selected", most.stdout)[1])
    assert tested >= 6, most.stdout
    assert httpx.get(f"{console.url}/api/story", headers={"cookie": cookie}).status_code == 200
    leaving = subprocess.run([*words, "--include-path", "/api/leave"], capture_output=True, text=True)
    assert leaving.returncode == 0, leaving.stdout[-3000:] + leaving.stderr
    assert httpx.get(f"{console.url}/api/story", headers={"cookie": cookie}).status_code == 401
