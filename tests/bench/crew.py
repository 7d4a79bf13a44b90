"""A load of several generators when one dies, and when the runner does: python -m tests.bench.crew

Two machines' worth of workers come to a master on 127.0.0.2 (a load of 60 requests/s or 8 users against a
shop that writes down each arrival). Printed: how long until a death was said, how much of the asked load
was offered all the same, and when the shop saw the last request after runner or master had died.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.hosts.generators import Rig, after_death, free_bind, watched_shop, workers

RATE = 60_000
WATCHED_S = 12.0
SAID_MAX_S, LAST_MAX_S = 5.0, 2.0


def one_lost(folder: Path, target, *, count: int, how: signal.Signals, remote: bool) -> bool:
    """Kill or stop one of `count` generators, and print what came of it."""
    bind = free_bind() if remote else ""
    rig = Rig(folder, target.url, rate_per_1000s=RATE, processes=1 if remote else count,
              workers=count if remote else 0, bind=bind)  # fmt: skip
    with workers(count if remote else 0, bind, rig.profile) as others:
        rig.crew.arm(60)
        try:
            rig.crew.start(RATE, None)
            begin_ns = rig.clock.now_ns()
            clocks = rig.reported("running")[1].partition("clocks ")[2]
            before = rig.steady(20, range(count))
            pid = others[0].pid if remote else next(host.pid for _, host in rig.crew.hosts())
            killed_s = rig.now_s()
            os.kill(pid, how)
            said_s, _ = rig.reported("short")
            taken_s, _ = rig.reported("running")
            rig.take(lambda _: rig.now_s() > killed_s + WATCHED_S)
            end_ns = rig.clock.now_ns()
        finally:
            rig.crew.close()
    slices = [
        e for _, e in rig.seen if hasattr(e, "intended") and begin_ns <= e.start_ns < end_ns - 2 * 10**8
    ]
    last_ns = max(e.start_ns for e in slices) + 10**8
    lost_ns = int(killed_s * 1e9)
    offered = sum(e.intended for e in slices) / (RATE / 1000 * (last_ns - begin_ns) / 1e9)
    settled = [e for e in slices if e.start_ns > (taken_s + 1) * 1e9]
    after = sum(e.intended for e in settled) / ((last_ns - settled[0].start_ns) / 1e9)
    print(
        f"  {'workers' if remote else 'processes'}: {count}, {how.name} to one: said after {said_s - killed_s:.2f} s, "
        f"taken over after {taken_s - killed_s:.2f} s; {before:.1f}/s before, {after:.1f}/s after; "
        f"{offered * 100:.1f} % of the asked load in {(last_ns - begin_ns) / 1e9:.0f} s "
        f"({(last_ns - lost_ns) / 1e9:.0f} s of it after){'; clocks ' + clocks if clocks else ''}"
    )
    return said_s - killed_s <= SAID_MAX_S


def main() -> int:
    """Print the figures; 1 when one is beyond what is promised."""
    fine = True
    print("one generator lost (60 requests/s asked):")
    for remote in (False, True):
        for how in (signal.SIGKILL, signal.SIGSTOP):
            with tempfile.TemporaryDirectory() as folder, watched_shop() as target:
                fine &= one_lost(Path(folder), target, count=2, how=how, remote=remote)
    print("runner or master dead, last request that the shop saw:")
    for who, processes, count, stop in (
        ("runner", 2, 0, False), ("runner", 1, 2, False), ("master", 1, 2, False), ("master", 1, 2, True),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, watched_shop() as target:
            last_s, codes = after_death(
                Path(folder), target, processes=processes, count=count, who=who, stop=stop
            )
            fine &= last_s <= LAST_MAX_S
            how = "SIGSTOP" if stop else "kill -9"
            what = f"{count} workers" if count else f"{processes} processes"
            print(
                f"  {how} of the {who}, {what}: {last_s * 1000:.0f} ms after{'; workers ended with ' + str(codes) if codes else ''}"
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
