"""The report as PDF, printed by a Chromium that is there already.

The report is HTML that prints well: one source, one look. Pure-Python libraries were weighed: those that
read HTML (xhtml2pdf) know neither its style sheet nor its drawings, the one that does (WeasyPrint) needs
native libraries of its own, and those that draw (fpdf2, reportlab) would be a second report to keep true.
So nothing is added to what gameday needs; where no browser is, this says so. The page loads nothing and
holds no script, and the browser gets a home of its own that goes when it does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gameday.errors import Refused

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
DEADLINE_S = 60.0


def browser() -> str | None:
    """Return the path of a Chromium; None when there is none."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def pdf(page: Callable[[], str]) -> bytes:
    """Return a page as PDF; it is only rendered when there is a browser to print it.

    Raises:
        Refused: There is no browser, or it did not do it in time.
    """
    program = browser()
    if program is None:
        raise Refused(
            f"no PDF: none of {', '.join(BROWSERS)} is on the PATH",
            todo="Install Chromium, or print report.html from any browser: it prints the same pages.",
        )
    with tempfile.TemporaryDirectory(prefix="gameday-pdf-") as folder:
        file, printed = Path(folder, "report.html"), Path(folder, "report.pdf")
        file.write_text(page(), encoding="utf-8")
        _print(program, file, printed, Path(folder, "home"))
        data = printed.read_bytes() if printed.is_file() else b""
    if not data.startswith(b"%PDF-"):
        raise Refused(
            f"no PDF: {program} printed nothing", todo="Print report.html from any browser by hand."
        )
    return data


def _print(program: str, page: Path, printed: Path, home: Path) -> None:
    command = [
        program,
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--no-first-run",
        "--no-pdf-header-footer",
        f"--user-data-dir={home}",
        f"--print-to-pdf={printed}",
        page.as_uri(),
    ]
    if os.geteuid() == 0:
        command.insert(
            1, "--no-sandbox"
        )  # Chromium refuses to start as root with it; the page has no script.
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True) as child:
        try:
            _await_end(child.pid, program)
        finally:
            # Chromium is many processes; what is left of its session ends with it. Until it is reaped (by
            # the `with`) its group's number is nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _await_end(pid: int, program: str) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > until_s:
            raise Refused(f"no PDF: {program} did not print within {DEADLINE_S:g} s")
        time.sleep(0.05)
