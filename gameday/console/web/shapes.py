"""What the page may send, and what it is answered: the shapes of the API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

NAME_MAX, TEXT_MAX = 60, 1000
SIGNED_MAX = 16 << 10


class Asked(BaseModel):
    """Anything a person asks for, with the name they typed: stored as claimed, never as known."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(default="", max_length=NAME_MAX, description="The name as typed; it is only claimed.")


class HaltRequest(Asked):
    """Halt the run; every fault is taken back."""

    reason: str = Field(default="", max_length=TEXT_MAX)


class NoteRequest(Asked):
    """A note, or one of the three marks."""

    text: str = Field(default="", max_length=TEXT_MAX)
    mark: Literal["", "detected", "acknowledged", "mitigated"] = ""


class StepRequest(Asked):
    """Take a step that is to be done by hand, or say what became of it."""

    step: str = Field(max_length=200)
    outcome: Literal["taken", "done", "failed"]
    note: str = Field(default="", max_length=TEXT_MAX)


class ApprovalRequest(BaseModel):
    """A statement as it was signed, to the byte, and its signature."""

    model_config = ConfigDict(extra="forbid")

    statement: str = Field(max_length=SIGNED_MAX)
    signature: str = Field(max_length=SIGNED_MAX)


class Answer(BaseModel):
    """It was passed on to the run."""

    ok: bool = True
    said: str = ""


class Statement(BaseModel):
    """What is to be signed, what it says, and the commands that sign it."""

    statement: str
    file: str
    lines: list[str]
    sign: str
    alone: str


class Invitation(BaseModel):
    """A link that lets one more person in, once."""

    url: str
    lasting_s: int


class Trouble(BaseModel):
    """Why something was refused, and what to do."""

    error: str
    todo: str = ""
