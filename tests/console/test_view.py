"""The view as a process of its own: it tells what happens, writes nothing, and dies quietly."""

from __future__ import annotations

import errno
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.evidence.synthetic import completed, halted, write_run

PLAIN = [sys.executable, "-m", "gameday.console"]


def view(*args, **how):
    return subprocess.Popen(
        [*PLAIN, *map(str, args)],
        **{
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **how,
        },
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "whole", completed())


def grow(source, folder, until):
    """Copy a run folder whose history holds the first `until` lines."""
    shutil.copytree(source, folder)
    lines = (source / "history.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "history.jsonl").write_bytes(b"".join(lines[:until]))
    return lines[until:]


def line_with(process, words, timeout_s=10.0):
    """Read lines until one holds `words`; return all lines read."""
    seen = []
    watch = threading.Timer(timeout_s, process.kill)
    watch.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if words in line:
                return seen
    finally:
        watch.cancel()
    raise AssertionError(f"{words!r} never came: {seen}, {process.stderr.read()}")


def test_a_finished_run_is_told_in_lines_and_the_view_ends_by_itself(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    process = view(finished, "--plain")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert "+  8.03s  fault     primary database dies: injected, read back in place" in out
    assert "ledger    read back after the failover: 270 writes found" in out
    assert out.splitlines()[-1].endswith("run       the drill ran to its end")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_lines_come_as_the_history_grows_and_half_a_line_waits(finished, tmp_path):
    folder = tmp_path / "run"
    rest = grow(finished, folder, 10)
    process = view(folder, "--plain")
    line_with(process, "the steady state held")
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        file.write(rest[0] + rest[1][:40])
        line_with(process, "primary database dies: injected")
        file.write(rest[1][40:] + b"not a record\n" + b"".join(rest[2:]))
    line_with(process, "ran to its end")
    assert process.wait(10) == 0


def test_when_the_runner_leaves_what_is_on_disk_is_still_told(finished, tmp_path):
    folder = tmp_path / "run"
    rest = grow(finished, folder, 10)
    process = view(folder, "--plain")
    line_with(process, "the steady state held")
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        file.write(b"".join(rest[:2]))
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "injected, read back in place" in out
    assert "ran to its end" not in out


def test_ctrl_c_is_the_runners_affair(finished, tmp_path):
    folder = tmp_path / "run"
    grow(finished, folder, 10)
    process = view(folder, "--plain")
    line_with(process, "the steady state held")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert all(line.startswith("+") for line in out.splitlines()), "a drill's lines and nothing else"


def test_a_reader_that_goes_away_ends_the_view_quietly(finished, tmp_path):
    folder = tmp_path / "run"
    rest = grow(finished, folder, 10)
    process = view(folder, "--plain")
    line_with(process, "the steady state held")
    process.stdout.close()
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        file.write(b"".join(rest))
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize("args", [(), ("nowhere",), ("--help",)])
def test_a_wrong_call_gets_one_line_and_exit_2(args, tmp_path):
    process = view(*args, cwd=tmp_path)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.strip()


def on_terminal(folder, *, rows=40, columns=120, env=None):
    """Start a live view on a pseudo-terminal; return (process, master)."""
    master, slave = pty.openpty()
    process = view(
        folder,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        text=False,
        env={
            **os.environ,
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            "LINES": str(rows),
            **(env or {}),
        },
    )
    os.close(slave)
    return process, master


def read_until(master, words, timeout_s=15.0):
    """Return what the terminal showed until `words` came."""
    seen, until_s = b"", time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if words in seen:
            return seen.decode(errors="replace")
        if select.select([master], [], [], 0.2)[0]:
            try:
                seen += os.read(master, 65536)
            except OSError as error:
                assert error.errno == errno.EIO
                break
    if words in seen:
        return seen.decode(errors="replace")
    raise AssertionError(f"{words!r} never came: {seen[-2000:]}")


def test_on_a_terminal_a_whole_run_ends_with_its_last_frame(finished):
    process, master = on_terminal(finished)
    try:
        shown = read_until(master, b"the drill is over")
        for words in (
            "Lose the primary database at peak",
            "availability",
            "primary database dies",
            "ran to its end",
        ):
            assert words in shown
        assert process.wait(10) == 0
    finally:
        process.kill()
        os.close(master)


def test_a_terminal_that_goes_away_ends_the_view_quietly(finished, tmp_path):
    folder = tmp_path / "run"
    grow(finished, folder, 14)
    process, master = on_terminal(folder)
    read_until(master, b"to be taken back")
    os.close(master)
    assert process.wait(10) == 0


def test_a_stuck_undo_stands_out_on_the_terminal(tmp_path):
    folder = write_run(tmp_path / "stuck", halted(stuck=True))
    process, master = on_terminal(folder, rows=30, columns=100)
    try:
        shown = read_until(master, b"the drill is over")
        for words in ("STUCK", "A PERSON IS NEEDED", "HALTED by stop condition", "BREACHED"):
            assert words in shown
    finally:
        process.kill()
        os.close(master)
