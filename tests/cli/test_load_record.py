"""A forecast from an access log: every form of time, no line lost in silence, no log too large or too strange."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys

import pytest

from gameday.capacity.traffic import Counts, time_of, utc
from gameday.cli.main import main
from gameday.hosts.accesslog import LINE_MAX
from tests.drills import ROOT

REQUEST = '"GET /orders?x=[1]&y=\\"2\\" HTTP/1.1" 200 512'
AT = 1_795_202_100  # 2026-11-20T19:15:00Z


def common(stamp, user="-", tail=""):
    return f"203.0.113.9 - {user} [{stamp}] {REQUEST}{tail}"


def combined(stamp, user="-"):
    return common(stamp, user, ' "https://example.org/[a]" "Mozilla/5.0 (X11) \\"q\\" [en]"')


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (combined("20/Nov/2026:20:15:00 +0100"), "combined"),
        (common("20/Nov/2026:19:15:00 +0000"), "common"),
        (combined("20/Nov/2026:13:45:00 -0530", user="a [b] c"), "combined"),
        ('{"time": "2026-11-20T19:15:00Z"}', "json"),
        ('{"@timestamp": "2026-11-20T20:15:00.000+01:00", "msg": 1}', "json"),
        ('{"time_local": "20/Nov/2026:20:15:00 +0100"}', "json"),
        ('{"ts": 1795202100.0}', "json"),
        ('{"msec": "1795202100.000"}', "json"),
        ('{"timestamp": 1795202100000}', "json"),
        ('{"time": 1795202100000000000}', "json"),
        ('{"time": "2026-11-20T19:15:00"}', "json"),  # Without a zone it is UTC.
    ],
)
def test_one_instant_in_the_forms_that_logs_write(line, form):
    assert time_of(line.encode(), form) == AT


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("", "combined"),
        (combined("31/Feb/2026:20:15:00 +0100"), "combined"),
        (combined("20/Növ/2026:20:15:00 +0100"), "combined"),
        ("203.0.113.9 - - [20/Nov/2026:20:15:00 +0100] GET / 200", "combined"),
        (combined("20/Nov/1970:20:15:00 +0100"), "combined"),
        ("[" * 100_000, "json"),
        ('{"time": true}', "json"),
        ('{"time": NaN}', "json"),
        ('{"time": 1e999}', "json"),
        ('{"other": "2026-11-20T19:15:00Z"}', "json"),
        ('{"time": null}', "json"),
        ('"2026-11-20T19:15:00Z"', "json"),
    ],
)
def test_what_is_no_line_of_that_form_is_not_read(line, form):
    assert time_of(line.encode(), form) is None


def test_counts_do_not_depend_on_the_order_and_show_empty_stretches():
    times = [AT + offset for offset in (0, 1, 59.9, 60, 200)]
    random.Random(3).shuffle(times)
    counts = Counts(60)
    for at in times:
        counts.add(at)
    assert [requests for _, _, requests in counts.rows()] == [3, 1, 0, 1]
    assert next(counts.rows()) == ("2026-11-20T19:15:00Z", 60, 3)
    assert counts.peak() == ("2026-11-20T19:15:00Z", 3)
    assert counts.stretches == 4


def write(path, lines, packed=False):
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return str(path)


def day(lines=600):
    return [combined(f"20/Nov/2026:20:{n % 60:02d}:{n % 7:02d} +0100") for n in range(lines)] + [
        combined("20/Nov/2026:20:30:05 +0100") for _ in range(60)
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_becomes_a_forecast_and_its_peak_is_said(tmp_path, capsys, packed):
    path = write(tmp_path / "access.log", day(), packed)
    assert main(["load", "record", path]) == 0
    out, said = capsys.readouterr()
    rows = out.splitlines()
    assert rows[0] == "start_utc,seconds,requests"
    assert len(rows) == 61 and rows[31] == "2026-11-20T19:30:00Z,60,70"
    assert sum(int(row.split(",")[2]) for row in rows[1:]) == 660
    assert "peak 1.167/s: 70 requests in the 60 s from 2026-11-20T19:30:00Z" in said
    assert "660 requests in 60 rows" in said


def test_a_few_bad_lines_are_counted_and_said_and_many_are_refused(tmp_path, capsys):
    lines = day(900)
    lines[10], lines[20] = "garbage \x1b[31m", "x" * (3 * LINE_MAX)
    path = write(tmp_path / "access.log", [*lines, "", "  "])
    assert main(["load", "record", path]) == 0
    out, said = capsys.readouterr()
    assert sum(int(row.split(",")[2]) for row in out.splitlines()[1:]) == 958
    assert "2 lines (0.208 %) could not be read and are not counted; the first is line 11" in said
    assert main(["load", "record", path, "--bad-share", "0.1%"]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert (
        "2 of 960 lines (0.2 %) cannot be read as combined, at most 0.1 % may be; the first is line 11"
        in said
    )
    assert "\x1b" not in said
    assert main(["load", "record", path, "--format", "json"]) == 2
    assert "cannot be read as json" in capsys.readouterr().err


def test_a_json_log_with_a_field_of_its_own(tmp_path, capsys):
    path = write(tmp_path / "a.jsonl", [json.dumps({"when": AT + n, "time": "never"}) for n in range(120)])
    assert main(["load", "record", path, "--format", "json", "--time-field", "when", "--every", "1m"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2026-11-20T19:15:00Z,60,60", "2026-11-20T19:16:00Z,60,60",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which access log?"),
        (["no-such.log"], "no-such.log: no such file or directory"),
        (["."], "is a directory"),
        (["/dev/null"], "is neither a file nor a pipe"),
        (["{}", "--every", "7s"], "--every 7s: expected whole seconds that divide a day"),
        (["{}", "--every", "100ms"], "expected whole seconds"),
        (["{}", "--every", "soon"], "'soon' is no duration"),
        (["{}", "--format", "xml"], "--format xml: expected one of common, combined, json"),
        (["{}", "--bad-share", "2"], "--bad-share"),
        (["{}.cut"], "cannot be unpacked to its end"),
        (["{}.empty"], "is empty"),
        (["{}.wide", "--every", "1s"], "at most 100000 make a forecast"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, capsys, words, said):
    path = write(tmp_path / "access.log", day())
    (tmp_path / "access.log.cut").write_bytes(gzip.compress("\n".join(day(5000)).encode())[:-40])
    (tmp_path / "access.log.empty").write_bytes(b"")
    write(tmp_path / "access.log.wide", [combined(f"20/Nov/{y}:20:15:00 +0000") for y in (2020, 2026)])
    assert main(["load", "record", *(word.replace("{}", path) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and "Traceback" not in err


def test_what_was_recorded_is_what_the_profile_and_a_forecast_read(tmp_path):
    """Through a pipe, packed, as `ssh web cat access.log.gz | gameday load record -`; then played again."""
    packed = gzip.compress("".join(f"{line}\n" for line in day()).encode())
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "load", "record", "-", "--every", "15m"],
        input=packed, capture_output=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(b"2026-11-20T19:00:00Z,900,")
    assert b"standard input: 660 requests in 4 rows of 900 s" in done.stderr


@pytest.mark.slow
def test_a_log_of_a_gigabyte_and_a_half_takes_no_memory(tmp_path):
    """Seven million lines through a pipe; peak memory stays that of the program."""
    size = 7_000_000
    script = (
        "import sys\n"
        f"for n in range({size // 70_000}):\n"
        "    sys.stdout.write(''.join("
        '\'203.0.113.9 - - [20/Nov/2026:%02d:%02d:%02d +0000] "GET /orders?limit=20 HTTP/1.1" 200 51234 '
        '"https://shop.example.org/a/rather/long/referer?with=many&words=in&it=1" '
        '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0"\\n\''
        " % (n * 70000 // 3600 % 24, k // 60 % 60, k % 60) for k in range(70000)))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    reader = subprocess.Popen(
        [sys.executable, "-m", "gameday", "load", "record", "-"],
        stdin=writer.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    writer.stdout.close()
    out = reader.stdout.read()
    _, status, usage = os.wait4(reader.pid, 0)
    writer.wait(60)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sum(int(row.split(b",")[2]) for row in out.splitlines()[1:]) == size
    assert usage.ru_maxrss < 80 * 1024, f"{usage.ru_maxrss / 1024:.0f} MiB"
    print(f"{size / (usage.ru_utime + usage.ru_stime):.0f} lines a second, {usage.ru_maxrss / 1024:.0f} MiB")


def test_utc_is_written_with_z():
    assert utc(AT) == "2026-11-20T19:15:00Z"
