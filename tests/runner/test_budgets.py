"""No drill of a service whose error budget is nearly spent, or of which nobody knows what is left."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

import pytest

from gameday.cli.main import main
from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.plan.policy import BudgetFloor, Rules
from gameday.plan.policyfile import load_policy
from gameday.runner.budgets import budgets
from gameday.runner.preflight import BAD, OK
from tests.answers import JsonAnswers
from tests.drills import make_project

TODAY = "2026-12-01"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("p"))


@pytest.fixture(scope="module")
def plan(project):
    return load_plan(project / "experiments" / "primary-loss.yaml")


@pytest.fixture
def prometheus():
    class Answers(JsonAnswers):
        left = "0.5"

        def do_GET(self):
            result = [] if self.left is None else [{"metric": {}, "value": [1.0, self.left]}]
            self.reply(200, {"status": "success", "data": {"resultType": "vector", "result": result}})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Answers, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def states(plan, *floors):
    return [(check.state, check.detail) for check in budgets(plan, Rules(error_budget=floors), TODAY)]


@pytest.mark.parametrize(
    "left, state, words",
    [
        ("0.5", OK, "the policy's floor is 25 %"),
        ("0.25", OK, "enough is left"),
        ("0.2", BAD, "0.2"),
        ("-0.1", BAD, "-0.1"),
        ("NaN", BAD, "cannot be read"),
        (None, BAD, "cannot be read: no data"),
    ],
)
def test_what_prometheus_says_is_left_decides(plan, prometheus, left, state, words):
    answers, url = prometheus
    answers.left = left
    ((found, said),) = states(plan, BudgetFloor("orders", 250_000, url, "budget_left"))
    assert found == state and words in said


def test_a_prometheus_that_is_not_there_refuses(plan):
    ((found, said),) = states(plan, BudgetFloor("orders", 250_000, "http://127.0.0.1:9", "q"))
    assert found == BAD and "cannot be read" in said


@pytest.mark.parametrize(
    "left, until, state",
    [(600_000, TODAY, OK), (250_000, TODAY, OK), (249_999, TODAY, BAD), (900_000, "2026-11-30", BAD)],
)
def test_what_was_given_by_hand_holds_until_its_day(plan, left, until, state):
    ((found, _),) = states(plan, BudgetFloor("orders", 250_000, left_ppm=left, until=until))
    assert found == state


def test_only_the_drilled_service_and_what_holds_for_all_is_asked(plan):
    spent = {"floor_ppm": 250_000, "left_ppm": 0, "until": TODAY}
    assert states(plan, BudgetFloor("another", **spent)) == []
    assert [state for state, _ in states(plan, BudgetFloor("*", **spent))] == [BAD]


def policy_of(folder, text):
    (folder / "policy.yaml").write_text(
        f"environments: {{lab: {{modules: ['*']}}}}\nerror_budget:\n  - {text}\n"
    )
    return load_policy(folder / "policy.yaml")


@pytest.mark.parametrize(
    "text, said",
    [
        ("{service: orders, floor: 25%}", "expected either `prometheus: {url, query}` or `left: 60%`"),
        ("{service: orders, floor: 25%, left: 60%}", "`left` and `until` go together"),
        ("{service: orders, floor: 25, left: 60%, until: 2026-12-31}", "25"),
        ("{service: o, floor: 25%, prometheus: {url: 'http://a:b@c', query: q}}", "must not hold a password"),
        ("{service: o, floor: 25%, prometheus: {url: 'c:9090', query: q}}", "expected the http(s) URL"),
    ],
)
def test_a_floor_that_makes_no_sense_is_refused_with_its_place(tmp_path, text, said):
    with pytest.raises(PlanError) as caught:
        policy_of(tmp_path, text)
    told = str(caught.value.diagnostics())
    assert "policy.yaml:3" in told and said in told


def test_a_run_is_refused_before_anything_is_touched_and_a_waiver_lets_it_begin(
    tmp_path, capsys, monkeypatch
):
    project = make_project(tmp_path)
    monkeypatch.chdir(project)
    spent = "{service: orders, floor: 25%, left: 10%, until: 2999-12-31}"
    policy_of(project, spent)
    assert main(["run", "experiments/primary-loss.yaml", "--yes"]) == 3
    said = capsys.readouterr().err
    assert "error budget of orders" in said and "10 % left" in said and "earned it back" in said
    with (project / "policy.yaml").open("a") as file:
        file.write("waivers: [{rule: error_budget, reason: agreed, by: a.chen, until: 2999-12-31}]\n")
    main(["run", "experiments/primary-loss.yaml", "--yes"])
    assert "error budget" not in capsys.readouterr().err  # Refused for something else: there is no lab.
