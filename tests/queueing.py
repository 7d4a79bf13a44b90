"""A queueing server with a known limit, in virtual time: what it did, second by second, as `Slice`s.

Server(c, mean_s)               M/M/c: Poisson arrivals, c servers, one queue, exponential service times
    sigma=1.0                   log-normal service times of the same mean instead
    stall_every_s, stall_s      all servers freeze now and then, at Poisson instants
    warm_s                      cold start: service takes 1 + exp(-age / warm_s) times as long
limit_of(server, limit_us, share)   the rate at which exactly `share` of the requests are slower, in
                                closed form (M/M/c without stalls)
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

from gameday.capacity.goal import SECOND_NS, Slice


@dataclass
class Server:
    c: int
    mean_s: float
    sigma: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 0.0
    warm_s: float = 0.0
    age_s: float = 0.0

    def trial(self, rate, seed):
        """Yield one slice a second, for ever, from an empty queue on; the server ages with it."""
        rng = random.Random(seed)
        free = [0.0] * self.c
        pending: list[tuple[float, float]] = []
        stall_at_s = rng.expovariate(1 / self.stall_every_s) if self.stall_every_s else math.inf
        arrival_s = rng.expovariate(rate)
        mu = math.log(self.mean_s) - self.sigma**2 / 2
        log, uniform, frexp, replace = math.log, rng.random, math.frexp, heapq.heapreplace
        start_s = self.age_s
        second = 0
        while True:
            second += 1
            arrived = 0
            slow = 1 + math.exp(-(start_s + second) / self.warm_s) if self.warm_s else 1.0
            mean_s = self.mean_s * slow
            while arrival_s < second:
                while arrival_s >= stall_at_s:
                    free = [max(f, stall_at_s) + self.stall_s for f in free]
                    heapq.heapify(free)
                    stall_at_s += self.stall_s + rng.expovariate(1 / self.stall_every_s)
                service = (
                    slow * rng.lognormvariate(mu, self.sigma)
                    if self.sigma
                    else -log(1.0 - uniform()) * mean_s
                )
                first = free[0]
                end_s = (first if first > arrival_s else arrival_s) + service
                replace(free, end_s)
                pending.append((end_s, arrival_s))
                arrived += 1
                arrival_s -= log(1.0 - uniform()) / rate
            counts: dict[int, int] = {}
            left = []
            good = 0
            for request in pending:
                if request[0] <= second:
                    m, e = frexp((request[0] - request[1]) * 1e6)
                    i = (e << 7) + int((m - 0.5) * 256)
                    counts[i] = counts.get(i, 0) + 1
                    good += 1
                else:
                    left.append(request)
            pending = left
            ages: dict[int, int] = {}
            for _, arrived_s in pending:
                m, e = frexp((second - arrived_s) * 1e6 + 1)
                i = (e << 7) + int((m - 0.5) * 256)
                ages[i] = ages.get(i, 0) + 1
            self.age_s = start_s + second
            yield Slice(
                start_ns=(second - 1) * SECOND_NS, length_ns=SECOND_NS,
                intended=arrived, started=arrived, late=0, dropped=0, good=good, bad=0,
                latency=tuple(sorted(counts.items())), waiting=len(pending), ages=tuple(sorted(ages.items())),
            )  # fmt: skip


def slower_share(c, mean_s, rate, limit_s):
    """Return P(response time > limit) of M/M/c. Source: Erlang's C; Gross & Harris, Queueing Theory, ch. 3."""
    mu = 1 / mean_s
    load = rate * mean_s
    if load >= c:
        return 1.0
    term, total = 1.0, 1.0
    for k in range(1, c):
        term *= load / k
        total += term
    last = term * load / c * c / (c - load)
    waits = last / (total + last)
    theta = c * mu - rate
    if abs(theta - mu) < 1e-9 * mu:
        both = (1 + mu * limit_s) * math.exp(-mu * limit_s)
    else:
        both = (theta * math.exp(-mu * limit_s) - mu * math.exp(-theta * limit_s)) / (theta - mu)
    return (1 - waits) * math.exp(-mu * limit_s) + waits * both


def limit_of(server, limit_us, share):
    low, high = 0.0, server.c / server.mean_s
    for _ in range(60):
        middle = (low + high) / 2
        if slower_share(server.c, server.mean_s, middle, limit_us / 1e6) < share:
            low = middle
        else:
            high = middle
    return low
