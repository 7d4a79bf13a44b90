"""A forecast from real traffic: a CSV of counts, of which the highest rate is the peak.

start_utc,seconds,requests
2026-11-20T11:00:00Z,60,7212
"""

from __future__ import annotations

import csv
from pathlib import Path

COLUMNS = ("start_utc", "seconds", "requests")
ROWS_MAX = 100_000
_SECONDS_MAX = 86_400
_REQUESTS_MAX = 10**12
_RATE_MAX_PER_1000S = 10**9


def read_peak(path: Path) -> tuple[int, str]:
    """Return the highest rate of a CSV of traffic, in arrivals per 1 000 s, and the row it stands in.

    Raises:
        ValueError: It is no such file; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read as text: {error}") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) > ROWS_MAX:
        raise ValueError(f"has more than {ROWS_MAX} rows")
    rows = csv.reader(lines)
    header = next(rows, [])
    if tuple(name.strip() for name in header) != COLUMNS:
        raise ValueError(f"begins with {','.join(header)!r}, expected {','.join(COLUMNS)}")
    best: tuple[int, str] | None = None
    for number, row in enumerate(rows, start=2):
        rate = _rate(row, number)
        if best is None or rate > best[0]:
            best = rate, f"row {number} ({row[0].strip()})"
    if best is None or best[0] == 0:
        raise ValueError("holds no requests")
    if best[0] > _RATE_MAX_PER_1000S:
        raise ValueError(f"its highest rate is {best[0] / 1000:g}/s, at most 1000000/s can be asked for")
    return best


def _rate(row: list[str], number: int) -> int:
    try:
        _, seconds_text, requests_text = row
        seconds, requests = int(seconds_text), int(requests_text)
    except ValueError:
        raise ValueError(f"row {number} is {','.join(row)!r}, expected {','.join(COLUMNS)}") from None
    if not 0 < seconds <= _SECONDS_MAX or not 0 <= requests <= _REQUESTS_MAX:
        raise ValueError(f"row {number}: {seconds} s with {requests} requests is out of range")
    return -(-requests * 1000 // seconds)
