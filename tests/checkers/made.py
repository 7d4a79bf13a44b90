"""Small made-up runs for the checkers: a story of tests/evidence/synthetic.py, changed in one place."""

from __future__ import annotations

from dataclasses import replace

from gameday.checkers.check import check
from gameday.history.record import Record, Trace
from tests.evidence.synthetic import utc


def trace_of(story) -> Trace:
    ordered = sorted(story.records, key=lambda pair: pair[0])
    records = tuple(Record(n, at, utc(at), "runner", event) for n, (at, event) in enumerate(ordered))
    return Trace(records, tuple(story.samples), tuple(story.load), tuple(story.ledger))


def findings_of(story):
    return check(story.plan, trace_of(story))


def find(story, name):
    """The one finding whose name begins so."""
    return next(f for f in findings_of(story).findings if f.name.startswith(name))


def number(finding, key):
    return dict(finding.numbers)[key]


def samples(story, probe, change):
    """Put `change(sample)` in place of each sample of a probe; None removes it."""
    changed = (change(s) if s.probe == probe else s for s in story.samples)
    story.samples = [s for s in changed if s is not None]


def events(story, kind, **changes):
    """Change every event of a kind."""
    story.records = [(at, replace(e, **changes) if isinstance(e, kind) else e) for at, e in story.records]


def without(story, *kinds):
    story.records = [(at, e) for at, e in story.records if not isinstance(e, kinds)]
