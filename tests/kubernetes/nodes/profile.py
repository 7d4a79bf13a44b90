"""Visitors of the shop: one request after another, each on a new connection."""

from locust import FastHttpUser, constant, task


class Visitor(FastHttpUser):
    wait_time = constant(0.2)
    network_timeout = 1.0
    connection_timeout = 1.0

    @task
    def look(self) -> None:
        self.client.get("/health", headers={"Connection": "close"})
