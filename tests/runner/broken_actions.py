"""Actions that misbehave, for `test_broken_runner`: each puts a fault into the bench's target first."""

import os
import signal
import subprocess
import sys
import time

from halt_actions import ask, is_there, put, remove  # noqa: F401 - the drills name them here


def garbage(url, name):
    """Write to every descriptor what a host never says, then be silent."""
    put(url, name)
    token = b'{"token": %d}\n'
    noise = [
        b"\xff\x00\xfe garbage\n",
        b"[1, 2]\n",
        b'"token"\n',
        b"{}\n",
        b'{"token": []}\n',
        b"[" * 200_000 + b"\n",
    ]
    noise += [token % number for number in range(4)] + [b"x" * 3_000_000]
    for fd in range(3, 30):
        try:
            os.set_blocking(fd, False)
            for data in noise:
                os.write(fd, data)
        except OSError:
            continue
    time.sleep(30)


def silence(url, name):
    """Never come back."""
    put(url, name)
    time.sleep(30)


def vanish(url, name):
    """End the host without a word."""
    put(url, name)
    os._exit(7)


def fork_and_live_on(url, name):
    """Leave a child that hears no SIGTERM, is in no session of ours, and goes on injecting."""
    if os.fork() == 0:
        os.setsid()
        inject_for_ever(url, name)
    time.sleep(30)


def execute_and_live_on(url, name):
    """The same with a program of its own, whose parent is not the host either."""
    if os.fork() == 0:
        subprocess.Popen([sys.executable, __file__, url, name], start_new_session=True)
        os._exit(0)
    time.sleep(30)


def inject_for_ever(url, name):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        put(url, name)
        time.sleep(0.02)


def slow_remove(url, name, seconds):
    """An undo that takes its time and works."""
    time.sleep(seconds)
    return remove(url, name)


def raise_instead(url, name):
    """An undo that fails, each time."""
    raise RuntimeError("the undo does not work today")


def never(url, name):
    """An undo that hangs."""
    time.sleep(60)


if __name__ == "__main__":
    inject_for_ever(*sys.argv[1:])
