"""Which of Locust's options a plan may give. What runs is the plan's profile, and nothing listens.

`options` reach Locust's own command line. Some of its options run another file than the one that was
approved, listen, write files, start processes or take the load out of the runner's hands. So its own
options are allowed by name; an argument that the profile itself defines is none of Locust's, and is
allowed unless argparse could take it for the beginning of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ALLOWED = (
    "--equal-weights",
    "--exclude-tags",
    "--exit-code-on-error",
    "--loglevel",
    "--only-summary",
    "--print-stats",
    "--reset-stats",
    "--stop-timeout",
    "--tags",
)
REFUSED = (
    "--autoquit",
    "--autostart",
    "--build-path",
    "--class-picker",
    "--config",
    "--config-users",
    "--csv",
    "--csv-full-history",
    "--enable-rebalancing",
    "--expect-slaves",
    "--expect-workers",
    "--expect-workers-max-wait",
    "--headful",
    "--headless",
    "--help",
    "--host",
    "--html",
    "--json",
    "--json-file",
    "--legacy-ui",
    "--list",
    "--locustfile",
    "--logfile",
    "--master",
    "--master-bind-host",
    "--master-bind-port",
    "--master-host",
    "--master-port",
    "--otel",
    "--processes",
    "--profile",
    "--run-time",
    "--show-task-ratio",
    "--show-task-ratio-json",
    "--skip-log-setup",
    "--slave",
    "--spawn-rate",
    "--tls-cert",
    "--tls-key",
    "--users",
    "--version",
    "--web-auth",
    "--web-base-path",
    "--web-host",
    "--web-host-display-name",
    "--web-login",
    "--web-port",
    "--worker",
)
_NAME = re.compile(r"--[A-Za-z][\w-]*\Z")
_NUMBER = re.compile(r"-\d+(\.\d+)?\Z")
_INSTEAD = {
    "--host": "write `host:` beside `profile:`",
    "--users": "write `users:` beside `profile:`",
    "--spawn-rate": "write `rate:` beside `profile:`",
    "--run-time": "the load lasts from the baseline to the end",
}


def refused_options(options: Iterable[str]) -> list[tuple[int, str]]:
    """Return the place and the reason of each option that a plan may not give."""
    found = []
    for number, text in enumerate(options):
        reason = _why_not(text)
        if reason:
            found.append((number, f"{text[:60]!r}: {reason}"))
    return found


def _why_not(text: str) -> str:
    if not text.startswith("-") or _NUMBER.match(text):
        return ""  # The value of the option before it.
    if not text.startswith("--"):
        return "short options are not taken: write the long name, like `--tags`"
    name = text.partition("=")[0]
    if name in ALLOWED:
        return ""
    allowed = f"allowed are {', '.join(ALLOWED)} and the profile's own arguments"
    if not _NAME.match(name):
        return f"expected an option like `--tags`; {allowed}"
    taken = next((option for option in REFUSED if option.startswith(name)), "")
    return f"Locust's {taken} is not for a plan: {_INSTEAD.get(taken, allowed)}" if taken else ""
