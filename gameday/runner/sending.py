"""Send a sealed bundle where nobody, its operator included, can delete it or shorten how long it is held.

    s3://BUCKET/PREFIX/RUN/…    every file of the bundle, each version under Object Lock in compliance mode
    RUN/sink.json               the receipt: key, version and digest of each

A bundle may be sent again, with the addenda that came later: what lies there already is left as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gameday.errors import Refused, UsageError
from gameday.evidence.findings_file import write_whole
from gameday.hosts.clock import utc_text
from gameday.hosts.words import one_line
from gameday.plan.keeping import Keeping
from gameday.runner.sealing import BUNDLE, manifest_of

RECEIPT = "sink.json"
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What lies in the bucket now."""

    to: str
    objects: int
    until_utc: str
    receipt: Path


def send(run_dir: Path, keeping: Keeping) -> Sent:
    """Send the bundle of a run to the sink that `keeping` names, and return what is held there.

    Raises:
        Refused: It was not sent, or is not held as it must be.
        RecordError: The run is not sealed.
    """
    bundle = run_dir / BUNDLE
    _, about = manifest_of(bundle)
    until_utc = str(about["retention"]["until_utc"])
    if datetime.fromisoformat(until_utc) <= datetime.now(UTC):
        raise Refused(f"the retention of {run_dir.name} ended at {until_utc}, so nothing would hold it")
    to = f"{keeping.sink}/{run_dir.name}"
    asked = {
        "to": to, "endpoint_url": keeping.sink_endpoint, "folder": str(bundle), "until_utc": until_utc,
        "legal_hold": about["retention"]["legal_hold"],
    }  # fmt: skip
    said = _ask(asked)
    if "objects" not in said:
        raise Refused(
            f"{to}: {one_line(str(said.get('refused', 'no answer')))}",
            todo="The bundle itself is whole; mend that, then `gameday seal RUN --to` sends it again.",
        )
    receipt = {"to": to, "sent_utc": utc_text(), "until_utc": until_utc, "objects": said["objects"]}
    path = write_whole(run_dir / RECEIPT, json.dumps(receipt, indent=1) + "\n")
    return Sent(to, len(said["objects"]), until_utc, path)


def _ask(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gameday.hosts.sink"],
            input=json.dumps(asked).encode(), capture_output=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        said = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"refused": f"it was not done within {DEADLINE_S:g} s"}
    except (OSError, ValueError) as error:
        return {"refused": type(error).__name__}
    return said if isinstance(said, dict) else {}


def checked_sink(text: str) -> str:
    """Return a sink named on the command line.

    Raises:
        UsageError: It is none.
    """
    from gameday.plan.keepingfile import bucket  # noqa: PLC0415 - pydantic, only where it is asked for

    try:
        return bucket(text)
    except ValueError as error:
        raise UsageError(f"--to {error}") from error
