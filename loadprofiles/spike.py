"""A spike: quiet, then within a second many times as many users, then quiet again, to see what stays behind.

It answers two questions: does the service hold the spike, and is it as quick afterwards as it was before?
Queues, retries and full pools can outlast their cause by far.

Plain Locust, nothing of gameday in it. Try it alone:

    locust -f loadprofiles/spike.py --host URL --headless --spike-users 100 --spike-lasts 30

It has a `LoadTestShape` of its own, so `--users` and `--run-time` mean nothing here. In a plan, `shape: true`
keeps it, and arguments go into `options`. As an open loop, say the same with stages and no shape:

    - profile: loadprofiles/spike.py
      stages:
        - {over: 0s, rate: 10/s}
        - {over: 30s, rate: 10/s}
        - {over: 0s, rate: 100/s}
        - {over: 30s, rate: 100/s}
        - {over: 0s, rate: 10/s}
"""

import random
from argparse import ArgumentParser

from locust import FastHttpUser, LoadTestShape, constant_pacing, events, task


@events.init_command_line_parser.add_listener
def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--quiet-users", type=int, default=10, help="users before and after the spike")
    parser.add_argument("--spike-users", type=int, default=50, help="users in the spike")
    parser.add_argument("--quiet-lasts", type=float, default=30, help="seconds of quiet, before and after")
    parser.add_argument("--spike-lasts", type=float, default=20, help="seconds of spike")


class Customer(FastHttpUser):
    """Places an order a second, whatever the answer. Gives up on an answer after two seconds."""

    wait_time = constant_pacing(1)
    network_timeout = 2.0
    connection_timeout = 2.0

    @task
    def place_order(self) -> None:
        order = {"item": random.choice(("tea", "coffee", "cocoa")), "quantity": 1}
        self.client.post("/orders", json=order, name="/orders")


class Spike(LoadTestShape):
    """Quiet, spike, quiet, end. A tick is a second; all users of a step come within it."""

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options
        at_s, quiet_s = self.get_run_time(), options.quiet_lasts
        if at_s < quiet_s:
            return options.quiet_users, options.quiet_users
        if at_s < quiet_s + options.spike_lasts:
            return options.spike_users, options.spike_users
        if at_s < 2 * quiet_s + options.spike_lasts:
            return options.quiet_users, options.spike_users
        return None
