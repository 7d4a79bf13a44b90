"""The text of a new plan: what a person answered, in the words of a plan file, with a comment to each part.

A text is made here, and nothing else: whoever writes it to a file lets `gameday.plan.load` judge it first.
Every answer is written as a JSON text, which YAML reads as itself: no answer can become a key of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template
from typing import Any

from gameday.plan.model import NS
from gameday.plan.units import as_text, duration_ns

LAB_URL = "${lab.url}"
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a drill to be. Times and rates are as a plan writes them; empty is not known.

    `arguments` are those of `action`. `books` are the project's runbooks that recover and fail back.
    """

    kind: str
    service: str
    owner: str
    author: str
    environment: str
    target: str
    probe: str
    action: str
    arguments: tuple[tuple[str, Any], ...]
    rto: str = ""
    rpo: str = ""
    peak: str = ""
    headroom: str = ""
    profile: str = ""
    books: tuple[str, ...] = ()

    @property
    def is_lab(self) -> bool:
        """Tell whether the target is the built-in lab, of which more is known."""
        return self.target == LAB_URL


_HEAD = Template("""\
# A drill, made by `gameday new $kind`. `gameday validate FILE` checks it, `gameday plan FILE` says in words
# what it will do, `gameday run FILE --rehearse` does every check and no write.
title: $title
hypothesis: $hypothesis    # what must come true: the report is held against it
kind: $kind
service: $service
author: $author    # whoever writes a plan never approves it
owner: $owner
scenario: {threat: $threat, why: "say here why it is worth a drill", severe_but_plausible: true}
# roles: {commander: NAME, operator: NAME, observer: NAME, scribe: NAME}
# people: [{name: NAME, role: participant}, {name: NAME, absent: true}]    # absent: not to be asked
# approvals: {before_faults: [{role: approver, count: 1}]}    # signed with `gameday approve`
target: {environment: $environment, identity: {http: $identity}}    # it must say so itself

""")
_OBJECTIVES = Template("""\
objectives:    # fixed before the first fault, and never moved afterwards
  - {service: $service, measured_by: users, rto: $rto$rpo, minimum_capacity: 80%, source: "say whose"}
recovery: plan    # who brings it back: plan (the steps below) | system (its own controller)

""")
_LOAD = Template("""\
load:    # from the baseline to the end; docs/load.md has stages, users, workers
  - {profile: $profile, rate: $rate, host: $target}

""")
_PROBES = Template("""\
probes:    # each reads the target at a fixed rate: good, bad or unreadable
  users:
    http: $http
$writes    every: $every
    timeout: $timeout
$control""")
_SLOS = Template("""\
slos:
  availability: {probe: users, objective: 95%, window: $window}
${latency}steady_state: {slos: [$slos], baseline: $window, stabilise: $window}    # before and after

stop_conditions:    # each halts the drill, and its faults are taken back
  - {slo: availability, bad: above 90%, for: $bad_for}
$guard  - {silence: $silence}    # nothing could be read: blind is not healthy
blast_radius: {max: "1", duration: $duration}    # the most it may touch, and for how long

""")
_STEPS = Template("""\
steps:
  - fault: $fault
    do: {action: $action, with: $arguments}    # its undo and its read-back are known
    ttl: $ttl    # taken back then at the latest, whatever happens
""")
_BY_HAND = Template("""\
  - manual: $manual    # or `- runbook: runbooks/…`, or `- failover:` with an action
    who: operator
    instructions: "say here what to do; `gameday done` reports it"
    timeout: $by_hand
    segment: fail-over
""")
_CAPACITY = Template("""\
capacity:
  load: $load
  forecast: {peak: $peak, source: "say here where it comes from"}    # or {file: forecast.csv}
  headroom: $headroom    # so much more than the peak must be held
  slos: [errors, latency]
  duration: 10s    # of each trial; undecided it goes on
  at_most: 30s
  warm_up: 3s
  n_minus_one:    # tried again with this fault in place
    fault: $fault
    do: {action: $action, with: $arguments}
    ttl: 3m
  expires: 90d
  artefact: $artefact    # a sign-off lapses when this changes
  search: {width: 30%, trials: 5, each: 8s, at_most: 12s}    # for the limit, afterwards

""")
_CAPACITY_SLOS = Template("""\
slos:
  errors: {load: errors, objective: 98%, window: 5s}
  latency: {load: p95, below: 300ms, objective: 95%, window: 5s}
steady_state: {slos: [errors, latency], baseline: 5s, stabilise: 5s}

stop_conditions:
  - {probe: users, bad: above 90%, within: 10s}
$guard  - {silence: $silence}
blast_radius: {max: "1", duration: 15m}
""")
_CONTROL = """\
  payments-untouched: {http: {url: "${lab.url}/payments/health"}, every: 500ms, timeout: 400ms}    # a control
"""
_GUARD = "  - {probe: payments-untouched, bad: 10 in a row}    # a control: it must stay untouched\n"
_LEDGER = "ledger: {writer: orders, every: 20ms}    # numbered writes, by which lost data is measured\n"
_NO_LEDGER = """\
# ledger: {writer: http, url: …, every: 100ms}    # numbered writes; with it and `rpo:` lost data is measured
"""


def plan_text(answers: Answers) -> str:
    """Return the plan as its author will read it.

    Raises:
        ValueError: A time is none.
    """
    values = {**_said(answers), **_paced(answers)}
    if answers.kind == "capacity":
        parts: list[str] = [_HEAD.substitute(values), _LOAD.substitute(values), _CAPACITY.substitute(values)]
        return "".join([*parts, _PROBES.substitute(values), _CAPACITY_SLOS.substitute(values)])
    parts = [_HEAD.substitute(values)]
    parts += [_OBJECTIVES.substitute(values)] if answers.kind == "dr" else []
    parts += [_LOAD.substitute(values)] if answers.profile else []
    parts += [_PROBES.substitute(values), _SLOS.substitute(values), _STEPS.substitute(values)]
    return "".join([*parts, *_way_back(answers, values)])


def _way_back(answers: Answers, values: dict[str, str]) -> list[str]:
    """Return the steps after the fault: recovery, the dwell in which it is shown, the way home."""
    hold = f"  - hold: {values['hold']}    # under load, with every probe sampling\n"
    if answers.kind != "dr":
        return [hold, _LEDGER if _writes(answers) else ""]
    ledger = _LEDGER if answers.is_lab else _NO_LEDGER
    if not answers.books:
        return [_BY_HAND.substitute(values), hold, ledger]
    first, *rest = (f"  - runbook: {_text(book)}\n" for book in answers.books)
    return [first, hold, *rest, ledger]


def _said(answers: Answers) -> dict[str, str]:
    """Return what was answered as it stands in a plan."""
    fault = fault_words(answers.action, answers.arguments)
    within = f" again within {answers.rto}" if answers.kind == "dr" else " well again when it is over"
    lost = f", and no more than {answers.rpo} of acknowledged writes is lost" if answers.rpo else ""
    title, hypothesis = f"{answers.service}: {fault}", f"{answers.service} serves{within}{lost}."
    if answers.kind == "capacity":
        title = f"Sign {answers.service} off for {answers.peak}"
        hypothesis = f"{answers.service} holds {answers.peak} and {answers.headroom} more, also with {fault}."
    elif answers.kind == "game-day":
        hypothesis = f"With {fault} users of {answers.service} notice little, and all is well again after it."
    http: dict[str, Any] = {"url": f"{answers.target}{answers.probe}"}
    if _writes(answers):
        http |= {"method": "POST", "body": {"item": "probe", "quantity": 1, "marker": "${run}"}}
    identity = f"{answers.target}/identity"
    texts = {
        "title": title[:120], "hypothesis": hypothesis, "service": answers.service, "author": answers.author,
        "owner": answers.owner, "environment": answers.environment, "identity": identity, "threat": fault,
        "profile": answers.profile, "target": answers.target, "fault": fault[:120], "action": answers.action,
        "manual": f"bring {answers.service} back"[:120], "peak": answers.peak or "40/s",
        "headroom": answers.headroom or "50%", "rto": answers.rto,
    }  # fmt: skip
    return {name: _text(value) for name, value in texts.items()} | {
        "kind": answers.kind,
        "rpo": f", rpo: {_text(answers.rpo)}" if answers.rpo else "",
        "rate": '"10/s"' if answers.kind == "capacity" else '"50/s"' if answers.is_lab else '"5/s"',
        "load": answers.profile.rpartition("/")[2].removesuffix(".py"),
        "http": _flow(http),
        "writes": "    writes: synthetic\n" if _writes(answers) else "",
        "control": _CONTROL if answers.is_lab else "",
        "guard": _GUARD if answers.is_lab else "",
        "arguments": _flow(dict(answers.arguments)),
        "artefact": _flow({"http": identity, "key": "id"}),
        "slos": "availability, latency" if answers.profile else "availability",
    }


def _paced(answers: Answers) -> dict[str, str]:
    """Return the times of a plan, fitted to each other: no sample is wider than a twentieth of the RTO."""
    rto_ns = duration_ns(answers.rto) if answers.rto else 60 * NS
    every_ns = _between(rto_ns // 100, 50 * _MS, 100 * _MS if answers.is_lab else NS)
    timeout_ns = _between(rto_ns // 40, 100 * _MS, 400 * _MS if answers.is_lab else 2 * NS)
    window_ns = max(5 * NS, _seconds(25 * every_ns))
    is_dr = answers.kind == "dr"
    bad_ns = max(_seconds(rto_ns), NS) if is_dr else 15 * NS
    ttl_ns = _seconds(2 * rto_ns) + 60 * NS if is_dr else 120 * NS
    latency = f"  latency: {{load: p99, below: 300ms, objective: 95%, window: {as_text(window_ns)}}}\n"
    times = {
        "every": every_ns, "timeout": timeout_ns, "window": window_ns, "bad_for": bad_ns, "ttl": ttl_ns,
        "silence": max(3 * NS, _seconds(4 * (every_ns + timeout_ns))), "duration": ttl_ns + 180 * NS,
        "hold": window_ns + NS if is_dr else 30 * NS, "by_hand": max(_seconds(2 * rto_ns), NS),
    }  # fmt: skip
    return {name: as_text(value) for name, value in times.items()} | {
        "latency": latency if answers.profile else ""
    }


def fault_words(action: str, arguments: tuple[tuple[str, Any], ...]) -> str:
    """Return what a fault is called: `postgres kill, node a`; limits and commands do not name it."""
    module, _, name = action.rpartition(".")
    named = [(key, value) for key, value in arguments if key != "at_most" and not isinstance(value, list)]
    said = ", ".join(f"{key} {value}" for key, value in named)
    words = f"{module.rpartition('.')[2]} {name}".replace("_", " ").strip()
    return f"{words}, {said}" if said else words


def _writes(answers: Answers) -> bool:
    return answers.is_lab and answers.probe == "/orders"


def _between(value: int, least: int, most: int) -> int:
    return min(max(value // _MS * _MS, least), most)


def _seconds(value_ns: int) -> int:
    return -(-value_ns // NS) * NS


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _flow(value: Any) -> str:
    """Return a value as YAML's flow form, which JSON is."""
    return json.dumps(value, ensure_ascii=False)
