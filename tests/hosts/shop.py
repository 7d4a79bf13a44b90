"""A real order service in a thread: keeps orders in memory, and can misbehave on demand."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Shop:
    """`status` is what a new order gets; `seen(path)` is called as a request arrives."""

    def __init__(self):
        self.orders = []
        self.status = 201
        self.stalled = threading.Event()
        self.stalled.set()
        self.list_answer = None
        self.hits = 0
        self.before = lambda body: None


@contextlib.contextmanager
def shop():
    made = Shop()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, status, data):
            body = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def marker(self):
            return parse_qs(urlsplit(self.path).query).get("marker", [""])[0]

        def do_POST(self):
            made.hits += 1
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            made.before(body)
            made.stalled.wait(30)
            if made.status == 201:
                made.orders.append(body)
            self.reply(made.status, {})

        def do_GET(self):
            made.hits += 1
            made.stalled.wait(30)
            if made.list_answer is not None:
                self.reply(200, made.list_answer)
            else:
                self.reply(200, {"orders": [o for o in made.orders if o.get("marker") == self.marker()]})

        def do_DELETE(self):
            before = len(made.orders)
            made.orders = [o for o in made.orders if o.get("marker") != self.marker()]
            self.reply(200, {"purged": before - len(made.orders)})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.stalled.set()
    server.shutdown()
    server.server_close()
