"""The ledger writer on a real service: intent before effect, and every end named for what it is."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from gameday.history.events import LedgerRead, SyntheticPurged
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.ledger import LedgerWriter
from gameday.plan.model import NS, Ledger
from tests.hosts.servers import closed_port
from tests.hosts.shop import shop

GIVE_UP_S = 20.0


class Rig:
    def __init__(self, folder, url, every_s=0.01, timeout_s=0.5):
        self.path = folder / "ledger.jsonl"
        self.inbox = new_inbox()
        spec = json.dumps({"url": f"{url}/orders"})
        ledger = Ledger("orders", spec, int(every_s * NS), int(timeout_s * NS))
        self.writer = LedgerWriter(ledger, run="run-1", path=self.path, clock=RunClock(), inbox=self.inbox)

    def entries(self, *marks):
        lines = self.path.read_bytes().split(b"\n")[:-1]
        found = [json.loads(line) for line in lines]
        return [e for e in found if not marks or e["mark"] in marks]

    def wait(self, is_so):
        give_up_s = time.monotonic() + GIVE_UP_S
        while not is_so(self.entries()):
            assert time.monotonic() < give_up_s, self.entries()[-5:]
            time.sleep(0.01)

    def read_back(self, resume=False, occasion="end"):
        self.writer.ask(occasion, resume)
        return self.inbox.get(timeout=GIVE_UP_S)[1]


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(url, **more):
        made.append(Rig(tmp_path, url, **more))
        made[-1].writer.start()
        return made[-1]

    yield make
    for one in made:
        one.writer.stop()


def of(entries, mark):
    return [e["number"] for e in entries if e["mark"] == mark]


def test_every_write_has_an_intent_and_one_end_and_is_found_again(rig):
    with shop() as target:
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, "acked")) >= 20)
        assert one.read_back() == LedgerRead("end", ok=True, recovered=len(target.orders))
        entries = one.entries()
    intents, acked = of(entries, "intent"), of(entries, "acked")
    assert sorted(intents) == sorted(acked) == sorted(of(entries, "present"))
    assert intents == sorted(set(intents))
    first = entries[0]
    assert first["sha256"] == hashlib.sha256(b"run-1:1").hexdigest()


def test_the_intent_is_on_disk_before_the_write_is_sent(rig, tmp_path):
    problems = []

    with shop() as target:
        path = tmp_path / "ledger.jsonl"

        def before(body):
            wanted = f'"number":{body["number"]},'.encode()
            lines = [line for line in path.read_bytes().split(b"\n") if b'"intent"' in line]
            if not any(wanted in line for line in lines):
                problems.append(body["number"])

        target.before = before
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, "acked")) >= 10)
    assert problems == []


@pytest.mark.parametrize(
    ("status", "mark"), [(500, "unknown"), (503, "unknown"), (400, "failed"), (409, "failed")]
)
def test_an_answer_is_taken_for_what_it_proves(rig, status, mark):
    with shop() as target:
        target.status = status
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, mark)) >= 3)
        assert of(one.entries(), "acked") == []
        assert f"HTTP {status}" in {e["detail"] for e in one.entries(mark)}


def test_a_write_that_was_never_sent_failed_for_certain(rig):
    one = rig(f"http://127.0.0.1:{closed_port()}")
    one.wait(lambda entries: len(of(entries, "failed")) >= 3)
    assert {e["detail"] for e in one.entries("failed")} == {"refused"}


def test_a_write_that_was_not_answered_in_time_is_unknown_and_may_be_there(rig):
    with shop() as target:
        one = rig(target.url, every_s=0.05, timeout_s=0.2)
        one.wait(lambda entries: of(entries, "acked"))
        target.stalled.clear()
        one.wait(lambda entries: len(of(entries, "unknown")) >= 3)
        assert "timeout" in {e["detail"] for e in one.entries("unknown")}
        target.stalled.set()
        read = one.read_back()
        assert read.ok
    assert set(of(one.entries(), "acked")) <= set(of(one.entries(), "present"))


def test_it_is_silent_while_everything_is_read_back_and_then_goes_on(rig):
    with shop() as target:
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, "acked")) >= 5)
        assert one.read_back(resume=True, occasion="after-failover").ok
        entries = one.entries()
        present = [n for n, e in enumerate(entries) if e["mark"] == "present"]
        before = entries[: present[0]]
        assert sorted(of(before, "intent")) == sorted(of(before, "acked"))  # Nothing was in flight.
        read_at = entries[present[0]]["at_ns"]
        one.wait(lambda now: any(e["mark"] == "acked" and e["at_ns"] > read_at for e in now))
        assert one.read_back(occasion="end").recovered > len(present)


@pytest.mark.parametrize("answer", [b"not json", b"[]", b'{"orders": 7}', b'{"orders": [1, "x"]}', b"{}"])
def test_an_answer_that_is_no_list_of_orders_is_said_and_does_not_hang(rig, monkeypatch, answer):
    monkeypatch.setattr("gameday.hosts.ledger.READ_PATIENCE_S", 0.2)
    with shop() as target:
        one = rig(target.url)
        one.wait(lambda entries: of(entries, "acked"))
        target.list_answer = answer
        read = one.read_back()
    assert not read.ok
    assert "not a list of orders" in read.detail


def test_duplicates_and_foreign_rows_are_told_apart(rig):
    with shop() as target:
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, "acked")) >= 3)
        again = dict(target.orders[0])
        target.orders += [again, {"marker": "run-1", "number": None, "item": "a probe's"}]
        read = one.read_back()
        assert read.recovered == len(target.orders) - 2
    (twice,) = [e for e in one.entries("present") if e.get("count", 1) == 2]
    assert twice["number"] == again["number"]


def test_what_was_written_is_purged_and_counted(rig):
    with shop() as target:
        one = rig(target.url)
        one.wait(lambda entries: len(of(entries, "acked")) >= 3)
        one.read_back()
        count = len(target.orders)
        one.writer.purge()
        assert one.inbox.get(timeout=GIVE_UP_S)[1] == SyntheticPurged(count, count, ok=True)
        assert target.orders == []
    one.writer.purge()
    assert not one.inbox.get(timeout=GIVE_UP_S)[1].ok
