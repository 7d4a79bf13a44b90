"""A real M/M/c server: c servers, one queue, exponential service times. Shares no code with gameday.

python queue_server.py C MEAN_S SEED        prints its port; ends when stdin ends

The servers are a heap of the instants at which they are free: a request is answered when its turn and its
service time have passed. What is served is never shortened by a client that went away.
"""

import asyncio
import heapq
import os
import random
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Queue(asyncio.Protocol):
    free: list[float] = []
    rng = random.Random(0)
    mean_s = 0.0

    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        loop = asyncio.get_running_loop()
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            _, _, self.rest = self.rest.partition(b"\r\n\r\n")
            end_s = max(loop.time(), self.free[0]) + self.rng.expovariate(1 / self.mean_s)
            heapq.heapreplace(self.free, end_s)
            loop.call_at(end_s, self.transport.write, ANSWER)


async def serve(c, mean_s, seed):
    Queue.free, Queue.mean_s, Queue.rng = [0.0] * c, mean_s, random.Random(seed)
    server = await asyncio.get_running_loop().create_server(Queue, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
