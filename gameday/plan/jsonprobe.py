"""What a plan may ask of a JSON answer, checked before anything is asked."""

from __future__ import annotations

import math

from gameday.plan.schema import HttpIn
from gameday.plan.source import Source, Where


def check_json(source: Source, where: Where, spec: HttpIn) -> None:
    """Note what is wrong with what is expected of a JSON answer."""
    if spec.json_ is None:
        return
    place = (*where, "json")
    if spec.contains is not None:
        source.complain(
            (*where, "contains"), "`contains` does not go with `json`, which looks into the answer"
        )
    if spec.method == "HEAD":
        source.complain((*where, "method"), "an answer to HEAD has no body for `json` to look into")
    if any(not part for part in spec.json_.path.split(".")):
        source.complain(
            (*place, "path"), f"{spec.json_.path!r}: expected keys and numbers with dots, like a.0.b"
        )
    bounds = {key: getattr(spec.json_, key) for key in ("bad_above", "bad_below")}
    given = {key: value for key, value in bounds.items() if value is not None}
    for key, value in given.items():
        if not math.isfinite(value):
            source.complain((*place, key), f"{value}: expected a finite number")
    if bool(given) == (spec.json_.equals is not None):
        source.complain(place, "expected `bad_above` and `bad_below`, one of them, or `equals`")
