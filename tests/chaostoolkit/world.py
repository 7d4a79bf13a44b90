"""A target over HTTP that breaks while a file is there, and `chaos run` against it, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.drills import ROOT


class Target:
    """Numbered writes by POST, all by GET, away by DELETE. `broken`: 503. `lose` forgets the last ones."""

    def __init__(self, folder: Path) -> None:
        self.rows: list[dict] = []
        target = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(503 if (folder / "broken").exists() else status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not (folder / "broken").exists():
                    target.rows.append(row)
                elif not (folder / "lost").exists():
                    (folder / "lost").touch()
                    del target.rows[-3:]
                self.answer(201, {})

            def do_GET(self):
                marker = parse_qs(urlsplit(self.path).query).get("marker", [""])[0]
                self.answer(200, {"orders": [row for row in target.rows if row["marker"] == marker]})

            def do_DELETE(self):
                found, target.rows = len(target.rows), []
                self.answer(200, {"purged": found})

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def guard(url: str, **more) -> dict:
    return control("guard", {
        "probes": {"users": {"http": {"url": f"{url}/"}, "every": "100ms", "timeout": "400ms"}},
        "slos": {"ok": {"probe": "users", "objective": "90%", "window": "1s"}},
        "steady_state": {"slos": ["ok"], "stabilise": "1s"},
        "stop_conditions": [{"probe": "users", "bad": "3 in a row"}],
        **more,
    })  # fmt: skip


def control(name: str, arguments: dict) -> dict:
    module = f"gameday.chaostoolkit.{name}"
    return {"name": name, "provider": {"type": "python", "module": module, "arguments": arguments}}


def shell(name: str, command: str, **more) -> dict:
    provider = {"type": "process", "path": "bash", "arguments": ["-c", command]}
    return {"type": "action", "name": name, "provider": provider, **more}


def python(name: str, module: str, func: str, **arguments) -> dict:
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": "action", "name": name, "provider": provider}


MEND = shell("mend", "rm -f broken; echo mended >> mended")


class Chaos:
    """One `chaos` in a process of its own; its HOME is empty, so there are no settings."""

    def __init__(self, folder: Path, *words: str) -> None:
        env = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{folder}",
            "HOME": str(folder),
            "GAMEDAY_KEY": str(folder / "key"),
        }
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaostoolkit", "--no-version-check", *words],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ends(self, timeout_s: float = 100.0) -> str:
        self.said = self.process.communicate(timeout=timeout_s)[0]
        return self.said


def run(folder: Path, experiment: dict, *words: str) -> Chaos:
    (folder / "it.json").write_text(json.dumps({"description": "x", **experiment}))
    return Chaos(folder, "run", *words, "it.json")
