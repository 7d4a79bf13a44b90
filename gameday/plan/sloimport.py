"""SLOs of other tools' files, made into probes, SLOs and stop conditions of a plan.

    slos_from:
      - {file: slos/orders.yaml, prometheus: "http://127.0.0.1:9090", every: 5s, over: 1m, window: 1m}

Each objective becomes a probe on Prometheus (is the share of errors over the last `over` within the budget)
and an SLO over that probe with the file's target; each page alert becomes a stop condition on the burn
rate, with the file's windows and factors. The queries stand in the plan, so its digest covers them; the
file's own digest is noted too. What a file asks for and is not supported is refused, where it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from gameday.errors import PlanError
from gameday.plan.border import validate
from gameday.plan.files import Files
from gameday.plan.schema import PlanIn, ProbeIn, PrometheusIn, SloIn, StopConditionIn
from gameday.plan.schema_slos import SlosFromIn
from gameday.plan.sloopen import OpenSlo
from gameday.plan.slosloth import UNSUPPORTED, SlothIn, SlothResourceIn, slos_of
from gameday.plan.slowords import Burn, ImportedSlo, over
from gameday.plan.source import Source, Where, read_documents

PPM = 1_000_000
NO_WINDOW = (
    "its queries hold no `{{.window}}`, so its alerts cannot be asked over their windows: say `alerts: none`"
)


def with_imported(plan: PlanIn, source: Source, files: Files) -> tuple[PlanIn, tuple[str, ...]]:
    """Return the plan with what its `slos_from` brings along, and the files by digest."""
    probes, slos = dict(plan.probes), dict(plan.slos)
    stops, digests = list(plan.stop_conditions), []
    for number, item in enumerate(plan.slos_from):
        where: Where = ("slos_from", number)
        path = files.find(source, (*where, "file"), item.file)
        if path is None:
            continue
        try:
            documents = [one for part in read_documents(path, item.file) for one in _apart(part)]
            digests.append(f"{item.file} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        except PlanError as error:
            files.sources.append(Source(item.file, problems=list(error.problems)))
            continue
        files.sources += documents
        found = _read(documents)
        there = {slo.name for _, slo in found}
        for name in item.only:
            if name not in there and not any(document.problems for document in documents):
                known = ", ".join(sorted(there)) or "none"
                source.complain((*where, "only"), f"{name!r}: no such SLO in {item.file}; there are {known}")
        for at, slo in found:
            if item.only and slo.name not in item.only:
                continue
            name = re.sub(r"[^a-zA-Z0-9_-]+", "-", slo.name).strip("-_")[:40] or f"slo-{number + 1}"
            if name in probes or name in slos:
                source.complain(
                    where, f"{item.file} brings an SLO {name!r}, and that name is taken: use `only:`"
                )
                continue
            probes[name], slos[name] = _probe(item, slo), _slo(item, slo, name, at)
            stops += _stops(item, slo, name, at)
    update = {"probes": probes, "slos": slos, "stop_conditions": stops}
    return plan.model_copy(update=update), tuple(digests)


# --- reading ---------------------------------------------------------------------------------


def _apart(source: Source) -> list[Source]:
    """Return the documents of a list of them, which OpenSLO's own tools take too, each with its places."""
    if not isinstance(source.data, list):
        return [source]
    return [
        Source(source.file, one, {w[1:]: place for w, place in source.places.items() if w[:1] == (number,)})
        for number, one in enumerate(source.data)
    ]


def _read(documents: list[Source]) -> list[tuple[Source, ImportedSlo]]:
    """Return the SLOs of all documents of one file."""
    open_slo = OpenSlo()
    found: list[tuple[Source, ImportedSlo]] = []
    for source in documents:
        data = source.data if isinstance(source.data, dict) else {}
        api = str(data.get("apiVersion", ""))
        if api.startswith("openslo"):
            open_slo.add(source)
        elif api.startswith("sloth.slok.dev"):
            found += _sloth(source, SlothResourceIn, ("spec",))
        elif data.get("version") == "prometheus/v1":
            found += _sloth(source, SlothIn, ())
        else:
            source.complain(
                (), "expected apiVersion openslo/v1, version prometheus/v1 (sloth) or its resource"
            )
    return [*found, *open_slo.slos()]


def _sloth(source: Source, model: Any, root: Where) -> Iterator[tuple[Source, ImportedSlo]]:
    for where in list(source.places):
        if (
            where
            and where[-1] in UNSUPPORTED
            and (len(where) < 3 or where[-3] == "slos" or where[-2] == "sli")
        ):
            source.complain(where, UNSUPPORTED[str(where[-1])])
    if source.problems:
        return
    written = validate(model, source)
    if written is not None:
        spec = written.spec if root else written
        yield from ((source, slo) for slo in slos_of(spec, source, root))


# --- making ----------------------------------------------------------------------------------


def _probe(item: SlosFromIn, slo: ImportedSlo) -> ProbeIn:
    if slo.value:
        limits = {"bad_above": slo.at_most} if slo.at_most is not None else {"bad_below": slo.at_least}
    else:
        target = slo.target if slo.slice_target is None else slo.slice_target
        limits = {"bad_above": round(1 - target, 12)}
    asked = _asked(item, over(slo.value or slo.errors, item.over), limits)
    return ProbeIn.model_construct(prometheus=asked, every=item.every, timeout=item.timeout)


def _slo(item: SlosFromIn, slo: ImportedSlo, name: str, at: Source) -> SloIn:
    objective_ppm = round(slo.target * PPM)
    if not 0 < objective_ppm < PPM:
        at.complain(slo.where, f"a target of {slo.target} cannot be told from 0 or 100 %")
    return SloIn.model_construct(probe=name, objective=objective_ppm, window=item.window)


def _stops(item: SlosFromIn, slo: ImportedSlo, name: str, at: Source) -> Iterator[StopConditionIn]:
    wanted = [burn for burn in slo.burns if item.alerts == "all" or (item.alerts == "page" and burn.is_page)]
    if wanted and not slo.moves:
        at.complain(slo.where, NO_WINDOW)
        return
    for burn in wanted:
        query, limit = _burn_query(slo, burn)
        yield StopConditionIn.model_construct(
            name=f"{name}-{re.sub(r'[^a-zA-Z0-9_-]+', '-', burn.name)[:20]}",
            prometheus=_asked(item, query, {"bad_above": limit}),
            lasting=burn.for_ns or None,
            every=item.every,
            timeout=item.timeout,
            then="halt" if burn.is_page else "warn",
        )
    if item.budget_spent is not None:
        yield StopConditionIn.model_construct(
            name=f"{name}-budget",
            slo=name,
            budget_spent=f"above {item.budget_spent / 10_000:g}%",
            of=slo.period_ns,
        )


def _burn_query(slo: ImportedSlo, burn: Burn) -> tuple[str, float]:
    """Return the query of a burn rate and the value it must not pass.

    Over two windows it gives 1 where both are beyond, and NaN, which is unreadable, where either was not
    measured: a comparison alone would call NaN fine.
    """
    limit = float(f"{burn.rate * (1 - slo.target):.9g}")
    long = f"({over(slo.errors, burn.long_ns)})"
    if burn.short_ns is None:
        return long, limit
    short = f"({over(slo.errors, burn.short_ns)})"
    return f"({long} > bool {limit:g}) * ({short} > bool {limit:g}) + 0 * ({long} + {short})", 0.0


def _asked(item: SlosFromIn, query: str, limits: dict[str, Any]) -> PrometheusIn:
    return PrometheusIn(url=item.prometheus, query=query, token_env=item.token_env, **limits)
