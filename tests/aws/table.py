"""The list of calls in docs/aws.md, made of what the tests really sent.

python -m tests.aws.table            run the tests of AWS calls; say where the list is not what they sent
python -m tests.aws.table --write    the same, and write tests/aws/calls.json and the list in docs/aws.md
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.aws.calls import ANSWERED, RECORD, in_code, s3_in_code
from tests.aws.emulators import MINISTACK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = HERE / "calls.json"
PAGE = ROOT / "docs" / "aws.md"
TESTS = ("test_emulated.py", "test_emulated_more.py", "test_modelled.py", "test_object_lock.py")
BEGIN, END = "<!-- calls: python -m tests.aws.table --write -->", "<!-- end of calls -->"
EMULATORS = ("moto", "ministack")
Calls = dict[str, dict[str, str]]


def declared() -> set[str]:
    """Every call that our code sends."""
    return in_code() | s3_in_code()


def sent() -> Calls:
    """Run the tests, and return who answered each call, and how."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *(str(HERE / name) for name in TESTS), "-n", "0", "-m", ""],
            cwd=ROOT, env={**os.environ, RECORD: str(record)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
        found = defaultdict(lambda: defaultdict(set))
        for line in record.read_text().splitlines():
            call, kind, ended = json.loads(line)
            found[call][kind].add(ended)
    return {
        call: {kind: ANSWERED if ANSWERED in ends else min(ends) for kind, ends in sorted(kinds.items())}
        for call, kinds in sorted(found.items())
    }


def rendered(calls: Calls) -> str:
    """Return the list as it stands in the page."""
    on_one = [call for call, by in calls.items() if any(by.get(kind) == ANSWERED for kind in EMULATORS)]
    on_none = [call for call in calls if call not in on_one]
    counts = {kind: sum(by.get(kind) == ANSWERED for by in calls.values()) for kind in EMULATORS}
    lines = [
        f"{len(calls)} calls in all: {counts['moto']} answered by moto, {counts['ministack']} by ministack,",
        f"{len(on_none)} by neither. `no`: what it says instead; `-`: not asked there, because an earlier call ends it.",
        "", "| call | moto | ministack |", "|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| `{call}` | {_cell(calls[call], 'moto')} | {_cell(calls[call], 'ministack')} |" for call in on_one
    ]
    lines += ["", "On neither, checked against botocore's service model only:", ""]
    lines += [f"- `{call}`" for call in on_none]
    return "\n".join(lines)


def _cell(by: dict[str, str], kind: str) -> str:
    ended = by.get(kind)
    return "yes" if ended == ANSWERED else "-" if ended is None else f"no: {ended}"


def main() -> int:
    """Run, compare or write, and say the figures."""
    calls = sent()
    missing = sorted(declared() - set(calls))
    if missing:
        print(f"no test sends {', '.join(missing)}")
        return 1
    text = json.dumps(calls, indent=1) + "\n"
    before, rest = PAGE.read_text().split(BEGIN)
    page = f"{before}{BEGIN}\n{rendered(calls)}\n{END}{rest.split(END)[1]}"
    is_kept = KEPT.is_file() and KEPT.read_text() == text and PAGE.read_text() == page
    if "--write" in sys.argv[1:]:
        KEPT.write_text(text)
        PAGE.write_text(page)
    print("\n".join(rendered(calls).splitlines()[:2]))
    print(f"ministack {MINISTACK}; the list is {'as it was' if is_kept else 'another'}")
    return 0 if is_kept or "--write" in sys.argv[1:] else 1


if __name__ == "__main__":
    sys.exit(main())
