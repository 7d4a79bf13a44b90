"""Send one notice to its channels, in a process of its own: what hangs here is killed, and delays nobody.

One JSON line comes in on the standard input, so that no address stands in a list of processes; a line for
each channel goes out, as soon as it has been told or not:

    {"title", "body", "channels": {name: address}}  ->  {"to": name, "ok": bool, "detail": text}

No answer holds an address, nor what the library says of it. This is the most patient process of the house:
the library is heavy, and the drill has the machine first.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys

LINE_MAX = 1 << 20
_STATUS = re.compile(r"error[=: ]+(\d{3})\b")


class _Heard(logging.Handler):
    """Keeps the last status that the library speaks of, and nothing else of its words."""

    status = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found:
            self.status = found[1]


def main() -> int:
    """Send what the standard input says, each channel from a child: none of them waits for another."""
    os.nice(5)
    asked = json.loads(sys.stdin.readline(LINE_MAX))
    import apprise  # noqa: PLC0415 - heavy; imported once, before the children are made

    apprise.Apprise().add("json://127.0.0.1/")  # Its channels are loaded when it is first asked for one.
    _say({"ready": True})
    children = []
    for name, url in asked["channels"].items():
        child = os.fork()
        if child == 0:
            ok, detail = _send(url, asked["title"], asked["body"])
            _say({"to": name, "ok": ok, "detail": detail})
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return 0


def _send(url: str, title: str, body: str) -> tuple[bool, str]:
    import apprise  # noqa: PLC0415 - as above

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.propagate = False
    channel = apprise.Apprise()
    if not channel.add(url):
        return False, "its address is none that apprise knows"
    if channel.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        return True, ""
    return (
        False,
        f"it answered {heard.status}" if heard.status else "it cannot be reached, or did not take it",
    )


def _say(answer: dict[str, object]) -> None:
    """Say one line at once; lines as short as these are never mixed in a pipe."""
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
