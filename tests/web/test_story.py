"""What the page is told of a run: the whole of it, the same for whoever comes late, and bounded."""

from __future__ import annotations

import json
import shutil
from collections import deque

import pytest

from gameday.console.picture import bars_of, picture, plan_of, watched
from gameday.console.points import POINTS_MAX, Points
from gameday.console.story import Story
from gameday.console.web.feed import Feed, place_of
from gameday.history.events import Reading, Sample
from gameday.history.loadevents import LoadBucket
from gameday.history.read import read_trace
from tests.golden import unpack

NS = 1_000_000_000


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return unpack("primary-loss", tmp_path_factory.mktemp("golden") / "run")


@pytest.fixture(scope="module")
def whole(golden):
    story = Story.of(golden)
    story.drain()
    return story


def cut(golden, folder, marker, more=2):
    """A copy of the run as it was shortly after the first event that holds `marker`."""
    run_dir = shutil.copytree(golden, folder / "run")
    lines = (run_dir / "history.jsonl").read_bytes().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if marker in line)
    (run_dir / "history.jsonl").write_bytes(b"".join(lines[: place + more]))
    return run_dir


def frames(data):
    """The messages in a piece of a stream: (id, kind, data)."""
    out = []
    for part in data.decode().split("\n\n")[:-1]:
        head, kind, body = part.split("\n")
        out.append((head[4:], kind[7:], json.loads(body[6:])))
    return out


def test_a_run_that_is_over_is_told_from_its_first_event_to_its_findings(golden):
    feed = Feed(lambda: golden)
    feed.tick()
    told = feed.story_data()
    trace = read_trace(golden)
    bars = told["bars"]
    phases = [bar["state"] for bar in bars if bar["what"] == "phase"]
    assert phases[:3] == ["arming", "baseline", "running"] and phases[-1] == "finished"
    faults = [bar for bar in bars if bar["what"] == "fault"]
    assert [bar["state"] for bar in faults] == ["gone"] and faults[0]["from"] < faults[0]["to"]
    assert all(bar["to"] is not None for bar in bars if bar["what"] in ("do", "undo"))
    assert told["notes"][0][2] == "run" and told["notes"][-1][2] == "run"
    assert sum(round(row[3] * told["step_s"]) for row in told["rows"]) == sum(b.good for b in trace.load)
    place = watched(feed.story).index("place-order")
    good = sum(s.probe == "place-order" and s.reading == "good" for s in trace.samples)
    assert sum(row[7][place][0] for row in told["rows"]) == good
    end, findings = told["picture"]["end"], json.loads((golden / "findings.json").read_text())
    assert end["outcome"] == findings["outcome"] and end["verdict"] == findings["verdict"]
    assert len(end["findings"]) == len(findings["findings"])
    assert told["picture"]["faults"] == [] and told["picture"]["next"] is None


def test_while_a_fault_is_in_place_its_time_to_live_counts_down(golden, tmp_path):
    story = Story.of(cut(golden, tmp_path, b'"StepEnded"'))
    story.drain()
    at_ns = story.last_ns
    one, later = picture(story, at_ns), picture(story, at_ns + 5 * NS)
    fault = one["faults"][0]
    assert fault["state"] == "in place" and "primary database dies" in fault["name"]
    assert later["faults"][0]["left"] == pytest.approx(fault["left"] - 5, abs=0.01)
    assert 0 < fault["left"] <= fault["of"]
    assert later["quiet"] == 5.0 and one["end"] is None
    assert one["next"] or one["running"]
    assert [limit["near"] for limit in one["limits"]]
    json.dumps([one, plan_of(story)], allow_nan=False)


def test_a_late_joiner_sees_what_somebody_saw_who_was_there(golden, whole, tmp_path):
    """One story fed a few records at a time, with samples and load arriving between."""
    run_dir = tmp_path / "run"
    (run_dir / "segments").mkdir(parents=True)
    shutil.copy(golden / "plan.json", run_dir)
    story = Story.of(run_dir)
    names = ("history.jsonl", "segments/samples.jsonl", "segments/load.jsonl")
    data = {name: (golden / name).read_bytes() for name in names}
    for part in range(1, 8):
        for name in names:
            (run_dir / name).write_bytes(data[name][: len(data[name]) * part // 7])
        story.read()
    assert bars_of(story) == bars_of(whole)
    assert list(story.said) == list(whole.said)
    probes = watched(story)
    assert story.points.every(probes) == whole.points.every(probes)
    assert story.halting == whole.halting


def test_who_lost_the_connection_goes_on_there_and_who_lags_begins_anew(golden, tmp_path):
    run_dir = cut(golden, tmp_path, b'"StepEnded"')
    lines = (golden / "history.jsonl").read_bytes().splitlines(keepends=True)
    had = (run_dir / "history.jsonl").read_bytes()
    feed = Feed(lambda: run_dir)
    feed.tick()
    assert feed.since(place_of("")) is None
    place, data = feed.whole()
    [(first, kind, told)] = frames(data)
    assert kind == "story" and place_of(first) == place
    with (run_dir / "history.jsonl").open("wb") as file:
        file.write(had + b"".join(lines[had.count(b"\n") :]))
    feed.tick()
    place, data = feed.since(place_of(first))
    [(last, kind, news)] = frames(data)
    assert kind == "news" and news["notes"][0][0] == told["notes"][-1][0] + 1
    late = frames(feed.whole()[1])[0][2]
    bars = told["bars"]
    for number, bar in news["bars"]:
        bars[number : number + 1] = [bar]
    assert bars == late["bars"]
    assert late["notes"] == told["notes"] + news["notes"]
    assert feed.since(place)[1] == b""
    feed._ring = deque(feed._ring, maxlen=3)
    for _ in range(4):
        feed._say()
    assert feed.since(place_of(last)) is None and feed.since(place_of("another-7")) is None


def test_long_runs_are_drawn_from_fewer_rows_that_keep_every_peak_and_every_count(monkeypatch):
    assert POINTS_MAX <= 2000
    monkeypatch.setattr("gameday.console.points.POINTS_MAX", 100)
    points = Points()
    for second in range(300):
        latency = ((2000, 1),) if second == 77 else ((900, 5),)
        points.bucket(LoadBucket("l", second * NS, 10, 10, 0, 0, 5, 1, (), latency, 0, 0, 0))
        points.sample(
            Sample("p", second * NS, second * NS, Reading.BAD if second % 10 == 0 else Reading.GOOD)
        )
    rows = points.every(("p",))
    assert len(rows) <= 100 and points.generation == 2 and points.step_s == 4
    assert sum(row[7][0][0] + row[7][0][1] for row in rows) == 300
    assert sum(round(row[4] * 4) for row in rows) == 300
    assert max(row[6] for row in rows) == next(row[6] for row in rows if row[0] == 76)
    assert all(len(point.latency) == 0 for number, point in points.rows.items() if number < 60)


def test_a_feed_without_a_run_waits_and_one_that_stays_goes_on_with_the_next(golden, tmp_path):
    runs = []
    feed = Feed(lambda: runs[-1] if runs else None, stays=True)
    feed.tick()
    assert feed.run_dir is None and frames(feed.whole()[1])[0][2]["plan"] is None
    runs.append(golden)
    feed._looked_s = 0.0
    feed.tick()
    generation, number = feed.generation, feed.number
    assert feed.run_dir == golden
    runs.append(shutil.copytree(golden, tmp_path / "next"))
    feed._looked_s = 0.0
    feed.tick()
    assert feed.run_dir == tmp_path / "next" and feed.generation != generation
    assert feed.since((generation, number)) is None
