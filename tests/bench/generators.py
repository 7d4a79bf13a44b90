"""What the load benches share: a target in C, and gameday's and plain Locust's generators against it."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from gameday.history.events import LoadBucket
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.plan.model import Load

SOURCE = Path(__file__).with_name("truthserver.c")


@contextmanager
def target(folder, base_us=0, *stalls):
    """Run the C target; yield its port and, once stopped, the file of its records."""
    program = folder / "truthserver"
    if not program.exists():
        subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    records = folder / "records.txt"
    records.unlink(missing_ok=True)
    server = subprocess.Popen(
        [str(program), str(records), str(base_us), *stalls], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    port = int(server.stdout.readline())

    def stop():
        if server.poll() is None:
            server.stdin.close()
            server.wait(30)
        rows = [tuple(map(int, line.split())) for line in records.read_text().splitlines()]
        return {number: (arrived, answered) for number, arrived, answered in rows}

    try:
        yield f"http://127.0.0.1:{port}", stop
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def generator(place, profile, url, inbox=None, **load):
    """Return a generator of gameday's for a profile, not yet armed; its slices go into the inbox."""
    (place / "profile.py").write_text(profile)
    sha256 = hashlib.sha256(profile.encode()).hexdigest()
    plan = Load("bench", "profile.py", sha256, host=url, **load)
    inbox = new_inbox() if inbox is None else inbox
    return LoadHost(plan, project=place, folder=place / "load", clock=RunClock(), inbox=inbox)


def gameday(folder, profile, url, seconds, settle_s=1.0, drain_s=0.0, **load):
    """Return the buckets of `seconds` of load, after `settle_s`, and of `drain_s` after it was stopped."""
    inbox = new_inbox()
    rate_per_1000s, users = load.get("rate_per_1000s"), load.get("users")
    host = generator(Path(tempfile.mkdtemp(dir=folder)), profile, url, inbox, **load)
    try:
        host.arm(60)
        host.start(rate_per_1000s, users)
        time.sleep(settle_s + seconds)
        if drain_s and rate_per_1000s:
            host.change(1, None)  # One in a thousand seconds: no more come, and those on their way end.
            time.sleep(drain_s)
        host.stop()
        time.sleep(0.3)
    finally:
        host.close()
    found = []
    while True:
        try:
            item = inbox.get_nowait()[1]
        except queue.Empty:
            break
        if isinstance(item, LoadBucket):
            found.append(item)
    return found


def plain_locust(place, profile, url, seconds, users):
    """Start plain Locust with a profile; what it says of itself at its end comes on stdout, in JSON."""
    (place / "plain.py").write_text(profile)
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", "plain.py", "--headless", "--json", "--loglevel", "ERROR",
         "--users", str(users), "--spawn-rate", str(users), "--host", url, "--run-time", f"{seconds:g}s"],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")},
    )  # fmt: skip


def plain(folder, profile, url, seconds, users):
    """Return what plain Locust says of itself after `seconds`."""
    with plain_locust(Path(tempfile.mkdtemp(dir=folder)), profile, url, seconds, users) as process:
        out = process.communicate(timeout=seconds + 60)[0]
    rows = json.loads(out[out.index("[") :])
    return next(row for row in rows if row["name"] in ("/", "/r"))
