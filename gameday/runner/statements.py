"""What a person signs at a gate, made and shown the same way by the command line and the web console."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gameday.errors import UsageError
from gameday.plan.approvals import NAMESPACE, Statement, Subject, is_principal
from gameday.plan.units import as_text, duration_ns


def make_statement(
    subject: Subject,
    *,
    principal: str,
    role: str,
    lasting: str,
    asked_as: tuple[str, str, str] = ("name", "role", "time"),
) -> Statement:
    """Return the statement that `principal` signs as `role`, from now on for `lasting` (like `24h`).

    `asked_as` is what the three are called where a person typed them.

    Raises:
        UsageError: A name is none that allowed_signers could hold, or the time is no duration.
    """
    for what, name in zip(asked_as, (principal, role), strict=False):
        if not is_principal(name):
            raise UsageError(
                f"{what} {name!r}: expected a name as in allowed_signers: letters, digits and . _ @ + -"
            )
    try:
        lasting_ns = duration_ns(lasting)
    except ValueError as error:
        raise UsageError(f"{asked_as[2]}: {error}") from error
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        until = now + timedelta(microseconds=lasting_ns // 1000)
    except OverflowError as error:
        raise UsageError(f"{asked_as[2]} {lasting}: ends beyond the calendar") from error
    return Statement(
        subject=subject, principal=principal, role=role, given_utc=_utc(now), expires_utc=_utc(until)
    )


def statement_lines(statement: Statement) -> Iterator[str]:
    """Yield what a person puts their name to, in lines to read before they sign."""
    subject = statement.subject
    select = ", ".join(f"{key}={value}" for key, value in subject.select) or "any"
    yield f"{statement.principal} approves as {statement.role}, until {statement.expires_utc}:"
    yield f"  plan         {subject.plan}, digest {subject.plan_sha256}"
    if subject.policy_sha256:
        yield f"  policy       digest {subject.policy_sha256}"
    yield f"  environment  {subject.environment}"
    yield f"  touches      {subject.caps} ({select}), for at most {as_text(subject.duration_ns)}"
    if subject.run:
        yield f"  run          {subject.run}, gate {subject.gate}"
        yield f"  targets      {', '.join(subject.targets) or 'none'}, frozen"


def sign_command(file: str, key: str = "KEY") -> str:
    """Return the command that signs `file` anywhere, without gameday."""
    return f"ssh-keygen -Y sign -n {NAMESPACE} -f {key} {file}"


def _utc(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
