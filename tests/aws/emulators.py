"""moto and ministack, each a process of its own on loopback, and a front that throttles, delays, answers.

ministack pins another botocore than this project needs, so it lives in an environment of its own below
~/.cache/gameday, made once. The front stands before an emulator: what has a rule is answered as the rule
says, all else is passed on. With rules alone it stands for services that no emulator has: requests were
validated by botocore before they came, answers are parsed by its service model.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MINISTACK = "1.5.33"
ACCOUNTS = {"moto": "123456789012", "ministack": "000000000000"}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test-secret-value",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
UP_S = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ministack_program() -> Path:
    """The program, installed on first use; an error of pip says why not."""
    home = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gameday" / f"ministack-{MINISTACK}"
    )
    program = home / "bin" / "ministack"
    if not program.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        done = subprocess.run(
            [str(home / "bin" / "python"), "-m", "pip", "install", "-q", f"ministack=={MINISTACK}"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"ministack {MINISTACK} cannot be installed: {done.stderr[-500:]}"
    return program


@contextmanager
def emulator(kind: str, folder: Path):
    """Start one; gives its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    if kind == "moto":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        more = {"MOTO_ACCOUNT_ID": ACCOUNTS["moto"]}
    else:
        command = [str(ministack_program())]
        more = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_PORT": str(port),
            "EDGE_PORT": str(port),
        }
    log = (folder / f"{kind}.log").open("wb")
    environment = {**os.environ, **more, "TMPDIR": str(folder), "HOME": str(folder)}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        give_up = time.monotonic() + UP_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                said = (folder / f"{kind}.log").read_text()[-1500:]
                assert process.poll() is None and time.monotonic() < give_up, said
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)
        log.close()


class Front:
    """Rules by operation: each is (status, body, headers) or a delay in seconds, and how often it counts."""

    def __init__(self, upstream: str = "") -> None:
        self.upstream = urllib.parse.urlsplit(upstream)
        self.rules: dict[str, list] = {}
        self.seen: list[tuple[str, dict | str]] = []
        self.trouble: Callable | None = None  # Goes before every rule: see tests/aws/troubles.py.
        self.region = ""  # Passed on as if it had been signed for this one.
        self.credentials = Path()  # Of whoever calls.
        self.queue: list[socket.socket] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                front.serve(self, body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        self._handler = Handler
        self._listen(0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _listen(self, port: int) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self.server.daemon_threads = True
        self.is_there = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def leave(self) -> None:
        """Listen no more."""
        if self.is_there:
            self.server.shutdown()
            self.server.server_close()
            self.is_there = False

    def come_back(self) -> None:
        """Listen again where it was."""
        while self.queue:
            self.queue.pop().close()
        if not self.is_there:
            self._listen(self.server.server_address[1])

    def close(self) -> None:
        self.leave()
        while self.queue:
            self.queue.pop().close()

    def rule(self, operation: str, *answers) -> None:
        """Answer these in turn; the last one for ever. A number is a delay, None passes on."""
        self.rules[operation] = list(answers)

    def asked(self, operation: str) -> list:
        return [given for name, given in self.seen if name == operation]

    def serve(self, handler, body: bytes) -> None:
        name = _operation(handler, body)
        self.seen.append((name, _given(body)))
        answers = self.rules.get(name) or self.rules.get("*") or [None]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if self.trouble is not None:
            answer = self.trouble(name, is_json="X-Amz-Target" in handler.headers) or answer
        if isinstance(answer, int | float):
            time.sleep(answer)
            answer = (500, b"", {})
        if callable(answer):
            answer = answer(_given(body))
        if isinstance(answer, dict):
            answer = (200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.1"})
        if answer is None:
            assert self.upstream.hostname, f"no rule for {name}"
            answer = self._pass_on(handler, body)
        status, data, headers = answer
        data = data.encode() if isinstance(data, str) else data
        try:
            handler.send_response(status)
            for key, value in headers.items():
                if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    handler.send_header(key, value)
            if "x-amzn-requestid" not in map(str.lower, headers):
                handler.send_header("x-amzn-RequestId", "front-request")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
        except OSError:
            pass  # Whoever asked has given up.

    def _pass_on(self, handler, body: bytes):
        link = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=60)
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "connection"}
        if self.region:
            signed = headers.get("Authorization", "")
            headers["Authorization"] = signed.replace("/us-east-1/", f"/{self.region}/")
        link.request(handler.command, handler.path, body or None, headers)
        reply = link.getresponse()
        return reply.status, reply.read(), dict(reply.getheaders())


def error(code: str, message: str = "as the test says", status: int = 400):
    """An error in both protocols: JSON for those that speak it, XML for query services."""
    xml = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>front-request</RequestId></ErrorResponse>"
    )
    return status, xml, {"Content-Type": "text/xml"}


def json_error(code: str, message: str = "as the test says", status: int = 400):
    body = json.dumps({"__type": code, "message": message, "Message": message})
    return status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code}


def _operation(handler, body: bytes) -> str:
    target = handler.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    if b"Action=" in body:
        return urllib.parse.parse_qs(body.decode())["Action"][0]
    path = "/".join("*" if _is_name(part) else part for part in handler.path.partition("?")[0].split("/"))
    return f"{handler.command} {path}"


def _is_name(part: str) -> bool:
    return ":" in part or "%3A" in part or (any(c.isdigit() for c in part) and not part.startswith("20"))


def _given(body: bytes):
    try:
        return json.loads(body)
    except ValueError:
        return {k: v[0] for k, v in urllib.parse.parse_qs(body.decode("utf-8", "replace")).items()}
