"""Actions that misbehave in every way that a host must survive. Run in hosts by the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

calls = []


def works(value="x", **_):
    calls.append(value)
    return len(calls)


def raises(text="no"):
    raise RuntimeError(text)


def is_there():
    return True


def exits(code=0):
    sys.exit(code)


def dies():
    os._exit(7)


def kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def prints_garbage():
    print('{"token": 1, "error": "", "in_place": true}')
    sys.stdout.write("\0\xff\n" * 5000)
    sys.stdout.flush()
    os.write(1, b'{"token": 1}\n{"armed": true}\n')
    sys.stdin.read()


def writes_into_every_pipe():
    """Write what is no reply into whatever descriptor takes it."""
    for fd in range(3, 20):
        try:
            os.write(fd, b'garbage\n{"token": "x"}\n[1]\n"armed"\n')
        except OSError:
            continue


def forks_and_returns_twice():
    os.fork()


def forks_and_lives_on(pid_file):
    if os.fork() == 0:
        Path(pid_file).write_text(str(os.getpid()))
        time.sleep(60)


def starts_a_stray(pid_file, then_hang=True):
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    Path(pid_file).write_text(str(child.pid))
    if then_hang:
        time.sleep(60)


def hangs(started):
    Path(started).touch()
    time.sleep(60)


def ignores_sigterm(started):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(started).touch()
    time.sleep(60)


def tidies_up_on_sigterm(started, tidied):
    def leave(*_):
        Path(tidied).touch()
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    Path(started).touch()
    time.sleep(60)


def holds_the_interpreter_lock(started):
    Path(started).touch()
    sum(range(10**12))


def exists(path):
    return Path(path).exists()


def no_answer():
    return None


def needs(node, count):
    return node, count


def value(of):
    return of


def target_is_bad():
    from chaoslib.exceptions import ActivityFailed

    raise ActivityFailed("it is down")
