"""Is enough of a service's error budget left for a drill of it? Asked before anything is touched.

A drill spends budget on purpose. What cannot be read is not known to be left, so it refuses the start as
a budget that is spent does.
"""

from __future__ import annotations

from collections.abc import Iterator

from gameday.evidence.words import percent
from gameday.history.events import Reading
from gameday.hosts.prometheus import monitoring_reader
from gameday.plan.model import Plan, ProbeKind
from gameday.plan.policy import BudgetFloor, Rules
from gameday.runner.preflight import BAD, OK, Check

ASK_MAX_S = 5.0
ANY = "*"


def budgets(plan: Plan, rules: Rules, today: str) -> Iterator[Check]:
    """Yield a check for each floor that holds for the plan's service; one request for each of Prometheus.

    Args:
        plan: Its service, and those of its objectives, are what the drill is of.
        rules: Those of its environment.
        today: YYYY-MM-DD.
    """
    services = {plan.service, *(objective.service for objective in plan.objectives)}
    for floor in rules.error_budget:
        if floor.service in services or floor.service == ANY:
            yield _check(floor, today)


def _check(floor: BudgetFloor, today: str) -> Check:
    name = f"error budget of {floor.service}"
    aim = f"the policy's floor is {percent(floor.floor_ppm)}"
    if floor.left_ppm is not None:
        if floor.until < today:
            todo = "Look again, and write what is left now."
            return Check(name, BAD, f"was given by hand, until {floor.until}: not known today", todo)
        said = f"{percent(floor.left_ppm)} left, as given until {floor.until}; {aim}"
        return Check(name, OK if floor.left_ppm >= floor.floor_ppm else BAD, said, _WAIT)
    spec = {"url": floor.url, "query": floor.query, "bad_below": floor.floor_ppm / 1e6}
    if floor.token_env:
        spec["token_env"] = floor.token_env
    reading, detail = monitoring_reader(ProbeKind.PROMETHEUS, spec, ASK_MAX_S)()
    if reading is Reading.UNREADABLE:
        todo = "Mend the query or the monitoring: a budget that cannot be read is not known to be left."
        return Check(name, BAD, f"cannot be read: {detail}", todo)
    if reading is Reading.GOOD:
        return Check(name, OK, f"enough is left; {aim}")
    return Check(name, BAD, f"left: {detail}; {aim}", _WAIT)


_WAIT = "Wait until the service has earned it back, or have the rule waived, with a name and a reason."
