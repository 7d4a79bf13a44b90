"""Shoppers and a merchant of the lab's orders service, with time to think: browse, order, look again.

A shopper looks around, thinks, places an order, and looks whether it is there; nine of ten users shop, one
is a merchant who watches what comes in. Each begins by asking the service who it is, as an app does when
it is opened, and gives up on an answer after two seconds.

Plain Locust, nothing of gameday in it. Try it alone:

    locust -f loadprofiles/journeys.py --host URL --headless --users 20 --spawn-rate 5 --run-time 1m

As an open loop (`rate:` in a plan) each arrival is one step of somebody's journey, and there are no pauses
between: arrivals, not users, say when the next step is due. With `users:` people think.
"""

import random
from typing import ClassVar

from locust import FastHttpUser, SequentialTaskSet, between, constant_pacing, task

ITEMS = ("tea", "coffee", "cocoa", "maté", "chicory")


class Journey(SequentialTaskSet):
    """One visit after another: what was ordered is looked for among the latest orders."""

    order_id = None

    @task
    def browse(self) -> None:
        self.client.get("/orders?limit=20", name="/orders (browse)")

    @task
    def place_order(self) -> None:
        self.order_id = None
        order = {"item": random.choice(ITEMS), "quantity": random.randint(1, 5)}
        with self.client.post("/orders", json=order, name="/orders", catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"HTTP {answer.status_code}, expected 201")
                return
            try:
                self.order_id = answer.json()["id"]
            except (ValueError, TypeError, KeyError):
                answer.failure("the answer holds no id")

    @task
    def look(self) -> None:
        """A hundred orders back is far enough for any rate that one shopper's thinking time allows."""
        if self.order_id is None:
            return
        with self.client.get("/orders?limit=100", name="/orders (look)", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"HTTP {answer.status_code}, expected 200")


class Visitor(FastHttpUser):
    """What all users share. `abstract`: there is nobody who is only a visitor."""

    abstract = True
    network_timeout = 2.0
    connection_timeout = 2.0

    def on_start(self) -> None:
        self.client.get("/identity", name="/identity (open)")


class Shopper(Visitor):
    """Thinks one to three seconds between two steps."""

    weight = 9
    wait_time = between(1, 3)
    tasks: ClassVar = [Journey]


class Merchant(Visitor):
    """Looks every five seconds at what came in."""

    weight = 1
    wait_time = constant_pacing(5)

    @task
    def watch(self) -> None:
        self.client.get("/orders?limit=100", name="/orders (watch)")
