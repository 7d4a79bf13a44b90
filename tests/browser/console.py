"""A real console process, and real Chromium pages on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.drills import ROOT

ARTEFACTS = ROOT / "artefacts"
SERIOUS = ("serious", "critical")


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def why_not() -> str:
    """What is missing on this machine; empty when nothing is."""
    if chromium() is None:
        return "Chromium is missing: `apt-get install chromium`"
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
        import schemathesis  # noqa: F401
    except ImportError as error:
        return f"{error.name} is missing: `make test-browser` installs the extra `browser`"
    return ""


class ConsoleProcess:
    """`gameday console` in a process of its own; may be killed and started again at the same address."""

    def __init__(self, cwd: Path, *words: str) -> None:
        self.cwd, self.words = cwd, words
        self.listen = "127.0.0.1:0"
        self.log = cwd / f"console-{time.monotonic_ns()}.log"
        self.start()
        self.listen = self.link.split("/")[2]

    def start(self) -> None:
        at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gameday", "console", *self.words, "--listen", self.listen],
                cwd=self.cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        give_up = time.monotonic() + 60
        while "/enter?token=" not in self.log.read_text()[at:]:
            assert self.process.poll() is None and time.monotonic() < give_up, self.log.read_text()
            time.sleep(0.05)
        self.link = next(word for word in self.log.read_text()[at:].split() if word.startswith("http"))

    @property
    def url(self) -> str:
        return f"http://{self.listen}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def axe(page, name: str) -> None:
    """Find no serious accessibility fault on a page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in SERIOUS]
    words = [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in found
    ]
    assert not words, f"{name}:\n" + "\n".join(words)


def picture(page, name: str, *, full: bool = True) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTEFACTS / f"console-{name}.png"), full_page=full)
