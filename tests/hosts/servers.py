"""Small real servers that treat a client badly, each on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(data):
    def serve(client):
        client.recv(65536)
        client.sendall(data)

    return serve


def silent(client):
    client.recv(65536)
    time.sleep(60)


def mute(client):
    """Take the connection and read nothing."""
    time.sleep(60)


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(data, every_s=0.02):
    """Send a byte at a time: always something, never the whole."""

    def serve(client):
        client.recv(65536)
        for number in range(5000):
            client.sendall(data[number : number + 1] or b"x")
            time.sleep(every_s)

    return serve


@contextlib.contextmanager
def server(behave):
    """Yield the port of a server that treats every connection so, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def one(client):
        with client, contextlib.suppress(OSError):
            behave(client)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
