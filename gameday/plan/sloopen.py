"""OpenSLO v1: SLO, SLI, DataSource, AlertPolicy and AlertCondition, in one file of one or many documents.

Source: OpenSLO specification, `openslo/v1`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import Field

from gameday.plan.border import validate
from gameday.plan.shape import Part
from gameday.plan.slowords import Burn, ImportedSlo, counted, window_ns
from gameday.plan.source import Source, Where

UNSUPPORTED = {
    "calendar": "a budget that begins anew each month or year: only rolling windows are supported",
    "compositeWeight": "an SLO made of several indicators: import each as an SLO of its own",
    "indicator_in_objective": "an SLO made of several indicators: import each as an SLO of its own",
    "RatioTimeslices": "the mean of the slices' ratios is not carried: use Timeslices or Occurrences",
}
M = TypeVar("M", bound=Part)
_PASSED_OVER = ("Service", "AlertNotificationTarget")
_QUERY_KEYS = ("query", "promql")


class SourceIn(Part):
    """Where a metric comes from."""

    ref: str | None = Field(default=None, alias="metricSourceRef")
    kind: str | None = Field(default=None, alias="type")
    spec: dict[str, Any] = Field(default_factory=dict)


class MetricIn(Part):
    """One metric."""

    source: SourceIn = Field(alias="metricSource")


class RatioIn(Part):
    """Good or bad of all, or the share itself."""

    counter: bool = False
    good: MetricIn | None = None
    bad: MetricIn | None = None
    total: MetricIn | None = None
    raw_type: Literal["success", "failure"] | None = Field(default=None, alias="rawType")
    raw: MetricIn | None = None


class SliSpecIn(Part):
    """A share or a value."""

    description: str = ""
    threshold: MetricIn | None = Field(default=None, alias="thresholdMetric")
    ratio: RatioIn | None = Field(default=None, alias="ratioMetric")


class InlineSliIn(Part):
    """An SLI in its SLO."""

    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: SliSpecIn


class TimeWindowIn(Part):
    """The period of the budget."""

    duration: str
    is_rolling: bool = Field(default=True, alias="isRolling")


class ObjectiveIn(Part):
    """One target."""

    display_name: str = Field(default="", alias="displayName")
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: int | float | None = None
    target: int | float | None = Field(default=None, gt=0, lt=1)
    target_percent: int | float | None = Field(default=None, alias="targetPercent", gt=0, lt=100)
    slice_target: int | float | None = Field(default=None, alias="timeSliceTarget", gt=0, le=1)
    slice_window: str | None = Field(default=None, alias="timeSliceWindow")


class SloSpecIn(Part):
    """One SLO."""

    description: str = ""
    service: str
    indicator: InlineSliIn | None = None
    indicator_ref: str | None = Field(default=None, alias="indicatorRef")
    windows: list[TimeWindowIn] = Field(alias="timeWindow", min_length=1, max_length=1)
    method: Literal["Occurrences", "Timeslices"] = Field(alias="budgetingMethod")
    objectives: list[ObjectiveIn] = Field(min_length=1, max_length=20)
    policies: list[dict[str, Any] | str] | None = Field(default=None, alias="alertPolicies")


class ConditionIn(Part):
    """When a budget burns too fast."""

    kind: str
    threshold: int | float = Field(gt=0)
    lookback: str = Field(alias="lookbackWindow")
    after: str = Field(default="0m", alias="alertAfter")
    op: Literal["gt", "gte", "lte", "lt"] = "gt"


class ConditionSpecIn(Part):
    """An alert condition."""

    description: str = ""
    severity: str = "page"
    condition: ConditionIn


class DocumentIn(Part):
    """What every kind shares."""

    api: Literal["openslo/v1"] = Field(alias="apiVersion")
    kind: Literal[
        "SLO", "SLI", "DataSource", "AlertPolicy", "AlertCondition", "Service", "AlertNotificationTarget"
    ]
    metadata: dict[str, Any]
    spec: dict[str, Any]


@dataclass(slots=True)
class OpenSlo:
    """The documents of one file, by kind and name."""

    documents: dict[tuple[str, str], Source] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Take in one document."""
        written = validate(DocumentIn, source)
        if written is None or written.kind in _PASSED_OVER:
            return
        self.documents[written.kind, str(written.metadata.get("name", ""))] = source

    def slos(self) -> list[tuple[Source, ImportedSlo]]:
        """Return all SLOs, noting what cannot be carried."""
        found = []
        for (kind, name), source in self.documents.items():
            if kind == "SLO":
                found += [(source, slo) for slo in self._slo(name, source)]
        return found

    # --- one SLO -----------------------------------------------------------------------------

    def _slo(self, name: str, source: Source) -> list[ImportedSlo]:
        _refuse(source)
        spec = _part(SloSpecIn, source, ("spec",))
        if spec is None or source.problems:
            return []
        if not spec.windows[0].is_rolling:
            source.complain(("spec", "timeWindow", 0, "isRolling"), UNSUPPORTED["calendar"])
        period_ns = _window(source, ("spec", "timeWindow", 0, "duration"), spec.windows[0].duration)
        at = self._indicator(spec, source)
        if at is None:
            return []
        sli_source, sli_where, sli = at
        burns = tuple(
            burn
            for number, one in enumerate(spec.policies or [])
            for burn in self._policy(one, source, number)
        )
        found = []
        for number, goal in enumerate(spec.objectives):
            where: Where = ("spec", "objectives", number)
            made = self._objective(
                name if len(spec.objectives) == 1 else f"{name}-{number + 1}",
                goal, spec, (sli_source, sli_where, sli), source, where,
            )  # fmt: skip
            if made is not None:
                found.append(ImportedSlo(**{**made, "period_ns": period_ns, "burns": burns, "where": where}))
        return found

    def _indicator(self, spec: SloSpecIn, source: Source) -> tuple[Source, Where, SliSpecIn] | None:
        if (spec.indicator is None) == (spec.indicator_ref is None):
            source.complain(("spec",), "exactly one of `indicator` and `indicatorRef` is needed")
            return None
        if spec.indicator is not None:
            return source, ("spec", "indicator", "spec"), spec.indicator.spec
        other = self.documents.get(("SLI", spec.indicator_ref or ""))
        if other is None:
            source.complain(
                ("spec", "indicatorRef"), f"{spec.indicator_ref!r}: there is no such SLI in this file"
            )
            return None
        sli = _part(SliSpecIn, other, ("spec",))
        return None if sli is None else (other, ("spec",), sli)

    def _objective(
        self, name: str, goal: ObjectiveIn, spec: SloSpecIn, at: tuple[Source, Where, SliSpecIn],
        source: Source, where: Where,
    ) -> dict[str, Any] | None:  # fmt: skip
        if (goal.target is None) == (goal.target_percent is None):
            source.complain(where, "exactly one of `target` and `targetPercent` is needed")
            return None
        target = goal.target if goal.target is not None else (goal.target_percent or 0) / 100
        is_sliced = spec.method == "Timeslices"
        sli_source, sli_where, sli = at
        if (sli.threshold is None) == (sli.ratio is None):
            sli_source.complain(sli_where, "exactly one of `thresholdMetric` and `ratioMetric` is needed")
            return None
        if sli.threshold is not None:
            return self._threshold(name, goal, target, at, source, where)
        assert sli.ratio is not None
        if is_sliced and goal.slice_target is None:
            source.complain(where, "`Timeslices` needs a `timeSliceTarget`")
        errors = self._errors(sli.ratio, sli_source, (*sli_where, "ratioMetric"))
        sliced = goal.slice_target if is_sliced else None
        return {"name": name, "target": target, "errors": errors, "slice_target": sliced}

    def _threshold(
        self, name: str, goal: ObjectiveIn, target: float, at: tuple[Source, Where, SliSpecIn],
        source: Source, where: Where,
    ) -> dict[str, Any] | None:  # fmt: skip
        sli_source, sli_where, sli = at
        if goal.op is None or goal.value is None:
            source.complain(where, "a `thresholdMetric` needs `op` and `value`")
            return None
        if goal.op in ("lt", "gt"):
            source.complain((*where, "op"), f"`{goal.op}` is not supported: write `{goal.op}e`")
            return None
        assert sli.threshold is not None
        query = self._query(sli.threshold, sli_source, (*sli_where, "thresholdMetric"))
        key = "at_most" if goal.op == "lte" else "at_least"
        return {"name": name, "target": target, "value": query, key: float(goal.value)}

    def _errors(self, ratio: RatioIn, source: Source, where: Where) -> str:
        parts: dict[str, str] = {}
        for key in ("good", "bad", "total", "raw"):
            metric = getattr(ratio, key)
            if metric is not None:
                query = self._query(metric, source, (*where, key))
                parts[key] = counted(query, source, (*where, key)) if ratio.counter else query
        match sorted(parts):
            case ["good", "total"]:
                return f"1 - ({parts['good']}) / ({parts['total']})"
            case ["bad", "total"]:
                return f"({parts['bad']}) / ({parts['total']})"
            case ["raw"] if ratio.raw_type is not None:
                return f"({parts['raw']})" if ratio.raw_type == "failure" else f"1 - ({parts['raw']})"
            case _:
                there = ", ".join(sorted(parts)) or "nothing"
                source.complain(
                    where, f"has {there}: expected good and total, bad and total, or raw with rawType"
                )
                return ""

    def _query(self, metric: MetricIn, source: Source, where: Where) -> str:
        at, place = metric.source, (*where, "metricSource")
        kind = at.kind
        if kind is None and at.ref is not None:
            other = self.documents.get(("DataSource", at.ref))
            kind = str((other.data["spec"] or {}).get("type", "")) if other is not None else None
        if kind is None or kind.lower() != "prometheus":
            said = f"{kind!r}" if kind else "not said, and no DataSource in this file says it"
            source.complain(place, f"the type of its source is {said}: only Prometheus is supported")
            return ""
        keys = [key for key in _QUERY_KEYS if isinstance(at.spec.get(key), str)]
        if len(keys) != 1 or len(at.spec) != 1:
            source.complain((*place, "spec"), f"expected one key, {' or '.join(_QUERY_KEYS)}, with the query")
            return ""
        return str(at.spec[keys[0]]).strip()

    # --- alerts ------------------------------------------------------------------------------

    def _policy(self, item: dict[str, Any] | str, source: Source, number: int) -> list[Burn]:
        where: Where = ("spec", "alertPolicies", number)
        name = item if isinstance(item, str) else item.get("alertPolicyRef")
        root: Where = where
        at, data = source, item
        if name is not None:
            other = self.documents.get(("AlertPolicy", str(name)))
            if other is None:
                source.complain(where, f"{name!r}: there is no such AlertPolicy in this file")
                return []
            at, data, root = other, other.data, ()
        assert isinstance(data, dict)
        spec = data.get("spec") or {}
        conditions = spec.get("conditions") if isinstance(spec, dict) else None
        if not isinstance(conditions, list):
            at.complain((*root, "spec"), "an AlertPolicy needs a list of `conditions`")
            return []
        found = []
        for place, one in enumerate(conditions):
            burn = self._condition(one, at, (*root, "spec", "conditions", place))
            found += [burn] if burn is not None else []
        return found

    def _condition(self, item: Any, source: Source, where: Where) -> Burn | None:
        at, root = source, where
        if isinstance(item, dict) and "conditionRef" in item:
            other = self.documents.get(("AlertCondition", str(item["conditionRef"])))
            if other is None:
                source.complain(
                    where, f"{item['conditionRef']!r}: there is no such AlertCondition in this file"
                )
                return None
            at, root, item = other, (), other.data
        spec = _part(ConditionSpecIn, at, (*root, "spec"))
        if spec is None:
            return None
        one, place = spec.condition, (*root, "spec", "condition")
        if one.kind.lower() != "burnrate" or one.op not in ("gt", "gte"):
            at.complain(place, "only conditions of kind burnrate with op gt or gte are supported")
            return None
        long_ns = _window(at, (*place, "lookbackWindow"), one.lookback)
        for_ns = 0 if one.after.startswith("0") else _window(at, (*place, "alertAfter"), one.after)
        named = str((item.get("metadata") or {}).get("name") or "burn")
        return Burn(named, float(one.threshold), long_ns, None, for_ns, spec.severity.lower() == "page")


def _refuse(source: Source) -> None:
    """Note what is known and not supported, with its reason, before its key is called unknown."""
    spec = source.data.get("spec") or {}
    for number, window in enumerate(_dicts(spec.get("timeWindow"))):
        if "calendar" in window:
            source.complain(("spec", "timeWindow", number, "calendar"), UNSUPPORTED["calendar"])
    if spec.get("budgetingMethod") == "RatioTimeslices":
        source.complain(("spec", "budgetingMethod"), UNSUPPORTED["RatioTimeslices"])
    for number, goal in enumerate(_dicts(spec.get("objectives"))):
        for key in ("compositeWeight", "indicator", "indicatorRef"):
            if key in goal:
                source.complain(("spec", "objectives", number, key), UNSUPPORTED["indicator_in_objective"])


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _window(source: Source, where: Where, text: str) -> int:
    try:
        return window_ns(text)
    except ValueError as error:
        source.complain(where, str(error))
        return 1


def _part(model: type[M], source: Source, where: Where) -> M | None:
    """Return one part of a document in a model's shape, or note what is wrong, where it stands."""
    data: Any = source.data
    for key in where:
        data = data[int(key)] if isinstance(data, list) else (data or {}).get(key)
    return validate(model, source, where, data)
