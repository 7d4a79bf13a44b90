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
PLAIN = (sys.executable, "-m", "locust", "--headless", "--json", "--loglevel", "ERROR")


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


def gameday(folder, profile, url, seconds, settle_s=1.0, drain_s=0.0, **load):
    """Return the buckets of `seconds` of load, after `settle_s`, and of `drain_s` after it was stopped."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "profile.py").write_text(profile)
    sha256 = hashlib.sha256(profile.encode()).hexdigest()
    inbox, clock = new_inbox(), RunClock()
    plan = Load("bench", "profile.py", sha256, host=url, **load)
    host = LoadHost(plan, project=place, folder=place / "load", clock=clock, inbox=inbox)
    try:
        host.arm(60)
        host.start(plan.rate_per_1000s, plan.users)
        time.sleep(settle_s + seconds)
        if drain_s and plan.rate_per_1000s:
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


def plain(folder, profile, url, seconds, users):
    """Return what plain Locust says of itself after `seconds`."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "profile.py").write_text(profile)
    out = subprocess.run(
        [*PLAIN, "-f", "profile.py", "--users", str(users), "--host", url,
         "--spawn-rate", str(users), "--run-time", f"{seconds:g}s"],
        cwd=place, capture_output=True, text=True, timeout=seconds + 60,
        env={k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")},
    ).stdout  # fmt: skip
    rows = json.loads(out[out.index("[") :])
    return next(row for row in rows if row["name"] in ("/", "/r"))
