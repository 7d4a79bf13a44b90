"""Which artefact the target runs: what a sign-off is given for, and what makes it lapse when it changes."""

from __future__ import annotations

import http.client
import json
import subprocess
from pathlib import Path

from gameday.errors import Refused, TargetAbsent
from gameday.history.capacityevents import ArtefactRead
from gameday.hosts.httpprobe import exchange
from gameday.plan.capacity import Artefact

TIMEOUT_S = 10.0
DIGEST_MAX = 300
_TODO = "The plan's `capacity: {artefact: …}` says where to read it; a sign-off for nothing signs nothing."


def read_artefact(artefact: Artefact, project: Path) -> ArtefactRead:
    """Return the artefact as given, or as it is read now.

    Args:
        artefact: Where to read it, with every value filled in.
        project: The folder that a command runs in.

    Raises:
        TargetAbsent: It cannot be read.
        Refused: What was read is no digest.
    """
    if artefact.digest:
        return ArtefactRead("the plan", artefact.digest)
    if artefact.url:
        source, found = f"{artefact.url} ({artefact.key})", _from_url(artefact.url, artefact.key)
    else:
        source, found = " ".join(artefact.argv), _from_command(artefact.argv, project)
    found = found.strip()
    if not found or len(found) > DIGEST_MAX or not found.isprintable():
        raise Refused(f"the artefact read from {source} is {found[:60]!r}, no digest in one line", todo=_TODO)
    return ArtefactRead(source, found)


def _from_url(url: str, key: str) -> str:
    """Ask `url` itself: no redirect and no proxy may speak for the target."""
    answer = exchange(url, headers={"Accept": "application/json"}, timeout_s=TIMEOUT_S)
    wrong = answer.error
    if not wrong and answer.status != http.client.OK:
        wrong = f"HTTP {answer.status}, expected 200; redirects are not followed"
    if wrong:
        raise TargetAbsent(f"the artefact at {url} cannot be read: {wrong}", todo=_TODO)
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise TargetAbsent(f"the artefact at {url} is no JSON: {error}", todo=_TODO) from error
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, str):
        raise Refused(f"the artefact at {url}: its key {key!r} is {found!r}, no text", todo=_TODO)
    return found


def _from_command(argv: tuple[str, ...], project: Path) -> str:
    try:
        done = subprocess.run(
            argv, cwd=project, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise TargetAbsent(f"the artefact cannot be read by {argv[0]}: {error}", todo=_TODO) from error
    if done.returncode:
        said = f"it ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}"
        raise TargetAbsent(f"the artefact cannot be read by {argv[0]}: {said}", todo=_TODO)
    return done.stdout.decode(errors="replace")
