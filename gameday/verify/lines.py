"""What the verifier answers: five lines, each pass, fail or unknown, with the reason in a sentence.

A *problem* makes a line fail. A *gap* is something that could not be checked: it makes the line
unknown, never pass. Text out of a bundle is shown without control characters and cut short, because
a hostile bundle may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SHOWN_MAX = 20
TEXT_MAX = 400


class Broken(Exception):
    """What stands in a bundle is not what it must be. The message names the file and the value."""


def clean(text: object, most: int = TEXT_MAX) -> str:
    """Return text that a terminal can show: one line, nothing that is not printable, not endless."""
    raw = str(text)[: most + 1]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in raw)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


@dataclass(slots=True)
class Line:
    """One line of the answer, filled while the bundle is read."""

    name: str
    problems: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    good: str = ""
    more: int = 0

    def fail(self, why: str) -> None:
        """Note a problem."""
        self._keep(self.problems, why)

    def unknown(self, why: str) -> None:
        """Note what could not be checked."""
        self._keep(self.gaps, why)

    def _keep(self, kept: list[str], why: str) -> None:
        if len(kept) < SHOWN_MAX:
            kept.append(clean(why))
        else:
            self.more += 1

    @property
    def verdict(self) -> str:
        """Fail over unknown over pass."""
        if self.problems:
            return "fail"
        return "unknown" if self.gaps or not self.good else "pass"

    @property
    def why(self) -> str:
        """The reason, in a sentence."""
        reasons = self.problems or self.gaps
        if not reasons:
            return clean(self.good) or "not checked"
        rest = len(reasons) - 1 + (self.more if reasons is self.problems else 0)
        return reasons[0] + (f" (and {rest} more)" if rest else "")

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into a problem of this line: a bundle never makes a traceback."""
        try:
            yield
        except Broken as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{what}: {error.strerror or error}")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - foreign data; also panics of the token library
            self.fail(f"{what}: cannot be read: {type(error).__name__}: {error}")


@dataclass(slots=True)
class Report:
    """The whole answer. `signatures` and `addenda` are listed below the five lines."""

    integrity: Line = field(default_factory=lambda: Line("integrity"))
    authenticity: Line = field(default_factory=lambda: Line("authenticity"))
    time: Line = field(default_factory=lambda: Line("time"))
    completeness: Line = field(default_factory=lambda: Line("completeness"))
    recomputation: Line = field(default_factory=lambda: Line("recomputation"))
    about: dict[str, str] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    addenda: list[str] = field(default_factory=list)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The five lines in their order."""
        return (self.integrity, self.authenticity, self.time, self.completeness, self.recomputation)

    @property
    def verdict(self) -> str:
        """Fail over unknown over pass."""
        found = {line.verdict for line in self.lines}
        return next(verdict for verdict in ("fail", "unknown", "pass") if verdict in found)

    @property
    def exit_code(self) -> int:
        """0 all pass, 1 any fails, 4 any unknown."""
        return {"pass": 0, "fail": 1, "unknown": 4}[self.verdict]
