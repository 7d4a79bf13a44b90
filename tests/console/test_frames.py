"""Frames fit the terminal whatever the run is doing, and names in them stay names."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gameday.console.follow import Follower
from gameday.console.live import draw
from gameday.console.summary import summary_lines
from gameday.console.tail import CHUNK_MAX, Tail
from gameday.engine.state import begin
from gameday.history.codec import Roots
from gameday.history.codec import encode_item
from gameday.plan.model import NS
from tests.evidence.synthetic import completed, halted, hostile_plan, make_plan, utc, write_run


def frame(follower, now_ns, *, height=40, width=120):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(draw(follower, now_ns, height=height, width=width))
    return console.file.getvalue()


def followed(folder, story, until_ns):
    """A follower that has read what there was of a run at `until_ns`."""
    from gameday.history.store import HistoryWriter
    from gameday.plan.stored import plan_digest, write_plan

    folder.mkdir()
    write_plan(folder, story.plan)
    history = HistoryWriter(folder, Roots(plan_digest(story.plan)))
    for item in [s for s in story.samples if s.ended_ns <= until_ns] + [
        b for b in story.load if b.start_ns < until_ns
    ]:
        history.keep(item)
    for at_ns, event in sorted(story.records, key=lambda pair: pair[0]):
        if at_ns <= until_ns:
            history.record(at_ns, utc(at_ns), "runner", event, sync=False)
    history.close()
    follower = Follower.of(folder)
    follower.drain()
    return follower


@pytest.mark.parametrize("at_s", [0.5, 3, 8.02, 10.2, 15, 18.5, 28])
@pytest.mark.parametrize(("height", "width"), [(24, 80), (40, 120), (60, 200)])
def test_a_frame_fits_the_terminal_at_any_time(tmp_path, at_s, height, width):
    now_ns = int(at_s * NS)
    follower = followed(tmp_path / "run", completed(), now_ns)
    lines = frame(follower, now_ns, height=height, width=width).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_while_a_fault_is_in_place_the_frame_counts_its_time_down(tmp_path):
    story = completed()
    follower = followed(tmp_path / "run", story, 8 * NS + 500_000_000)
    shown = frame(follower, 10 * NS)
    assert "in place" in shown
    assert "at the latest in 118 s" in shown
    assert "next" in shown
    assert "notice that orders are refused" in shown
    assert "0 of 3" in shown


def test_the_fault_stays_in_view_after_its_undo_was_superseded(tmp_path):
    shown = frame(followed(tmp_path / "run", completed(), 12 * NS), 12 * NS)
    assert "primary database dies" in shown
    assert "bring a back as a standby of b, at the latest in" in shown


def test_readings_that_are_not_fresh_are_said_to_be_old(tmp_path):
    follower = followed(tmp_path / "run", completed(), 15 * NS)
    assert "last read" not in frame(follower, 15 * NS)
    assert "last read 7 s ago" in frame(follower, 22 * NS)


def test_names_with_markup_or_escapes_are_shown_as_they_are(tmp_path):
    plan = hostile_plan("[bold]x[/]\x1b[31m\u202e")
    follower = followed(tmp_path / "run", completed(plan), 12 * NS)
    shown = frame(follower, 12 * NS, width=200)
    assert "[bold]x[/]" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_records_of_steps_the_plan_does_not_know_are_passed_over(tmp_path):
    folder = write_run(tmp_path / "run", completed())
    plan = make_plan(steps=make_plan().steps[:1])
    follower = Follower(folder, plan, begin(plan))
    follower.drain()
    assert follower.ended is not None
    assert frame(follower, 28 * NS)


def test_a_tail_reads_only_whole_lines_and_gets_past_one_without_an_end(tmp_path):
    path = tmp_path / "x.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(b'{"a":1}\n{"a":')
    assert tail.read() == [{"a": 1}]
    with path.open("ab") as file:
        file.write(b'2}\n[1]\n"x"\n\xff\n')
    assert tail.read() == [{"a": 2}]
    with path.open("ab") as file:
        file.write(b"x" * (CHUNK_MAX + 10) + b'\n{"a":3}\n')
    assert tail.read() == []
    assert tail.read() == [{"a": 3}]


def test_a_summary_leads_with_the_objectives_and_says_what_to_do(tmp_path):
    from gameday.checkers.check import check
    from gameday.checkers.document import as_document
    from gameday.history.read import read_trace

    told = {}
    for name, story in (("good", completed()), ("stuck", halted(stuck=True))):
        folder = write_run(tmp_path / name, story)
        document = as_document(check(story.plan, read_trace(folder)))
        told[name] = "\n".join(summary_lines(document, folder))
        assert "\x1b" not in told[name]
        assert "\x1b[" in "\n".join(summary_lines(document, folder, colour=True))
    assert "2.40 to 2.51 s" in told["good"]
    assert "pass  DEMONSTRATED" in told["good"]
    assert "Keep the evidence" in told["good"]
    assert "A PERSON IS NEEDED" in told["stuck"]
    assert "gameday recover stuck" in told["stuck"]
    assert told["good"].index("RTA orders") < told["good"].index("steady state before")


def test_segments_that_are_damaged_or_absent_are_no_reason_to_stop(tmp_path):
    story = completed()
    folder = write_run(tmp_path / "run", story)
    (folder / "segments" / "load.jsonl").unlink()
    samples = folder / "segments" / "samples.jsonl"
    samples.write_bytes(b'{"probe":1}\n' + encode_item(story.samples[0]) + b'{"torn')
    follower = Follower.of(folder)
    follower.drain()
    assert "no data" in frame(follower, 28 * NS)
