"""A capacity sign-off, compiled: what it asks for checked, and the steps of the drill made from it.

    trial at peak x headroom with N → fault → the same trial with N-1 → its undo → search for the limit

Only the fault may be written down by a person, in the block itself or among `steps` by its name.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Protocol

from gameday.capacity.goal import PPM, SECOND_NS, required_per_1000s
from gameday.plan.capacity import DAY_NS, SETTLE_NS, Artefact, Capacity, Forecast, LimitSearch, Price
from gameday.plan.files import Files
from gameday.plan.forecast import read_peak
from gameday.plan.model import Load, Slo, Step, StepKind
from gameday.plan.schema import PlanIn
from gameday.plan.schema_capacity import ArtefactIn, CapacityIn, ForecastIn, SearchIn
from gameday.plan.schema_fault import FaultIn
from gameday.plan.source import Source, Where
from gameday.plan.units import as_text

HEADROOM_MAX_PPM = 10 * PPM
CONFIDENCE_MIN_PPM, CONFIDENCE_MAX_PPM = 800_000, 999_900
WIDTH_MIN_PPM, WIDTH_MAX_PPM = 10_000, 500_000
UP_TO = 10  # How many times the rate that is signed for a search offers, where the plan does not say.
LONGER = 3  # How much longer than its least a trial may last, where the plan does not say.
END_NS = 5_000_000_000  # The longest that the last bucket of a trial is waited for.
WITH_N, WITH_FAULT, SEARCH = "sign-off with N", "sign-off with N-1", "search for the limit"
_WHERE: Where = ("capacity",)


class Maker(Protocol):
    """What is asked of the compiler: where it stands, its files, and steps made and added."""

    at: Source
    files: Files
    steps: list[Step]

    def _step(self, item: Any, where: Where) -> None: ...

    def _add(self, step: Step) -> None: ...

    def _bare(self, name: str, kind: StepKind, deadline_ns: int, **more: Any) -> Step: ...


def capacity(plan: PlanIn, maker: Maker) -> Capacity | None:
    """Return a plan's sign-off and add its steps, or check that it needs none."""
    if not _fits(plan, maker.at):
        return None
    item = plan.capacity
    assert item is not None
    forecast = _forecast(item.forecast, maker)
    found = Capacity(
        load=item.load,
        forecast=forecast,
        headroom_ppm=_ppm(item.headroom),
        slos=tuple(item.slos),
        duration_ns=item.duration,
        duration_max_ns=item.at_most or LONGER * item.duration,
        warm_up_ns=item.warm_up,
        confidence_ppm=item.confidence,
        expires_ns=item.expires,
        artefact=_artefact(item.artefact, maker.at),
        fault=_add_steps(plan, item, maker),
        price=None if item.price is None else Price(_micro(item.price.per_hour), item.price.currency),
        search=_search(item.search, forecast, item),
    )
    _check_ranges(found, maker.at)
    return found


def _fits(plan: PlanIn, at: Source) -> bool:
    """A sign-off has its block and nothing that belongs to a recovery; other kinds have steps."""
    if plan.kind != "capacity":
        if plan.capacity is not None:
            at.complain(_WHERE, f"this block belongs to `kind: capacity`; the plan is of kind {plan.kind}")
        if not plan.steps:
            at.complain(("steps",), "key 'steps' is missing or empty: a drill has at least one step")
        return False
    if plan.capacity is None:
        at.complain(("kind",), "kind capacity needs a `capacity:` block: load, forecast, headroom, slos, …")
        return False
    if plan.objectives:
        at.complain(
            ("objectives",), "a capacity sign-off has no recovery objectives: write a plan of kind dr"
        )
    if "recovery" in plan.model_fields_set:
        at.complain(("recovery",), "nothing is recovered in a capacity sign-off: leave `recovery` out")
    return True


def _search(item: SearchIn | None, forecast: Forecast, whole: CapacityIn) -> LimitSearch | None:
    if item is None:
        return None
    tested = required_per_1000s(forecast.peak_per_1000s, _ppm(whole.headroom))
    longest_ns = item.at_most or LONGER * item.each
    return LimitSearch(
        item.first, item.width, item.trials, item.each, longest_ns, item.up_to or UP_TO * tested
    )


def _forecast(item: ForecastIn, maker: Maker) -> Forecast:
    where: Where = (*_WHERE, "forecast")
    if (item.peak is None) == (item.file is None):
        maker.at.complain(where, "exactly one of `peak` and `file` is needed")
        return Forecast(1000, "")
    if item.peak is not None:
        if not item.source.strip():
            maker.at.complain(where, "a forecast needs its `source`: who says so, and from what")
        return Forecast(item.peak, item.source)
    name = item.file or ""
    sha256 = maker.files.digest(maker.at, (*where, "file"), name)
    if not sha256:
        return Forecast(1000, "")
    try:
        peak, row = read_peak(maker.files.root / name)
    except ValueError as error:
        maker.at.complain((*where, "file"), f"{name!r}: {error}")
        return Forecast(1000, "")
    said = item.source or f"the highest rate in {name}, {row}"
    return Forecast(peak, said, name, sha256)


def _artefact(item: ArtefactIn, at: Source) -> Artefact:
    given = [name for name in ("digest", "http", "argv") if getattr(item, name) is not None]
    if len(given) != 1:
        at.complain((*_WHERE, "artefact"), "exactly one of `digest`, `http` and `argv` is needed")
    url = item.http or ""
    return Artefact(item.digest or "", url, item.key if url else "", tuple(item.argv or ()))


def _ppm(headroom: str) -> int:
    return int(Decimal(headroom.removesuffix("%").strip()) * 10_000)


def _micro(amount: float) -> int:
    return int(Decimal(str(amount)) * PPM)


# --- steps -----------------------------------------------------------------------------------


def _add_steps(plan: PlanIn, item: CapacityIn, maker: Maker) -> str:
    """Add the steps and return the id of the fault among them; empty without one."""
    each_ns = item.warm_up + (item.at_most or LONGER * item.duration)
    deadline_ns = SETTLE_NS + each_ns + END_NS
    maker._add(maker._bare(WITH_N, StepKind.TRIAL, deadline_ns, for_ns=each_ns))
    fault = _fault(plan, item, maker.at)
    name = ""
    if fault is not None:
        before = len(maker.steps)
        maker._step(fault[0], fault[1])
        made = maker.steps[before]
        name = made.id
        if fault[0].lasting is not None:
            maker.at.complain((*fault[1], "for"), "the trial says how long this fault stays: leave `for` out")
        need_ns = deadline_ns + made.deadline_ns
        if fault[0].ttl < need_ns:
            said = f"the trial with this fault takes up to {as_text(need_ns)}: its `ttl` must be no less"
            maker.at.complain((*fault[1], "ttl"), said)
        maker._add(maker._bare(WITH_FAULT, StepKind.TRIAL, deadline_ns, for_ns=each_ns))
        back_ns = made.undo_deadline_ns + END_NS
        maker._add(maker._bare(f"undo of {made.name}", StepKind.UNDO, back_ns, target=made.target))
    if item.search is not None:
        longest_ns = item.search.at_most or LONGER * item.search.each
        per_ns = SETTLE_NS + item.warm_up + longest_ns + END_NS
        maker._add(maker._bare(SEARCH, StepKind.SEARCH, item.search.trials * per_ns, for_ns=per_ns))
    return name


def _fault(plan: PlanIn, item: CapacityIn, at: Source) -> tuple[FaultIn, Where] | None:
    """Return the fault of N-1 and its place."""
    wanted = item.n_minus_one
    where: Where = (*_WHERE, "n_minus_one")
    found: tuple[FaultIn, Where] | None = None
    if isinstance(wanted, FaultIn):
        found = wanted, where
    for number, step in enumerate(plan.steps):
        if isinstance(step, FaultIn) and step.fault == wanted and found is None:
            found = step, ("steps", number)
        else:
            said = "the steps of a capacity sign-off are made from `capacity:`; only the fault that "
            at.complain(("steps", number), f"{said}`n_minus_one` names may stand here")
    if isinstance(wanted, str) and found is None:
        at.complain(where, f"{wanted!r}: no fault of that name stands in `steps`")
    return found


# --- sense -----------------------------------------------------------------------------------


def _check_ranges(found: Capacity, at: Source) -> None:
    for key, value, low, high in (
        ("headroom", found.headroom_ppm, 0, HEADROOM_MAX_PPM),
        ("confidence", found.confidence_ppm, CONFIDENCE_MIN_PPM, CONFIDENCE_MAX_PPM),
    ):
        if not low <= value <= high:
            at.complain((*_WHERE, key), f"expected {low / 10_000:g}% to {high / 10_000:g}%")
    if found.expires_ns < DAY_NS:
        at.complain((*_WHERE, "expires"), "a sign-off that is void within a day signs nothing: expected ≥ 1d")
    _check_times(at, _WHERE, "warm_up", found.warm_up_ns, found.warm_up_ns)
    _check_times(at, _WHERE, "duration", found.duration_ns, found.duration_max_ns)
    if len(set(found.slos)) != len(found.slos):
        at.complain((*_WHERE, "slos"), "an SLO is named twice")
    search = found.search
    if search is None:
        return
    if not max(search.first_per_1000s or 0, found.tested_per_1000s) <= search.ceiling_per_1000s:
        at.complain((*_WHERE, "search"), "`up_to` is less than what is tried before")
    if not WIDTH_MIN_PPM <= search.width_ppm <= WIDTH_MAX_PPM:
        said = f"expected {WIDTH_MIN_PPM / 10_000:g}% to {WIDTH_MAX_PPM / 10_000:g}%"
        at.complain((*_WHERE, "search", "width"), said)
    _check_times(at, (*_WHERE, "search"), "each", search.each_ns, search.each_max_ns)


def _check_times(at: Source, where: Where, key: str, least_ns: int, most_ns: int) -> None:
    """Trials are judged by their seconds, so their times are whole ones."""
    if least_ns < SECOND_NS or least_ns % SECOND_NS or most_ns % SECOND_NS:
        at.complain((*where, key), "expected whole seconds, at least one")
    if most_ns < least_ns:
        at.complain((*where, "at_most"), f"is less than `{key}`")


def check_capacity(
    found: Capacity,
    loads: tuple[Load, ...],
    slos: tuple[Slo, ...],
    at: Source,
    lasts_ns: int,
    allowed_ns: int,
) -> None:
    """Note what a sign-off names and the plan has not, and a blast radius that ends it too early."""
    load = next((load for load in loads if load.name == found.load), None)
    if load is None:
        there = ", ".join(load.name for load in loads) or "none"
        at.complain((*_WHERE, "load"), f"{found.load!r}: no such load; there are {there}")
    elif load.rate_per_1000s is None or load.stages or load.shape:
        said = f"load {found.load!r} needs one `rate`: users, stages and shapes are no open loop to raise"
        at.complain((*_WHERE, "load"), said)
    elif load.rate_per_1000s > found.tested_per_1000s:
        said = f"load {found.load!r} runs at {load.rate_per_1000s / 1000:g}/s between trials, above the "
        at.complain((*_WHERE, "load"), f"{said}{found.tested_per_1000s / 1000:g}/s that is to be tested")
    known = {slo.name: slo for slo in slos}
    for number, name in enumerate(found.slos):
        slo = known.get(name)
        place: Where = (*_WHERE, "slos", number)
        if slo is None:
            at.complain(place, f"{name!r}: no such SLO; there are {', '.join(sorted(known)) or 'none'}")
        elif slo.load_stat is None:
            at.complain(place, f"SLO {name!r} samples a probe; a rate is judged by its requests: use `load:`")
    if lasts_ns > allowed_ns:
        said = f"the sign-off takes up to {as_text(lasts_ns)}, the blast radius allows {as_text(allowed_ns)}"
        at.complain(("blast_radius", "duration"), said)


_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


def capacity_warnings(found: Capacity) -> list[str]:
    """Return what is allowed but will disappoint."""
    warned = []
    if not found.fault:
        warned.append("the sign-off is with N only: what holds with one part lost is not tested")
    if found.artefact.digest and not _SHA256.match(found.artefact.digest):
        said = "no SHA-256 digest, so a changed artefact may bear the same name"
        warned.append(f"the artefact {found.artefact.digest!r} is {said}")
    elif found.artefact.digest:
        warned.append("the artefact's digest is taken as given: nothing reads what the target really runs")
    return warned
