"""The process of one ledger: clients of stores, and user code, run here and never in the runner.

    stdin    the first line says which store; then one request a line:
             {"id":7,"do":"write","number":3,"sha256":…,"payload":…,"timeout_s":0.4} | "read" | "purge"
             Its end is the lifeline: when the runner dies, so does this.
    stdout   {"ready":true} | {"refused":"why"}, then one answer a line:
             {"id":7,"mark":"acked","detail":"","ended_boot_ns":"…"} | {"id":8,"rows":[[3,"…"]]}
             | {"id":9,"purged":4} | {"id":8,"error":"why"}

Secrets are filled in here, from the environment, and taken out of every word that is said.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gameday.hosts.clock import boot_ns
from gameday.hosts.stores import Store, failed, filled, secrets_in, store_of, unknown
from gameday.hosts.words import error_line


class LedgerHost:
    """Serves one store."""

    def __init__(self, config: dict[str, Any], out: int) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._secrets: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(int(config["workers"]), thread_name_prefix="ledger")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read-back")
        self._config = config
        self._store: Store | None = None

    def begin(self) -> bool:
        """Open the store and say whether it is ready."""
        config = self._config
        try:
            self._secrets = secrets_in(config["spec"])
            spec = filled(config["spec"], self._secrets)
            self._store = store_of(config["writer"], spec, config["run"], config["timeout_s"])
            if config["prepare"]:
                self._store.prepare()
        except Exception as error:  # noqa: BLE001 - the host's reply: a client, or user code, may raise anything
            self._say({"refused": self._plain(error)})
            return False
        self._say({"ready": True})
        return True

    def serve(self) -> None:
        """Answer until stdin ends."""
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            if asked["do"] == "write":
                self._pool.submit(self._write, asked, time.monotonic() + asked["timeout_s"])
            else:
                self._reader.submit(self._other, asked)

    def _write(self, asked: dict[str, Any], until_s: float) -> None:
        assert self._store is not None
        if time.monotonic() >= until_s:
            mark, detail = failed("every worker was busy until it was too late")
        else:
            try:
                mark, detail = self._store.write(asked["number"], asked["sha256"], asked["payload"])
            except Exception as error:  # noqa: BLE001 - the host's reply
                mark, detail = unknown(self._plain(error))
        ended = str(boot_ns())
        self._say(
            {"id": asked["id"], "mark": str(mark), "detail": self._clean(detail), "ended_boot_ns": ended}
        )

    def _other(self, asked: dict[str, Any]) -> None:
        assert self._store is not None
        try:
            if asked["do"] == "read":
                self._say({"id": asked["id"], "rows": self._store.read_all()})
            else:
                self._say({"id": asked["id"], "purged": self._store.purge()})
        except Exception as error:  # noqa: BLE001 - the host's reply
            self._say({"id": asked["id"], "error": self._plain(error)})

    def _plain(self, error: Exception) -> str:
        return self._clean(error_line(error))

    def _clean(self, text: str) -> str:
        for value in self._secrets.values():
            text = text.replace(value, "***")
        return text

    def _say(self, reply: dict[str, Any]) -> None:
        data = json.dumps(reply).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]


def main() -> None:
    """Serve as the first line of stdin says."""
    # What user code prints must not stand among the answers.
    out = os.dup(1)
    os.dup2(2, 1)
    config = json.loads(sys.stdin.buffer.readline())
    if config["writer"] == "python":
        sys.path.insert(0, config["project"])
    host = LedgerHost(config, out)
    if host.begin():
        host.serve()
    os._exit(0)  # Threads that hang in a client's call wait for nothing that we still need.


if __name__ == "__main__":
    main()
