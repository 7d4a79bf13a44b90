"""An outside watcher of the users' path: a process of its own that shares no code with gameday.

    python watcher.py HOST PORT FILE     until its stdin ends

Asks for /health every 20 ms, each time on a new connection, whatever became of the others, and writes down one
line for each: number, sent, ended (CLOCK_BOOTTIME nanoseconds), 1 if it was answered well within a second.
"""

import asyncio
import sys
import time

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


async def ask():
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /health HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        return int((await reader.read(100)).split()[1] == b"200")
    finally:
        writer.close()


async def one(number, out):
    sent, good = now(), 0
    try:
        good = await asyncio.wait_for(ask(), 1.0)
    except (OSError, IndexError, asyncio.TimeoutError):
        pass
    out.write(f"{number} {sent} {now()} {good}\n")
    out.flush()


async def main():
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    tasks, number, due = set(), 0, loop.time()
    with open(path, "w") as out:
        while not ended.done():
            number += 1
            task = asyncio.create_task(one(number, out))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due = max(due + 0.02, loop.time())
            await asyncio.sleep(due - loop.time())
        await asyncio.gather(*tasks)


asyncio.run(main())
