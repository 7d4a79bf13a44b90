"""A day of real traffic, played again: its rises and falls from a CSV, as fast and as strong as you want.

The CSV says how many requests began in each stretch of time, as `gameday load record ACCESS_LOG` writes it:

    start_utc,seconds,requests
    2026-11-20T00:00:00Z,900,41213

Beside this file lies `peak_day.csv`, a made-up shop's day in quarters of an hour. Plain Locust, nothing of
gameday in it. Try it alone; a day in five minutes, at a hundredth of its rate:

    locust -f loadprofiles/peak_day.py --host URL --headless --day-lasts 300 --strength 0.01

Each user asks for `PER_USER` requests a second, so the number of users follows the rate as long as answers
take less than two seconds; beyond that the target slows the users down, and less is offered than the day
had. An open loop offers all of it. The same day as `stages:` for a plan, which needs neither this shape
nor its users' arithmetic:

    python loadprofiles/peak_day.py --day-lasts 300 --strength 0.01
"""

import argparse
import csv
import math
import random
import sys
from datetime import datetime
from functools import cache
from pathlib import Path

from locust import FastHttpUser, LoadTestShape, constant_throughput, events, task

PER_USER = 0.5  # Requests a second.
COLUMNS = ["start_utc", "seconds", "requests"]
Day = list[tuple[float, float, float]]  # When a stretch begins, how long it lasts, its rate.
TRAFFIC = Path(__file__).resolve().with_name("peak_day.csv")


@cache
def read_day(path: str | Path) -> Day:
    """Return [(begins_s, lasts_s, rate), …] from a CSV, seconds counted from its first row.

    Raises:
        SystemExit: It is no such file; the message says which line, and what was expected.
    """
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    if not rows or [name.strip() for name in rows[0]] != COLUMNS:
        raise SystemExit(f"{path}: begins with {rows[:1]}, expected the line {','.join(COLUMNS)}")
    day = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            start, seconds, requests = row
            at_s = datetime.fromisoformat(start.strip()).timestamp()
            lasts_s, rate = float(seconds), float(requests) / float(seconds)
        except (ValueError, ZeroDivisionError):
            raise SystemExit(
                f"{path}: row {number} is {','.join(row)}, expected {','.join(COLUMNS)}"
            ) from None
        if lasts_s <= 0 or rate < 0 or (day and at_s < day[-1][0] + day[-1][1] - 1e-6):
            raise SystemExit(f"{path}: row {number}: rows must follow one another, without negative numbers")
        day.append((at_s, lasts_s, rate))
    if not day:
        raise SystemExit(f"{path}: holds no traffic")
    return [(at_s - day[0][0], lasts_s, rate) for at_s, lasts_s, rate in day]


def rate_at(day: Day, at_s: float) -> float | None:
    """Return the rate at an instant, on straight lines from middle to middle of the rows; None when over."""
    if at_s >= day[-1][0] + day[-1][1]:
        return None
    before = None
    for begins_s, lasts_s, rate in day:
        middle_s = begins_s + lasts_s / 2
        if middle_s >= at_s:
            if before is None:
                return rate
            share = (at_s - before[0]) / (middle_s - before[0])
            return before[1] + share * (rate - before[1])
        before = middle_s, rate
    return before[1]


def stages_of(day: Day, speed: float, strength: float) -> list[str]:
    """Return the day as `stages:` of a plan, in YAML: straight lines from middle to middle of its rows."""
    lines, at_s = ["stages:", f"  - {{over: 0s, rate: {_rate(day[0][2] * strength)}}}"], 0.0
    for begins_s, lasts_s, rate in day:
        middle_s = begins_s + lasts_s / 2
        over_ms = round((middle_s - at_s) / speed * 1000)
        lines.append(f"  - {{over: {over_ms}ms, rate: {_rate(rate * strength)}}}")
        at_s = middle_s
    return lines


def _rate(rate: float) -> str:
    return f"{max(rate, 0.001):.3f}".rstrip("0").rstrip(".") + "/s"


@events.init_command_line_parser.add_listener
def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--traffic", default=str(TRAFFIC), help="the CSV: start_utc,seconds,requests")
    parser.add_argument(
        "--day-lasts", type=float, default=0, help="seconds to play all of it in; 0: as it was"
    )
    parser.add_argument("--strength", type=float, default=1.0, help="times the rate it had")


def _speed(day: Day, lasts_s: float) -> float:
    return (day[-1][0] + day[-1][1]) / lasts_s if lasts_s else 1.0


class Customer(FastHttpUser):
    """Mostly places orders, sometimes looks at recent ones. Gives up on an answer after two seconds."""

    wait_time = constant_throughput(PER_USER)
    network_timeout = 2.0
    connection_timeout = 2.0

    @task(9)
    def place_order(self) -> None:
        order = {"item": random.choice(("tea", "coffee", "cocoa")), "quantity": random.randint(1, 5)}
        self.client.post("/orders", json=order, name="/orders")

    @task(1)
    def recent_orders(self) -> None:
        self.client.get("/orders?limit=10", name="/orders")


class PeakDay(LoadTestShape):
    """As many users as the rate of the moment takes; the end of the day ends the run."""

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options
        day = read_day(options.traffic)
        rate = rate_at(day, self.get_run_time() * _speed(day, options.day_lasts))
        if rate is None:
            return None
        users = max(math.ceil(rate * options.strength / PER_USER), 1)
        return users, max(users / 2, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a day of traffic as the stages of a plan.")
    arguments(parser)
    options = parser.parse_args()
    day = read_day(options.traffic)
    sys.stdout.write("\n".join([*stages_of(day, _speed(day, options.day_lasts), options.strength), ""]))


if __name__ == "__main__":
    sys.exit(main())
