"""Who is told of a drill, and when: channels by the name of the variable that holds their address.

An address of a channel is a secret (whoever has it can write there), so a policy never holds one.
"""

from __future__ import annotations

from dataclasses import dataclass

BEFORE, START, HALT, END = "before", "start", "halt", "end"
WHEN = (BEFORE, START, HALT, END)


@dataclass(frozen=True, slots=True)
class Notice:
    """One channel. `variable` holds its address; empty `environments` means all."""

    variable: str
    when: tuple[str, ...] = WHEN
    environments: tuple[str, ...] = ()

    def is_due(self, when: str, environment: str) -> bool:
        """Tell whether it is told of this moment of a drill in this environment."""
        return when in self.when and (not self.environments or environment in self.environments)
