"""One byte of a bundle is changed, wherever it is: the verifier says so, and names a line."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from gameday.verify.verify import verify

FAST, SLOW = 60, 10_000


def try_bytes(whole, trust, folder, seed: int, count: int) -> Counter:
    """Change `count` bytes, one at a time, and return how often each line caught one."""
    whole.write(folder)
    files = sorted((whole.files | whole.beside).items())
    dice, caught, missed = random.Random(seed), Counter(), []
    weights = [len(data) for _, data in files]
    for _ in range(count):
        path, data = dice.choices(files, weights)[0]
        at, flip = dice.randrange(len(data)), dice.randrange(1, 256)
        fd = os.open(folder / path, os.O_WRONLY)
        try:
            os.pwrite(fd, bytes([data[at] ^ flip]), at)
            report = verify(folder, trust)
            os.pwrite(fd, data[at : at + 1], at)
        finally:
            os.close(fd)
        failed = [line.name for line in report.lines if line.verdict == "fail"]
        caught.update(failed)
        if report.exit_code != 1 or not all(line.why for line in report.lines):
            missed.append((path, at, flip))
    assert not missed, f"seed {seed}: {missed[:5]}"
    assert verify(folder, trust).exit_code == 0, "the bundle is whole again"
    return caught


def test_a_changed_byte_is_detected(whole, trust, tmp_path):
    caught = try_bytes(whole, trust, tmp_path / "b", seed=1, count=FAST)
    assert caught["integrity"] > FAST // 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_changed_bytes_are_detected(whole, trust, tmp_path):
    print(dict(try_bytes(whole, trust, tmp_path / "b", seed=2, count=SLOW)))


def test_a_changed_byte_beside_the_manifest_is_detected(whole, trust, tmp_path):
    """The files that no manifest lists: attestations, register, addenda. A byte of each."""
    folder, dice = whole.write(tmp_path / "b"), random.Random(3)
    for path, data in sorted(whole.beside.items()):
        at = dice.randrange(len(data))
        (folder / path).write_bytes(data[:at] + bytes([data[at] ^ dice.randrange(1, 256)]) + data[at + 1 :])
        assert verify(folder, trust).exit_code == 1, (path, at)
        (folder / path).write_bytes(data)
