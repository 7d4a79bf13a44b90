"""A forecast from real traffic: an access log in, `start_utc,seconds,requests` out, and when its peak was."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Self

from gameday.capacity.traffic import FORMATS, Counts, Tally, time_of
from gameday.cli import exits
from gameday.errors import UsageError
from gameday.evidence.words import shown
from gameday.hosts.accesslog import lines_of, opened
from gameday.plan.units import duration_ns, ratio_ppm

ROWS_MAX = 100_000
_SO = "gameday load record /var/log/nginx/access.log --every 1m > forecast.csv"


def record(asked: argparse.Namespace) -> int:
    """Write a forecast, `start_utc,seconds,requests`, from an access log, and say when its peak was.

    Raises:
        UsageError: The log cannot be read, or too little of it is a log of that format.
    """
    if not asked.log:
        raise UsageError("load record: which access log?", todo=f"{_SO}\n  - reads standard input.")
    if asked.format not in FORMATS:
        raise UsageError(f"load record: --format {asked.format}: expected one of {', '.join(FORMATS)}")
    counts, tally = Counts(_every_s(asked.every)), Tally()
    read = partial(time_of, form=asked.format, time_field=asked.time_field)
    with opened(asked.log) as (file, name), _Progress() as progress:
        for line in lines_of(file, name):
            tally.take(line, read, counts)
            progress.tick(tally.lines)
    _judge(name, asked.format, counts, tally, _share_ppm(asked.bad_share))
    out = sys.stdout
    out.write("start_utc,seconds,requests\n")
    out.writelines(f"{start},{seconds},{requests}\n" for start, seconds, requests in counts.rows())
    out.flush()
    _say(name, counts, tally)
    return exits.PASS


def _every_s(text: str) -> int:
    try:
        seconds, rest = divmod(duration_ns(text), 10**9)
    except ValueError as error:
        raise UsageError(f"load record: --every: {error}") from None
    if rest or not 1 <= seconds <= 86_400 or 86_400 % seconds:
        raise UsageError(
            f"load record: --every {text}: expected whole seconds that divide a day, like 10s, 1m, 15m or 1h"
        )
    return seconds


def _share_ppm(text: str) -> int:
    try:
        return ratio_ppm(text)
    except ValueError as error:
        raise UsageError(f"load record: --bad-share: {error}") from None


def _judge(name: str, form: str, counts: Counts, tally: Tally, bad_ppm: int) -> None:
    """Refuse what is no log of that format, or would make no forecast."""
    if not tally.lines:
        raise UsageError(f"load record: {name}: is empty: there is no traffic to count")
    if tally.bad * 1_000_000 > tally.lines * bad_ppm or not counts.found:
        share = f"{tally.bad} of {tally.lines} lines ({tally.bad * 100 / tally.lines:.1f} %)"
        raise UsageError(
            f"load record: {name}: {share} cannot be read as {form}, at most {bad_ppm / 10_000:g} % may be; "
            f"the first is line {tally.first_bad}: {shown(tally.first_bad_text, 80)}",
            todo="Another --format (common, combined, json)? For JSON, --time-field names the time. "
            "--bad-share allows more.",
        )
    if counts.stretches > ROWS_MAX:
        raise UsageError(
            f"load record: {name}: would have {counts.stretches} rows from {next(counts.rows())[0]} on, "
            f"at most {ROWS_MAX} make a forecast",
            todo="Give a longer --every, or cut the log: is there a line with a wrong clock in it?",
        )


def _say(name: str, counts: Counts, tally: Tally) -> None:
    start, most = counts.peak()
    good = tally.lines - tally.bad
    first = next(counts.rows())[0]
    print(
        f"{name}: {good} requests in {counts.stretches} rows of {counts.every_s} s from {first}",
        file=sys.stderr,
    )
    if tally.bad:
        share = tally.bad * 100 / tally.lines
        said = f"{tally.bad} lines ({share:.3g} %) could not be read and are not counted"
        print(f"{said}; the first is line {tally.first_bad}", file=sys.stderr)
    peak = f"peak {most / counts.every_s:.4g}/s: {most} requests in the {counts.every_s} s from {start}"
    print(f"{peak}. The first and the last row may be cut short.", file=sys.stderr)


class _Progress:
    """Says on a terminal how far it has come, once a second."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._next_s = time.monotonic() + 1.0

    def __enter__(self) -> Self:
        return self

    def tick(self, lines: int) -> None:
        """Take note of `lines`; cheap enough for each one."""
        if self._is_shown and not lines % 4096 and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + 1.0
            print(f"\r{lines} lines", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
