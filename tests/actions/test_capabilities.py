"""`gameday doctor` says of each family of faults whether it can be injected here, and why not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from gameday.actions.capabilities import capabilities

FAMILIES = {
    "processes", "cpu, memory", "disk fill", "cpu limit", "disk limit", "descriptors", "proxy links",
    "tc netem", "tc rate", "nft", "dns answers", "clock skew", "postgresql faults",
}  # fmt: skip


def test_each_family_says_what_it_can_or_why_it_cannot():
    found = {c.family: c for c in capabilities()}
    assert set(found) == FAMILIES
    assert all(len(c.detail) > 5 for c in found.values())
    if not shutil.which("nft"):
        assert not found["nft"].ok
        assert "not installed" in found["nft"].detail


def test_the_doctor_tells_and_loads_nothing_heavy():
    code = (
        "import sys; from gameday.cli.doctor import doctor; doctor(as_json=True);"
        "sys.stderr.write(str([m for m in ('psycopg', 'chaoslib', 'kubernetes', 'boto3') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "[]"
    rows = {row["what"]: row for row in json.loads(done.stdout)}
    assert set(rows) >= FAMILIES | {"faults left", "python"}
    assert rows["faults left"]["ok"]
