"""`python -m gameday.lab up|down|status`: the lab's own command line.

Exit codes: 0 done; 2 bad usage; 3 the lab cannot be brought up, or is not up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gameday.lab.errors import LabError
from gameday.lab.state import MARK_FILE, default_folder, is_up, read_state, start_ticks
from gameday.lab.system import SYSTEMS

UP_TIMEOUT_S = 60.0
DOWN_TIMEOUT_S = 10.0


def main() -> int:
    """Parse the command line and carry it out."""
    parser = argparse.ArgumentParser(
        prog="gameday lab",
        description="The system under drill, on loopback.",
        epilog="example:\n  gameday lab up",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("do", type=_word, metavar="up|down|status", help="what to do with it")
    parser.add_argument("--dir", type=Path, default=None, help="the lab's one folder (.gameday/lab)")
    parser.add_argument("--port", type=_port, default=0, help="port of the users' path (any free one)")
    parser.add_argument(
        "--system", choices=SYSTEMS, default=None, help=f"which one to bring up ({SYSTEMS[0]})"
    )
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    asked = parser.parse_args()
    folder = (asked.dir or default_folder()).absolute()
    try:
        if asked.do == "supervise":
            from gameday.lab.supervisor import supervise  # noqa: PLC0415 - the heavy part

            return asyncio.run(supervise(folder, asked.port, asked.system or SYSTEMS[0]))
        if asked.do == "up":
            return up(folder, asked.port, asked.system, as_json=asked.json)
        return down(folder) if asked.do == "down" else status(folder, as_json=asked.json)
    except LabError as error:
        print(f"gameday lab: {error}", file=sys.stderr)
        return 3


def _word(text: str) -> str:
    """Check the first word; `supervise` is the lab's own and no news for a person."""
    if text not in ("up", "down", "status", "supervise"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected up, down or status")
    return text


def _port(text: str) -> int:
    """Return a port number."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a port from 1 to 65535, or 0 for any free one")
    return int(text)


def up(folder: Path, port: int, kind: str | None, *, as_json: bool) -> int:
    """Bring the lab up, or join the one that is up."""
    _claim(folder)
    with (folder / MARK_FILE).open("r+") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another `lab up` is at work in {folder}: wait for it") from None
        state = read_state(folder)
        if is_up(state) and state is not None:
            other = state.get("system", SYSTEMS[0])
            if kind not in (None, other):
                raise LabError(f"a lab is up here, with system {other}: `gameday lab down` first")
            _tell(state, "the lab is up already, this joins it:", as_json=as_json)
            return 0
        _sweep(folder)
        _start(folder, port, kind or SYSTEMS[0])
    state = read_state(folder)
    assert state is not None
    _tell(state, "the lab is up:", as_json=as_json)
    return 0


def _claim(folder: Path) -> None:
    """Make the folder, or make sure that it is ours: everything in it may be removed."""
    if folder.is_symlink():
        raise LabError(f"{folder} is a link: name a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK_FILE).exists():
        raise LabError(f"{folder} holds other things: name an empty folder with --dir")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MARK_FILE).touch()


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == MARK_FILE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _start(folder: Path, port: int, kind: str) -> None:
    log = (folder / "supervisor.log").open("ab")
    command = [sys.executable, "-m", "gameday.lab", "supervise", "--dir", str(folder), "--port", str(port)]
    command += ["--system", kind]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    log.close()
    assert child.stdout is not None
    line = child.stdout.readline().decode(errors="replace").strip()
    child.stdout.close()
    if line == "up":
        return
    child.kill()
    child.wait()
    words = (folder / "supervisor.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = line.removeprefix("error: ") or (words[-1] if words else "it ended without a word")
    shutil.rmtree(folder, ignore_errors=True)
    raise LabError(reason)


def down(folder: Path) -> int:
    """End the lab and remove its folder. Ending one that is not up is harmless."""
    if not (folder / MARK_FILE).exists():
        print("no lab is up")
        return 0
    state = read_state(folder)
    if state is not None and is_up(state):
        _end(int(state["pid"]), int(state["start_ticks"]))
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    print("the lab is down, nothing is left behind")
    return 0


def _end(pid: int, ticks: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if start_ticks(pid) != ticks:
            return
        os.kill(pid, number)
        give_up_s = time.monotonic() + DOWN_TIMEOUT_S
        while start_ticks(pid) == ticks and time.monotonic() < give_up_s:
            time.sleep(0.02)


def status(folder: Path, *, as_json: bool) -> int:
    """Say how the lab stands."""
    state = read_state(folder)
    if state is None or not is_up(state):
        raise LabError("the lab is not up: start it with `gameday lab up`")
    request = urllib.request.Request(  # noqa: S310 - loopback, from our own file
        f"{state['control']}/state", headers={"Authorization": f"Bearer {state['token']}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            found = json.load(reply)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise LabError(f"the lab does not answer: {error}") from None
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    print(
        "the lab is whole" if found["whole"] else "the lab is NOT whole: " + "; ".join(found["why_not_whole"])
    )
    for name, node in found["nodes"].items():
        marks = [node["role"]]
        marks += ["fenced"] if node.get("fenced") else []
        marks += ["streaming"] if node.get("streaming") else []
        print(f"  node {name}      {', '.join(marks)}")
    print(f"  users' path to {found['users_path']}, at {state['url']}")
    if "sync" in found:
        print(f"  replication {'synchronous (remote_apply)' if found['sync'] else 'asynchronous'}")
    return 0


def _tell(state: dict[str, Any], title: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({key: value for key, value in state.items() if key not in ("token", "nodes")}))
        return
    print(f"{title} orders at {state['url']}, proxies at {state['toxiproxy']}")


if __name__ == "__main__":
    sys.exit(main())
