"""The part of a policy file that says how records are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gameday.plan.keeping import CLASS, YEARS, Keeping
from gameday.plan.shape import Key, Part

YEARS_MAX = 99
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?\Z")


def _web(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r}: expected an http or https URL")
    if parts.username or parts.password or parts.query:
        raise ValueError("the URL must hold no name, password or query: the policy stands in every record")
    return text


def bucket(text: str) -> str:
    """Return an s3:// URL of a bucket and a prefix.

    Raises:
        ValueError: It is none.
    """
    if not _BUCKET.match(text) or ".." in text:
        raise ValueError(f"{text!r}: expected a bucket and a prefix like s3://evidence/payments")
    return text.rstrip("/")


def _absolute(text: str) -> str:
    if not Path(text).is_absolute():
        raise ValueError(f"{text!r}: expected an absolute path")
    return text


Web = Annotated[str, AfterValidator(_web)]


class TimeStampsIn(Part):
    """Which time stamp authority (RFC 3161) is asked, and whether a drill begins without it."""

    url: Web
    required: bool = False


class RetentionIn(Part):
    """For how long sealed records are held, and whether a court or regulator wants them kept."""

    of: Key = Field(default=CLASS, alias="class")
    years: int = Field(default=YEARS, ge=1, le=YEARS_MAX)
    legal_hold: bool = False


class SinkIn(Part):
    """A bucket with Object Lock that sealed records are sent to."""

    to: Annotated[str, AfterValidator(bucket)]
    endpoint_url: Web | None = None


class KeepingIn(Part):
    """What a policy may say about the record."""

    time_stamps: TimeStampsIn | None = None
    retention: RetentionIn = Field(default_factory=RetentionIn)
    sink: SinkIn | None = None
    seal: bool = False
    register_: Annotated[str, AfterValidator(_absolute)] = Field(default="", alias="register")


def keeping(written: KeepingIn) -> Keeping:
    """Return what a policy says about the record."""
    stamps, sink, held = written.time_stamps, written.sink, written.retention
    return Keeping(
        stamp_url=stamps.url if stamps else "",
        stamps_required=stamps.required if stamps else False,
        retention_class=held.of,
        retention_years=held.years,
        legal_hold=held.legal_hold,
        sink=sink.to if sink else "",
        sink_endpoint=(sink.endpoint_url or "") if sink else "",
        seal=written.seal,
        register=written.register_,
    )
