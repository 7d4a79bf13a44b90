"""A capacity sign-off as the rest of the house sees it: which rate must hold, how long, on what terms.

The rate that is signed for is the forecast peak with the required headroom on top. It is tried with
N (everything there) and, where a fault is named, with N-1 (that fault in place); then the limit is
searched for. The steps of such a drill are made from this; nobody writes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.capacity.goal import required_per_1000s

DAY_NS = 86_400_000_000_000
SETTLE_NS = 10_000_000_000  # The longest that the target is waited for to be calm before a trial.


@dataclass(frozen=True, slots=True)
class Forecast:
    """The peak that is expected, and where that comes from. `file` holds traffic, known by its digest."""

    peak_per_1000s: int
    source: str
    file: str = ""
    file_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Artefact:
    """Which artefact is signed for: a digest as given, or where to read it when the drill is armed.

    Exactly one of `digest`, `url` (JSON, of which `key` is taken) and `argv` (its output) is there.
    """

    digest: str = ""
    url: str = ""
    key: str = ""
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """What the tested system costs in an hour, in millionths of the currency's unit."""

    per_hour_micro: int
    currency: str


@dataclass(frozen=True, slots=True)
class LimitSearch:
    """How the limit is searched for: from where (None: it finds that), up to where, how narrow, how long."""

    first_per_1000s: int | None
    width_ppm: int
    trials: int
    each_ns: int
    each_max_ns: int
    ceiling_per_1000s: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """A capacity sign-off. `fault` is the id of the step that makes N-1; empty when only N is tried.

    A trial lasts `warm_up_ns`, which is not counted, and then `duration_ns` (in a search `each_ns`); where
    that does not decide, up to `duration_max_ns` (`each_max_ns`).
    """

    load: str
    forecast: Forecast
    headroom_ppm: int
    slos: tuple[str, ...]
    duration_ns: int
    duration_max_ns: int
    warm_up_ns: int
    confidence_ppm: int
    expires_ns: int
    artefact: Artefact
    fault: str = ""
    price: Price | None = None
    search: LimitSearch | None = None

    @property
    def tested_per_1000s(self) -> int:
        """The rate that is signed for: forecast peak with headroom, rounded up."""
        return required_per_1000s(self.forecast.peak_per_1000s, self.headroom_ppm)
