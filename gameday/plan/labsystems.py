"""The catalogue's entries for the lab's other systems: archive, sentinel, patroni."""

from __future__ import annotations

from gameday.plan.inverse import ACTIONS, LAB_POST, Inverse


def _lab(
    module: str, undo: str, in_place: str, target: str, path: str, keep: tuple[str, ...] = ()
) -> Inverse:
    name = f"{ACTIONS}.{module}."
    manual = f"{LAB_POST}{path} -d '{{}}'"
    return Inverse(name + undo, name + in_place, keep, target, manual=manual)


LAB_INVERSES: dict[str, Inverse] = {
    f"{ACTIONS}.archive.drop_orders": _lab("archive", "restore", "is_dropped", "database:orders", "/restore"),
    f"{ACTIONS}.archive.damage_backup": _lab(
        "archive", "mend_backup", "is_damaged", "backup:newest", "/backup/mend"
    ),
    f"{ACTIONS}.archive.fill_disk": _lab("archive", "free_disk", "is_full", "disk:db", "/disk/free"),
    f"{ACTIONS}.nodes.kill": _lab(
        "nodes", "start", "is_down", "node:{node}", "/nodes/{node}/start", ("node",)
    ),
    f"{ACTIONS}.nodes.rebuild_replicas": _lab(
        "nodes", "wait_replicas", "are_rebuilding", "lab:replication", "/replicas/wait"
    ),
}
