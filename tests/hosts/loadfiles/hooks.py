"""Arguments of its own, event hooks, a log-in as a user starts, data from a file beside it."""

import csv
from pathlib import Path

from helper_names import PATHS
from locust import HttpUser, constant, events, task

SEEN = Path(__file__).with_name("seen.txt")


def note(word):
    with SEEN.open("a") as file:
        file.write(f"{word}\n")


with Path(__file__).with_name("items.csv").open(newline="") as rows:
    ITEMS = [row["item"] for row in csv.DictReader(rows)]


@events.init_command_line_parser.add_listener
def arguments(parser):
    parser.add_argument("--tenant", default="none")
    parser.add_argument("--api-key", is_secret=True, default="")


@events.init.add_listener
def init(environment, **_):
    note(f"init {environment.parsed_options.tenant}")


@events.test_start.add_listener
def test_start(environment, **_):
    note(f"test_start {environment.host is not None}")


@events.request.add_listener
def request(name, context, **_):
    if context.get("mark"):
        note(f"request {name}")


@events.test_stop.add_listener
def test_stop(**_):
    note("test_stop")


@events.quitting.add_listener
def quitting(environment, **_):
    note(f"quitting {environment.stats.total.num_requests > 0}")


class Member(HttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        self.client.post("/orders", json={"item": "login"}, name="login")
        self.item = ITEMS[0]

    @task
    def order(self):
        tenant = self.environment.parsed_options.tenant
        self.client.post(
            PATHS["orders"], json={"item": self.item}, name=f"order of {tenant}", context={"mark": 1}
        )
