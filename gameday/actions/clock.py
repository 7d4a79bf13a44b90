"""Let a program believe in another time, by libfaketime: the machine's own clock is never touched.

Two ways. `start` runs a program under a false clock; it is the fault, and is ended by its undo. And a
service that was started with libfaketime in place reads its offset from a file: `skew` writes there.

DONT_FAKE_MONOTONIC is not set: with it, libfaketime 0.9.10 makes the sleeps of Python fail (EINVAL).

    LD_PRELOAD=…/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE=FILE FAKETIME_NO_CACHE=1 orders-service

Programs that do not use the C library for the time (static Go programs) do not notice.

Source: libfaketime's README.
"""

from __future__ import annotations

from pathlib import Path

from gameday.actions import faults
from gameday.actions.capabilities import faketime_library
from gameday.actions.http import ActionError

__all__ = ["end", "in_place", "is_skewed", "skew", "start", "unskew"]
TRUE_TIME = "+0"


def start(
    argv: list[str],
    offset_s: int,
    rate: float = 1.0,
    cwd: str = "/",
    name: str = "gameday-clock",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Run a program whose clock is `offset_s` seconds ahead (or behind), and runs `rate` times as fast.

    Raises:
        ActionError: libfaketime is not installed, or the program does not start.
    """
    found = faketime_library()
    if not found:
        raise ActionError("libfaketime is not installed here: apt install faketime, or GAMEDAY_LIBFAKETIME")
    faults.intend(name, "clock.start")
    text = _offset(offset_s) + (f" x{rate:g}" if rate != 1.0 else "")
    config = {
        "argv": argv,
        "cwd": cwd,
        "log": str(faults.folder() / f"{name}.out"),
        "environment": {"LD_PRELOAD": found, "FAKETIME": text},
    }
    faults.begin(name, "work.run_skewed", config, ttl_s)


def end(name: str = "gameday-clock") -> None:
    """End the program that runs under a false clock."""
    faults.end(name)


def in_place(name: str = "gameday-clock") -> bool:
    """Tell whether the program that runs under a false clock is there."""
    return faults.in_place(name)


def skew(file: str, offset_s: int, name: str = "gameday-clock-skew", ttl_s: float = faults.TTL_S) -> None:
    """Write an offset into the file from which services under libfaketime read theirs.

    Raises:
        ActionError: The file does not say `+0`, so its clock is false already, or cannot be written.
    """
    before = _read(file)
    if before != TRUE_TIME:
        raise ActionError(f"{file} holds {before!r}, expected {TRUE_TIME!r}: the clock is false already")
    if not offset_s:
        raise ActionError("offset_s 0: there is nothing to inject")
    text = _offset(offset_s)
    with faults.timed(name, "clock.skew", unskew, {"file": file, "name": name}, ttl_s):
        _write(file, text)


def unskew(file: str, name: str = "gameday-clock-skew") -> None:
    """Write `+0` into the file.

    Raises:
        ActionError: It cannot be written.
    """
    if is_skewed(file):
        _write(file, TRUE_TIME)
    faults.end(name)


def is_skewed(file: str) -> bool:
    """Tell whether the file says anything but `+0`."""
    return _read(file) != TRUE_TIME


def _offset(offset_s: int) -> str:
    if not isinstance(offset_s, int):
        raise ActionError(f"offset_s {offset_s!r}: expected a whole number of seconds")
    return f"{offset_s:+d}"


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ActionError(f"the clock file {file} cannot be read: {error}") from None


def _write(file: str, text: str) -> None:
    try:
        with Path(file).open("r+", encoding="ascii") as out:
            out.write(text + "\n")
            out.truncate()
    except OSError as error:
        raise ActionError(f"the clock file {file} cannot be written: {error.strerror}") from None
