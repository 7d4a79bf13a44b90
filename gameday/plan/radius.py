"""How much a drill may touch, and whether it keeps to that: counted from the plan, before anything runs.

A *target* is what a fault names: `node:a`, `proxy:replication-a`. What counts is the *unit* it belongs
to: the link in front of node a is a part of node a, so both together are one unit. The target itself
says so by the label `node`. `max: 1 of 2` counts units, against all units of the kinds touched.

Everything is conservative. A fault counts as in place from its start to the undo that the plan names
(or to the end of its group, where it has a `for:`), whatever its ttl may take back sooner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gameday.plan.catalogue import is_fault, is_known
from gameday.plan.model import PPM, BlastRadius, Plan, Step, StepKind

if TYPE_CHECKING:  # The views and the watchdog count targets too, and must start without pydantic.
    from gameday.plan.schema import BlastRadiusIn

Labels = Mapping[str, Mapping[str, str]]

BY_POLICY = "protected by the policy"
_SEVERAL = ("node", "proxy")
_COUNT = re.compile(r"(\d{1,6})(?: of (\d{1,6}))?\Z")
_SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?\s*%\Z")


@dataclass(frozen=True, slots=True)
class Cap:
    """The most units: a count, of exactly so many where that is said; or a share in parts per million."""

    count: int | None = None
    of: int | None = None
    ppm: int | None = None

    def __str__(self) -> str:
        """Return it as a person writes it."""
        if self.ppm is not None:
            return f"{self.ppm / 10_000:g}%"
        return f"{self.count} of {self.of}" if self.of is not None else f"{self.count}"

    def allows(self, population: int) -> int:
        """Return how many units of a population may be touched. A share is rounded down."""
        if self.ppm is not None:
            return self.ppm * population // PPM
        return self.count or 0


@dataclass(frozen=True, slots=True)
class Reach:
    """What a drill will touch, resolved once: `units` of `population`, and what is left out, and why."""

    targets: tuple[str, ...]
    units: tuple[str, ...]
    population: int
    excluded: tuple[tuple[str, str], ...]


def parse_cap(text: str) -> Cap:
    """Return a cap from `1`, `1 of 2` or `50%`.

    Raises:
        ValueError: It is none of these, or allows nothing.
    """
    wrong = ValueError(f"{text!r}: expected something like `1 of 2`, `50%` or `1`")
    if share := _SHARE.match(text):
        ppm = int(share[1]) * 10_000 + int((share[2] or "0").ljust(4, "0"))
        if not 0 < ppm <= PPM:
            raise wrong
        return Cap(ppm=ppm)
    match = _COUNT.match(text)
    if match is None or int(match[1]) < 1 or (match[2] is not None and int(match[2]) < int(match[1])):
        raise wrong
    return Cap(count=int(match[1]), of=int(match[2]) if match[2] else None)


def as_radius(given: BlastRadiusIn) -> BlastRadius:
    """Return the blast radius as written in a plan.

    Raises:
        ValueError: `max` is no cap.
    """
    cap = parse_cap(given.max)
    return BlastRadius(
        select=tuple(sorted(given.select.items())),
        max_targets=cap.count,
        max_of=cap.of,
        duration_ns=given.duration,
        max_ppm=cap.ppm,
        at_once=given.at_once,
        only=tuple(given.only),
        protect=tuple(given.protect),
    )


def cap_words(radius: BlastRadius) -> str:
    """Return the caps as a sentence has them."""
    cap = cap_of(radius)
    noun = "target" if cap.of is None and cap.count == 1 else "targets"
    at_once = f", {radius.at_once} at once" if radius.at_once else ""
    return f"at most {cap} {noun}{at_once}"


def cap_of(radius: BlastRadius) -> Cap:
    """Return the cap of a plan's blast radius."""
    return Cap(radius.max_targets, radius.max_of, radius.max_ppm)


def faults(plan: Plan) -> tuple[Step, ...]:
    """Return the plan's faults, in order: also those that are written as a fail-over step or a change."""
    return tuple(
        step
        for step in plan.steps
        if step.kind is StepKind.FAULT or (step.do is not None and is_fault(step.do))
    )


def may_be_faults(plan: Plan) -> tuple[Step, ...]:
    """Return the faults, and every step that names a target for an action of which nothing is known.

    A policy's ttl and caps hold for these too: what an operator cannot know may be a fault by another
    name. Steps that declare themselves part of the recovery supersede an undo, or are past return.
    """
    known = faults(plan)
    return tuple(
        step
        for step in plan.steps
        if step in known or (step.do is not None and step.target and not is_known(step.do))
    )


def targets_of(step: Step) -> tuple[str, ...]:
    """Return each target of a step: `proxy:a,b` names two. What a process matches may hold a comma."""
    kind, _, names = step.target.partition(":")
    if kind not in _SEVERAL:
        return (step.target,)
    return tuple(f"{kind}:{name.strip()}" for name in names.split(","))


def targets_in(plan: Plan, steps: tuple[Step, ...] | None = None) -> tuple[str, ...]:
    """Return every target of the plan's faults, or of these steps, each once, sorted."""
    counted = faults(plan) if steps is None else steps
    return tuple(sorted({name for step in counted for name in targets_of(step)}))


def kind_of(name: str) -> str:
    """Return the kind of a target or unit: the part before the colon."""
    return name.partition(":")[0]


def unit_of(target: str, labels: Labels) -> str:
    """Return the unit that a target belongs to: its node, where it says one, else itself."""
    node = labels.get(target, {}).get("node", "")
    return f"node:{node}" if node and kind_of(target) != "node" else target


def too_much(plan: Plan, radius: BlastRadius) -> tuple[str, ...]:
    """Return what the plan's faults exceed, as far as the plan alone can tell: by nodes."""
    found = []
    nodes = [name for name in targets_in(plan) if kind_of(name) == "node"]
    if radius.max_targets is not None and len(nodes) > radius.max_targets:
        found.append(
            f"the faults touch {len(nodes)} nodes ({', '.join(nodes)}), allowed are {radius.max_targets}"
        )
    together = [unit for unit in most_at_once(plan, {}) if kind_of(unit) == "node"]
    if radius.at_once is not None and len(together) > radius.at_once:
        found.append(
            f"{len(together)} targets may be under fault at once ({', '.join(together)}), "
            f"allowed are {radius.at_once}"
        )
    return tuple(found)


def most_at_once(plan: Plan, labels: Labels, steps: tuple[Step, ...] | None = None) -> tuple[str, ...]:
    """Return the largest set of units that may be under fault at the same time, sorted.

    Faults count, or `steps` where they are given.
    """
    counted = faults(plan) if steps is None else steps
    most: set[str] = set()
    for group in sorted({step.group for step in plan.steps}):
        lives = (step for step in counted if step.group <= group <= _lives_to(plan, step))
        alive = {unit_of(name, labels) for step in lives for name in targets_of(step)}
        most = max(most, alive, key=len)
    return tuple(sorted(most))


def _lives_to(plan: Plan, fault: Step) -> int:
    """Return the last group in which a fault may be in place."""
    if fault.for_ns is not None:
        return fault.group
    ends = [
        step.group
        for step in plan.steps
        if step.kind is StepKind.UNDO and step.target == fault.target and step.group > fault.group
    ]
    return min(ends, default=max(step.group for step in plan.steps))


def reach_of(
    plan: Plan,
    labels: Labels,
    protect: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    steps: tuple[Step, ...] | None = None,
) -> Reach:
    """Resolve what the faults touch among everything that the target says it has.

    Args:
        plan: The plan.
        labels: Every target that the system names, with its labels; may be empty when it names none.
        protect: Patterns of targets that the policy protects, beside those of the plan.
        only: Patterns of the only targets that the policy allows; empty allows all.
        steps: What counts; None for the faults.
    """
    targets = targets_in(plan, steps)
    units = tuple(sorted({unit_of(target, labels) for target in targets}))
    kinds = {kind_of(unit) for unit in units} or {"node"}
    everything = {unit_of(name, labels) for name in labels} | set(units)
    counted = [unit for unit in everything if kind_of(unit) in kinds]
    excluded = []
    for name in sorted(labels):
        reason = why_not(plan, name, labels, protect, only)
        if not reason and name not in targets:
            reason = "no fault names it"
        if reason:
            excluded.append((name, reason))
    return Reach(targets, units, len(counted), tuple(excluded))


def why_not(
    plan: Plan, target: str, labels: Labels, protect: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> str:
    """Return why a target must not be put under fault, or nothing. The policy speaks first."""
    radius = plan.blast_radius
    for patterns, whose in ((protect, "the policy"), (radius.protect if radius else (), "the plan")):
        pattern = _match(target, labels, patterns)
        if pattern:
            return f"protected by {whose} ({pattern})"
    for patterns, whose in ((only, "the policy"), (radius.only if radius else (), "the plan")):
        if patterns and not any(fnmatchcase(target, pattern) for pattern in patterns):
            return f"not on {whose}'s list of targets ({', '.join(patterns)})"
    mine = labels.get(target, {})
    for key, value in radius.select if radius else ():
        if mine.get(key) != value:
            said = f"its {key} is {mine[key]!r}" if key in mine else f"it has no label {key!r}"
            return f"outside the selector {key}={value}: {said}"
    return ""


def _match(target: str, labels: Labels, patterns: tuple[str, ...]) -> str:
    """Return the pattern that protects a target, or the unit that it is a part of.

    The proxy of a Toxiproxy that is named by its URL may be any of that name.
    """
    names = [target, unit_of(target, labels)]
    if kind_of(target) == "proxy" and "/" in target:
        names.append(f"proxy:{target.rpartition('/')[2]}")
        names.append(unit_of(names[-1], labels))
    return next((p for p in patterns if any(fnmatchcase(name, p) for name in names)), "")


def exceeded(cap: Cap, reach: Reach, whose: str) -> str:
    """Return how a drill exceeds a cap, or nothing."""
    if cap.of is not None and cap.of != reach.population:
        return f"{whose} is written for {cap.of} targets, there are {reach.population}"
    allowed = cap.allows(reach.population)
    if len(reach.units) > allowed:
        return (
            f"the faults touch {len(reach.units)} of {reach.population} targets "
            f"({', '.join(reach.units)}), {whose} ({cap}) allows {allowed}"
        )
    return ""
