"""A record of `chaos run` that nobody can change unseen: each event on disk, in a chain, as it happens.

    {"name": "evidence", "provider": {"type": "python", "module": "gameday.chaostoolkit.evidence",
        "arguments": {"service": "orders", "seal": true}}}

Arguments: `objectives` (as in a plan; `measured_by` names a probe of the guard), `service`, `environment`,
`scenario`, `author`, `owner`, `change_ticket`, `operator`; `folder`, where the run folder is put; `seal`,
which makes the bundle that `gameday verify` checks.
"""

from __future__ import annotations

from typing import Any

from gameday.chaostoolkit import link, telling

__all__ = [
    "after_activity_control",
    "after_experiment_control",
    "after_hypothesis_control",
    "after_rollback_control",
    "before_activity_control",
    "before_experiment_control",
    "before_hypothesis_control",
    "before_method_control",
    "before_rollback_control",
    "cleanup_control",
    "validate_control",
]
Context = Any


def validate_control(control: dict[str, Any]) -> None:
    """Check the arguments, as `chaos validate` asks."""
    telling.check(control, __name__)


def before_experiment_control(
    context: Context,
    experiment: dict[str, Any],
    configuration: dict[str, Any] | None = None,
    secrets: dict[str, Any] | None = None,
    **_: Any,
) -> None:
    """Start."""
    telling.begin(__name__, experiment or context, configuration, secrets)


def before_hypothesis_control(context: Context, **_: Any) -> None:  # noqa: ARG001 - as chaoslib calls it
    """The gate, or a look between or after."""
    telling.tell(__name__, "phase", phase="baseline", reason="the hypothesis is looked at")


def after_hypothesis_control(context: Context, state: Any = None, **_: Any) -> None:  # noqa: ARG001 - as above
    """What it said."""
    telling.hypothesis(__name__, state)


def before_method_control(context: Context, **_: Any) -> None:  # noqa: ARG001 - as above
    """From here on a breach halts."""
    telling.tell(__name__, "phase", phase="running", reason="the method begins")


def before_activity_control(context: Context, experiment: dict[str, Any], **_: Any) -> None:
    """On disk before its effect."""
    telling.started(__name__, context, experiment)


def after_activity_control(context: Context, experiment: dict[str, Any], state: Any = None, **_: Any) -> None:
    """How it ended."""
    telling.ended(__name__, context, state, experiment)


def before_rollback_control(context: Context, **_: Any) -> None:  # noqa: ARG001 - as above
    """From here on nothing halts: an undo must not be interrupted."""
    telling.tell(__name__, "phase", phase="undoing", reason="chaos plays its rollbacks")


def after_rollback_control(context: Context, state: Any = None, **_: Any) -> None:  # noqa: ARG001 - as above
    """Whether they did their work."""
    telling.rolled_back(__name__, state)


def after_experiment_control(context: Context, state: Any = None, **_: Any) -> None:  # noqa: ARG001 - as above
    """Finish the record; play the rollbacks if `chaos` did not."""
    telling.finish(__name__, state)


def cleanup_control() -> None:
    """Let the companion go, however this ended. Without its end it undoes."""
    link.end()
