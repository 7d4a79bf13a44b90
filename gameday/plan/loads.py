"""One load of a plan, as it is written and as the house runs it."""

from __future__ import annotations

import re

from gameday.plan.files import Files
from gameday.plan.generators import check_generators
from gameday.plan.loadoptions import refused_options
from gameday.plan.model import Load, Stage
from gameday.plan.schema_load import LoadIn
from gameday.plan.source import Source, Where

_WAYS = "`rate` (open loop), `users` (closed loop), `stages` and `shape`"


def compile_load(item: LoadIn, where: Where, at: Source, files: Files) -> Load:
    """Return one load; what is wrong with it is noted at `at`."""
    given = {"rate": item.rate is not None, "users": item.users is not None}
    given |= {"stages": bool(item.stages), "shape": item.shape}
    ways = [name for name, is_given in given.items() if is_given]
    if len(ways) != 1:
        found = " and ".join(f"`{way}`" for way in ways) or "none"
        at.complain(where, f"exactly one of {_WAYS} is needed; here is {found}")
    _check_stages(item, where, at)
    _check_loop(item, where, at)
    check_generators(item, where, at)
    for number, said in refused_options(item.options):
        at.complain((*where, "options", number), said)
    name = item.name or re.sub(r"[^\w-]+", "-", item.profile.rpartition("/")[2].removesuffix(".py"))
    return Load(
        name=name,
        profile=item.profile,
        profile_sha256=files.digest(at, (*where, "profile"), item.profile),
        rate_per_1000s=item.rate,
        users=item.users,
        host=item.host,
        max_users=item.max_users,
        options=tuple(item.options),
        arrivals=item.arrivals,
        seed=item.seed,
        stages=tuple(Stage(stage.over, stage.rate, stage.users) for stage in item.stages),
        shape=item.shape,
        timeout_ns=item.timeout,
        trace=item.trace,
        processes=item.processes,
        workers=item.workers.expect if item.workers else 0,
        bind=item.workers.bind if item.workers else "",
    )


def _check_stages(item: LoadIn, where: Where, at: Source) -> None:
    kinds = set()
    for number, stage in enumerate(item.stages):
        if (stage.rate is None) == (stage.users is None):
            at.complain((*where, "stages", number), "exactly one of `rate` and `users` is needed")
        kinds.add("users" if stage.rate is None else "rate")
    if len(kinds) > 1:
        said = "some have a `rate` and some `users`: a load is an open loop or a closed one, not both"
        at.complain((*where, "stages"), said)
    elif item.stages and not any(stage.rate or stage.users for stage in item.stages):
        at.complain((*where, "stages"), "every one of them is 0: there would be no load")


def _check_loop(item: LoadIn, where: Where, at: Source) -> None:
    """What only arrivals have means nothing where users decide when they come back."""
    if item.rate is not None or any(stage.rate is not None for stage in item.stages):
        return
    given = item.model_fields_set
    for key in ("arrivals", "max_users", "seed"):
        if key in given:
            at.complain((*where, key), f"`{key}` is for arrivals at a `rate`; users come back when they can")
