"""The profiles that come with gameday run as they are with plain Locust, and do what their docstrings say."""

from __future__ import annotations

import ast
import contextlib
import json
import subprocess
import sys
import threading
from collections import Counter
from http.server import ThreadingHTTPServer

import pytest

from gameday.plan.load import load_plan
from tests.answers import JsonAnswers
from tests.drills import ROOT

PROFILES = sorted((ROOT / "loadprofiles").glob("*.py"))

# In a process of its own, for importing Locust patches the one that does.
LOOK = """
import json, locust, runpy, sys
found = {}
for path in sys.argv[1:]:
    names = runpy.run_path(path, run_name="profile")
    users = [c for c in names.values() if isinstance(c, type) and issubclass(c, locust.User) and c.__module__ == "profile"]
    shapes = [c for c in names.values() if isinstance(c, type) and issubclass(c, locust.LoadTestShape)
              and c is not locust.LoadTestShape]
    found[path] = {
        "users": {c.__name__: [c.weight, c.network_timeout] for c in users if not c.abstract},
        "shapes": [c.__name__ for c in shapes],
    }
    if "read_day" in names:
        day = names["read_day"](names["TRAFFIC"])
        found[path]["day"] = day
        found[path]["rates"] = [names["rate_at"](day, at) for at in (0, 450, 900, 43_200, 86_399, 86_400)]
        found[path]["stages"] = names["stages_of"](day, 288, 0.1)
        for text in ("", "a,b\\n", "start_utc,seconds,requests\\n2026-11-20T00:00:00Z,0,1\\n",
                     "start_utc,seconds,requests\\n"):
            with open(sys.argv[0] + ".csv", "w") as file:
                file.write(text)
            try:
                names["read_day"].__wrapped__(sys.argv[0] + ".csv")
            except SystemExit as error:
                found[path].setdefault("refused", []).append(str(error))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    script = tmp_path_factory.mktemp("look") / "look.py"
    script.write_text(LOOK)
    done = subprocess.run(
        [sys.executable, str(script), *map(str, PROFILES)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {path.rpartition("/")[2]: found for path, found in json.loads(done.stdout).items()}


def test_each_profile_says_how_to_run_it_alone_and_gives_up_on_answers(looked):
    assert {"orders.py", "journeys.py", "peak_day.py", "spike.py"} <= set(looked)
    for path in PROFILES:
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert f"locust -f loadprofiles/{path.name} --host URL" in words
        found = looked[path.name]
        assert found["users"]
        assert all(timeout <= 5 for _, timeout in found["users"].values())
    assert looked["journeys.py"]["users"] == {"Shopper": [9, 2.0], "Merchant": [1, 2.0]}
    assert looked["spike.py"]["shapes"] == ["Spike"]


def test_a_day_of_traffic_is_what_its_csv_says(looked):
    found = looked["peak_day.py"]
    day, rates = found["day"], found["rates"]
    assert len(day) == 96 and sum(seconds for _, seconds, _ in day) == 86_400
    assert rates[0] == rates[1] == day[0][2]
    assert rates[2] == pytest.approx((day[0][2] + day[1][2]) / 2)
    assert rates[4] == day[-1][2]
    assert rates[5] is None
    assert len(found["refused"]) == 4 and "expected" in found["refused"][1]


def test_its_stages_hold_as_many_requests(looked):
    lines = looked["peak_day.py"]["stages"]
    assert len(lines) == 98 and lines[0] == "stages:"
    stages = [line.strip(" -{}").split(", ") for line in lines[1:]]
    at, before, total = 0.0, 0.0, 0.0
    for over, rate in stages:
        seconds = float(over.removeprefix("over: ").removesuffix("ms").removesuffix("s")) / 1000
        level = float(rate.removeprefix("rate: ").removesuffix("/s"))
        total += seconds * (before + level) / 2 if seconds else 0.0
        at, before = at + seconds, level
    real = sum(seconds * rate for _, seconds, rate in looked["peak_day.py"]["day"]) * 0.1 / 288
    assert at == pytest.approx(86_400 / 288, abs=2)
    assert total == pytest.approx(real, rel=0.01)


def test_a_plan_may_use_several_profiles_at_once():
    plan = load_plan(ROOT / "experiments" / "busy-evening.yaml")
    assert [load.name for load in plan.load] == ["shoppers", "evening", "promotion"]
    assert len({load.profile for load in plan.load}) == 3
    assert [load.users for load in plan.load] == [10, None, None]


class Orders:
    """The lab's orders service as far as the profiles use it; counts what it was asked."""

    def __init__(self):
        self.asked = Counter()
        self.lock = threading.Lock()


@contextlib.contextmanager
def orders():
    made = Orders()

    class Handler(JsonAnswers):
        protocol_version = "HTTP/1.1"

        def count(self):
            with made.lock:
                made.asked[f"{self.command} {self.path.partition('?')[0]}"] += 1

        def do_GET(self):
            self.count()
            self.reply(200, {"orders": [{"id": 7}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.count()
            self.reply(201, {"id": 7})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


ARGUMENTS = {
    "orders.py": ["--users", "10", "--spawn-rate", "10", "--run-time", "8"],
    "journeys.py": ["--users", "20", "--spawn-rate", "20", "--run-time", "12"],
    "spike.py": ["--quiet-users", "2", "--spike-users", "20", "--quiet-lasts", "4", "--spike-lasts", "4"],
    "peak_day.py": ["--day-lasts", "8", "--strength", "0.1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_plain_locust_runs_it_unchanged(path, tmp_path):
    with orders() as (made, url):
        done = subprocess.run(
            [
                sys.executable, "-m", "locust", "-f", str(path), "--host", url, "--headless", "--only-summary",
                "--json", *ARGUMENTS[path.name],
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {f"{row['method']} {row['name']}": row for row in json.loads(done.stdout)}
    assert sum(row["num_failures"] for row in rows.values()) == 0
    asked = sum(made.asked.values())
    said = sum(row["num_requests"] for row in rows.values())
    assert said <= asked <= said + 40 and said > 10  # What was under way at the end is in neither.
    if path.name == "journeys.py":
        names = {row["name"] for row in rows.values()}
        assert {"/identity (open)", "/orders (browse)", "/orders", "/orders (look)"} <= names
        assert made.asked["GET /identity"] == 20
    if path.name == "spike.py":
        seconds = {int(k): v for row in rows.values() for k, v in row["num_reqs_per_sec"].items()}
        assert max(seconds.values()) >= 5 * min(v for k, v in sorted(seconds.items())[:3])
