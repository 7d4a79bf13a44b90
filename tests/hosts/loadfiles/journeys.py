"""Nested and sequential task sets with waits of their own, tags, weights, several user classes."""

from locust import (
    FastHttpUser,
    HttpUser,
    SequentialTaskSet,
    TaskSet,
    between,
    constant,
    constant_pacing,
    tag,
    task,
)


class Checkout(SequentialTaskSet):
    wait_time = constant(0.01)

    def on_start(self):
        self.client.get("/cart", name="cart opened")

    @task
    def pay(self):
        self.client.post("/orders", json={"item": "tea", "step": 1}, name="pay")

    @task
    def done(self):
        self.interrupt(reschedule=False)


class Browse(TaskSet):
    wait_time = between(0.01, 0.02)
    tasks = {Checkout: 1}

    @task(3)
    def look(self):
        self.client.get("/look")

    @tag("never")
    @task(100)
    def forbidden(self):
        self.client.get("/forbidden")

    @task(2)
    def leave(self):
        self.interrupt()


class Shopper(HttpUser):
    weight = 2
    tasks = [Browse]


class Robot(FastHttpUser):
    wait_time = constant_pacing(0.05)

    @task
    def poll(self):
        with self.client.get("/poll", catch_response=True) as response:
            if "orders" not in response.text:
                response.failure("no orders in it")

    @task
    def tell(self):
        with self.rest("POST", "/orders", json={"item": "bolt"}) as response:
            assert response.js == {}
