"""How fast a saturated generator is, beside plain Locust with the same file and the same users.

Both at once, held to one core, which the kernel shares evenly between them: whatever else the machine does
hits both in the same instant. The file itself counts its requests, so neither tool's own figures are used.
In turn, each with a core to itself, stands below it: on a machine with other work that row scatters by a tenth.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.generators import generator, plain_locust, target

LEAST = 0.98
COUNTING = """
import time
import gevent
from locust import {user}, constant, events, task
ENDED = 0
class Caller({user}):
    wait_time = constant(0)
    @task
    def call(self):
        global ENDED
        self.client.get("/")
        ENDED += 1
def tell():
    with open({counts!r}, "w", buffering=1) as out:
        while True:
            out.write(f"{{time.perf_counter()}} {{time.process_time()}} {{ENDED}}\\n")
            gevent.sleep(0.1)
@events.init.add_listener
def begin(environment, **_):
    gevent.spawn(tell)
"""


class Plain:
    """Plain `locust --headless`, running."""

    def __init__(self, folder, url, user, users, seconds):
        self.counts = folder / "plain.counts"
        text = COUNTING.format(user=user, counts=str(self.counts))
        self._process = plain_locust(folder, text, url, seconds, users)
        self.pid = self._process.pid

    def end(self):
        self._process.communicate(timeout=60)


class Ours:
    """A generator of gameday's, running."""

    def __init__(self, folder, url, user, users):
        self.counts = folder / "ours.counts"
        self._users = users
        text = COUNTING.format(user=user, counts=str(self.counts))
        self._host = generator(folder, text, url, users=users)
        self._host.arm(60)
        self.pid = self._host.pid

    def start(self):
        self._host.start(None, self._users)

    def end(self):
        try:
            self._host.stop()
            time.sleep(0.3)
        finally:
            self._host.close()


def counts(path):
    """Return (instant in s, CPU in s, requests) as the file wrote them, from its first request to its last."""
    text = path.read_text() if path.exists() else ""
    rows = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    found = [(float(at), float(cpu), int(ended)) for at, cpu, ended in rows]
    live = [n for n in range(1, len(found)) if found[n][2] > found[n - 1][2]]
    return found[live[0] : live[-1] + 1] if live else []


def pace(rows, begin_s, end_s):
    """Return requests a second, and the CPU of one in µs, between two instants."""
    within = [row for row in rows if begin_s <= row[0] <= end_s]
    assert len(within) > 1, (
        "a generator was hardly run: give it a machine with less other work, or more seconds"
    )
    (first_s, first_cpu, before), (last_s, last_cpu, after) = within[0], within[-1]
    return (after - before) / (last_s - first_s), (last_cpu - first_cpu) / (after - before) * 1e6


def at_once(folder, url, user, users, seconds):
    """Return plain Locust's pace and ours while both run, held to one core."""
    place = Path(tempfile.mkdtemp(dir=folder))
    ours = Ours(place, url, user, users)
    theirs = Plain(place, url, user, users, seconds + 2)
    for pid in (ours.pid, theirs.pid):
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {min(os.sched_getaffinity(0))})
    give_up_s = time.monotonic() + 60
    while len(counts(theirs.counts)) < 2:
        assert time.monotonic() < give_up_s, "plain Locust sent nothing within a minute"
        time.sleep(0.05)
    ours.start()
    time.sleep(seconds)
    ours.end()
    theirs.end()
    rows = counts(theirs.counts), counts(ours.counts)
    begin_s, end_s = max(r[0][0] for r in rows) + 0.5, min(r[-1][0] for r in rows) - 0.2
    return tuple(pace(r, begin_s, end_s) for r in rows)


def in_turn(folder, url, user, users, seconds):
    """Return plain Locust's pace and ours, one after the other."""
    place = Path(tempfile.mkdtemp(dir=folder))
    theirs = Plain(place, url, user, users, seconds)
    theirs.end()
    ours = Ours(place, url, user, users)
    ours.start()
    time.sleep(seconds)
    ours.end()
    return tuple(pace(r, r[0][0] + 0.5, r[-1][0] - 0.2) for r in (counts(theirs.counts), counts(ours.counts)))


def rates(folder, seconds, users=50, rounds=5):
    """Return whether gameday reaches plain Locust's rate, for both clients, and lines that say so."""
    fine, lines = True, []
    with target(folder) as (url, _):
        for user in ("HttpUser", "FastHttpUser"):
            for how, run in (("at once", at_once), ("in turn", in_turn)):
                found = [run(folder, url, user, users, seconds) for _ in range(rounds)]
                ratios = [ours[0] / theirs[0] for theirs, ours in found]
                ratio = statistics.median(ratios)
                if run is at_once:
                    fine &= ratio >= LEAST
                theirs, ours = (statistics.median(one[side][0] for one in found) for side in (0, 1))
                their_us, our_us = (statistics.median(one[side][1] for one in found) for side in (0, 1))
                lines.append(
                    f"{user:12} {users} users, {how}: gameday {ours:5.0f}/s ({our_us:.0f} µs of CPU each), "
                    f"plain Locust {theirs:5.0f}/s ({their_us:.0f} µs): {ratio:.1%}"
                    f" (rounds {', '.join(f'{r:.1%}' for r in ratios)})"
                )
        lines += references(url, seconds, users)
    return fine, lines


def references(url, seconds, users):
    """Yield what tools in C and Go reach against the same target."""
    if shutil.which("wrk"):
        out = subprocess.run(
            ["wrk", "-t1", f"-c{users}", f"-d{seconds:g}s", f"{url}/"], capture_output=True, text=True
        ).stdout
        found = next(line.split()[1] for line in out.splitlines() if "Requests/sec" in line)
        yield f"{'wrk':13} {users} connections: {float(found):7.0f}/s"
    else:
        yield "wrk is not installed: no row of it (apt-get install wrk)"
    if shutil.which("ab"):
        out = subprocess.run(
            ["ab", "-q", "-k", "-c", str(users), "-t", f"{seconds:g}", "-n", "10000000", f"{url}/"],
            capture_output=True, text=True,
        ).stdout  # fmt: skip
        found = next((line.split()[3] for line in out.splitlines() if "Requests per second" in line), "nan")
        yield f"{'ab -k':13} {users} connections: {float(found):7.0f}/s"
    else:
        yield "ab is not installed: no row of it (apt-get install apache2-utils)"
    if not shutil.which("hey"):
        yield "hey is not installed: no row of it"
