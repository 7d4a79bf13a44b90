"""`gameday actions`: which actions and probes there are, what they take, and how they are taken back."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from typing import Any

from gameday.cli import exits
from gameday.cli.snippets import activity_of, snippet
from gameday.errors import UsageError
from gameday.hosts.extensions import Argument, Found, Offered, extensions
from gameday.plan.catalogue import derive, has_native_ttl
from gameday.plan.foreign import Way, way_back

PAGE = """# Actions and probes

Made by `gameday actions --markdown > docs/actions.md`; a test keeps it in step. It shows gameday's own
and those of chaostoolkit-kubernetes; `gameday actions` shows whatever is installed beside them.
`gameday actions NAME` shows one in full, with lines to paste into a plan.

How each is taken back: **direct**, by another action with what is known beforehand; **snapshot**, by
another action with what was read before the first effect; **self-healing**, by the system itself, which
must be looked at; **none**; **undo**, it takes others back; **step**, it leaves nothing to take back.
Where it is *derived*, a plan names only the action: gameday fills in undo and read-back.
"""
ON_THE_PAGE = ("gameday", "chaostoolkit-kubernetes")


def actions(asked: argparse.Namespace) -> int:
    """Show the catalogue, what of it matches, or one action in full."""
    found = extensions()
    for trouble in found.troubles:
        print(f"gameday: {trouble}", file=sys.stderr)
    if asked.markdown:
        print(page(found), end="")
        return exits.PASS
    wanted = " ".join(asked.search)
    one = _one(found, wanted)
    shown = (one,) if one else _matching(found, wanted)
    if not shown:
        raise _nothing(found, wanted)
    if asked.json:
        rows = [as_data(offered, found) for offered in shown]
        print(json.dumps({"actions": rows, "troubles": found.troubles}, indent=1, ensure_ascii=False))
    elif one:
        print(_full(one, found), end="")
    else:
        print("\n".join(_lines(shown)))
    return exits.PASS


def _one(found: Found, wanted: str) -> Offered | None:
    if not wanted:
        return None
    ends = [offered for offered in found.offered if f".{offered.name}".endswith(f".{wanted}")]
    return found.get(wanted) or (ends[0] if len(ends) == 1 else None)


def _matching(found: Found, wanted: str) -> tuple[Offered, ...]:
    words = wanted.lower().split()
    return tuple(
        offered
        for offered in found.offered
        if all(word in f"{offered.name} {offered.line} {offered.extension}".lower() for word in words)
    )


def _nothing(found: Found, wanted: str) -> UsageError:
    near = difflib.get_close_matches(wanted, [offered.name for offered in found.offered], 1, 0.5)
    todo = f"Did you mean {near[0]}?" if near else "`gameday actions` without a word shows all of them."
    return UsageError(f"actions: nothing matches {wanted!r}", todo=todo)


def _lines(shown: tuple[Offered, ...]) -> list[str]:
    width = min(max(len(offered.name) for offered in shown), 64)
    lines = [f"{'':6}  {'taken back':12}  {'':{width}}"]
    for offered in shown:
        back = inverse_words(offered)
        lines.append(f"{offered.kind:6}  {back:12}  {offered.name:{width}}  {offered.line}".rstrip()[:200])
    lines[0] = lines[0].rstrip()
    return [*lines, "", f"{len(shown)} shown; `gameday actions NAME` shows one in full, to paste into a plan"]


def inverse_words(offered: Offered) -> str:
    """Return how it is taken back in a word; a probe changes nothing."""
    return "-" if offered.kind == "probe" else str(way_back(offered.name).way)


def as_data(offered: Offered, found: Found) -> dict[str, Any]:
    """Return one action as it stands in the JSON."""
    made: dict[str, Any] = {
        "name": offered.name, "kind": offered.kind, "extension": offered.extension, "does": offered.line,
        "arguments": [
            {"name": item.name, "type": item.type, "required": item.default is None, "default": item.default}
            for item in offered.arguments
        ],
    }  # fmt: skip
    if offered.kind == "action":
        back = way_back(offered.name)
        activity = activity_of(offered.name, {})
        made["inverse"] = {
            "way": str(back.way), "undo": back.undo, "reads_before": list(back.before), "mind": back.note,
            "derived": derive(activity) is not None, "ends_by_itself": has_native_ttl(activity),
        }  # fmt: skip
    return made | {"snippet": snippet(offered, found)}


def _full(offered: Offered, found: Found) -> str:
    lines = [f"{offered.name}   ({offered.kind} of {offered.extension})", ""]
    lines += [f"  {line}".rstrip() for line in offered.doc.splitlines()] or ["  (it says nothing of itself)"]
    lines += ["", "arguments"]
    lines += [f"  {_argument(item)}" for item in offered.arguments] or ["  none"]
    if offered.passed_on:
        lines.append(f"  (Chaos Toolkit passes on {' and '.join(offered.passed_on)})")
    if offered.kind == "action":
        lines += ["", "taken back", f"  {_back(offered)}"]
    where = "probes" if offered.kind == "probe" else "steps"
    lines += ["", f"under `{where}:` of a plan", ""]
    lines += [f"  {line}" for line in snippet(offered, found).splitlines()]
    return "\n".join(lines) + "\n"


def _argument(item: Argument) -> str:
    kind = f": {item.type}" if item.type else ""
    return f"{item.name}{kind}{' (required)' if item.default is None else f' = {item.default}'}"


def _back(offered: Offered) -> str:
    back = way_back(offered.name)
    activity = activity_of(offered.name, {})
    said = str(back.way)
    if back.undo:
        said += f", by {back.undo}"
    if derive(activity) is not None:
        said += "; derived: gameday fills it in, and the read-back"
    elif back.way in (Way.DIRECT, Way.SNAPSHOT):
        said += "; the plan names it, and its read-back"
    if has_native_ttl(activity):
        said += "; it ends by itself after its ttl, whoever is dead by then"
    return said + (f" ({back.note})" if back.note else "")


def page(found: Found) -> str:
    """Return the reference page."""
    groups: dict[str, list[Offered]] = {}
    for offered in found.offered:
        if offered.extension.partition(" ")[0] in ON_THE_PAGE:
            groups.setdefault(offered.name.rpartition(".")[0], []).append(offered)
    lines = [PAGE]
    for module in sorted(groups, key=lambda name: (not name.startswith("gameday."), name)):
        lines += [f"## {module}", "", "| | takes | taken back | does |", "|---|---|---|---|"]
        lines += [_row(offered) for offered in groups[module]]
        lines.append("")
    return "\n".join(lines)


def _row(offered: Offered) -> str:
    takes = ", ".join(
        f"{item.name}{'' if item.default is None else f'={item.default}'}" for item in offered.arguments
    )
    back = way_back(offered.name)
    word = inverse_words(offered)
    if offered.kind == "action" and back.undo:
        word += f": {back.undo.removeprefix(offered.name.rpartition('.')[0] + '.')}"
        word += " *(derived)*" if derive(activity_of(offered.name, {})) is not None else ""
    cells = (f"`{offered.name.rpartition('.')[2]}`", f"`{takes}`" if takes else "", word, offered.line)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
