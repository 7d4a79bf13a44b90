"""The payments service: beside orders, in a process of its own, and touched by no fault.

A drill watches it as a control: if it suffers, the blast radius was larger than planned.
"""

from __future__ import annotations

import asyncio
import os
import sys

from gameday.lab.httpd import Reply, Request, port_of, serve


async def handle(request: Request) -> Reply:
    """Answer one request."""
    if request.path == ("health",):
        return 200, {"service": "payments"}
    return 404, {"error": "no such thing"}


async def main() -> None:
    """Serve until stdin ends, which says that the lab is gone."""
    server = await serve(handle)
    os.write(1, f"{port_of(server)}\n".encode())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
