"""What several parts of a policy file are made of. Plans are read without it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"{text!r}: expected a date like 2026-12-24") from None


CalendarDay = Annotated[str, AfterValidator(_date)]
