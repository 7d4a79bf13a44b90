"""SLOs of OpenSLO and sloth files: what they become in a plan, and what is refused, where and why."""

from __future__ import annotations

import json

import pytest

from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.plan.model import NS
from gameday.plan.sloopen import UNSUPPORTED as NOT_OF_OPENSLO
from gameday.plan.slosloth import UNSUPPORTED as NOT_OF_SLOTH
from tests.drills import ROOT

SLOTH = """version: prometheus/v1
service: orders
labels: {owner: payments}
slos:
  - name: requests-availability
    objective: 99.9
    description: orders are taken
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="orders",code=~"5.."}[{{.window}}])) or vector(0)
        total_query: sum(rate(http_requests_total{job="orders"}[{{.window}}]))
    alerting:
      name: OrdersErrors
      page_alert: {labels: {severity: page}}
      ticket_alert: {disable: true}
"""
RESOURCE = """apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: orders, namespace: shop}
spec:
  service: orders
  slos:
    - name: raw
      objective: 99
      sli: {raw: {errorRatioQuery: "slo:errors{window='{{ .window }}'}"}}
      alerting: {pageAlert: {disable: true}}
"""
OPEN = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://elsewhere:9090"}}
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: orders, displayName: Orders are taken}
spec:
  service: orders
  indicator:
    metadata: {name: taken}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: prom, spec: {query: 'orders_total{code="201"}'}}}
        total: {metricSource: {metricSourceRef: prom, spec: {query: orders_total}}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: Good, target: 0.995}]
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: burns}
      spec: {alertWhenBreaching: true, conditions: [{conditionRef: fast}]}
"""
LATENCY = """apiVersion: openslo/v1
kind: SLO
metadata: {name: slow}
spec:
  service: orders
  indicator:
    spec:
      thresholdMetric:
        metricSource: {type: prometheus, spec: {query: "histogram_quantile(0.99, sum by (le) (rate(d_bucket[1m])))"}}
  timeWindow: [{duration: 30d}]
  budgetingMethod: Timeslices
  objectives: [{op: lte, value: 0.3, targetPercent: 99, timeSliceTarget: 0.95, timeSliceWindow: 1m}]
"""


@pytest.fixture
def project(tmp_path):
    for part in ("experiments", "slos"):
        (tmp_path / part).mkdir()
    for part in ("loadprofiles", "runbooks"):
        (tmp_path / part).symlink_to(ROOT / part)

    def load(text, more="", stop=""):
        (tmp_path / "slos" / "it.yaml").write_text(text)
        plan = (ROOT / "experiments" / "latency.yaml").read_text().replace("load:\n", "", 1)
        plan = "\n".join(
            line for line in plan.splitlines() if "profile:" not in line and "latency: {load" not in line
        )
        plan = plan.replace("slos: [availability, latency]", "slos: [availability]")
        plan = "\n".join(line for line in plan.splitlines() if "slo: latency" not in line)
        taken = f'slos_from: [{{file: slos/it.yaml, prometheus: "http://127.0.0.1:9090"{more}}}]\n'
        path = tmp_path / "experiments" / "it.yaml"
        path.write_text(plan + "\n" + taken)
        return load_plan(path)

    return load


def made(plan, name):
    probe = next(one for one in plan.probes if one.name == name)
    return json.loads(probe.spec), next((one for one in plan.slos if one.name == name), None)


def conditions(plan):
    return {one.name: one for one in plan.stop_conditions if not one.name[0].isdigit()}


def test_a_sloth_file_becomes_a_probe_an_slo_and_the_pages_of_its_alerts(project):
    plan = project(SLOTH)
    spec, slo = made(plan, "requests-availability")
    errors = 'sum(rate(http_requests_total{job="orders",code=~"5.."}[60s])) or vector(0)'
    assert spec["query"] == f'({errors}) / (sum(rate(http_requests_total{{job="orders"}}[60s])))'
    assert (spec["bad_above"], spec["url"]) == (0.001, "http://127.0.0.1:9090")
    assert (slo.objective_ppm, slo.window_ns, slo.probe) == (999_000, 60 * NS, "requests-availability")
    found = conditions(plan)
    assert set(found) == {"requests-availability-page-quick", "requests-availability-page-slow"}
    quick = made(plan, "stop-requests-availability-page-quick")[0]
    assert "[3600s]" in quick["query"] and "[300s]" in quick["query"]
    assert quick["query"].count("> bool 0.0144") == 2  # 14.4 times a budget of 0.1 %
    assert made(plan, "stop-requests-availability-page-slow")[0]["query"].count("> bool 0.006)") == 2
    assert all(one.then == "halt" for one in found.values())
    assert "slos/it.yaml sha256:" in dict(plan.about)["slos_from"]


def test_the_resource_of_sloth_and_its_tickets(project):
    plan = project(RESOURCE, ", alerts: all, over: 5m, window: 2m, every: 2s, budget_spent: 10%")
    spec, slo = made(plan, "raw")
    assert (spec["query"], spec["bad_above"]) == ("(slo:errors{window='300s'})", 0.01)
    assert slo.window_ns == 120 * NS
    found = conditions(plan)
    assert {name: one.then for name, one in found.items()} == {
        "raw-ticket-quick": "warn", "raw-ticket-slow": "warn", "raw-budget": "halt",
    }  # fmt: skip
    assert (found["raw-budget"].budget_above_ppm, found["raw-budget"].budget_ns) == (
        100_000,
        30 * 86_400 * NS,
    )


def test_an_openslo_file_with_references_becomes_the_same(project):
    plan = project(OPEN)
    spec, slo = made(plan, "orders")
    good = 'sum(rate(orders_total{code="201"}[60s]))'
    assert spec["query"] == f"1 - ({good}) / (sum(rate(orders_total[60s])))"
    assert (spec["bad_above"], spec["url"]) == (0.005, "http://127.0.0.1:9090")
    assert slo.objective_ppm == 995_000
    fast = conditions(plan)["orders-fast"]
    assert (fast.then, fast.for_ns) == ("halt", 300 * NS)
    burn = made(plan, "stop-orders-fast")[0]
    assert "[3600s]" in burn["query"]
    assert burn["bad_above"] == 0.01


def test_a_threshold_is_held_as_it_stands(project):
    spec, slo = made(project(LATENCY), "slow")
    assert spec["bad_above"] == 0.3
    assert spec["query"].startswith("histogram_quantile(0.99")
    assert slo.objective_ppm == 990_000


def test_a_list_of_documents_is_read_as_several(project):
    listed = "".join("- " + "\n  ".join(part.strip("\n").splitlines()) + "\n" for part in OPEN.split("---\n"))
    assert project(listed).probes == project(OPEN).probes
    with pytest.raises(PlanError, match="no fixed length") as caught:
        project(listed.replace("4w", "1Q"))
    assert caught.value.problems[0].line == 21


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "said"),
    [
        (SLOTH, "      events:", "      plugin:", 9, NOT_OF_SLOTH["plugin"]),
        (SLOTH, "[{{.window}}])) or", "[5m])) or", 8, ""),
        (SLOTH, "objective: 99.9", "objective: 100", 6, "less than 100"),
        (SLOTH, "error_query", "eror_query", 10, "unknown key 'eror_query'"),
        (SLOTH, "version: prometheus/v1", "version: prometheus/v2", 1, "expected apiVersion openslo/v1"),
        (OPEN, "isRolling: true", "calendar: {startTime: x}", 24, NOT_OF_OPENSLO["calendar"]),
        (OPEN, "budgetingMethod: Occurrences", "budgetingMethod: RatioTimeslices", 25, NOT_OF_OPENSLO["RatioTimeslices"]),
        (OPEN, "target: 0.995", "target: 0.995, compositeWeight: 1", 26, NOT_OF_OPENSLO["compositeWeight"]),
        (OPEN, "type: Prometheus", "type: Datadog", 22, "only Prometheus is supported"),
        (OPEN, "duration: 4w", "duration: 1M", 24, "no fixed length"),
        (OPEN, "conditionRef: fast", "conditionRef: slow", 29, "there is no such AlertCondition"),
        (OPEN, "query: orders_total}", "query: 'a + b'}", 23, "a counter needs a range"),
        (OPEN, "kind: burnrate", "kind: other", 9, "only conditions of kind burnrate"),
        (OPEN, "kind: DataSource", "kind: Sauce", 2, "kind"),
        (OPEN, "apiVersion: openslo/v1", "apiVersion: openslo/v1alpha", 1, "expected 'openslo/v1'"),
        (LATENCY, "op: lte", "op: lt", 12, "write `lte`"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_where_it_stands_and_why(project, text, old, new, line, said):
    assert old in text
    changed = text.replace(old, new, 1)
    if not said:  # A fixed window in one of two queries: the other still moves.
        assert "[5m]" in made(project(changed), "requests-availability")[0]["query"]
        return
    with pytest.raises(PlanError) as caught:
        project(changed)
    problems = caught.value.problems
    assert any(said in p.message and p.file == "slos/it.yaml" for p in problems), problems
    assert any(abs(p.line - line) <= 1 for p in problems if said in p.message), problems


def test_alerts_need_a_window_that_moves(project):
    fixed = OPEN.replace("counter: true", "counter: false").replace(
        "query: orders_total}", "query: 'rate(x[5m])'}"
    )
    with pytest.raises(PlanError, match=r"say `alerts: none`"):
        project(fixed)
    assert conditions(project(fixed, ", alerts: none")) == {}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", only: [nothing]", "no such SLO in slos/it.yaml; there are requests-availability"),
        (', token_env: "a b"', "expected the name of a variable"),
        (", alerts: loud", "expected 'page', 'all' or 'none'"),
    ],
)
def test_what_the_plan_says_wrongly_of_a_file(project, more, said):
    with pytest.raises(PlanError) as caught:
        project(SLOTH, more)
    assert said in str(caught.value)


def test_a_name_that_is_taken_is_refused(project):
    with pytest.raises(PlanError, match="'availability', and that name is taken"):
        project(SLOTH.replace("requests-availability", "availability"))


def test_what_is_not_supported_is_documented():
    text = (ROOT / "docs" / "monitoring.md").read_text()
    for key in (*NOT_OF_SLOTH, *NOT_OF_OPENSLO):
        assert key.replace("indicator_in_objective", "indicatorRef") in text, key
