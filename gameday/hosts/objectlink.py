"""The runner's side of the object host: ask, wait with a deadline, replace a host that gave no answer.

Several threads may ask at once; each waits for its own answer only. A host that is late with one is
ended, because what hangs once hangs again, and whoever else waited for it is told that it broke.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import count
from typing import Any

from gameday.hosts.words import one_line
from gameday.plan.objecturl import ObjectUrl

ANSWER_S = 3.0
START_S = 10.0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: `is_there` (with body and tag), absent, done, or a conflict with what was expected."""

    kind: str
    body: str = ""
    tag: str = ""

    @property
    def is_there(self) -> bool:
        """Tell whether there was an object."""
        return self.kind == "there"

    @property
    def is_done(self) -> bool:
        """Tell whether what was asked for was carried out."""
        return self.kind == "done"


class ObjectLink:
    """A host that is started when it is first asked something."""

    def __init__(self, timeout_s: float = ANSWER_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        self._waiting: dict[int, tuple[threading.Event, dict[str, Any]]] = {}

    def ask(self, at: ObjectUrl, do: str, *, body: str = "", tag: str = "") -> Said:
        """Ask for one thing, and wait for the answer.

        Raises:
            OSError: No answer, or one that says nothing about the object.
        """
        number, came, answer = (
            next(self._numbers),
            threading.Event(),
            {"is": "error", "why": "its host broke"},
        )
        place = {
            "bucket": at.bucket, "key": at.key, "region": at.region, "account": at.account,
            "endpoint": at.endpoint,
        }  # fmt: skip
        asked = {
            "n": number, "do": do, "at": place, "body": body, "tag": tag, "timeout_s": self._timeout_s
        }  # fmt: skip
        with self._lock:
            if self._is_closed:
                raise OSError(f"{at.text}: nobody is asked any more")
            process, is_new = self._host()
            self._waiting[number] = came, answer
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
            except (OSError, ValueError):
                came.set()
        # boto3 answers by its own timeouts, one to connect and one to read; this is for a host that hangs.
        if not came.wait(2 * self._timeout_s + 1.0 + (START_S if is_new else 0.0)):
            self._end(process)
            answer = {"is": "error", "why": "no answer in time"}
        with self._lock:
            self._waiting.pop(number, None)
        if answer["is"] == "error":
            raise OSError(f"{at.text}: {one_line(str(answer.get('why')), 250)}")
        return Said(str(answer["is"]), str(answer.get("body", "")), str(answer.get("tag", "")))

    def close(self) -> None:
        """End the host."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
        if process is not None:
            self._end(process)

    def _host(self) -> tuple[subprocess.Popen[str], bool]:
        if self._process is not None and self._process.poll() is None:
            return self._process, False
        process = subprocess.Popen(
            [sys.executable, "-m", "gameday.hosts.objecthost"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        self._process = process
        threading.Thread(target=self._listen, args=(process,), name="objects", daemon=True).start()
        return process, True

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = json.loads(line)
                with self._lock:
                    came, answer = self._waiting.get(found.get("n"), (threading.Event(), {}))
                    answer.update(found)
                came.set()
        except (OSError, ValueError):
            pass
        with self._lock:
            if self._process is process:
                self._process = None
                for came, _ in self._waiting.values():
                    came.set()

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
