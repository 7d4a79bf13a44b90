"""A slow machine is no reason to refuse: what counts is the time in which a process was idle."""

import select
import signal
import subprocess
import sys
import time

import pytest

from gameday.hosts.patience import wait_while_at_work

SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\nprint('x', flush=True)"


def start(code):
    return subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)


def wait(process, **limits):
    return wait_while_at_work(
        process.pid, lambda s: bool(select.select([process.stdout], [], [], s)[0]), **limits
    )


@pytest.fixture
def started():
    made = []

    def begin(code):
        made.append(start(code))
        return made[-1]

    yield begin
    for process in made:
        process.kill()
        process.wait()
        process.stdout.close()


def test_one_that_works_is_waited_for_and_one_that_is_idle_is_not(started):
    assert wait(started(SPIN.format(0.5)), idle_s=0.3, most_s=60) == ""
    idle = started("import time; time.sleep(60)")
    began_s = time.monotonic()
    assert "did nothing" in wait(idle, idle_s=0.3, most_s=60)
    assert time.monotonic() - began_s < 10


@pytest.mark.slow
def test_what_it_started_counts_with_it_and_work_without_end_meets_the_bound(started):
    nested = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN.format(2)!r}])"
    assert wait(started(nested), idle_s=1.0, most_s=60) == ""
    assert "did work" in wait(started(SPIN.format(600)), idle_s=1.0, most_s=2.0)


@pytest.mark.slow
def test_one_that_was_stopped_is_idle(started):
    process = started(SPIN.format(600))
    process.send_signal(signal.SIGSTOP)
    assert "did nothing" in wait(process, idle_s=1.0, most_s=60)
