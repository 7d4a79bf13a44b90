"""Exports: true to the findings, the same bytes every time, harmless whatever names hold."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from gameday.cli.main import main
from gameday.errors import Refused
from gameday.evidence.casefile import make_case, open_case
from gameday.evidence.exports import pdf as pdf_module
from gameday.evidence.exports.chaosjournal import chaos_journal
from gameday.evidence.exports.csvtimeline import csv_timeline
from gameday.evidence.exports.intoto import intoto
from gameday.evidence.exports.junit import junit
from gameday.evidence.exports.oscal import control_id, oscal
from gameday.evidence.exports.poam import poam
from gameday.evidence.tracking import Accepted, Added, Assigned, Entry, fold
from gameday.history.people import ApprovalGiven

from .synthetic import completed, halted, hostile_plan, write_run
from .test_report import HOSTILE, trace_of


def case_of(story, **files):
    return make_case(story.plan, trace_of(story), **files)


def light(story):
    """A story with few of its writes: what is exported does not depend on how many there are."""
    story.ledger = story.ledger[:200]
    return story


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "good", completed())


@pytest.fixture(scope="module")
def good_case(good):
    return open_case(good)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Halted, an undo stuck, and nobody could read the fault back."""
    story = light(halted(stuck=True))
    story.records = [
        (at, replace(event, in_place=None) if getattr(event, "in_place", None) else event)
        for at, event in story.records
    ]
    return write_run(tmp_path_factory.mktemp("runs") / "bad", story)


@pytest.fixture(scope="module")
def bad_case(bad):
    return open_case(bad)


def walk(value, path="$"):
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from walk(item, f"{path}.{key}")


def check_oscal(text):
    """What the schema asks of every document: identifiers, references, times, no empty list or text."""
    document = json.loads(text)
    (root,) = document
    ids, wanted = [], []
    for path, value in walk(document[root]):
        key = path.rpartition(".")[2]
        assert value not in ([], {}, "", None), path
        if key == "uuid":
            assert uuid.UUID(value).version == 5
            ids.append(value)
        elif key.endswith("-uuid"):
            wanted.append(value)
        elif key == "href" and value.startswith("#"):
            wanted.append(value[1:])
        elif key in ("start", "end", "collected", "last-modified", "deadline"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value), path
        elif key in ("name", "target-id", "role-id", "control-id", "id") and "system-id" not in path:
            if "parties" not in path:
                assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", value), path
        elif key == "value" and "props" in path:
            assert value == value.strip() and "\n" not in value, path
    assert len(ids) == len(set(ids))
    assert set(wanted) <= set(ids)
    head = document[root]["metadata"]
    assert head["oscal-version"].startswith("1.") and head["title"] and head["version"]
    return document[root]


@pytest.mark.parametrize("make", [oscal, csv_timeline, junit, intoto, chaos_journal])
def test_the_same_run_exports_the_same_bytes(good, good_case, make):
    again = make_case(good_case.plan, good_case.trace, good_case.files)
    assert make(again) == make(good_case)


def test_oscal_results_hold_every_finding_and_claim_no_control(good_case):
    document = check_oscal(oscal(good_case))
    (result,) = document["results"]
    findings = good_case.findings.findings
    assert [f["title"] for f in result["findings"]] == [f.name for f in findings]
    assert all(f["target"]["status"]["state"] == "satisfied" for f in result["findings"])
    assert "risks" not in result
    chosen = result["reviewed-controls"]["control-selections"][0]["include-controls"]
    assert {"cp-4", "cp-4.5", "cp-10"} <= {c["control-id"] for c in chosen}
    assert "No compliance is claimed" in result["reviewed-controls"]["description"]
    targets = {f["target"]["target-id"] for f in result["findings"]}
    assert not targets & {c["control-id"] for c in chosen}
    rta = next(o for o in result["observations"] if o["title"] == "RTA orders")
    bounds = {p["name"]: p["value"] for p in rta["props"]}
    assert float(bounds["min-s"]) < float(bounds["max-s"]) < 30
    files = {r["title"]: r for r in document["back-matter"]["resources"]}
    assert len(files["history.jsonl"]["rlinks"][0]["hashes"][0]["value"]) == 64
    plan = json.loads(base64.b64decode(files["assessment-plan.json"]["base64"]["value"]))
    assert plan["assessment-plan"]["reviewed-controls"] == result["reviewed-controls"]


def test_oscal_of_a_failed_run_has_risks_and_its_plan_of_action_says_who_and_when(bad_case):
    case = bad_case
    owed = [f.name for f in case.findings.findings if f.verdict in ("fail", "unknown")]
    added = [Added("run", "p", "orders", name, "fail", "why", "high") for name in owed]
    entries = [Entry(n, "2026-01-02T00:00:00Z", "a", f"F-{n}", a) for n, a in enumerate(added, start=1)]
    entries.append(Entry(90, "2026-01-02T00:00:00Z", "a", "F-1", Assigned("m.okafor", "2026-02-01", "")))
    entries.append(
        Entry(91, "2026-01-02T00:00:00Z", "a", "F-2", Accepted("c.risk", "2026-06-01", "rebuilt in Q3"))
    )
    tracked = fold(entries)
    document = check_oscal(poam(case, tracked, "2026-01-03"))
    assert [item["title"] for item in document["poam-items"]] == owed
    first, second = document["risks"][:2]
    assert (first["status"], first["deadline"]) == ("remediating", "2026-02-01T23:59:59Z")
    assert second["status"] == "deviation-approved"
    assert "until 2026-06-01" in second["remediations"][0]["description"]
    assert check_oscal(poam(case, tracked, "2026-06-02"))["risks"][1]["status"] == "open"
    seen = Entry(92, "2026-01-02T00:00:00Z", "a", "F-9", replace(added[0], name="seen: a host that is gone"))
    last = check_oscal(poam(case, fold([*entries, seen]), "2026-01-03"))["poam-items"][-1]
    assert last["title"] == "a host that is gone"
    risks = check_oscal(oscal(case, tracked))["results"][0]["risks"]
    assert [r["title"] for r in risks] == owed


def test_a_run_that_left_nothing_has_no_plan_of_action(good, good_case, capsys):
    with pytest.raises(Refused, match="no finding that failed or is unknown"):
        poam(good_case)
    seen = fold(
        [
            Entry(
                1,
                "2026-01-02T00:00:00Z",
                "a",
                "F-1",
                Added("r", "p", "o", "seen: x", "unknown", "why", "low"),
            )
        ]
    )
    assert "observations" not in check_oscal(poam(good_case, seen, "2026-01-03"))
    assert main(["export", str(good), "--as", "poam"]) == 3
    assert "--as oscal" in capsys.readouterr().err


def test_only_a_signed_approval_becomes_an_attestation():
    story = light(completed())
    for number, verified in enumerate((True, False)):
        given = ApprovalGiven(
            "start", f"p{number}", "approver", False, verified, "ab" * 32, fingerprint="SHA256:x"
        )
        story.add(7_000_000 + number, given)
    (result,) = check_oscal(oscal(case_of(story)))["results"]
    assert ["p0" in a["parts"][0]["prose"] for a in result["attestations"]] == [True]


@pytest.mark.parametrize("clause, name", [("CP-4(5)", "cp-4.5"), ("CP-10", "cp-10")])
def test_controls_are_named_as_the_catalog_does(clause, name):
    assert control_id(clause) == name


def suite_of(text):
    root = ET.fromstring(text)
    return root, {case.get("name"): case for case in root.iter("testcase")}


def test_junit_fails_what_is_unknown_unless_told_otherwise(bad_case):
    case = bad_case
    verdicts = {f.name: str(f.verdict) for f in case.findings.findings}
    assert "unknown" in verdicts.values() and "fail" in verdicts.values()
    for unknown_as in ("failure", "skipped"):
        root, cases = suite_of(junit(case, unknown_as))
        wanted = {"fail": "failure", "unknown": unknown_as, "not_tested": "skipped"}
        for name, verdict in verdicts.items():
            ends = [child.tag for child in cases[name] if child.tag in ("failure", "error", "skipped")]
            assert ends == [wanted[verdict]] if verdict in wanted else ends == []
        for key, tag in (("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
            assert int(root.get(key)) == len(list(root.iter(tag)))
        assert int(root.get("tests")) == len(cases)


def test_junit_carries_the_bounds_and_calls_a_dead_runner_an_error():
    story = light(completed())
    _, cases = suite_of(junit(case_of(story)))
    numbers = {p.get("name"): p.get("value") for p in cases["RTA orders"].iter("property")}
    assert float(numbers["min_s"]) < float(numbers["max_s"])
    assert cases["the runner and its history"].find("error") is None
    story.records = story.records[:-1]
    _, cases = suite_of(junit(case_of(story)))
    assert "died" in cases["the runner and its history"].find("error").get("message")


def test_in_toto_says_passed_only_when_everything_passed(good_case, bad_case):
    statement = json.loads(intoto(good_case))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["predicate"]["result"] == "PASSED"
    assert {s["name"] for s in statement["subject"]} >= {"history.jsonl", "segments/ledger.jsonl"}
    assert [c["name"] for c in statement["predicate"]["configuration"]] == ["plan.json"]
    case = bad_case
    told = json.loads(intoto(case))["predicate"]
    assert told["result"] == "FAILED"
    assert len(told["passedTests"] + told["warnedTests"] + told["failedTests"]) == len(case.findings.findings)


def test_the_csv_has_every_record_and_no_formula():
    story = light(completed(hostile_plan("=HYPERLINK(1)")))
    for number, (at_ns, event) in enumerate(story.records):
        changes = {n: "\t=1+1" for n in ("detail", "reason", "text", "by") if hasattr(event, n)}
        story.records[number] = (at_ns, replace(event, **changes))
    case = case_of(story)
    rows = list(csv.DictReader(io.StringIO(csv_timeline(case), newline="")))
    assert [int(row["record"]) for row in rows] == [r.seq for r in case.trace.records]
    assert any("HYPERLINK" in row["what"] for row in rows)
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\t"))]


@pytest.mark.parametrize("text", ["=1", " =1", "+1", "-1", "@a", "\t=1", "|x", "%x", "\uff1d1"])
def test_a_cell_that_would_be_a_formula_becomes_text(text):
    from gameday.evidence.exports.csvtimeline import harmless

    assert harmless(text).startswith("'")
    assert harmless("a = 1") == "a = 1"


def test_the_journal_has_what_was_done_and_deviates_unless_all_passed(good_case, bad_case):
    journal = json.loads(chaos_journal(good_case))
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["steady_states"]["before"]["steady_state_met"] is True
    assert len(journal["run"]) == 5 and all(entry["status"] == "succeeded" for entry in journal["run"])
    assert all(entry["start"] <= entry["end"] for entry in (*journal["run"], *journal["rollbacks"]))
    halted_one = json.loads(chaos_journal(bad_case))
    assert (halted_one["status"], halted_one["deviated"]) == ("interrupted", True)
    assert [entry["status"] for entry in halted_one["rollbacks"]] == ["failed"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_breaks_no_export(text):
    story = completed() if "\ud800" in text else completed(hostile_plan(text))
    story.samples, story.load, story.ledger = [], [], []
    for number, (at_ns, event) in enumerate(story.records):
        changes = {
            n: text for n in ("detail", "reason", "text", "by", "operator", "machine") if hasattr(event, n)
        }
        story.records[number] = (at_ns, replace(event, **changes))
    case = case_of(story)
    check_oscal(oscal(case))
    ET.fromstring(junit(case))
    json.loads(chaos_journal(case))
    for made in (oscal(case), junit(case), csv_timeline(case), chaos_journal(case)):
        made.encode("utf-8")
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", made)


@pytest.mark.parametrize("missing", ["records", "samples", "load", "ledger"])
def test_a_history_that_lost_a_part_still_exports(missing):
    story = light(completed())
    setattr(story, missing, [])
    case = case_of(story)
    check_oscal(oscal(case))
    ET.fromstring(junit(case))
    json.loads(chaos_journal(case))
    csv_timeline(case)


def test_export_writes_a_file_or_standard_output_and_follows_no_link(bad, tmp_path, capfdbinary):
    target = tmp_path / "out.xml"
    assert main(["export", str(bad), "--as", "junit", "-o", str(target)]) == 0
    capfdbinary.readouterr()
    assert main(["export", str(bad), "--as", "junit"]) == 0
    assert capfdbinary.readouterr().out == target.read_bytes()
    link, precious = tmp_path / "link", tmp_path / "precious"
    precious.write_text("precious")
    link.symlink_to(precious)
    assert main(["export", str(bad), "--as", "csv", "-o", str(link)]) == 2
    assert precious.read_text() == "precious"


def test_without_a_browser_there_is_no_pdf_and_one_line_says_so(bad, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert pdf_module.browser() is None
    assert main(["export", str(bad), "--as", "pdf", "-o", "/nonexistent/x.pdf"]) == 3
    assert "chromium" in capsys.readouterr().err
