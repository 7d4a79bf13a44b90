"""An outside watcher of the users' path: a process of its own that shares no code with gameday.

    python watcher.py URL MARKER FILE     until stdin ends

Places one order every 10 ms, each on a new connection, and writes down one line for each:
number, sent, ended (CLOCK_BOOTTIME nanoseconds), 1 if it was acknowledged.
"""

import http.client
import json
import select
import sys
import time
from urllib.parse import urlsplit

url, marker, path = sys.argv[1:4]
parts = urlsplit(url)


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


with open(path, "w") as out:
    due, number = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], max(due - time.monotonic(), 0))[0]:
        due = max(due + 0.01, time.monotonic())
        number += 1
        body = json.dumps({"marker": marker, "number": number, "item": "watch", "quantity": 1})
        sent, acked = now(), 0
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=1)
        try:
            connection.request("POST", "/orders", body, {"Connection": "close"})
            acked = int(connection.getresponse().status == 201)
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
        out.write(f"{number} {sent} {now()} {acked}\n")
        out.flush()
