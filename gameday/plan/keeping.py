"""How the record of a drill is kept, as the operator's policy says it: stamped, held, sent away."""

from __future__ import annotations

from dataclasses import dataclass

YEARS = 7
CLASS = "dr-evidence"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Empty texts mean: none, or the usual place. `register` is an absolute path, `sink` an s3:// URL."""

    stamp_url: str = ""
    stamps_required: bool = False
    retention_class: str = CLASS
    retention_years: int = YEARS
    legal_hold: bool = False
    sink: str = ""
    sink_endpoint: str = ""
    seal: bool = False
    register: str = ""


USUAL = Keeping()
