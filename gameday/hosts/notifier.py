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
import threading

LINE_MAX = 1 << 20
_STATUS = re.compile(r"error[=: ]+(\d{3})\b")
_SAYING = threading.Lock()


class _Heard(logging.Handler):
    """Keeps the last status that the library speaks of in each thread, and nothing else of its words."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found:
            self.statuses[threading.get_ident()] = found[1]


def main() -> int:
    """Send what the standard input says, to all channels at once."""
    os.nice(5)
    asked = json.loads(sys.stdin.readline(LINE_MAX))
    import apprise  # noqa: PLC0415 - heavy, and only once there is something to send

    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.propagate = False

    def send(name: str, channel: apprise.Apprise) -> None:
        text = apprise.NotifyFormat.TEXT
        ok = bool(channel.notify(title=asked["title"], body=asked["body"], body_format=text))
        status = heard.statuses.get(threading.get_ident(), "")
        said = f"it answered {status}" if status else "it cannot be reached, or did not take it"
        _answer(name, ok=ok, detail="" if ok else said)

    threads = []
    for name, url in asked["channels"].items():
        channel = apprise.Apprise()
        if channel.add(url):
            threads.append(threading.Thread(target=send, args=(name, channel), daemon=True))
        else:
            _answer(name, ok=False, detail="its address is none that apprise knows")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _answer(name: str, *, ok: bool, detail: str) -> None:
    with _SAYING:
        sys.stdout.write(json.dumps({"to": name, "ok": ok, "detail": detail}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
