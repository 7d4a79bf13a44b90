"""Customers of the lab's orders service: mostly placing orders, sometimes looking at recent ones.

Plain Locust, nothing of gameday in it. Try it alone: locust -f loadprofiles/orders.py --host URL
"""

import random

from locust import FastHttpUser, between, task


class Customer(FastHttpUser):
    """Places orders and reads them back. Gives up on an answer after two seconds."""

    wait_time = between(0.5, 1.5)
    network_timeout = 2.0
    connection_timeout = 2.0

    @task(9)
    def place_order(self) -> None:
        order = {"item": random.choice(("tea", "coffee", "cocoa")), "quantity": random.randint(1, 5)}
        self.client.post("/orders", json=order, name="/orders")

    @task(1)
    def recent_orders(self) -> None:
        self.client.get("/orders?limit=10", name="/orders")
