"""Stop conditions as people write them: what each means, what is refused and where, what is warned of."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from gameday.canonical import from_json, to_json
from gameday.errors import PlanError
from gameday.plan.limitwords import limit_words
from gameday.plan.load import load_plan
from gameday.plan.model import NS, LimitKind, Plan, ProbeKind
from gameday.plan.permit import kinds_of
from gameday.plan.policyfile import CONDITION_KINDS
from gameday.plan.schema import json_schema
from tests.drills import make_project

MS = NS // 1000
OLD = "  - {slo: availability, bad: above 90%, for: 25s, then: halt}"
PROM = "prometheus: {url: http://127.0.0.1:9090, query: up}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("conditions"))


def written(project, line, old=OLD):
    text = (project / "experiments" / "primary-loss.yaml").read_text()
    assert old in text
    path = project / "experiments" / "it.yaml"
    path.write_text(text.replace(old, line if line.startswith(" ") else f"  - {{{line}}}", 1))
    return path


MEANINGS = [
    ("probe: place-order, bad: 3 in a row", LimitKind.ROW, {"in_a_row": 3, "fresh_ns": 5 * NS}),
    ("probe: place-order, bad: 3 in a row, for: 2s", LimitKind.ROW, {"in_a_row": 3, "for_ns": 2 * NS}),
    ("probe: place-order, bad: 5 within 10s", LimitKind.COUNT, {"count": 5, "within_ns": 10 * NS}),
    ("probe: place-order, bad: above 50%, within: 10s", LimitKind.SHARE, {"bad_above_ppm": 500_000, "within_ns": 10 * NS}),
    ("probe: place-order, unreadable: 3 in a row", LimitKind.ROW, {"in_a_row": 3, "reading": "unreadable"}),
    ("probe: place-order, unreadable: 2s", LimitKind.SILENCE, {"silence_ns": 2 * NS, "fresh_ns": None}),
    ("probe: place-order, silence: 2s", LimitKind.SILENCE, {"silence_ns": 2 * NS, "probe": "place-order"}),
    ("probe: place-order, bad: 3 in a row, silence: 2s", LimitKind.ROW, {"fresh_ns": 2 * NS, "silence_ns": None}),
    ("slo: availability, bad: above 90%, for: 25s", LimitKind.SLO, {"bad_above_ppm": 900_000, "for_ns": 25 * NS}),
    ("slo: availability, burn_rate: {above: 14.4, long: 60s, short: 5s}", LimitKind.BURN, {"burn_above_milli": 14_400, "long_ns": 60 * NS, "short_ns": 5 * NS}),
    ("slo: latency, budget_spent: above 20%, of: 1d", LimitKind.BUDGET, {"budget_above_ppm": 200_000, "budget_ns": 86_400 * NS}),
    ("load: p99, above: 500ms, within: 10s, for: 2s", LimitKind.LATENCY, {"above_ns": 500 * MS, "within_ns": 10 * NS, "fresh_ns": 10 * NS}),
    ("load: errors, above: 5%", LimitKind.ERRORS, {"bad_above_ppm": 50_000, "within_ns": 5 * NS}),
    ("load: achieved, below: 90%", LimitKind.ACHIEVED, {"below_ppm": 900_000}),
    ("failed_requests: above 500", LimitKind.FAILED, {"failed_above": 500, "within_ns": 0}),
    ("failed_requests: above 500, within: 30s, stops: load", LimitKind.FAILED, {"within_ns": 30 * NS, "stops": "load"}),
    ("duration: 4m, then: warn", LimitKind.DURATION, {"duration_ns": 240 * NS, "then": "warn", "fresh_ns": None}),
    (f"{PROM}, above: 5, for: 10s", LimitKind.ROW, {"probe": "stop-1-prometheus", "in_a_row": 1, "for_ns": 10 * NS, "fresh_ns": 5 * NS}),
    (f"{PROM}, below: 0.5, every: 5s", LimitKind.ROW, {"fresh_ns": 18 * NS}),
    ("name: pages, prometheus: {url: 'https://p', alert: Hot, labels: {a: b}}", LimitKind.ROW, {"name": "pages", "probe": "stop-pages"}),
    ("alertmanager: {url: '${lab.url}', alert: Hot}", LimitKind.ROW, {"probe": "stop-1-Hot"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "wanted"), MEANINGS, ids=[m[0][:50] for m in MEANINGS])
def test_what_is_written_is_what_is_meant(project, line, kind, wanted):
    path = written(project, line)
    plan = load_plan(path)
    found = plan.stop_conditions[0]
    assert found.kind is kind
    assert {key: getattr(found, key) for key in wanted} == wanted
    assert "None" not in limit_words(found)
    assert from_json(Plan, to_json(plan)) == plan
    jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


def test_a_condition_on_prometheus_brings_a_probe_of_its_own(project):
    plan = load_plan(written(project, f"{PROM}, above: 5, below: 1, every: 2s, timeout: 3s"))
    probe = next(probe for probe in plan.probes if probe.of_condition)
    assert (probe.name, probe.kind, probe.every_ns, probe.timeout_ns) == (
        "stop-1-prometheus", ProbeKind.PROMETHEUS, 2 * NS, 3 * NS,
    )  # fmt: skip
    assert json.loads(probe.spec) == {
        "url": "http://127.0.0.1:9090",
        "query": "up",
        "bad_above": 5,
        "bad_below": 1,
    }
    assert [probe.name for probe in plan.probes] == sorted(probe.name for probe in plan.probes)


def test_prometheus_and_alertmanager_are_probes_like_any_other(project):
    spec = "{url: http://127.0.0.1:9090, query: up, bad_below: 1, series: all}"
    probe = f"  up: {{prometheus: {spec}, every: 1s, timeout: 1s}}\n"
    text = written(project, OLD).read_text().replace("slos:\n", f"{probe}slos:\n", 1)
    path = project / "experiments" / "it.yaml"
    path.write_text(text)
    plan = load_plan(path)
    assert next(p for p in plan.probes if p.name == "up").kind is ProbeKind.PROMETHEUS
    path.write_text(text.replace("bad_below: 1, ", ""))
    with pytest.raises(PlanError, match=r"it.yaml:25:8: a query needs a limit"):
        load_plan(path)


MISTAKES = [  # what is written, the key that is complained of, the complaint
    ('then: halt', '', 'a stop condition has one subject, this has none'),
    ('slo: availability, probe: place-order, bad: above 5%', 'probe', 'this has `slo:` and `probe:`'),
    ('slo: availability', '', 'expected `slo:` with `bad: above 90%`'),
    ('slo: availability, bad: 90%', 'bad', "'90%': expected `slo:` with"),
    ('slo: availability, bad: above 190%', 'bad', "'above 190%': expected `slo:` with"),
    ('slo: availability, bad: above 9%, within: 3s', 'within', '`within:` does not go with `slo:`'),
    ('slo: availability, bad: above 9%, of: 3s', 'of', 'it goes with `budget_spent:`'),
    ('slo: none, bad: above 9%', 'slo', "'none': no such SLO"),
    ('slo: availability, burn_rate: {above: 0, long: 60s, short: 5s}', 'above', '0: expected a rate above 0'),
    ('slo: availability, burn_rate: {above: .nan, long: 60s, short: 5s}', 'above', 'nan: expected a rate above 0'),
    ('slo: availability, burn_rate: {above: 2, long: 5s, short: 5s}', 'short', 'must be shorter than the long one'),
    ('slo: availability, burn_rate: {above: 2, long: 5s}', 'burn_rate', "key 'short' is missing"),
    ('slo: availability, budget_spent: above 20%', 'budget_spent', 'say `of: 30d`'),
    ('slo: availability, budget_spent: 20%, of: 30d', 'budget_spent', "'20%': expected `above 20%`"),
    ('probe: place-order', '', 'expected `slo:` with'),
    ('probe: place-order, bad: 1 in a row, unreadable: 2s', 'bad', 'expected `slo:` with'),
    ('probe: place-order, bad: most', 'bad', "'most': expected `slo:` with"),
    ('probe: place-order, bad: 0 in a row', 'bad', '0 samples: expected at least 1'),
    ('probe: place-order, bad: 5000 within 10s', 'bad', 'at most 1000'),
    ('probe: place-order, bad: 5 within ten', 'bad', "'ten' is no duration"),
    ('probe: place-order, bad: above 50%', 'bad', 'needs a window: add `within: 10s`'),
    ('probe: place-order, bad: 5 in a row, within: 3s', 'within', '`within:` is for a share'),
    ('probe: place-order, unreadable: 2s, for: 3s', 'unreadable', 'takes neither `for:`'),
    ('probe: no-order, bad: 5 in a row', 'probe', "'no-order': no such probe"),
    ('load: p98, above: 1s', 'load', "expected 'p50', 'p90'"),
    ('load: p99, above: 5', 'above', '5 is no duration'),
    ('load: p99, below: 5s', 'load', '`load: p99` needs `above: 500ms`, and nothing else'),
    ('load: errors, above: 1s', 'above', "'1s' is no share"),
    ('load: achieved, above: 90%', 'load', '`load: achieved` needs `below: 90%`'),
    ('failed_requests: many', 'failed_requests', "'many': expected something like `above 500`"),
    ('failed_requests: above 500, for: 3s', 'for', '`for:` does not go with `failed_requests:`'),
    ('silence: 2s, bad: above 9%', 'bad', '`bad:` does not go with `silence:`'),
    ('duration: 2s, silence: 3s, every: 1s', 'every', '`every:` does not go with `duration:`'),
    ('prometheus: {url: http://127.0.0.1:9090, query: up}', 'prometheus', 'a query needs a limit'),
    ('prometheus: {url: http://127.0.0.1:9090, query: up}, above: much', 'above', "'much': expected a number"),
    ('prometheus: {url: http://127.0.0.1:9090, query: up}, above: .inf', 'above', 'inf: expected a number'),
    ('prometheus: {url: here, query: up}, above: 5', 'url', "'here': expected the base address"),
    ("prometheus: {url: 'http://a:b@c/', query: up}, above: 5", 'url', 'name a variable with `token_env`'),
    ("prometheus: {url: 'http://c:x/', query: up}, above: 5", 'url', 'expected the base address'),
    ("prometheus: {url: 'http://c/?a', query: up}, above: 5", 'url', 'without `?` and `#`'),
    ("prometheus: {url: 'http://c'}, above: 5", 'prometheus', 'exactly one of `query` and `alert`'),
    ("prometheus: {url: 'http://c', alert: a, series: any}", 'series', '`series` does not go with `alert`'),
    ("prometheus: {url: 'http://c', alert: a}, above: 3", 'above', '`above:` does not go with an alert'),
    ("prometheus: {url: 'http://c', query: a, bad_above: 1}, above: 3", 'bad_above', 'say it once'),
    ("prometheus: {url: 'http://c', query: a, labels: {a: b}}, above: 3", 'labels', '`labels` does not go with `query`'),
    ("prometheus: {url: 'http://c', alert: a, token_env: 'a b'}", 'token_env', 'expected the name of a variable'),
    ("prometheus: {url: 'http://c', query: a, serie: any}, above: 3", 'serie', "did you mean 'series'?"),
    ("alertmanager: {url: 'http://c'}", 'alertmanager', "key 'alert' is missing"),
    ('silence: 2s, stops: everything', 'stops', "expected 'faults', 'load' or 'both'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "key", "words"), MISTAKES, ids=[m[0][:50] for m in MISTAKES])
def test_a_mistake_is_named_where_it_stands(project, line, key, words):
    path = written(project, line)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    (problem,) = caught.value.problems
    assert words in problem.message
    text = path.read_text().splitlines()[problem.line - 1]
    assert text == f"  - {{{line}}}"
    assert text[problem.column - 1 :].startswith(key or "{"), problem


def test_a_limit_on_load_needs_a_load(project):
    path = written(project, "failed_requests: above 5")
    text = path.read_text()
    start, end = text.index("load:\n"), text.index("probes:\n")
    path.write_text(text[:start] + text[end:])
    with pytest.raises(PlanError, match="this condition is measured on load, but the plan has none"):
        load_plan(path)


WARNINGS = [
    ("slo: availability, bad: above 100%", "can never trip: no share is above 100 %"),
    ("slo: availability, bad: above 90%, for: 6m", "can never trip: `for` is 6 min, the drill lasts at most"),
    ("silence: 6m", "can never trip: `silence` is 6 min"),
    ("duration: 5m", "can never trip: the drill lasts at most"),
    ("probe: place-order, bad: 9000 in a row", "probe place-order is read every 100 ms, and the drill lasts"),
    ("probe: place-order, bad: 30 within 2s", "so 2 s hold fewer than 30 samples"),
    ("slo: availability, burn_rate: {above: 20, long: 60s, short: 5s}", "an SLO of 95 % burns at most 20x"),
    ("slo: availability, budget_spent: above 20%, of: 30d", "an outage of the whole drill would spend 0.2"),
    ("failed_requests: above 90000", "the load makes at most"),
    ("failed_requests: above 50, within: 1s", "the load makes at most 50 requests in 1 s"),
    ("load: achieved, below: 0%", "no share is below 0 %"),
    ("probe: place-order, bad: above 50%, within: 500ms", "is a share of 5 samples, so each is worth 20 %"),
    ("silence: 500ms", "trips by itself: samples of payments-untouched may be 900 ms apart"),
    ("probe: place-order, bad: 1 in a row, silence: 500ms", "trips by itself: `silence` is 500 ms"),
]


@pytest.mark.parametrize(("line", "words"), WARNINGS, ids=[w[0][:50] for w in WARNINGS])
def test_a_limit_that_disappoints_is_warned_of(project, line, words):
    assert any(words in warning for warning in load_plan(written(project, line)).warnings)


@pytest.mark.parametrize("line", [m[0] for m in MEANINGS if "budget_spent" not in m[0]])
def test_a_sensible_limit_is_not_warned_of(project, line):
    assert load_plan(written(project, line)).warnings == ()


def test_users_are_a_closed_loop_that_is_never_late(project):
    path = written(project, "load: achieved, below: 90%")
    path.write_text(path.read_text().replace("rate: 50/s", "users: 5"))
    assert any("users are a closed loop" in warning for warning in load_plan(path).warnings)


KINDS = [
    ("probe: place-order, bad: 5 within 10s", ("probe",)),
    ("probe: payments-untouched, bad: 5 within 10s", ("probe", "control")),
    ("probe: payments-untouched, unreadable: 2s", ("silence",)),
    ("slo: availability, bad: above 90%", ("slo",)),
    ("slo: availability, burn_rate: {above: 14.4, long: 60s, short: 5s}", ("burn-rate",)),
    ("slo: latency, budget_spent: above 20%, of: 1d", ("budget",)),
    ("failed_requests: above 500", ("failed-requests",)),
    ("load: errors, above: 5%", ("load",)),
    ("duration: 4m", ("duration",)),
    ("duration: 4m, then: warn", ()),
    ("alertmanager: {url: 'http://c', alert: Hot}", ("alert",)),
    ("prometheus: {url: 'http://c', alert: Hot}", ("alert",)),
    (f"{PROM}, above: 5", ("probe",)),
]


@pytest.mark.parametrize(("line", "kinds"), KINDS, ids=[k[0][:50] for k in KINDS])
def test_a_policy_that_demands_a_kind_knows_it_again(project, line, kinds):
    plan = load_plan(written(project, line))
    assert kinds_of(plan, plan.stop_conditions[0]) == kinds
    assert set(kinds) <= set(CONDITION_KINDS)
