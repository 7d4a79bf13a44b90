"""Whether gameday came to what `chaos run` came to; and if not, which row of the documented table says so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.experiments.sidebyside import Outcome, expected_code

PAGE = Path(__file__).parents[2] / "docs" / "chaostoolkit.md"
SAME = "same"
DIFFERENT = "DIFFERENT"
REFUSED = "both refuse"
# Rows of the table, by how they begin.
TRACEBACK = "files that `chaos run` answers with a traceback"
ROLLBACKS = "interrupted or failed, strategy `default`: rollbacks"
UNGRACEFUL = "ended by a signal that asks for no rollbacks"
TOLERANCE = "a tolerance that raises"
FAILED_ROLLBACK = "a rollback that failed"
ENCODING = "an output that is no JSON"


def rows() -> tuple[str, ...]:
    """Return the first column of the table of deliberate differences."""
    text = PAGE.read_text().partition("## Deliberate differences")[2].partition("\n## ")[0]
    return tuple(re.findall(r"^\| (.*?) \|", text, re.M))[2:]


def row(begins: str) -> str:
    """Return the one row that begins so.

    Raises:
        ValueError: There is none, or there are several: then the table and the tests have parted.
    """
    found = [item for item in rows() if item.startswith(begins)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of {PAGE.name} begin with {begins!r}")
    return found[0]


def judge(chaos: Outcome, ours: Outcome) -> str:
    """Return `same`, `both refuse`, the row of the table that explains the difference, or DIFFERENT."""
    if "Traceback" in ours.said:
        return DIFFERENT
    if chaos.journal is None:
        return _without_journal(chaos, ours)
    if ours.journal is None or ours.word != chaos.word:
        return DIFFERENT
    if ours.code != expected_code(chaos):
        failed = ours.code == 5 and "failed" in ours.activities[1]
        return row(FAILED_ROLLBACK) if failed else DIFFERENT
    if ours.activities == chaos.activities:
        return SAME
    (run, rollbacks, *states), (their_run, their_rollbacks, *their_states) = ours.activities, chaos.activities
    # An activity that was cut off has no status in Chaos Toolkit's journal.
    same_method = len(run) == len(their_run) and states == their_states
    if chaos.word in ("interrupted", "failed") and same_method and rollbacks and not their_rollbacks:
        return row(UNGRACEFUL if "exit signal: 30" in chaos.said else ROLLBACKS)
    return DIFFERENT


def _without_journal(chaos: Outcome, ours: Outcome) -> str:
    had_traceback = "Traceback" in chaos.said
    if ours.journal is None and ours.code in (2, 3):
        return row(TRACEBACK) if had_traceback else REFUSED
    if not had_traceback or ours.journal is None:
        return DIFFERENT
    if re.search(r"hypothesis\.py\", line \d+, in _$", chaos.said, re.M):
        return row(TOLERANCE)
    return row(TRACEBACK) if (ours.word, ours.code) == ("aborted", 4) else DIFFERENT
