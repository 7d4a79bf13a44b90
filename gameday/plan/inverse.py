"""How an action is undone and read back: the shape of the catalogue's entries."""

from __future__ import annotations

from dataclasses import dataclass

ACTIONS = "gameday.actions"
WATCHED = "Runner killed: the watchdog undoes it within seconds. Host lost: it stays until `gameday recover`."
_TOKEN = '$(grep -oP \'"token": "\\K[^"]+\' ${lab.state_file})'  # noqa: S105 - a command that reads it
LAB_POST = f'curl -fsS -H "Authorization: Bearer {_TOKEN}" ${{lab.control}}'


@dataclass(frozen=True, slots=True)
class Inverse:
    """How one action is undone and read back.

    `keep` names the arguments that both get, `undo_keep` those that the undo alone gets. `manual` is
    the command by which a person undoes it. With `has_ttl` the fault ends by itself: its action takes
    the seconds as `ttl_s`. `by_steps`: fail-over steps and changes owe the undo without saying so.
    """

    undo: str
    in_place: str
    keep: tuple[str, ...]
    target: str
    survives: str = WATCHED
    defaults: tuple[tuple[str, str], ...] = ()
    manual: str = ""
    undo_keep: tuple[str, ...] = ()
    has_ttl: bool = False
    by_steps: bool = False
