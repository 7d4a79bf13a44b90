"""What the lab says to a person on purpose; anything else is its own defect."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot be brought up, or cannot do what was asked. One line, with what to do."""


class Conflict(LabError):
    """What was asked would break the lab's own rules, for instance start a fenced node (HTTP 409)."""
