"""Chaos Toolkit's own fixtures replayed with both, as a table: `python -m tests.experiments.fixtures`.

They come with chaostoolkit-lib's source distribution, which is fetched for this and not kept here. Options
after `--` go to both, so that `-- --rollback-strategy always` replays them all under another strategy.
"""

from __future__ import annotations

import concurrent.futures
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.experiments.judge import DIFFERENT, judge
from tests.experiments.sidebyside import VERSION, Outcome, both, fixtures

Row = tuple[str, Outcome, Outcome, str]


def replay(folder: Path, *options: str) -> Iterator[Row]:
    """Yield each fixture's name, what both came to, and how that is to be taken."""
    tests = fixtures(folder)
    files = sorted((tests.parent / "files").glob("*/it.*"))

    def one(path: Path) -> Row:
        # In the folder that its own tests run in, because some of them name files in it.
        env = {"PYTHONPATH": str(tests)}
        chaos, ours = both(path, *options, folder=path.parent, env=env, cwd=tests.parent)
        return path.parent.name, chaos, ours, judge(chaos, ours)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from pool.map(one, files)


def show(row: Row) -> str:
    """Return one row of the table as text."""
    name, chaos, ours, verdict = row
    return f"{name:<66} {chaos.word:<12} {ours.word:<12} {ours.code}  {verdict}"


def main() -> int:
    """Print the table, and its sums."""
    options = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    counts: Counter[str] = Counter()
    print(f"chaostoolkit-lib {VERSION}; outcome of `chaos run`, of `gameday run` and its exit code")
    with tempfile.TemporaryDirectory() as folder:
        for row in replay(Path(folder), *options):
            print(show(row), flush=True)
            if row[3] == DIFFERENT:
                print(row[1].said, row[2].said, sep="\n--- ours:\n")
            counts[row[3]] += 1
    print()
    for verdict, count in counts.most_common():
        print(f"{count:4}  {verdict}")
    return 1 if counts[DIFFERENT] else 0


if __name__ == "__main__":
    sys.exit(main())
