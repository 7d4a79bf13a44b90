"""The draft of a write-up: facts where the record has them, a question where it has not, never markup."""

from __future__ import annotations

import pytest

from gameday.evidence.casefile import make_case
from gameday.evidence.pages import as_html, markdown
from gameday.evidence.programme import Row, Scenario
from gameday.evidence.tracking import Added, Assigned, Entry, fold
from gameday.evidence.writeup import QUESTIONS, Next, writeup
from gameday.history.events import Noted
from tests.evidence.synthetic import completed, halted
from tests.evidence.test_report import trace_of

HOSTILE = "<script>x</script>\n# =cmd() @all |"


def case_of(story):
    story.ledger = story.ledger[:200]
    at, _ = story.records[len(story.records) // 2]
    story.records.insert(len(story.records) // 2, (at, Noted("r.ito <b>", "", HOSTILE)))
    return make_case(story.plan, trace_of(story))


@pytest.fixture(scope="module")
def bad():
    return case_of(halted(stuck=True))


def after(case):
    added = Added(case.run, case.plan.source, "orders", "RTA orders", "fail", HOSTILE, "high")
    item = fold([Entry(1, "2026-11-24T12:00:00Z", "r.ito", "F-1", added),
                 Entry(2, "2026-11-24T12:00:00Z", "r.ito", "F-1", Assigned("m.okafor", "2026-12-24", ""))])  # fmt: skip
    rows = (
        Row(Scenario(case.plan.source, "orders", "dr", "This one"), 1, None, "", "", True, False),
        Row(
            Scenario("experiments/b.yaml", "orders", "dr", "Lately shown"),
            1,
            None,
            "2026-11-01",
            "2027-01-30",
            False,
            False,
        ),
        Row(Scenario("experiments/c.yaml", "stock", "dr", "Never shown"), 0, None, "", "", True, False),
    )
    return Next("2026-11-24", item, rows)


def test_it_holds_what_the_record_knows_and_asks_for_the_rest(bad):
    page = writeup(bad, after(bad))
    found = {section.title: section for section in page.sections}
    assert "DRAFT, blameless" in page.label
    assert len(found["Timeline"].rows) > 10 and all(row[0] and row[1] for row in found["Timeline"].rows)
    assert any("NOT undone" in row[4] for row in found["Timeline"].rows)
    for title, question in QUESTIONS.items():
        assert found[title].points[-1] == question
    assert any("undo of" in point for point in found["What hindered"].points)
    assert found["Findings"].rows[0][:5] == ("F-1", "high", "open", "m.okafor", "2026-12-24")
    assert (
        found["Next drill"]
        .sentences[0]
        .startswith("Never shown (experiments/c.yaml): never demonstrated, overdue")
    )
    assert any("gameday finding close F-1 --retest RUN" in point for point in found["Retest"].points)


def test_a_drill_that_went_well_says_what_helped():
    case = case_of(completed())
    found = {section.title: section for section in writeup(case, Next("2026-11-24", (), ())).sections}
    assert any(point.startswith("RTA orders") for point in found["What helped"].points)
    assert "None is tracked yet" in found["Findings"].sentences[0]
    assert found["Next drill"].sentences[0].startswith("To answer")


def test_a_note_is_never_markup(bad):
    page = writeup(bad, after(bad))
    assert "<script" not in as_html(page) and "<b>" not in as_html(page)
    said = markdown(page)
    assert "<script" not in said.replace("\\<", "") and "@all" not in said and "\n# =" not in said
