"""What gameday knows of its own actions: how each is undone, read back, and what it survives.

Data only. A plan may always say otherwise; for an action that does not stand here it must.
"""

from __future__ import annotations

from dataclasses import dataclass

_POSTGRES = "gameday.actions.postgres"
_NETWORK = "gameday.actions.network"
_LAB = "gameday.actions.lab"
_WATCHED = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: it stays until `gameday recover`."
)


@dataclass(frozen=True, slots=True)
class Inverse:
    """How one action is undone and read back. `keep` names the arguments that both get."""

    undo: str
    in_place: str
    keep: tuple[str, ...]
    target: str
    survives: str = _WATCHED
    defaults: tuple[tuple[str, str], ...] = ()


INVERSES: dict[str, Inverse] = {
    f"{_POSTGRES}.kill": Inverse(f"{_POSTGRES}.start", f"{_POSTGRES}.is_down", ("node",), "node:{node}"),
    f"{_POSTGRES}.stop": Inverse(f"{_POSTGRES}.start", f"{_POSTGRES}.is_down", ("node",), "node:{node}"),
    f"{_POSTGRES}.fence": Inverse(f"{_POSTGRES}.unfence", f"{_POSTGRES}.is_fenced", ("node",), "node:{node}"),
    f"{_NETWORK}.cut": Inverse(f"{_NETWORK}.restore", f"{_NETWORK}.is_cut", ("proxy",), "proxy:{proxy}"),
    f"{_NETWORK}.add_latency": Inverse(
        f"{_NETWORK}.remove_toxic",
        f"{_NETWORK}.has_toxic",
        ("proxy", "name"),
        "proxy:{proxy}",
        defaults=(("name", "gameday-latency"),),
    ),
    f"{_NETWORK}.add_stall": Inverse(
        f"{_NETWORK}.remove_toxic",
        f"{_NETWORK}.has_toxic",
        ("proxy", "name"),
        "proxy:{proxy}",
        defaults=(("name", "gameday-stall"),),
    ),
    f"{_NETWORK}.add_toxic": Inverse(
        f"{_NETWORK}.remove_toxic", f"{_NETWORK}.has_toxic", ("proxy", "name"), "proxy:{proxy}"
    ),
    f"{_LAB}.set_replication": Inverse(
        f"{_LAB}.set_replication",
        f"{_LAB}.is_synchronous",
        (),
        "lab:replication",
        defaults=(("mode", "async"),),
    ),
}
