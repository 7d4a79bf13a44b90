"""When the watchdog takes a runner for gone: after its first beat, not while it still arms its hosts."""

from __future__ import annotations

import subprocess
import sys
import time

WATCH = "from gameday.runner import watchdog; watchdog.BEAT_LATE_S = 0.2; print(watchdog._watch())"


def watch():
    return subprocess.Popen(
        [sys.executable, "-c", WATCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def test_slow_arming_is_no_silence_but_silence_after_a_beat_is():
    watching = watch()
    time.sleep(1.5)  # Much longer than a late beat; nothing to wait for, since nothing may happen.
    assert watching.poll() is None
    watching.stdin.write(".")
    watching.stdin.flush()
    assert "no sign of life" in watching.stdout.readline()
    watching.communicate(timeout=10)


def test_a_runner_that_is_stopped_before_its_first_beat_does_not_keep_its_lease_for_ever():
    code = "from gameday.runner import watchdog; watchdog.FIRST_BEAT_S = 0.3; print(watchdog._watch())"
    watching = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout.readline() == "the runner gave no sign of life for 0.3 s\n"
    watching.communicate(timeout=10)


def test_a_pipe_that_ends_means_a_dead_runner_even_while_arming():
    assert "without a word" in watch().communicate("", timeout=10)[0]


def test_a_clean_end_needs_nothing():
    assert watch().communicate(".E", timeout=10)[0] == "\n"
