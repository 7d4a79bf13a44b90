"""sloth's SLO files: `version: prometheus/v1`, and its Kubernetes resource `sloth.slok.dev/v1`.

Its alerts are the ones of the SRE Workbook: a page when 2 % of the budget would be gone in an hour or 5 %
in six, a ticket when 10 % would be in a day or in three; each also over a twelfth of the window. The
period of the budget is 30 days, which sloth sets on its command line and not in the file.

Source: sloth, "Specs", prometheus/v1 and PrometheusServiceLevel; Google SRE Workbook, ch. 5, table 5-8.
"""

from typing import Any

from pydantic import Field

from gameday.plan.shape import Part
from gameday.plan.slowords import DAY_NS, HOUR_NS, Burn, ImportedSlo
from gameday.plan.source import Source, Where

PERIOD_NS = 30 * DAY_NS
_SHARES = (
    ("page-quick", 0.02, HOUR_NS, True),
    ("page-slow", 0.05, 6 * HOUR_NS, True),
    ("ticket-quick", 0.10, DAY_NS, False),
    ("ticket-slow", 0.10, 3 * DAY_NS, False),
)
UNSUPPORTED = {
    "plugin": "an SLI plugin is a program of sloth's: write the queries it makes as `events` or `raw`",
    "slo_plugins": "plugins change what sloth makes of an SLO, and are not run here",
    "plugins": "plugins change what sloth makes of an SLO, and are not run here",
}


class EventsIn(Part):
    """Errors and all events."""

    error_query: str = Field(alias="errorQuery")
    total_query: str = Field(alias="totalQuery")


class RawIn(Part):
    """The share of errors itself."""

    error_ratio_query: str = Field(alias="errorRatioQuery")


class SliIn(Part):
    """Exactly one of the two."""

    events: EventsIn | None = None
    raw: RawIn | None = None


class AlertIn(Part):
    """An alert, which may be switched off."""

    disable: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class AlertingIn(Part):
    """What sloth makes alerts of."""

    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    page_alert: AlertIn = Field(default_factory=AlertIn, alias="pageAlert")
    ticket_alert: AlertIn = Field(default_factory=AlertIn, alias="ticketAlert")


class SlothSloIn(Part):
    """One SLO."""

    name: str = Field(min_length=1)
    objective: int | float = Field(gt=0, lt=100)
    description: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    interval: dict[str, str] = Field(default_factory=dict)  # of the rules that sloth makes
    sli: SliIn
    alerting: AlertingIn = Field(default_factory=AlertingIn)


class SlothIn(Part):
    """A whole file, or the `spec` of the Kubernetes resource."""

    version: str = ""
    service: str
    labels: dict[str, str] = Field(default_factory=dict)
    slos: list[SlothSloIn] = Field(min_length=1, max_length=100)


class SlothResourceIn(Part):
    """The Kubernetes resource."""

    api: str = Field(alias="apiVersion")
    kind: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: SlothIn


def slos_of(written: SlothIn, source: Source, root: Where) -> list[ImportedSlo]:
    """Return the SLOs of one document, noting what cannot be meant."""
    found = []
    for number, item in enumerate(written.slos):
        where: Where = (*root, "slos", number)
        sli = item.sli
        if (sli.events is None) == (sli.raw is None):
            source.complain((*where, "sli"), "exactly one of `events` and `raw` is needed")
            continue
        if sli.events is not None:
            errors = f"({sli.events.error_query.strip()}) / ({sli.events.total_query.strip()})"
        else:
            assert sli.raw is not None
            errors = f"({sli.raw.error_ratio_query.strip()})"
        made = ImportedSlo(
            item.name, item.objective / 100, PERIOD_NS, errors, burns=_burns(item.alerting), where=where
        )
        if not made.moves:
            source.complain((*where, "sli"), "sloth's queries hold `{{.window}}`, and this one does not")
        found.append(made)
    return found


def _burns(alerting: AlertingIn) -> tuple[Burn, ...]:
    return tuple(
        Burn(name, share * PERIOD_NS / window_ns, window_ns, window_ns // 12, 0, is_page)
        for name, share, window_ns, is_page in _SHARES
        if not (alerting.page_alert if is_page else alerting.ticket_alert).disable
    )
