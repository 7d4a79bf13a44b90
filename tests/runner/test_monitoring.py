"""A real Prometheus and Alertmanager: what their readers say, and an alert turning red halts a drill."""

from __future__ import annotations

import json
import time

import pytest

from gameday.history.events import Reading
from gameday.hosts.readers import reader_of
from gameday.plan.load import load_plan
from gameday.plan.model import NS, Probe, ProbeKind
from tests.drills import SHORT, Run, make_project
from tests.monitoring import Monitoring

pytestmark = pytest.mark.slow
SCRAPE_S, RULE_S = 0.25, 0.25
GOOD, BAD, UNREADABLE = Reading.GOOD, Reading.BAD, Reading.UNREADABLE


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory):
    found = Monitoring(tmp_path_factory.mktemp("monitoring"))
    yield found
    found.close()


@pytest.fixture(autouse=True)
def cool(monitoring):
    monitoring.heat = 1.0
    monitoring.wait_for(lambda: read(monitoring, alert="Hot")[0] is GOOD)
    monitoring.wait_for(lambda: pager(monitoring, alert="Hot")[0] is GOOD)


def read(monitoring, kind=ProbeKind.PROMETHEUS, **spec):
    url = monitoring.url if kind is ProbeKind.PROMETHEUS else monitoring.pager_url
    return reader_of(Probe("p", kind, json.dumps({"url": url, **spec}), NS, 5 * NS), "run")()


def pager(monitoring, **spec):
    return read(monitoring, ProbeKind.ALERTMANAGER, **spec)


@pytest.mark.parametrize(
    ("spec", "reading", "words"),
    [
        ({"query": "heat", "bad_above": 5}, GOOD, ""),
        ({"query": "heat", "bad_below": 2}, BAD, "value 1"),
        ({"query": "scalar(heat)", "bad_above": 0.5}, BAD, "value 1"),
        ({"query": "heat / 0", "bad_above": 5}, BAD, "value inf"),
        ({"query": "odd", "bad_above": 5}, UNREADABLE, "NaN"),
        ({"query": "heat_there_is_none", "bad_above": 5}, UNREADABLE, "no data"),
        ({"query": "parts", "bad_above": 5}, UNREADABLE, "2 series, expected one"),
        ({"query": "parts", "bad_above": 5, "series": "any"}, BAD, "9"),
        ({"query": "parts", "bad_above": 5, "series": "all"}, GOOD, ""),
        ({"query": "heat[5s]", "bad_above": 5}, UNREADABLE, "matrix"),
        ({"query": "heat ===", "bad_above": 5}, UNREADABLE, "HTTP 400"),
        ({"alert": "Hot"}, GOOD, ""),
        ({"alert": "Hott"}, UNREADABLE, "no rule makes an alert 'Hott'"),
    ],
)
def test_what_a_real_prometheus_says(monitoring, spec, reading, words):
    found, detail = read(monitoring, **spec)
    assert (found, words in detail) == (reading, True), detail


def test_an_alert_is_seen_to_fire_and_to_end_in_both(monitoring):
    assert pager(monitoring, alert="Hot")[0] is GOOD
    monitoring.heat = 9.0
    monitoring.wait_for(lambda: read(monitoring, alert="Hot", labels={"severity": "page"})[0] is BAD)
    monitoring.wait_for(lambda: pager(monitoring, alert="Hot", labels={"severity": "page"})[0] is BAD)
    assert read(monitoring, alert="Hot", labels={"severity": "info"})[0] is GOOD
    assert pager(monitoring, alert="Hot", labels={"severity": "info"})[0] is GOOD
    assert read(monitoring, alert="Slow") == (GOOD, "")  # Pending is not firing.
    monitoring.heat = 1.0
    monitoring.wait_for(lambda: read(monitoring, alert="Hot")[0] is GOOD)
    monitoring.wait_for(lambda: pager(monitoring, alert="Hot")[0] is GOOD)


def drill(tmp_path, condition):
    project = make_project(tmp_path, **SHORT)
    path = project / "experiments" / "latency.yaml"
    text = path.read_text()
    old = next(line for line in text.splitlines() if "slo: latency, bad" in line)
    more = next(line for line in text.splitlines() if "20 in a row" in line)
    path.write_text(text.replace(old, f"  - {{{condition}}}").replace(more, "").replace("15s", "60s"))
    return Run(project, "latency")


@pytest.mark.parametrize("system", ["prometheus", "alertmanager", "query"])
def test_an_alert_that_turns_red_halts_the_drill(tmp_path, monitoring, lab, system):
    condition = {
        "prometheus": f"name: red, prometheus: {{url: '{monitoring.url}', alert: Hot}}, stops: both",
        "alertmanager": f"name: red, alertmanager: {{url: '{monitoring.pager_url}', alert: Hot}}",
        "query": f"name: red, prometheus: {{url: '{monitoring.url}', query: heat}}, above: 5, every: 200ms, for: 500ms",
    }[system]
    run = drill(tmp_path, condition)
    run.wait_for(lambda kind, data: kind == "StepEnded" and data["in_place"])
    heated_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    monitoring.heat = 9.0
    code, out = run.end()
    assert code == 1, out
    events = run.kinds()
    took_s = halted_after_s(run, heated_ns)
    at_most_s = SCRAPE_S + RULE_S + 1 + (0.5 if system == "query" else 0)  # That one has a `for:`.
    print(f"{system}: halted {took_s:.2f} s after the cause, at most {at_most_s:.2f} s")
    assert 0 < took_s <= at_most_s
    number, halted = next((n, data) for n, (kind, data) in enumerate(events) if kind == "Halted")
    assert halted["condition"] == "red", halted
    assert 0 < halted["breach_before_ns"] - halted["breach_after_ns"] < 5 * NS
    undone = [data["step"] for kind, data in events if kind == "UndoEnded" and data["undone"]]
    assert undone == ["1-the-users-path-is-slow"]
    stopped = next(
        n for n, (kind, data) in enumerate(events) if kind == "LoadAsked" and data["ask"] == "stop"
    )
    finished = next(n for n, (kind, data) in enumerate(events) if data.get("phase") == "recovering")
    assert (number < stopped < finished) == (system == "prometheus")
    assert "red" in (run.folder / "report.html").read_text()


def halted_after_s(run, since_ns):
    records = run.trace().records
    origin_ns = int(next(r.event.origin_boot_ns for r in records if type(r.event).__name__ == "RunStarted"))
    halted_ns = next(r.at_ns for r in records if type(r.event).__name__ == "Halted")
    return (origin_ns + halted_ns - since_ns) / NS


def test_with_the_intervals_of_everyday_it_is_as_quick(tmp_path, lab, tmp_path_factory):
    own = Monitoring(tmp_path_factory.mktemp("everyday"), scrape="2s", rule="1s")
    try:
        run = drill(tmp_path, f"name: red, prometheus: {{url: '{own.url}', alert: Hot}}")
        run.wait_for(lambda kind, data: kind == "StepEnded" and data["in_place"])
        heated_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        own.heat = 9.0
        code, out = run.end()
        assert code == 1, out
        took_s = halted_after_s(run, heated_ns)
        print(f"scrape 2 s, rules 1 s: halted {took_s:.2f} s after the cause, at most 4 s")
        assert 0 < took_s <= 2 + 1 + 1
    finally:
        own.close()


def test_the_time_to_detect_is_measured_from_the_alert(tmp_path, lab, tmp_path_factory):
    own = Monitoring(tmp_path_factory.mktemp("detect"), orders_url=lab["lab.url"])
    try:
        own.wait_for(lambda: own.value("orders_up") == 1.0)
        alert = (
            f"  pager: {{prometheus: {{url: '{own.url}', alert: OrdersDown}}, every: 200ms, timeout: 1s}}\n"
        )
        project = make_project(tmp_path, **SHORT)
        path = project / "experiments" / "primary-loss.yaml"
        text = path.read_text().replace("slos:\n", alert + "slos:\n", 1)
        late = (
            "  - hold: 6s\n  - runbook: runbooks/promote-standby.yaml"  # Else it is mended before it is seen.
        )
        text = text.replace("  - runbook: runbooks/promote-standby.yaml", late, 1)
        assert late in text
        path.write_text(text)
        run = Run(project, "primary-loss")
        run.end(120)
        findings = json.loads((run.folder / "findings.json").read_text())["findings"]
        found = next(f for f in findings if f["name"] == "TTD orders")
        low_s, high_s = found["interval_s"]["min"], found["interval_s"]["max"]
        # Prometheus's own record of when the rule fired, on the run's clock.
        trace = run.trace()
        clock = next(r.event for r in trace.records if type(r.event).__name__ == "ClockRead")
        origin_ns = int(trace.records[0].event.origin_boot_ns) + int(clock.wall_minus_boot_ns)
        killed_s = [
            next(
                r.at_ns
                for r in trace.records
                if type(r.event).__name__ == kind and r.event.step.startswith("1-")
            )
            / NS
            for kind in ("StepStarted", "StepEnded")
        ]
        fired_s = own.fired("OrdersDown", origin_ns / NS + killed_s[0]) - origin_ns / NS
        print(f"TTD {low_s:.2f} to {high_s:.2f} s: {found['why']}")
        print(f"the rule fired {fired_s - killed_s[1]:.2f} to {fired_s - killed_s[0]:.2f} s after the kill")
        assert "alert probe pager went red" in found["why"]
        assert low_s <= fired_s - killed_s[0]
        assert fired_s - killed_s[1] <= high_s
        # A scrape, an order's own patience, a rule and its `for: 1s`, the probe's period, its reading.
        assert 0 <= low_s <= high_s <= SCRAPE_S + 0.1 + RULE_S + 1 + 1
        assert next(f for f in findings if f["name"] == "TTM orders")
    finally:
        own.close()


def test_a_monitoring_system_that_dies_is_a_breach_of_its_own_silence_limit(tmp_path, lab, tmp_path_factory):
    own = Monitoring(tmp_path_factory.mktemp("own"))
    try:
        condition = f"prometheus: {{url: '{own.url}', alert: Hot}}, every: 200ms, timeout: 200ms, silence: 1s"
        run = drill(tmp_path, condition)
        run.wait_for(lambda kind, data: kind == "StepEnded" and data["in_place"])
        own.server.kill()
        code, out = run.end()
        assert code == 1, out
        halted = next(data for kind, data in run.kinds() if kind == "Halted")
        assert halted["reason"] == "probe stop-1-Hot could not be read for 1 s"
    finally:
        own.close()


SLOS = """version: prometheus/v1
service: orders
slos:
  - name: taken
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(requests_total{code="500"}[{{.window}}]))
        total_query: sum(rate(requests_total[{{.window}}]))
  - name: silent
    objective: 99.9
    sli: {events: {error_query: "sum(rate(nobody_total[{{.window}}]))", total_query: "sum(rate(nobody_total[{{.window}}]))"}}
"""


def test_an_imported_slo_and_its_burn_are_read_from_a_real_prometheus(tmp_path, monitoring):
    project = make_project(tmp_path, **SHORT)
    (project / "slos").mkdir()
    (project / "slos" / "it.yaml").write_text(SLOS)
    path = project / "experiments" / "latency.yaml"
    asked = f"{{file: slos/it.yaml, prometheus: '{monitoring.url}', over: 2s, every: 1s}}"
    path.write_text(path.read_text() + f"slos_from: [{asked}]\n")
    probes = {probe.name: probe for probe in load_plan(path).probes}
    said = lambda name: reader_of(probes[name], "run")()  # noqa: E731 - one line, three uses
    monitoring.wait_for(lambda: said("taken")[0] is GOOD)
    assert said("silent")[0] is said("stop-silent-page-quick")[0] is UNREADABLE
    monitoring.heat = 9.0
    monitoring.wait_for(lambda: said("taken")[0] is BAD)
    monitoring.wait_for(lambda: said("stop-taken-page-quick")[0] is said("stop-taken-page-slow")[0] is BAD)
    monitoring.heat = 1.0
    monitoring.wait_for(lambda: said("taken")[0] is GOOD)
    assert said("stop-taken-page-quick")[0] is BAD  # Its windows remember.
