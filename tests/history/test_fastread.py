"""The fast way of reading accepts what `from_json` accepts, gives the same, and refuses the rest in its words."""

from __future__ import annotations

import io
import json
import random

import pytest

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import RecordError
from gameday.history.codec import encode_item
from gameday.history.events import LedgerEntry, Reading, Sample
from gameday.history.loadevents import LoadBucket
from gameday.history.fastread import CHUNK_BYTES, read_items
from tests.simulated import simulate


def slowly(cls, line):
    try:
        return from_json(cls, json.loads(line))
    except (ValueError, RecordError, RecursionError) as error:
        return str(error)


def quickly(cls, data):
    return [item for _, item in read_items(cls, io.BytesIO(data), len(data))]


LINES = [
    b'{"detail":"","ended_ns":5,"probe":"p","reading":"good","sent_ns":-3}',
    b'{"detail":"","ended_ns":9007199254740993,"probe":"p","reading":"good","sent_ns":0}',
    b'{"detail":"","ended_ns":123456789012345678901234567890,"probe":"p","reading":"good","sent_ns":0}',
    b'{"detail":"","ended_ns":05,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":-0,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":5.0,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":"5","probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":true,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":null,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":5,"probe":"p","reading":"fine","sent_ns":3}',
    b'{"detail":"","ended_ns":5,"probe":"p","reading":"good"}',
    b'{"ended_ns":5,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"","ended_ns":5,"probe":"p","reading":"good","sent_ns":3,"more":1}',
    b'{"detail":"","ended_ns":5,"ended_ns":6,"probe":"p","reading":"good","sent_ns":3}',
    b' {"sent_ns": 3, "detail":"\\u00e9\\n", "ended_ns":5,"probe":"p","reading":"good"}\r',
    '{"detail":"é","ended_ns":5,"probe":"p","reading":"good","sent_ns":3}'.encode(),
    b'{"detail":"\xff","ended_ns":5,"probe":"p","reading":"good","sent_ns":3}',
    b'{"detail":"a"b","ended_ns":5,"probe":"p","reading":"good","sent_ns":3}',
    b"", b"[]", b"{}", b"null", b"NaN", b"{", b"[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_an_odd_line_is_read_as_from_json_reads_it(line):
    assert quickly(Sample, line + b"\n") == [slowly(Sample, line)]


def test_real_lines_and_lines_changed_by_a_byte_are_read_as_from_json_reads_them():
    dice = random.Random(11)
    for seed in range(40):
        trace = simulate(seed).trace
        for cls, items in ((Sample, trace.samples), (LedgerEntry, trace.ledger), (LoadBucket, trace.load)):
            lines = [encode_item(item) for item in items[:40]]
            assert quickly(cls, b"".join(lines)) == list(items[:40])
            for line in lines[:8]:
                changed = bytearray(line[:-1])
                changed[dice.randrange(len(changed))] = dice.choice(b'\x00"\\{}[]:,0-9aez\xc3 ')
                assert quickly(cls, bytes(changed) + b"\n") == [slowly(cls, bytes(changed))]


def test_lines_across_pieces_of_the_file_are_whole():
    line = b'{"detail":"%s","ended_ns":5,"probe":"p","reading":"good","sent_ns":3}\n' % (b"x" * 700_000)
    data = line * 4
    assert len(data) > 2 * CHUNK_BYTES
    assert quickly(Sample, data) == [slowly(Sample, line)] * 4
    assert [n for n, _ in read_items(Sample, io.BytesIO(data), len(line) * 2)] == [1, 2]


@pytest.mark.parametrize("text", ["", "a b", 'a"b', "a\\b", "é", "a\nb", "\x7f", "x" * 300])
def test_a_sample_is_written_as_canonical_json_whatever_its_texts(text):
    item = Sample(text, 0, 2**53 - 1, Reading.UNREADABLE, text)
    assert encode_item(item) == canonical(to_json(item)) + b"\n"
    assert quickly(Sample, encode_item(item)) == [item]
