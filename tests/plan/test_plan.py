"""Plans: every problem at once, with its place; a digest that means something; hostile input."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.canonical import from_json, to_json
from gameday.errors import PlanError, TargetAbsent
from gameday.plan.bind import bind, needed
from gameday.plan.load import load_plan
from gameday.plan.model import Plan, StepKind
from gameday.plan.schema import PlanIn, json_schema
from gameday.plan.shape import as_given
from gameday.plan.stored import plan_digest, read_plan, write_plan
from gameday.plan.units import duration_ns, rate_per_1000s, ratio_ppm
from tests.drills import ROOT, make_project

PLANS = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def write(project, text):
    path = project / "experiments" / "it.yaml"
    path.write_text(text)
    return path


def changed(project, old, new):
    text = (project / "experiments" / "primary-loss.yaml").read_text()
    assert old in text
    return write(project, text.replace(old, new, 1))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_what_a_part_says_is_what_pydantic_would_dump(path):
    said = PlanIn.model_validate(yaml.safe_load(path.read_text()))
    for by_alias in (True, False):
        assert as_given(said, by_alias=by_alias) == said.model_dump(
            exclude_none=True, by_alias=by_alias, warnings=False
        )


MISTAKES = [
    ("ttl: 2m ", "ttll: 2m ", "unknown key 'ttll': did you mean 'ttl'?"),
    ("ttl: 2m ", "", "key 'ttl' is missing"),
    ("kind: dr", "kind: drill", "expected 'game-day', 'dr' or 'capacity'"),
    ("rto: 30s", "rto: 30", "30 is no duration: expected a number with a unit"),
    ("rate: 50/s", "rate: 50", "50 is no rate"),
    ("objective: 95%", "objective: 95", "95 is no share"),
    (
        "measured_by: place-order",
        "measured_by: place-orders",
        "no such probe; there are payments-untouched, place-order",
    ),
    ("slos: [availability, latency]", "slos: [availability, speed]", "'speed': no such SLO"),
    ("loadprofiles/orders.py", "loadprofiles/none.py", "no such file in the project"),
    ("loadprofiles/orders.py", "../orders.py", "expected a path inside the project"),
    ("runbooks/failback.yaml", "runbooks/none.yaml", "no such file in the project"),
    (
        "action: gameday.actions.postgres.kill",
        "action: gameday.actions.postgres.rewind",
        "no `undo`, and none can be derived",
    ),
    ("max: 1 of 2", "max: half", "expected something like `1 of 2`, `50%` or `1`"),
    ("max: 1 of 2", "max: 150%", "expected something like"),
    ("with: {node: a}}\n    ttl", 'with: {node: a}}\n    target: "node:b"\n    ttl', "touches 'node:a'"),
    ("bad: above 90%", "bad: most", "expected `slo:` with `bad: above 90%`"),
    ("duration: 5m", "duration: 1m", "longer than the blast radius allows"),
    ("title: Lose", "title: Lose\ntitle: Lose", "key 'title' stands here twice"),
    ("title: Lose the primary database at peak", "title: &a Lose\nservice2: *a", "alias *a: write it out"),
    ("steps:\n", "steps:\n  - explode: everything\n", "is no step: expected one of fault"),
    (
        "steps:\n",
        "steps:\n  - manual: call somebody\n    timeout: 5m\n    point_of_no_return: true\n",
        "a point of no return belongs in a runbook",
    ),
    ("rate: 50/s, ", "", "exactly one of `rate` (open loop), `users`"),
]


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_mistake_is_named_with_its_place(project, old, new, words):
    path = changed(project, old, new)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    message = str(caught.value)
    assert words in message, message
    assert "experiments/it.yaml:" in message
    problem = caught.value.problems[0]
    lines = path.read_text().splitlines()
    assert 1 <= problem.line <= len(lines)


def test_all_problems_are_named_at_once(project):
    text = (project / "experiments" / "primary-loss.yaml").read_text()
    text = text.replace("rto: 30s", "rto: soon").replace("kind: dr", "kind: x").replace("ttl: 2m", "tll: 2m")
    with pytest.raises(PlanError) as caught:
        load_plan(write(project, text))
    assert len(caught.value.problems) >= 4
    places = [(p.line, p.column) for p in caught.value.problems]
    assert places == sorted(places)


def test_problems_in_a_runbook_name_the_runbook(project):
    book = project / "runbooks" / "promote-standby.yaml"
    book.write_text(book.read_text().replace("segment: detect", "segmnt: detect"))
    with pytest.raises(PlanError, match=r"runbooks/promote-standby.yaml:\d+:\d+: unknown key 'segmnt'"):
        load_plan(project / "experiments" / "primary-loss.yaml")


def test_a_link_is_not_followed(project):
    (project / "loadprofiles" / "orders.py").unlink()
    (project / "loadprofiles" / "orders.py").symlink_to("/etc/hostname")
    with pytest.raises(PlanError, match="is a link"):
        load_plan(project / "experiments" / "primary-loss.yaml")


def test_a_chaos_toolkit_file_is_judged_as_one(project):
    with pytest.raises(PlanError, match="`description` is missing"):
        load_plan(write(project, "title: x\nmethod: []\n"))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: b: c", "\t- x", "a: !!python/object:os.system x", "---\na: 1\n---\nb: 2"]
)
def test_what_is_no_plan_is_said_so(project, text):
    with pytest.raises(PlanError):
        load_plan(write(project, text))


def test_huge_deep_and_foreign_files_are_refused(project):
    path = project / "experiments" / "it.yaml"
    path.write_bytes(b"a" * (1 << 21))
    with pytest.raises(PlanError, match="larger than"):
        load_plan(path)
    path.write_bytes(b"title: \xff\xfe")
    with pytest.raises(PlanError, match="is not UTF-8"):
        load_plan(path)
    path.write_text("a: " + "[" * 200 + "]" * 200)
    with pytest.raises(PlanError, match="nested"):
        load_plan(path)
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(project / "experiments" / "absent.yaml")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300))
def test_no_input_raises_anything_but_a_plan_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "it.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    try:
        load_plan(path)
    except PlanError:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEMPLATE = yaml.safe_load((ROOT / "experiments" / "primary-loss.yaml").read_text())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TEMPLATE)), JSON)
def test_a_plan_with_nonsense_in_any_place_is_refused_cleanly(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("fuzz") / "it.yaml"
    path.write_text(json.dumps({**TEMPLATE, key: value}))
    try:
        load_plan(path, root=ROOT)
    except PlanError as error:
        assert error.problems


def test_the_digest_does_not_depend_on_the_order_of_keys(project):
    path = project / "experiments" / "primary-loss.yaml"
    before = plan_digest(load_plan(path))
    data = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(dict(reversed(data.items()))))
    assert plan_digest(load_plan(path)) == before


@pytest.mark.parametrize("name", ["runbooks/failback.yaml", "loadprofiles/orders.py"])
def test_the_digest_changes_with_every_file_the_plan_uses(project, name):
    path = project / "experiments" / "primary-loss.yaml"
    before = plan_digest(load_plan(path))
    used = project / name
    used.write_text(used.read_text().replace("20s", "21s").replace("2.0", "2.5"))
    assert plan_digest(load_plan(path)) != before


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_the_published_schema_accepts_every_plan_we_ship(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


def test_a_plan_survives_its_run_folder(tmp_path):
    plan = load_plan(PLANS[0])
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert from_json(Plan, to_json(plan)) == plan


def test_values_are_filled_in_and_the_unknown_ones_named():
    plan = load_plan(ROOT / "experiments" / "primary-loss.yaml")
    assert needed(plan) == ("lab.url",)
    bound = bind(plan, {"lab.url": 'http://h"x'})
    assert bound.target.identity_url == 'http://h"x/identity'
    place = next(p for p in bound.probes if p.name == "place-order")
    assert json.loads(place.spec)["url"] == 'http://h"x/orders'
    assert "${run}" in place.spec
    with pytest.raises(TargetAbsent, match="lab.url"):
        bind(plan, {})


def test_a_fault_gets_its_undo_and_its_read_back_from_the_catalogue():
    plan = load_plan(ROOT / "experiments" / "primary-loss.yaml")
    fault = next(s for s in plan.steps if s.kind is StepKind.FAULT)
    assert '"func":"start"' in fault.undo.provider
    assert '"func":"is_down"' in fault.in_place.provider
    assert fault.target == "node:a"
    assert "watchdog" in fault.survives


@pytest.mark.parametrize(
    ("text", "ns"), [("100ms", 10**8), ("1.5s", 15 * 10**8), ("5m", 300 * 10**9), ("1h", 3600 * 10**9)]
)
def test_durations(text, ns):
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "-1s", "0s", "1 week", "1e3s", None, 5, "9999999d"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration|range"):
        duration_ns(text)


def test_rates_and_ratios():
    assert rate_per_1000s("50/s") == 50_000
    assert rate_per_1000s("30/min") == 500
    assert ratio_ppm("99.9%") == 999_000
    for wrong in ("0/s", "x", 5):
        with pytest.raises(ValueError, match="rate"):
            rate_per_1000s(wrong)
    for wrong in ("101%", "-1%", 0.5):
        with pytest.raises(ValueError, match="share"):
            ratio_ppm(wrong)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ledger: {writer: orders, every: 20ms}", "", "nothing removes what it wrote at the end"),
        ("- hold: 6s", "- hold: 2s", "the holds before failing back last 2s together, `stabilise` needs 5s"),
        ("  - hold: 6s", "", "the holds before failing back are missing"),
    ],
)
def test_what_a_drill_would_regret_is_warned_of(project, old, new, words):
    text = (project / "experiments" / "primary-loss.yaml").read_text().partition("     # numbered writes")[0]
    assert old in text
    assert any(words in warning for warning in load_plan(write(project, text.replace(old, new))).warnings)
