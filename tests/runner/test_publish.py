"""`gameday publish` beside a real drill: a real Prometheus scrapes it, spans and annotations arrive.

The OTLP receiver decodes what it gets by OpenTelemetry's own message; Grafana is stood in for by a server
that holds every request against the schema of Grafana's HTTP API, because no registry brings Grafana.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

from tests.console.test_publish import as_proto
from tests.drills import ROOT, SHORT, Run, make_project
from tests.monitoring import Monitoring, free_port

pytestmark = pytest.mark.slow
TOKEN = "glsa_not_a_real_one"
POST_KEYS = {"time": int, "timeEnd": int, "tags": list, "text": str}


class Receiver:
    """OTLP at /v1/traces, Grafana's annotations at /api/annotations. It fails the first request of each."""

    def __init__(self):
        self.spans, self.annotations, self.wrong, self.failed = {}, {}, [], set()
        handler = type("Handler", (_Handler,), {"of": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def traces(self, body):
        for resource in as_proto(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans |= {span.span_id: span for span in scope.spans}
        return {}

    def annotate(self, body):
        wrong = [key for key, kind in POST_KEYS.items() if not isinstance(body.get(key), kind)]
        if wrong or set(body) - set(POST_KEYS):
            self.wrong.append(body)
        number = len(self.annotations) + 1
        self.annotations[number] = body
        return {"message": "Annotation added", "id": number}

    def patch(self, number, body):
        if set(body) - {"text", "tags", "time", "timeEnd"} or number not in self.annotations:
            self.wrong.append(body)
        self.annotations[number] |= body
        return {"message": "Annotation patched"}


class _Handler(http.server.BaseHTTPRequestHandler):
    of = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first = (self.command, self.path) not in self.of.failed
        self.of.failed.add((self.command, self.path))
        if first:
            self.reply(503, {})
        elif self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json":
            assert self.headers["x-tenant"] == "drills, ours"
            self.reply(200, self.of.traces(body))
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.reply(401, {"message": "Unauthorized"})
        elif self.path == "/api/annotations":
            self.reply(200, self.of.annotate(body))
        else:
            self.reply(200, self.of.patch(int(self.path.removeprefix("/api/annotations/")), body))

    do_PATCH = do_POST

    def reply(self, status, said):
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def publish(project, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "gameday", "publish", *words],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GAMEDAY_GRAFANA_TOKEN": TOKEN,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=drills%2C%20ours",
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def test_prometheus_an_otlp_receiver_and_grafana_see_a_drill(tmp_path, lab, tmp_path_factory):
    port, receiver = free_port(), Receiver()
    monitoring = Monitoring(tmp_path_factory.mktemp("scraping"), more=[f"127.0.0.1:{port}"])
    project = make_project(tmp_path, **SHORT)
    words = ["--metrics", f"127.0.0.1:{port}", "--traces", receiver.url, "--grafana", receiver.url]
    try:
        run = Run(project, "primary-loss")
        run.wait_for(lambda kind, data: kind == "RunStarted")
        publisher = publish(project, str(run.folder), *words)
        monitoring.wait_for(lambda: monitoring.value("gameday_faults_in_place") == 1.0)
        assert monitoring.value('gameday_phase{phase="running"}') == 1.0
        assert monitoring.value('gameday_slo_objective_ratio{slo="availability"}') == 0.8
        assert monitoring.value('gameday_load_offered_per_second{load="orders"}') > 0
        code, out = run.end()
        assert code == 0, out
        _, said = publisher.communicate(timeout=30)
        assert publisher.returncode == 0, said
        assert monitoring.value('max_over_time(gameday_run_outcome{outcome="completed"}[1m])') == 1.0
        samples = monitoring.value(
            'max_over_time(gameday_probe_samples_total{probe="place-order",reading="bad"}[1m])'
        )
        assert samples == sum(s.probe == "place-order" and s.reading == "bad" for s in read_samples(run))
        kinds = [kind for kind, _ in run.kinds()]
        names = [span.name for span in receiver.spans.values()]
        assert sum(name.startswith("phase") for name in names) == kinds.count("PhaseChanged")
        assert sum(name.startswith("undo of") for name in names) == kinds.count("UndoStarted")
        assert names[-1] == "drill Lose the primary database at peak"
        assert receiver.wrong == []
        texts = [body["text"] for body in receiver.annotations.values()]
        assert "Lose the primary database at peak: completed" in texts
        assert any(text.startswith("primary database dies:") for text in texts)
        assert all(body["timeEnd"] > body["time"] for body in receiver.annotations.values())
        assert TOKEN not in said
    finally:
        monitoring.close()
        receiver.close()


def read_samples(run):
    from gameday.history.read import read_trace

    return read_trace(run.folder).samples


def test_a_publisher_that_is_killed_or_has_nobody_to_tell_changes_nothing(tmp_path, lab):
    patient = {"bad: 3 in a row": "bad: 30 in a row"}  # A busy machine is not what is tested here.
    project = make_project(tmp_path, **SHORT, **patient)
    run = Run(project, "primary-loss")
    run.wait_for(lambda kind, data: kind == "RunStarted")
    lonely = publish(project, str(run.folder), "--traces", f"http://127.0.0.1:{free_port()}")
    killed = publish(project, str(run.folder), "--metrics", f"127.0.0.1:{free_port()}")
    run.wait_for(lambda kind, data: kind == "StepEnded" and data["in_place"])
    killed.kill()
    killed.communicate()
    code, out = run.end()
    assert code == 0, out
    _, said = lonely.communicate(timeout=40)
    assert lonely.returncode == 0
    assert "0 sent" in said and "not taken" in said
