"""The target of the halt bench: users are served until it is told to go bad. Shares no code with gameday.

python halt_target.py        prints its port; ends when stdin ends

GET /health       200, and 503 once it is bad
POST /bad/MS      go bad that long after the next request for /health, and where none comes within 300 ms
                  then; the instant is noted (CLOCK_BOOTTIME nanoseconds)
POST /good        serve again, and forget every instant
PUT|DELETE /fault/NAME      put a fault in, take it out; the first instant of each is kept
GET /fault/NAME   true or false
GET /instants     {"bad": ns, "in": {name: ns}, "out": {name: ns}}
"""

import http.server
import json
import os
import sys
import threading
import time


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class World:
    def __init__(self):
        self.forget()

    def forget(self):
        self.bad, self.put, self.out = None, {}, {}
        self.after_s = None

    def asked(self):
        """Somebody asks whether it is well: the instant the wait for going bad begins."""
        after_s, self.after_s = self.after_s, None
        if after_s is not None:
            threading.Timer(after_s, self.go_bad, (self.put,)).start()

    def go_bad(self, run):
        """Go bad, unless that was meant for a run before this one."""
        if run is self.put:
            self.after_s, self.bad = None, self.bad or now()


world = World()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if self.path == "/health":
            world.asked()
            self.answer(503 if world.bad else 200, {"ok": not world.bad})
        elif self.path == "/identity":
            self.answer(200, {"environment": "lab"})
        elif self.path == "/instants":
            self.answer(200, {"bad": world.bad, "in": world.put, "out": world.out})
        else:
            self.answer(200, name in world.put and name not in world.out)

    def do_POST(self):
        if self.path.startswith("/bad/"):
            world.after_s = float(self.path.rpartition("/")[2]) / 1000
            threading.Timer(0.3, world.go_bad, (world.put,)).start()
        else:
            world.forget()
        self.answer(200, world.bad)

    def do_PUT(self):
        name = self.path.rpartition("/")[2]
        world.put[name] = now()
        world.out.pop(name, None)
        self.answer(200, True)

    def do_DELETE(self):
        world.out.setdefault(self.path.rpartition("/")[2], now())
        self.answer(200, True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)
