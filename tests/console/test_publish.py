"""A recorded run as metrics, spans and annotations; the dashboard; what the command refuses."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gameday.cli.main import main
from gameday.console.annotations import Annotations, Post
from gameday.console.follow import Follower
from gameday.console.metrics import METRICS, exposition, names_in
from gameday.console.spans import Spans, request
from gameday.history.read import read_trace
from tests.drills import ROOT
from tests.golden import NAMES, unpack

DASHBOARD = ROOT / "docs" / "grafana" / "drill.json"
ONLY_WHILE_IT_RUNS = {
    "gameday_step_running", "gameday_fault_in_place", "gameday_load_offered_per_second",
    "gameday_load_achieved_per_second", "gameday_load_latency_seconds",
}  # fmt: skip


def as_proto(body):
    """Decode an export by the official message; ids are hex in OTLP, base64 in plain protobuf JSON."""
    body = json.loads(json.dumps(body))
    for resource in body["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in {"traceId", "spanId", "parentSpanId"} & set(span):
                    span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return ParseDict(body, ExportTraceServiceRequest())


def told(run_dir, kind):
    """Everything that a fold over a run says, and the follower at its end."""
    follower = Follower.of(run_dir)
    fold, found = kind(follower.plan), []
    for record in follower.drain():
        found += fold.take(record, follower.wall_ns(record.at_ns))
    return found, follower


def value(page, line):
    return float(next(row for row in page.splitlines() if row.startswith(f"{line} ")).rpartition(" ")[2])


@pytest.fixture(scope="module", params=NAMES)
def golden(request, tmp_path_factory):
    return unpack(request.param, tmp_path_factory.mktemp("golden") / request.param)


def test_the_page_says_what_the_run_folder_holds(golden):
    follower = Follower.of(golden)
    follower.drain()
    trace = read_trace(golden)
    page = exposition(follower, follower.ended_ns, is_open=True)
    assert page.endswith("# EOF\n")
    outcome = json.loads((golden / "findings.json").read_text())["outcome"]
    assert value(page, f'gameday_run_outcome{{outcome="{outcome}"}}') == 1
    assert value(page, 'gameday_phase{phase="finished"}') == 1
    assert value(page, "gameday_halted") == (outcome != "completed")
    good = sum(s.probe == "place-order" and s.reading == "good" for s in trace.samples)
    assert value(page, 'gameday_probe_samples_total{probe="place-order",reading="good"}') == good
    assert value(page, 'gameday_load_requests_total{load="orders",result="good"}') == sum(
        b.good for b in trace.load
    )
    steps = [value(page, f'gameday_steps{{state="{w}"}}') for w in ("waiting", "running", "done", "failed")]
    assert sum(steps) == len(follower.plan.steps)
    assert value(page, "gameday_undos_stuck") == 0
    assert names_in(page) == set(METRICS) - ONLY_WHILE_IT_RUNS


def test_while_it_runs_there_are_faults_steps_and_load_on_the_page(tmp_path):
    """The history cut off after the fault was put in place, with what was sampled by then."""
    run_dir = unpack("primary-loss", tmp_path / "run")
    lines = (run_dir / "history.jsonl").read_bytes().splitlines(keepends=True)
    ended = next(n for n, line in enumerate(lines) if b'"StepEnded"' in line)
    (run_dir / "history.jsonl").write_bytes(b"".join(lines[: ended + 2]))
    follower = Follower.of(run_dir)
    follower.drain()
    page = exposition(follower, follower.state.now_ns, is_open=False)
    assert value(page, "gameday_faults_in_place") == value(page, "gameday_undos_owed") == 1
    assert 'gameday_fault_in_place{step="1-primary-database-dies"' in page
    assert value(page, 'gameday_load_offered_per_second{load="orders"}') == pytest.approx(50, rel=0.1)
    assert 0 < value(page, 'gameday_load_latency_seconds{load="orders",quantile="0.99"}') < 5
    assert ONLY_WHILE_IT_RUNS - {"gameday_step_running"} <= names_in(page) <= set(METRICS)
    assert "# EOF" not in page
    assert "# TYPE gameday_probe_samples_total counter" in page


def test_what_a_label_holds_cannot_end_the_label(tmp_path):
    run_dir = unpack("primary-loss", tmp_path / "run")
    follower = Follower.of(run_dir)
    object.__setattr__(follower.plan, "title", 'a "quoted" \\ title\nof two lines')
    page = exposition(follower, 0, is_open=True)
    assert 'title="a \\"quoted\\" \\\\ title\\nof two lines"' in page


def test_spans_are_one_tree_by_the_official_message(golden):
    found, follower = told(golden, Spans)
    spans = as_proto(request(found)).resource_spans[0].scope_spans[0].spans
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if not span.parent_span_id]
    assert len(ids) == len(spans) and [r.name for r in roots] == [f"drill {follower.plan.title}"]
    assert len({span.trace_id for span in spans}) == 1
    assert all(len(s.span_id) == 8 and len(s.trace_id) == 16 for s in spans)
    assert all(span.parent_span_id in ids for span in spans if span.parent_span_id)
    root = roots[0]
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    assert spans[-1] == root
    kinds = [type(r.event).__name__ for r in read_trace(golden).records]
    names = [span.name for span in spans]
    assert sum(name.startswith("undo of") for name in names) == kinds.count("UndoStarted")
    assert sum(name.startswith("phase") for name in names) == kinds.count("PhaseChanged")
    halts = [event for event in root.events if event.name == "halted" or event.name == "halt"]
    assert len(halts) == kinds.count("Halted")
    ended = next(r.event for r in read_trace(golden).records if type(r.event).__name__ == "RunEnded")
    went_well = str(ended.outcome) == "completed" and not ended.stuck and not ended.failed_over
    assert root.status.code == (1 if went_well else 2)


def test_what_is_sent_twice_is_the_same_span_twice(golden):
    first, second = told(golden, Spans)[0], told(golden, Spans)[0]
    assert first == second


def test_every_annotation_that_begins_ends_and_wears_its_scope(golden):
    found, follower = told(golden, Annotations)
    begun = [one.key for one in found if isinstance(one, Post)]
    ended = [one.key for one in found if not isinstance(one, Post)]
    assert {key for key in begun if not key.startswith(("halt", "warning"))} == set(ended)
    assert begun[0] == ended[-1] == "run"
    for one in found:
        if isinstance(one, Post):
            assert {"gameday", "service:orders", "environment:lab", f"run:{follower.run}"} <= set(
                one.body["tags"]
            )
        else:
            assert one.body["timeEnd"] > 1_700_000_000_000
    fault = next(one for one in found if one.key.startswith("fault"))
    target = follower.state.step(fault.key.removeprefix("fault ")).target
    assert {"fault", f"target:{target}"} <= set(fault.body["tags"])


def test_the_dashboard_asks_only_for_what_is_served_and_leaves_nothing_out():
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert set(re.findall(r"gameday_\w+", " ".join(asked))) == set(METRICS)
    labels = {"job", "load", "result", "probe", "reading"}
    for expr in asked:
        for by in re.findall(r"by \(([^)]*)\)", expr):
            assert set(by.split(", ")) <= labels
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in board["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24  # No panel over another.
    assert board["annotations"]["list"][0]["target"]["tags"] == ["gameday"]


def test_metrics_are_documented():
    text = (ROOT / "docs" / "monitoring.md").read_text()
    assert {name for name in METRICS if f"`{name}`" not in text} == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nobody is to be told"),
        (["--metrics", "9464"], "expected an address like"),
        (["--metrics", "0.0.0.0:9464"], "others could read it"),
        (["--metrics", "host.example:9464"], "expected an address like"),
        (["--traces", "ftp://somewhere"], "expected an address like"),
        (["--traces", "http://me:secret@somewhere"], "a password does not belong"),
        (["--grafana", "http://127.0.0.1:1"], "GAMEDAY_GRAFANA_TOKEN holds no token"),
        (["--stay", "--metrics", "127.0.0.1:0"], "Leave out either"),
    ],
)
def test_what_publish_refuses(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.delenv("GAMEDAY_GRAFANA_TOKEN", raising=False)
    run_dir = unpack("halted", tmp_path / "run")
    assert main(["publish", str(run_dir), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "secret" not in told


@pytest.mark.slow
def test_promtool_finds_nothing_to_mend(golden):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    follower = Follower.of(golden)
    follower.drain()
    page = exposition(follower, follower.ended_ns, is_open=False)
    done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
