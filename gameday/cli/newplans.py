"""`gameday new`: a few questions, or the same as options, and a plan that can be validated at once.

Nothing is written before the plan was read back and found sound, and nothing is ever written over.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gameday.cli import exits
from gameday.cli.asked import login, project_here, writing
from gameday.errors import PlanError, UsageError
from gameday.plan.load import find_project, load_plan
from gameday.plan.newtext import LAB_URL, Answers, plan_text

_LAB_FAULTS: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {
    "dr": ("gameday.actions.postgres.kill", (("node", "a"),)),
    "game-day": ("gameday.actions.network.add_latency", (("proxy", "users"), ("latency_ms", 350))),
    "capacity": ("gameday.actions.postgres.kill", (("node", "b"),)),
}
_LAB_BOOKS = ("runbooks/promote-standby.yaml", "runbooks/failback.yaml")
_LAB_PROFILE = "loadprofiles/orders.py"
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?\Z")
Ask = Callable[[str, str | None, str], str]


def new(asked: argparse.Namespace) -> int:
    """Write a new plan and return the exit code.

    Raises:
        UsageError: Something is missing, or the file is there already.
        PlanError: What was answered makes no sound plan; nothing is written.
    """
    project = _project(asked.file)
    answers = _answers(asked, project, _asker(asked))
    name = re.sub(r"[^a-z0-9]+", "-", f"{answers.service}-{asked.kind}".lower()).strip("-")
    path = Path(asked.file) if asked.file else project / "experiments" / f"{name}.yaml"
    if path.is_symlink() or path.exists():
        raise UsageError(f"{path}: is there already; nothing was written", todo="Name another file.")
    try:
        text = plan_text(answers)
    except ValueError as error:
        raise UsageError(f"new: {error}") from error
    warnings = _judged(text, path, project)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    for warning in warnings:
        print(f"{path}: warning: {warning}")
    print(f"{path}: written, and sound. Read its comments; then `gameday plan {path}`.")
    return exits.PASS


def _project(file: str | None) -> Path:
    return find_project(Path(file)) if file else project_here()


def _judged(text: str, path: Path, project: Path) -> tuple[str, ...]:
    """Read the plan as it would be read, and return its warnings; nothing is left of it.

    Raises:
        PlanError: It is not sound.
    """
    with tempfile.TemporaryDirectory(prefix="gameday-new-") as folder:
        draft = Path(folder) / path.name
        draft.write_text(text, encoding="utf-8")
        try:
            return load_plan(draft, project).warnings
        except PlanError as error:
            lines = text.splitlines()
            shown = [f"  line {p.line}: {lines[min(p.line, len(lines)) - 1].strip()}" for p in error.problems]
            todo = "Nothing was written. The draft says there:\n" + "\n".join(dict.fromkeys(shown))
            raise PlanError(error.problems, todo=todo) from None


def _asker(asked: argparse.Namespace) -> Ask:
    """Return what finds an answer: the option, else the person at the terminal, else what is proposed."""
    talks = sys.stdin.isatty() and sys.stdout.isatty() and not asked.yes

    def ask(option: str, question: str | None, proposed: str) -> str:
        given: str | None = getattr(asked, option)
        if given is None and talks and question is not None:
            try:
                given = input(f"{question}{f' [{proposed}]' if proposed else ''}: ").strip() or None
            except EOFError:
                raise UsageError("new: the answers ended; nothing was written") from None
        found = proposed if given is None else given
        if not found and question is not None and not question.endswith("(optional)"):
            raise UsageError(f"new: --{option} is missing", todo=f"It is asked for: {question}?")
        return found

    return ask


def _answers(asked: argparse.Namespace, project: Path, ask: Ask) -> Answers:
    kind, service = asked.kind, ask("service", "Which service is drilled", "")
    environment = ask("environment", "Environment, as the target itself calls it", "lab")
    in_lab = environment == "lab"
    target = ask("target", "The address that users take", LAB_URL if in_lab else "").rstrip("/")
    is_lab = target == LAB_URL
    path = "/" if not is_lab else "/payments/health" if kind == "capacity" else "/orders"
    probe = ask("probe", "What is asked there all the while", path)
    action = ask(
        "action", "The fault, an action of `gameday actions`", _LAB_FAULTS[kind][0] if is_lab else ""
    )
    arguments = tuple(map(_argument, asked.arguments))
    if is_lab and not arguments and action == _LAB_FAULTS[kind][0]:
        arguments = _LAB_FAULTS[kind][1]
    profile = _LAB_PROFILE if is_lab and (project / _LAB_PROFILE).is_file() else ""
    question = (
        "The Locust file of its load" if kind == "capacity" else "The Locust file of its load (optional)"
    )
    in_dr, in_capacity = kind == "dr", kind == "capacity"
    known = is_lab and (action, arguments) == _LAB_FAULTS["dr"]
    return Answers(
        kind=kind,
        service=service,
        owner=ask("owner", "Who answers for the service", service),
        author=ask("author", None, login()),
        environment=environment,
        target=target,
        probe=probe if probe.startswith("/") else f"/{probe}",
        action=action,
        arguments=arguments,
        rto=ask("rto", "It must serve again within", "30s" if is_lab else "15m") if in_dr else "",
        rpo=ask("rpo", "At most so much may be lost (optional)", "1s" if is_lab else "") if in_dr else "",
        peak=ask("peak", "The forecast peak", "40/s") if in_capacity else "",
        headroom=ask("headroom", "So much more must be held", "50%") if in_capacity else "",
        profile=ask("profile", question, profile),
        books=_books(asked.runbooks, project, known=known),
    )


def _books(given: list[str], project: Path, *, known: bool) -> tuple[str, ...]:
    """Return the runbooks that bring it back, as the plan names them; the lab's own where it is the lab.

    Raises:
        UsageError: One is not in the project.
    """
    if not given:
        return _LAB_BOOKS if known and all((project / book).is_file() for book in _LAB_BOOKS) else ()
    for book in given:
        if not (project / book).is_file():
            raise UsageError(
                f"--runbook {book}: is no file of the project {project}",
                todo="Write it first; its name is as seen from there, like runbooks/start-shop.yaml.",
            )
    return tuple(given)


def _argument(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--with {text}: expected KEY=VALUE, like node=a or start=[nginx, -c, FILE]")
    if value in ("true", "false"):
        return name, value == "true"
    if value.startswith("["):
        return name, _list(text, value)
    if _NUMBER.match(value):
        return name, float(value) if "." in value else int(value)
    return name, value


def _list(text: str, value: str) -> list[Any]:
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str | int | float) for item in found):
        raise UsageError(f"--with {text}: expected a list of words, like start=[nginx, -c, FILE]")
    return found
