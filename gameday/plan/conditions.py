"""Stop conditions as written, made into limits the engine can hold samples against.

Each item has exactly one subject (a probe, an SLO, the load, failed requests, Prometheus,
Alertmanager, silence, a duration) and the keys that go with it; any other key is refused where it
stands. A condition on Prometheus becomes a probe of its own and a limit on that probe.

Every limit that is read gets a silence limit (`fresh_ns`): the one given by `silence:`, or five
seconds, or longer where its subject is read more slowly than that.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from gameday.plan.model import NS, Probe, ProbeKind, StopCondition
from gameday.plan.schema import AlertmanagerIn, PlanIn, PrometheusIn, StopConditionIn
from gameday.plan.shape import as_given
from gameday.plan.source import Source, Where
from gameday.plan.units import duration_ns, ratio_ppm

FRESH_NS = 5 * NS
WITHIN_NS = 5 * NS
EVERY_NS = NS // 2  # Half a second, so that a red alert halts within a second of its being red.
COUNT_MAX = 1000
MANY_MAX = 10**9
_ABOVE = re.compile(r"above (.+)\Z")
_ROW = re.compile(r"(\d{1,9}) in a row\Z")
_COUNT = re.compile(r"(\d{1,9}) within (.+)\Z")
_NUMBER = re.compile(r"\d{1,12}\Z")
_SHARE_HINT = (
    "expected `slo:` with `bad: above 90%` (and `for:`), `burn_rate:` or `budget_spent:`; or `probe:` with "
    "`bad: 3 in a row`, `bad: 5 within 10s`, or `bad: above 50%` and `within:`"
)
_COMMON = frozenset({"name", "then", "stops", "silence"})
_SUBJECTS = {
    "slo": frozenset({"bad", "burn_rate", "budget_spent", "of", "for"}),
    "probe": frozenset({"bad", "unreadable", "within", "for"}),
    "load": frozenset({"above", "below", "within", "for"}),
    "failed_requests": frozenset({"within"}),
    "prometheus": frozenset({"above", "below", "for", "every", "timeout"}),
    "alertmanager": frozenset({"for", "every", "timeout"}),
    "duration": frozenset(),
}


@dataclass(slots=True)
class Conditions:
    """Compiles the stop conditions of one plan, and the probes that they bring along."""

    plan: PlanIn
    probes: tuple[Probe, ...]
    source: Source
    own: list[Probe] = field(default_factory=list)

    def compile(self) -> tuple[tuple[StopCondition, ...], tuple[Probe, ...]]:
        """Return the conditions in their order, and all probes sorted by name."""
        found = tuple(self._one(item, number) for number, item in enumerate(self.plan.stop_conditions))
        probes = sorted((*self.probes, *self.own), key=lambda probe: probe.name)
        return found, tuple(probes)

    def _one(self, item: StopConditionIn, number: int) -> StopCondition:
        where: Where = ("stop_conditions", number)
        said = as_given(item, by_alias=True)
        subjects = [key for key in _SUBJECTS if key in said]
        if len(subjects) > 1 or not (subjects or "silence" in said):
            there = " and ".join(f"`{key}:`" for key in subjects) or "none"
            self.source.complain(
                (*where, subjects[1]) if subjects else where,
                f"a stop condition has one subject, this has {there}: expected one of "
                f"{', '.join(_SUBJECTS)} and silence",
            )
            return StopCondition(self._name(item, number, "unclear"), item.then)
        subject = subjects[0] if subjects else "silence"
        only_silent = subject == "probe" and "silence" in said and not {"bad", "unreadable"} & set(said)
        allowed = _COMMON | {subject} | _SUBJECTS.get(subject, frozenset())
        for key in sorted(set(said) - allowed):
            self.source.complain((*where, key), f"`{key}:` does not go with `{subject}:`")
        bare = StopCondition(
            name=self._name(item, number, item.slo or item.probe or subject),
            then=item.then,
            slo=item.slo,
            probe=item.probe,
            for_ns=item.lasting or 0,
            stops=item.stops,
        )
        if subject == "silence" or only_silent:
            return replace(bare, silence_ns=item.silence)
        made = self._measure(subject, item, where, bare)
        return made if made.duration_ns is not None else self._fresh(made, item)

    @staticmethod
    def _name(item: StopConditionIn, number: int, what: str) -> str:
        return item.name or f"{number + 1}-{what}".replace("_", "-")

    def _measure(
        self, subject: str, item: StopConditionIn, where: Where, bare: StopCondition
    ) -> StopCondition:
        match subject:
            case "slo":
                return self._slo(item, where, bare)
            case "probe":
                return self._probe(item, where, bare)
            case "load":
                return self._load(item, where, bare)
            case "failed_requests":
                count = self._number(item.failed_requests or "", (*where, "failed_requests"))
                return replace(bare, failed_above=count, within_ns=item.within or 0)
            case "duration":
                return replace(bare, duration_ns=item.duration)
            case _:
                return self._monitored(item, where, bare)

    # --- subjects ----------------------------------------------------------------------------

    def _slo(self, item: StopConditionIn, where: Where, bare: StopCondition) -> StopCondition:
        ways = [way for way in ("bad", "burn_rate", "budget_spent") if getattr(item, way) is not None]
        if len(ways) != 1:
            self.source.complain((*where, *ways[1:2]), _SHARE_HINT)
            return replace(bare, bad_above_ppm=0)
        if item.of is not None and item.budget_spent is None:
            self.source.complain(
                (*where, "of"), "`of:` is the window of a budget: it goes with `budget_spent:`"
            )
        if item.burn_rate is not None:
            return self._burn(item, (*where, "burn_rate"), bare)
        if item.budget_spent is not None:
            share_ppm = self._share(item.budget_spent, (*where, "budget_spent"), "above 20%")
            if item.of is None:
                self.source.complain(
                    (*where, "budget_spent"), "a budget has a window: say `of: 30d`, the SLO's own period"
                )
            return replace(bare, budget_above_ppm=share_ppm, budget_ns=item.of or NS)
        return replace(bare, bad_above_ppm=self._share(item.bad or "", (*where, "bad"), _SHARE_HINT))

    def _burn(self, item: StopConditionIn, where: Where, bare: StopCondition) -> StopCondition:
        burn = item.burn_rate
        assert burn is not None
        milli = round(burn.above * 1000) if math.isfinite(burn.above) else -1
        if not 1 <= milli <= MANY_MAX:
            self.source.complain(
                (*where, "above"),
                f"{burn.above}: expected a rate above 0, like 14.4: 1 spends the budget exactly",
            )
        if burn.short >= burn.long:
            self.source.complain((*where, "short"), "the short window must be shorter than the long one")
        return replace(bare, burn_above_milli=milli, long_ns=burn.long, short_ns=burn.short)

    def _probe(self, item: StopConditionIn, where: Where, bare: StopCondition) -> StopCondition:
        if (item.bad is None) == (item.unreadable is None):
            self.source.complain((*where, *(["bad"] if item.bad else [])), _SHARE_HINT)
            return replace(bare, in_a_row=1)
        reading = "bad" if item.bad is not None else "unreadable"
        text, place = (item.bad or item.unreadable or ""), (*where, reading)
        if reading == "unreadable" and (silence_ns := _try_duration(text)) is not None:
            if item.lasting is not None or item.within is not None or item.silence is not None:
                self.source.complain(place, "a plain duration takes neither `for:`, `within:` nor `silence:`")
            return replace(bare, silence_ns=silence_ns, for_ns=0)
        bare = replace(bare, reading=reading)
        if row := _ROW.match(text):
            self._refuse_within(item, where)
            return replace(bare, in_a_row=self._at_least_one(row[1], place, MANY_MAX))
        if count := _COUNT.match(text):
            self._refuse_within(item, where)
            within_ns = _try_duration(count[2])
            if within_ns is None:
                self.source.complain(
                    place, f"{count[2]!r} is no duration: expected something like `5 within 10s`"
                )
            number = self._at_least_one(count[1], place, COUNT_MAX)
            return replace(bare, count=number, within_ns=within_ns or NS)
        share_ppm = self._share(text, place, _SHARE_HINT)
        if item.within is None and _ABOVE.match(text):
            self.source.complain(place, "a share of a probe's samples needs a window: add `within: 10s`")
        return replace(bare, bad_above_ppm=share_ppm, within_ns=item.within or WITHIN_NS)

    def _load(self, item: StopConditionIn, where: Where, bare: StopCondition) -> StopCondition:
        bare = replace(bare, load=item.load, within_ns=item.within or WITHIN_NS)
        wanted, other = ("below", "above") if item.load in ("achieved", "answered") else ("above", "below")
        value, place = getattr(item, wanted), (*where, wanted)
        if value is None or getattr(item, other) is not None:
            examples = {"achieved": "below: 90%", "answered": "below: 50%", "errors": "above: 5%"}
            example = examples.get(str(item.load), "above: 500ms")
            self.source.complain((*where, "load"), f"`load: {item.load}` needs `{example}`, and nothing else")
            return replace(bare, bad_above_ppm=0)
        try:
            if item.load in ("achieved", "answered"):
                return replace(bare, below_ppm=ratio_ppm(value))
            if item.load == "errors":
                return replace(bare, bad_above_ppm=ratio_ppm(value))
            return replace(bare, above_ns=duration_ns(value))
        except ValueError as error:
            self.source.complain(place, f"{wanted}: {error}")
            return replace(bare, bad_above_ppm=0)

    def _monitored(self, item: StopConditionIn, where: Where, bare: StopCondition) -> StopCondition:
        """Make the probe that reads the monitoring system, and a limit of one bad sample on it."""
        spec: PrometheusIn | AlertmanagerIn | None = item.prometheus or item.alertmanager
        kind = ProbeKind.PROMETHEUS if item.prometheus is not None else ProbeKind.ALERTMANAGER
        assert spec is not None
        place = (*where, str(kind))
        if isinstance(spec, PrometheusIn):
            spec = self._with_limit(item, where, spec)
        check_reader(self.source, place, spec)
        number = int(where[-1])
        name = f"stop-{item.name or f'{number + 1}-{spec.alert or kind}'}"
        if any(probe.name == name for probe in (*self.probes, *self.own)):
            self.source.complain(
                where, f"{name!r} is the name of a probe already: give this condition another name"
            )
        text = json.dumps(as_given(spec), sort_keys=True, separators=(",", ":"))
        self.own.append(
            Probe(name, kind, text, item.every or EVERY_NS, item.timeout or NS, of_condition=True),
        )
        return replace(bare, name=name.removeprefix("stop-"), probe=name, in_a_row=1)

    def _with_limit(self, item: StopConditionIn, where: Where, spec: PrometheusIn) -> PrometheusIn:
        limits: dict[str, Any] = {}
        for key in ("above", "below"):
            value = getattr(item, key)
            if value is None:
                continue
            if spec.alert is not None:
                self.source.complain((*where, key), f"`{key}:` does not go with an alert, which fires or not")
                continue
            if isinstance(value, str) or not math.isfinite(value):
                self.source.complain((*where, key), f"{value!r}: expected a number to hold the query against")
                value = 0
            limits[f"bad_{key}"] = value
        for key in limits:
            if getattr(spec, key) is not None:
                self.source.complain(
                    (*where, "prometheus", key), f"say it once: here or by `{key[4:]}:` beside it"
                )
        return spec.model_copy(update=limits)

    # --- what the values say -----------------------------------------------------------------

    def _share(self, text: str, place: Where, expected: str) -> int:
        match = _ABOVE.match(text)
        try:
            return ratio_ppm(match[1] if match else None)
        except ValueError:
            hint = (
                expected if " " in expected and expected.startswith("expected") else f"expected `{expected}`"
            )
            self.source.complain(place, f"{text!r}: {hint}")
            return 0

    def _number(self, text: str, place: Where) -> int:
        match = _ABOVE.match(text)
        if match is None or _NUMBER.match(match[1]) is None:
            self.source.complain(place, f"{text!r}: expected something like `above 500`")
            return 0
        return int(match[1])

    def _at_least_one(self, text: str, place: Where, most: int) -> int:
        number = int(text)
        if not 1 <= number <= most:
            self.source.complain(place, f"{number} samples: expected at least 1 and at most {most}")
        return max(number, 1)

    def _refuse_within(self, item: StopConditionIn, where: Where) -> None:
        if item.within is not None:
            self.source.complain((*where, "within"), "`within:` is for a share, like `bad: above 50%`")

    def _fresh(self, condition: StopCondition, item: StopConditionIn) -> StopCondition:
        """Return the condition with its silence limit; a limit on silence has it already."""
        if condition.silence_ns is not None:
            return condition
        if item.silence is not None:
            return replace(condition, fresh_ns=item.silence)
        slo = self.plan.slos.get(condition.slo or "")
        probes = {probe.name: probe for probe in (*self.probes, *self.own)}
        probe = probes.get(condition.probe or (slo.probe if slo else None) or "")
        if probe is not None:
            return replace(condition, fresh_ns=max(FRESH_NS, 3 * (probe.every_ns + probe.timeout_ns)))
        rates = [load.rate for load in self.plan.load if load.rate]
        five_ns = 5000 * NS // min(rates) if rates else 0
        fresh_ns = max(FRESH_NS, condition.within_ns, condition.for_ns, five_ns)
        return replace(condition, fresh_ns=fresh_ns)


def check_reader(source: Source, where: Where, spec: PrometheusIn | AlertmanagerIn) -> None:
    """Note what is wrong with what is asked of a monitoring system."""
    _check_url(source, (*where, "url"), spec.url)
    if spec.token_env is not None and not re.fullmatch(r"[A-Za-z_]\w*", spec.token_env):
        source.complain((*where, "token_env"), f"{spec.token_env!r}: expected the name of a variable")
    if isinstance(spec, AlertmanagerIn):
        return
    if (spec.query is None) == (spec.alert is None):
        source.complain(where, "exactly one of `query` and `alert` is needed")
        return
    bounds = [key for key in ("bad_above", "bad_below") if getattr(spec, key) is not None]
    for key in bounds:
        if not math.isfinite(getattr(spec, key)):
            source.complain((*where, key), f"{getattr(spec, key)}: expected a finite number")
    if spec.query is not None and not bounds:
        source.complain(
            where,
            "a query needs a limit: `bad_above` or `bad_below` in a probe, `above` or `below` in a condition",
        )
    foreign = [*bounds, "series"] if spec.alert is not None else ["labels"]
    for key in foreign:
        if getattr(spec, key) is not None:
            source.complain((*where, key), f"`{key}` does not go with `{'alert' if spec.alert else 'query'}`")


def _check_url(source: Source, where: Where, url: str) -> None:
    if "${" in url:
        return  # Known only at arming.
    try:
        parts = urlsplit(url)
        ported = parts.port is None or parts.port > 0
    except ValueError:
        parts, ported = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not ported or not url.isprintable():
        source.complain(where, f"{url!r}: expected the base address, like http://127.0.0.1:9090")
    elif parts.username or parts.password:
        source.complain(where, "a password does not belong in a plan: name a variable with `token_env`")
    elif parts.query or parts.fragment:
        source.complain(where, f"{url!r}: expected a base address without `?` and `#`")


def _try_duration(text: str) -> int | None:
    try:
        return duration_ns(text)
    except ValueError:
        return None
