"""Faults and steps on the lab with an archive: an accident, backups, and restores to a point in time."""

from __future__ import annotations

from gameday.actions.http import Configuration, lab

__all__ = [
    "damage_backup",
    "drop_orders",
    "fill_disk",
    "free_disk",
    "is_damaged",
    "is_dropped",
    "is_full",
    "mend_backup",
    "restore",
    "stop",
    "take_backup",
    "verify_backup",
]


def drop_orders(configuration: Configuration = None) -> None:
    """Drop the orders table, as a wrong migration does. Its undo restores it from the newest backup."""
    lab(configuration, "POST", "/accident", {})


def is_dropped(configuration: Configuration = None) -> bool:
    """Tell whether the orders table is not there, or its database does not serve."""
    return not lab(configuration, "GET", "/state")["orders_table"]


def stop(configuration: Configuration = None) -> None:
    """Stop the damaged database, so that nobody goes on writing to what will be thrown away."""
    lab(configuration, "POST", "/nodes/db/stop", {})


def verify_backup(configuration: Configuration = None) -> None:
    """Check the newest backup against its manifest, file by file.

    Raises:
        ActionError: A file is not what it was.
    """
    lab(configuration, "POST", "/backup/verify", {})


def restore(seconds_before: float = 1.0, configuration: Configuration = None) -> None:
    """Bring the database back as it was so many seconds before the accident. Twice is harmless.

    Raises:
        ActionError: The backup is not sound, or the archive does not reach so far.
    """
    lab(configuration, "POST", "/restore", {"seconds_before": seconds_before})


def take_backup(configuration: Configuration = None) -> None:
    """Take a base backup: after a restore the old ones lie before a fork."""
    lab(configuration, "POST", "/backup", {})


def damage_backup(configuration: Configuration = None) -> None:
    """Change some bytes of the newest backup, in silence."""
    lab(configuration, "POST", "/backup/damage", {})


def mend_backup(configuration: Configuration = None) -> None:
    """Put the bytes of the backup back."""
    lab(configuration, "POST", "/backup/mend", {})


def is_damaged(configuration: Configuration = None) -> bool:
    """Tell whether a backup is damaged."""
    return bool(lab(configuration, "GET", "/state")["backup_damaged"])


def fill_disk(configuration: Configuration = None) -> None:
    """Fill the database's disk to the last byte."""
    lab(configuration, "POST", "/disk/fill", {})


def free_disk(configuration: Configuration = None) -> None:
    """Make room on the database's disk again, and start the database where it has given up."""
    lab(configuration, "POST", "/disk/free", {})


def is_full(configuration: Configuration = None) -> bool:
    """Tell whether nothing more can be written on the database's disk."""
    return bool(lab(configuration, "GET", "/state")["disk_full"])
