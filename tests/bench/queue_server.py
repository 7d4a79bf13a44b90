"""A real M/M/c server: c servers, one queue, exponential service times. Shares no code with gameday.

python queue_server.py C MEAN_S SEED        prints its port; ends when stdin ends, and prints how
                                            many answers it gave, how many over 5 ms late, and the latest in ms

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
    answers = late = 0
    latest_s = 0.0

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
            loop.call_at(end_s, self.answer, loop, end_s)

    def answer(self, loop, end_s):
        self.transport.write(ANSWER)
        late_s = loop.time() - end_s
        Queue.answers += 1
        Queue.late += late_s > 0.005
        Queue.latest_s = max(Queue.latest_s, late_s)


def end():
    sys.stdin.read()
    print(Queue.answers, Queue.late, round(Queue.latest_s * 1000), flush=True)
    os._exit(0)


async def serve(c, mean_s, seed):
    Queue.free, Queue.mean_s, Queue.rng = [0.0] * c, mean_s, random.Random(seed)
    server = await asyncio.get_running_loop().create_server(Queue, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    threading.Thread(target=end, daemon=True).start()
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
