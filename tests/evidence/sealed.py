"""Run folders that can be sealed, as a drill leaves them, without running one."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from gameday.history.codec import encode_item
from gameday.history.events import RunStarted
from gameday.history.store import HistoryWriter
from gameday.plan.keeping import Keeping
from gameday.plan.policy import default_policy
from gameday.plan.policyfile import write_policy
from gameday.plan.stored import write_plan
from gameday.runner.anchor import anchor
from tests.evidence import synthetic

NAME = "20260101T000000Z-abcdef"


def ended(project: Path, story=None, keeping: Keeping = Keeping(), name: str = NAME) -> Path:
    """A run of `story` in a project, its start in the project's register."""
    story = story or synthetic.completed()
    run_dir = project / "runs" / name
    (run_dir / "segments").mkdir(parents=True)
    write_plan(run_dir, story.plan)
    write_policy(run_dir, replace(default_policy(), keeping=keeping))
    roots = anchor(run_dir, story.plan, project, keeping).roots
    with (run_dir / "segments" / "ledger.jsonl").open("wb") as file:
        file.writelines(encode_item(entry) for entry in story.ledger)
    history = HistoryWriter(run_dir, roots)
    for item in (*story.samples, *story.load):
        history.keep(item)
    for at_ns, event in sorted(story.records, key=lambda pair: pair[0])[:-1]:
        history.record(at_ns, synthetic.utc(at_ns), "runner", rooted(event, name, roots), sync=False)
    history.close()
    history = HistoryWriter(run_dir, roots)
    history.seal(synthetic.END_NS, synthetic.utc(synthetic.END_NS))
    at_ns, event = max(story.records, key=lambda pair: pair[0])
    history.record(at_ns, synthetic.utc(at_ns), "runner", event, sync=True)
    history.close()
    return run_dir


def rooted(event, name, roots):
    if not isinstance(event, RunStarted):
        return event
    more = {"register_sha256": roots.register_sha256, "start_token_sha256": roots.start_token_sha256}
    return replace(event, run=name, **more)


def by_hand(bundle: Path, env: dict) -> subprocess.CompletedProcess:
    """Run every command of a bundle's VERIFY.md, in its order, and stop at the first that fails."""
    text = (bundle / "VERIFY.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    script = "set -euo pipefail\n" + "\n".join(blocks)
    return subprocess.run(
        ["bash", "-c", script], cwd=bundle, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True,
        timeout=110,
    )  # fmt: skip
