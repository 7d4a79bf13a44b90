"""A guard over `chaos run`: probes at a fixed rate, limits, and an end within moments of a breach.

    {"name": "guard", "provider": {"type": "python", "module": "gameday.chaostoolkit.guard", "arguments": {
        "probes": {"users": {"http": {"url": "http://127.0.0.1:80/"}, "every": "100ms", "timeout": "400ms"}},
        "stop_conditions": [{"probe": "users", "bad": "3 in a row"}]}}}

Probes, SLOs, stop conditions and steady state are written as in a plan of gameday. More arguments:
`patience` (2s) is how long `chaos` may take to react; then it is killed and its rollbacks are played by
the companion, unless `when_stuck` is `wait`. `rollbacks: as-chaos` leaves it to `chaos` whether they are
played (`--rollback-strategy`); otherwise they always are. `rollback_timeout` (60s) holds for those played
by the companion.
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
