"""Findings held against those that were written down: the same bytes, or what differs, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gameday.evidence.findings_file import FINDINGS, text_of
from gameday.evidence.words import shown

SIZE_MAX = 64 << 20
SHOWN = 20


def differences(run_dir: Path, document: dict[str, Any]) -> list[str] | None:
    """Return how findings.json differs from `document`, at most 20 lines; None when there is no such file.

    Empty means equal, byte for byte. The file may be anybody's work: it is read as text, and shown as such.
    """
    path = run_dir / FINDINGS
    try:
        if path.is_symlink() or path.stat().st_size > SIZE_MAX:
            return [f"{FINDINGS} is a link, or larger than findings are"]
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return [f"{FINDINGS} cannot be read: {error.strerror}"]
    if found == text_of(document).encode("utf-8", errors="backslashreplace"):
        return []
    try:
        kept = json.loads(found)
    except (ValueError, RecursionError):
        return [f"{FINDINGS} is not JSON"]
    if not isinstance(kept, dict):
        return [f"{FINDINGS} is not an object"]
    lines = _keys(kept, document, ("findings",)) + _findings(kept.get("findings"), document["findings"])
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return (lines[:SHOWN] + more) or ["the same content, written in other bytes"]


def _findings(kept: object, now: list[dict[str, Any]]) -> list[str]:
    listed = [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []
    before = {str(one.get("name")): one for one in listed}
    after = {one["name"]: one for one in now}
    lines = [f"{shown(name, 80)}: not in {FINDINGS}" for name in after if name not in before]
    lines += [f"{shown(name, 80)}: only in {FINDINGS}" for name in before if name not in after]
    for name, one in after.items():
        if name in before:
            lines += [f"{shown(name, 80)}: {line}" for line in _keys(before[name], one, ())]
    return lines


def _keys(kept: dict[str, Any], now: dict[str, Any], leave: tuple[str, ...]) -> list[str]:
    lines = []
    for key in dict.fromkeys((*now, *kept)):
        if key in leave or (key in kept and key in now and kept[key] == now[key]):
            continue
        if isinstance(kept.get(key), dict) and isinstance(now.get(key), dict):
            lines += [f"{key}: {line}" for line in _keys(kept[key], now[key], ())]
            continue
        was = shown(json.dumps(kept[key]), 120) if key in kept else "nothing"
        lines.append(
            f"{shown(key, 60)}: {was} in {FINDINGS}, {shown(json.dumps(now.get(key)), 120)} recomputed"
        )
    return lines
