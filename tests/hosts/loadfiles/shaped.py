"""A LoadTestShape with user classes in its ticks, as Locust's own examples have it."""

from locust import FastHttpUser, LoadTestShape, constant, task


class One(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def one(self):
        self.client.get("/one")


class Two(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def two(self):
        self.client.get("/two")


class Steps(LoadTestShape):
    stages = ((2, 1, [One]), (30, 3, [One, Two]))

    def tick(self):
        for end, users, classes in self.stages:
            if self.get_run_time() < end:
                return users, 100, classes
        return None
