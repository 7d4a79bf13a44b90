"""A user that speaks no HTTP: a client of its own that fires Locust's request event."""

import socket
import time

from locust import User, constant, task


class LineClient:
    def __init__(self, address, fire):
        self.fire = fire
        self.socket = socket.create_connection(address, timeout=5)

    def ask(self, line):
        began = time.perf_counter()
        error = None
        try:
            self.socket.sendall(line)
            answer = self.socket.recv(100)
        except OSError as caught:
            error, answer = caught, b""
        self.fire(
            request_type="LINE",
            name="ask",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=len(answer),
            exception=error,
            context={},
        )


class Caller(User):
    wait_time = constant(0.02)

    def on_start(self):
        host, _, port = self.host.rpartition(":")
        self.client = LineClient(
            (host.removeprefix("http://"), int(port)), self.environment.events.request.fire
        )

    @task
    def call(self):
        self.client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
