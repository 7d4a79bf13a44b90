"""What may be wrong with AWS, each made by the front that stands before an emulator.

A trouble begins when a drill's own step asks for it, so it begins where the test means it to, on a slow machine too.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.aws.conftest import sts_answer
from tests.aws.emulators import CREDENTIALS, Front, error, json_error

STS = "GetCallerIdentity"
LATE_S = 30
UNANSWERED = "no answer in time|no read-back within|ended by SIGTERM"


def refusal(code: str, text: str, status: int = 400, *, of_sts: bool = True) -> Callable[[Front], None]:
    """Every call ends with this error, in the words of its own protocol."""

    def begin(front: Front) -> None:
        def answer(name: str, *, is_json: bool):
            if name == STS and not of_sts:
                return None
            return (json_error if is_json else error)(code, text, status)

        front.trouble = answer

    return begin


def answers(given, *, only: str = "", of_sts: bool = True) -> Callable[[Front], None]:
    """Every call, or `only` one, gets this answer."""

    def begin(front: Front) -> None:
        def answer(name: str, *, is_json: bool):
            is_meant = name == only if only else of_sts or name != STS
            return given if is_meant else None

        front.trouble = answer

    return begin


def elsewhere(front: Front) -> None:
    """Every call is answered by another region, where nothing of ours is."""
    front.region = "eu-west-1"


def deaf(front: Front) -> None:
    """No connection is accepted any more: the queue is full, so nobody gets one."""
    front.leave()
    front.queue = [socket.create_server(front.server.server_address, backlog=0)]
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(front.server.server_address)
        front.queue.append(one)


def without_credentials(front: Front) -> None:
    """The file of credentials is gone."""
    front.credentials.unlink()


@dataclass(frozen=True)
class Trouble:
    """How it begins, and the words that it is known by: a pattern."""

    begin: Callable[[Front], None]
    said: str
    is_of_a_call: bool = False  # A change can meet it after STS said who we are.


PAGE = (200, "<html><body>Sign in</body></html>", {"Content-Type": "text/html"})
TROUBLES = {
    "another account": Trouble(answers(sts_answer("999999999999"), only=STS), "of account 999999999999"),
    "another region": Trouble(elsewhere, "NotFound"),
    "expired": Trouble(refusal("ExpiredToken", "has expired", 403), "have expired"),
    "unknown key": Trouble(refusal("InvalidClientTokenId", "is invalid", 403), "does not know these cred"),
    "no credentials": Trouble(without_credentials, "no AWS credentials were found"),
    "forbidden": Trouble(refusal("AccessDenied", "no", 403, of_sts=False), "is needed", is_of_a_call=True),
    "throttled": Trouble(refusal("Throttling", "Rate", of_sts=False), "throttled by AWS", is_of_a_call=True),
    "429": Trouble(
        refusal("TooManyRequestsException", "Slow", 429, of_sts=False), "throttled by", is_of_a_call=True
    ),
    "server error": Trouble(
        refusal("InternalFailure", "as the test says", 500, of_sts=False),
        "InternalFailure",
        is_of_a_call=True,
    ),
    "a proxy's page": Trouble(answers(PAGE, of_sts=False), "is not AWS", is_of_a_call=True),
    "no answer": Trouble(answers(LATE_S, of_sts=False), UNANSWERED, is_of_a_call=True),
    "no connection": Trouble(deaf, UNANSWERED),
    "endpoint gone": Trouble(Front.leave, "cannot be reached"),
}


def mend(front: Front) -> None:
    """All is well again."""
    front.trouble, front.region = None, ""
    write_credentials(front.credentials)
    front.come_back()


def write_credentials(path: Path) -> None:
    path.write_text(
        f"[default]\naws_access_key_id={CREDENTIALS['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key={CREDENTIALS['AWS_SECRET_ACCESS_KEY']}\n"
    )


class Service:
    """The system under drill: it says who it is and is well; /trouble makes AWS unwell."""

    def __init__(self, targets: tuple[str, ...]) -> None:
        self.begin: Callable[[], None] = lambda: None
        self.began = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                if self.path == "/trouble":
                    service.begin()
                    service.began.set()
                who = {"environment": "lab", "id": service.url, "targets": {name: {} for name in targets}}
                body = json.dumps(who).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
