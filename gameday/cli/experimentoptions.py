"""The options of a Chaos Toolkit experiment: those of `chaos run`, its environment, and how strictly."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gameday.plan.experiment import Options

ROLLBACKS = ("default", "always", "never", "deviated")
HYPOTHESES = (
    "default", "before-method-only", "after-method-only", "during-method-only", "continuously", "continously",
)  # fmt: skip
DRY = ("probes", "actions", "activities", "pause")
EXPERIMENT: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--environment",),
        {
            "metavar": "NAME",
            "default": "",
            "help": "of an experiment: where it runs (the policy's, else lab)",
        },
    ),
    (
        ("--rollback-strategy",),
        {"choices": ROLLBACKS, "default": "", "help": "of an experiment: when rollbacks are played"},
    ),
    (
        ("--hypothesis-strategy",),
        {"choices": HYPOTHESES, "default": "", "help": "of an experiment: when its hypothesis is looked at"},
    ),
    (
        ("--hypothesis-frequency",),
        {
            "metavar": "S",
            "type": float,
            "default": 1.0,
            "help": "of an experiment: seconds between two looks",
        },
    ),
    (
        ("--fail-fast",),
        {"action": "store_true", "help": "of an experiment: end it as soon as a look during it fails"},
    ),
    (
        ("--var",),
        {
            "metavar": "KEY=VALUE",
            "action": "append",
            "default": [],
            "help": "of an experiment: configuration",
        },
    ),
    (
        ("--var-file",),
        {
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "of an experiment: values from a file",
        },
    ),
    (
        ("--dry",),
        {
            "choices": DRY,
            "default": "",
            "help": "of an experiment: leave out its probes, actions, activities or pauses",
        },
    ),
    (
        ("--control-file",),
        {
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "of an experiment: controls beside its own",
        },
    ),
    (
        ("--settings",),
        {
            "metavar": "FILE",
            "default": "",
            "help": "of an experiment: Chaos Toolkit's settings file; its controls and runtime count",
        },
    ),
    (
        ("--compat",),
        {"action": "store_true", "help": "of an experiment: as `chaos run` does it, to the letter"},
    ),
)


def options_of(asked: argparse.Namespace) -> Options:
    """Return what the command line says of an experiment.

    Raises:
        UsageError: The pace of the hypothesis is not above zero.
    """
    from gameday.errors import UsageError  # noqa: PLC0415 - `--help` must not wait for it
    from gameday.plan.experiment import Options  # noqa: PLC0415

    if not 0 < asked.hypothesis_frequency < float("inf"):
        raise UsageError(
            f"--hypothesis-frequency {asked.hypothesis_frequency:g}: expected seconds above 0",
            todo="It is the pause between two looks; without one the probes would never rest.",
        )
    strategy = {"continously": "continuously"}.get(asked.hypothesis_strategy, asked.hypothesis_strategy)
    return Options(
        environment=asked.environment,
        rollbacks=asked.rollback_strategy,
        hypothesis=strategy,
        frequency_s=asked.hypothesis_frequency,
        fail_fast=asked.fail_fast,
        compat=asked.compat,
        variables=tuple(asked.var),
        variable_files=tuple(asked.var_file),
        dry=asked.dry,
        control_files=tuple(asked.control_file),
        settings=asked.settings,
    )
