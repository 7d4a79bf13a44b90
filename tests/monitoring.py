"""A real Prometheus and a real Alertmanager on loopback, with one metric that a test sets at will."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

CONFIG = """
global: {{scrape_interval: {scrape}, scrape_timeout: {scrape}, evaluation_interval: {rule}}}
rule_files: [{folder}/rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{pager}"]}}]}}]}}
scrape_configs:
  - {{job_name: it, static_configs: [{{targets: ["127.0.0.1:{metrics}"{more}]}}]}}
"""
RULES = """
groups:
  - name: it
    rules:
      - {alert: Hot, expr: heat > 5, labels: {severity: page}}
      - {alert: Slow, expr: heat > 5, for: 1h}
      - {alert: OrdersDown, expr: orders_up == 0 or absent(orders_up), for: 1s}
"""
PAGER = "{route: {receiver: none, group_wait: 0s, group_interval: 1s}, receivers: [{name: none}]}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Monitoring:
    """`heat` is the metric; the alert Hot fires above 5, Slow is pending then.

    With `orders_url`, each scrape places an order there: OrdersDown fires when that fails for 1 s. `more` are
    further targets to scrape.
    """

    def __init__(self, folder, scrape="250ms", rule="250ms", orders_url="", more=()):
        for program in ("prometheus", "prometheus-alertmanager"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed: apt-get install prometheus prometheus-alertmanager")
        self.heat = 1.0
        self.orders_url = orders_url
        self.requests = {"200": 0, "500": 0}  # Each scrape finds ten more, failures while it is hot.
        handler = type("Handler", (Metrics,), {"of": self})
        self.metrics = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.metrics.serve_forever, daemon=True).start()
        port, pager = free_port(), free_port()
        self.url, self.pager_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{pager}"
        self.log = (folder / "log").open("wb")
        ports = {"folder": folder, "pager": pager, "metrics": self.metrics.server_address[1]}
        ports |= {"scrape": scrape, "rule": rule, "more": "".join(f', "{target}"' for target in more)}
        (folder / "prometheus.yml").write_text(CONFIG.format(**ports))
        (folder / "rules.yml").write_text(RULES)
        (folder / "pager.yml").write_text(PAGER)
        self.server = self.start(
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        )  # fmt: skip
        self.pager = self.start(
            "prometheus-alertmanager", f"--config.file={folder}/pager.yml", f"--storage.path={folder}/pager",
            f"--web.listen-address=127.0.0.1:{pager}", "--cluster.listen-address=",
        )  # fmt: skip
        own = self.metrics.server_address[1]
        self.wait_for(lambda: self.value(f'up{{instance="127.0.0.1:{own}"}}') == 1.0)

    def start(self, *argv):
        return subprocess.Popen(argv, stdout=self.log, stderr=self.log)

    def value(self, query):
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def fired(self, alert, since):
        """Unix time, from `since` on, at which a rule first said that its alert fires; None if never."""
        asked = f'ALERTS{{alertname="{alert}",alertstate="firing"}}[5m]'
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': asked})}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
        return min((float(at) for one in result for at, _ in one["values"] if at >= since), default=None)

    def wait_for(self, is_it, timeout_s=40.0):
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                if is_it():
                    return
            except OSError:
                pass
            assert time.monotonic() < give_up, "the monitoring did not get there"
            time.sleep(0.05)

    def close(self):
        for process in (self.server, self.pager):
            process.kill()
            process.wait()
        self.metrics.shutdown()
        self.metrics.server_close()
        self.log.close()


class Metrics(http.server.BaseHTTPRequestHandler):
    of = None

    def do_GET(self):
        body = f'heat {self.of.heat}\nparts{{n="1"}} 1\nparts{{n="2"}} 9\nodd NaN\n'.encode()
        self.of.requests["500" if self.of.heat > 5 else "200"] += 10
        for code, number in self.of.requests.items():
            body += f'requests_total{{code="{code}"}} {number}\n'.encode()
        if self.of.orders_url:
            body += f"orders_up {self.orders_up()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # A scrape that has given up.
            self.wfile.write(body)

    def orders_up(self):
        """Place one order, as a user would, and say whether it was taken."""
        order = json.dumps({"item": "watch", "quantity": 1, "marker": "watch"}).encode()
        asked = urllib.request.Request(
            f"{self.of.orders_url}/orders", order, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=0.1):
                return 1
        except OSError:
            return 0

    def log_message(self, *_):
        pass
