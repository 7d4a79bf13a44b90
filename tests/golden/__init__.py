"""Recorded real runs, kept for ever: their findings must stay equal, byte for byte, under new code.

    tests/golden/NAME/{plan.json,findings.json}   as they were
    tests/golden/NAME/{history,samples,load,ledger}.jsonl.xz

`make golden` records them anew, on a lab of its own. Where a rule of measuring changes on purpose,
`python -m tests.golden findings` judges the old runs by it, and the changelog says why they differ.
"""

from __future__ import annotations

import lzma
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = tuple(sorted(path.parent.name for path in HERE.glob("*/plan.json")))
STREAMS = ("samples", "load", "ledger")


def unpack(name: str, folder: Path) -> Path:
    """Make a run folder of a golden run, and return it."""
    (folder / "segments").mkdir(parents=True)
    kept = HERE / name
    for file in ("plan.json", "findings.json"):
        (folder / file).write_bytes((kept / file).read_bytes())
    (folder / "history.jsonl").write_bytes(lzma.decompress((kept / "history.jsonl.xz").read_bytes()))
    for stream in STREAMS:
        data = lzma.decompress((kept / f"{stream}.jsonl.xz").read_bytes())
        (folder / "segments" / f"{stream}.jsonl").write_bytes(data)
    return folder


def pack(run_dir: Path, name: str) -> Path:
    """Keep a run as golden, and return where."""
    kept = HERE / name
    kept.mkdir(exist_ok=True)
    for file in ("plan.json", "findings.json"):
        (kept / file).write_bytes((run_dir / file).read_bytes())
    for file in ("history.jsonl", *(f"segments/{stream}.jsonl" for stream in STREAMS)):
        path = run_dir / file
        data = path.read_bytes() if path.exists() else b""
        (kept / f"{path.name}.xz").write_bytes(lzma.compress(data, preset=9))
    return kept
