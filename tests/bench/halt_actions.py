"""The actions of the halt bench, the same code for both tools: put a fault in, then be hard to stop.

python halt_actions.py URL NAME SECONDS     the process: a child and a grandchild, which wait too
"""

import ctypes
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit


def ask(method, url, path):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    try:
        connection.request(method, path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def put(url, name):
    return ask("PUT", url, f"/fault/{name}")


def remove(url, name):
    return ask("DELETE", url, f"/fault/{name}")


def is_there(url, name):
    return ask("GET", url, f"/fault/{name}")


def is_well(url):
    """The guard of the other tool: one request, as its probes are written."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=0.4)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def put_and_sleep(url, name, seconds):
    """A Python action that takes its time."""
    put(url, name)
    time.sleep(seconds)


def put_and_block(url, name, seconds):
    """A blocking call in C that no signal interrupts: a mutex that nobody unlocks."""
    put(url, name)

    class Timespec(ctypes.Structure):
        _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]

    libc = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_timedlock(mutex, ctypes.byref(Timespec(int(time.time() + seconds), 0)))


def put_and_match(url, name, length):
    """A regular expression that backtracks without end, and holds the interpreter lock all the while."""
    put(url, name)
    re.match(r"(a+)+$", "a" * length + "b")


def put_and_ignore(url, name, seconds):
    """An action that will not hear SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    put(url, name)
    time.sleep(seconds)


def hang(seconds):
    """An undo that does not come back."""
    time.sleep(seconds)


if __name__ == "__main__":
    url, name, seconds = sys.argv[1:4]
    put(url, name)
    wait = f"import time; time.sleep({seconds})"
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {wait!r}, 'halt-grandchild']).wait()"
    subprocess.Popen([sys.executable, "-c", child, "halt-child"]).wait()
