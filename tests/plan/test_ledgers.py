"""Ledgers in plans: one or several, each with the keys of its writer, and never with a secret."""

from __future__ import annotations

import json
import re

import pytest

from gameday.canonical import from_json, to_json
from gameday.errors import PlanError
from gameday.plan.bind import bind, needed
from gameday.plan.load import load_plan
from gameday.plan.model import Ledger, Plan
from tests.drills import make_project

LINE = "ledger: {writer: orders, every: 20ms}"


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def load(project, ledger, more=lambda text: text):
    text = (project / "experiments" / "primary-loss.yaml").read_text()
    assert LINE in text
    path = project / "experiments" / "it.yaml"
    path.write_text(more(re.sub(r"^ledger: .*$", lambda _: ledger, text, flags=re.M)))
    return load_plan(path)


SEVERAL = """ledger:
  - {writer: orders, every: 20ms}
  - {writer: redis, name: carts, every: 20ms, sentinels: ["127.0.0.1:1"], master: shop}
  - {writer: sql, every: 50ms, url: "postgresql://u:${env.PW}@h/db"}
  - {writer: s3, every: 1s, timeout: 2s, bucket: drills, endpoint: "http://127.0.0.1:1"}
  - {writer: python, every: 1s, module: hooks.shop, with: {table: x}}
  - {writer: http, every: 1s, url: "https://h/w", rows: items, headers: {Authorization: "Bearer ${env.T}"}}
"""


def test_several_ledgers_have_names_and_the_keys_of_their_writers(project):
    plan = load(project, SEVERAL)
    assert [ledger.name for ledger in plan.ledgers] == ["orders", "carts", "sql", "s3", "python", "http"]
    assert json.loads(plan.ledgers[4].spec) == {"arguments": {"table": "x"}, "module": "hooks.shop"}
    assert from_json(Plan, to_json(plan)) == plan
    assert {"env.PW", "env.T"} <= set(needed(plan))  # Found at arming, and never recorded.
    bound = bind(plan, {name: "http://127.0.0.1:1" for name in needed(plan)})
    assert not any("${" in ledger.spec for ledger in bound.ledgers)


def test_the_only_ledger_needs_no_name(project):
    assert load(project, LINE).ledgers == (
        Ledger("orders", '{"url":"${lab.url}/orders"}', 20_000_000, 400_000_000),
    )


def test_a_plan_written_before_there_were_several_is_still_read(project):
    data = to_json(load(project, LINE))
    del data["more_ledgers"], data["ledger"]["name"]
    assert from_json(Plan, data) == load(project, LINE)


MISTAKES = [
    ("{writer: oracle, every: 1s}", "expected 'orders', 'http', 'sql', 'redis', 's3' or 'python'"),
    ("{writer: sql, every: 1s}", "writer `sql` needs `url`"),
    ("{writer: s3, every: 1s}", "writer `s3` needs `bucket`"),
    ("{writer: redis, every: 1s}", "writer `redis` needs `url` or `sentinels`"),
    ("{writer: python, every: 1s}", "writer `python` needs `module`"),
    ("{writer: orders, every: 1s, bucket: x}", "writer `orders` takes no `bucket`; it takes url, read_url"),
    ('{writer: sql, every: 1s, url: "h/db"}', "expected one like postgresql://"),
    ('{writer: http, every: 1s, url: "ftp://h"}', "expected one like https://"),
    ('{writer: python, every: 1s, module: "../x"}', "expected the dotted name of a module"),
    ('{writer: redis, every: 1s, sentinels: ["h:1"]}', "`sentinels` and `master`"),
    ('{writer: redis, every: 1s, sentinels: [h], master: m}', "'h': expected host:port"),
    ("{writer: redis, every: 1s, urll: x}", "unknown key 'urll': did you mean 'url'?"),
    ("{writer: redis, every: 1}", "1 is no duration"),
    ("7", "is no mapping"),
    ('{writer: sql, every: 1s, url: "postgresql://u:hunter2@h/db"}', "a password stands in it"),
    ('{writer: redis, every: 1s, url: "redis://:hunter2@h:1"}', "a password stands in it"),
    ('{writer: redis, every: 1s, url: "redis://h:1", password: hunter2}', "a password stands in the plan"),
    (
        '{writer: http, every: 1s, url: "http://h", headers: {Authorization: "Bearer hunter2"}}',
        "a secret stands in the plan",
    ),
]  # fmt: skip


SHAPELESS = ("oracle", "urll", "every: 1}", "7")


@pytest.mark.parametrize("shapeless", [True, False])
def test_every_mistake_is_one_line_with_its_place_and_all_are_told_at_once(project, shapeless):
    chosen = [m for m in MISTAKES if any(word in m[0] for word in SHAPELESS) == shapeless]
    text = "ledger:\n" + "".join(f"  - {ledger}\n" for ledger, _ in chosen)
    with pytest.raises(PlanError) as caught:
        load(project, text.replace("{writer", "{timeout: 1s, writer"))
    lines = str(caught.value).splitlines()
    assert "hunter2" not in str(caught.value)
    first = 1 + (project / "experiments" / "it.yaml").read_text()[:].split("ledger:\n")[0].count("\n")
    for number, (_, words) in enumerate(chosen, start=first + 1):
        said = [line for line in lines if f"it.yaml:{number}:" in line]
        assert any(words in line for line in said), (words, lines)


def test_no_ledger_in_a_list_is_a_mistake(project):
    with pytest.raises(PlanError, match="0 ledgers: expected 1 to 10"):
        load(project, "ledger: []")


def test_two_ledgers_of_one_name_are_refused(project):
    two = 'ledger: [{writer: orders, every: 1s}, {writer: http, name: orders, every: 1s, url: "http://h"}]'
    with pytest.raises(PlanError, match="'orders' is the name of another ledger too"):
        load(project, two)


def test_an_objective_names_a_ledger_that_is_there(project):
    name = lambda ledger: lambda text: text.replace("rpo: 1s,", f"rpo: 1s, ledger: {ledger},")
    assert load(project, SEVERAL, name("carts")).objectives[0].ledger == "carts"
    with pytest.raises(PlanError, match="'cart': no such ledger; there are carts, http, orders"):
        load(project, SEVERAL, name("cart"))
