"""Run drills and recover them: the commands that touch the world."""

from __future__ import annotations

import argparse
import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from gameday.checkers.document import as_document
from gameday.cli import exits
from gameday.cli.asked import operator, run_here
from gameday.cli.experimentoptions import options_of
from gameday.cli.notifying import telling
from gameday.cli.records import announced_key, sealed
from gameday.console.summary import summary_lines
from gameday.errors import GameDayError, RecordError, Refused, UsageError
from gameday.plan.byhand import by_hand, is_table_top, table_top
from gameday.plan.load import find_project, load_plan
from gameday.plan.model import Plan, Step, StepKind
from gameday.plan.policy import Policy, at_the_table
from gameday.plan.policyfile import find_policy
from gameday.runner.anchor import enter_end
from gameday.runner.arming import lab_state_file
from gameday.runner.drill import RunEnd, run_drill
from gameday.runner.recover import owed_by_hand, recover
from gameday.runner.rehearse import rehearse

VIEW_WAIT_S = 3.0
_WAITS = (StepKind.HOLD, StepKind.APPROVAL)


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out run, drill or recover."""
    if asked.command == "recover":
        return _recover(asked)
    path = Path(asked.plan)
    if asked.command == "drill":
        asked.by, asked.run_dir = "", None
        return _with_lab(path, asked)
    plan, project = _read(path, asked)
    if asked.by_hand and asked.table_top:
        raise UsageError("--by-hand and --table-top: a run is one or the other", todo="Leave one out.")
    if asked.table_top:
        return _run(table_top(plan), project, asked)
    plan = by_hand(plan) if asked.by_hand else plan
    if asked.rehearse:
        return _rehearse(plan, project, find_policy(project, asked.policy))
    if not asked.yes:
        _confirm(plan)
    return _run(plan, project, asked)


def _read(path: Path, asked: argparse.Namespace) -> tuple[Plan, Path]:
    """Return a plan with its project; what is odd about it is said before anything is done."""
    options = options_of(asked) if asked.command == "run" else None
    plan = load_plan(path, options=options, policy=find_policy(find_project(path), asked.policy))
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return plan, find_project(path)


def _run(plan: Plan, project: Path, asked: argparse.Namespace) -> int:
    policy = find_policy(project, asked.policy)
    policy = at_the_table(policy) if is_table_top(plan) else policy
    with telling(policy) as begin:
        end = _driven(plan, project, asked, policy, begin)
        code = _tell(end)
    _keep(end.run_dir, policy)
    return code


def _driven(
    plan: Plan, project: Path, asked: argparse.Namespace, policy: Policy, begin: Callable[[Path], None]
) -> RunEnd:
    """Run the drill, with its view and the sender of its notices beside it."""
    started: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    view = threading.Thread(target=_view, args=(started, asked.plain, begin), name="view", daemon=True)
    view.start()
    try:
        with announced_key():
            return run_drill(
                plan,
                project=project,
                operator=operator(asked),
                run_dir=Path(asked.run_dir) if asked.run_dir else None,
                started=started,
                policy=policy,
            )
    finally:
        started.put(None)
        view.join(VIEW_WAIT_S + 1.0)


def _keep(run_dir: Path, policy: Policy) -> None:
    """Seal the run when the policy says so, else say how. What a drill came to does not hang on it."""
    if not policy.keeping.seal:
        print(f"to seal it: gameday seal {run_dir.name}")
        return
    try:
        sealed(run_dir)
    except GameDayError as error:
        print(f"gameday: not sealed: {error.diagnostics()}", file=sys.stderr)


def _confirm(plan: Plan) -> None:
    """Ask at a terminal before anything but a lab is touched. Pipelines are held by policy and approvals.

    Raises:
        Refused: The answer was not the environment's name.
    """
    environment = plan.target.environment
    if environment == "lab" or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    acts = [_named(step) for step in plan.steps if step.kind not in _WAITS]
    acts += [f"load of {load.profile}" for load in plan.load]
    print(f"{plan.title}\n  touches {environment}: {'; '.join(acts) or 'by its probes alone'}")
    try:
        answer = input(f"  Type {environment} to begin: ")
    except EOFError:
        answer = ""
    if answer.strip() != environment:
        raise Refused("not confirmed; nothing was touched", todo="Begin again, or give --yes.")


def _named(step: Step) -> str:
    """Name a step as the question does: whatever changes something, whoever carries it out."""
    return step.name if step.kind is StepKind.FAULT else f"{step.name} ({step.kind})"


def _tell(end: RunEnd) -> int:
    """Say what the run came to. What cannot be judged or written is unknown, and may still need a person."""
    from gameday.runner.conclude import conclude  # noqa: PLC0415 - not before the run, which must start quickly

    try:
        document = as_document(conclude(end.run_dir))
    except RecordError as error:
        print(f"gameday: {error.diagnostics()}", file=sys.stderr)
        if end.stuck:
            print(f"A PERSON IS NEEDED: not undone: {', '.join(end.stuck)}", file=sys.stderr)
        return exits.exit_code(
            verdict="unknown",
            outcome=end.outcome,
            stuck=bool(end.stuck),
            failed_over=end.failed_over,
            interrupted=end.interrupted,
        )
    print("\n".join(summary_lines(document, end.run_dir, colour=sys.stdout.isatty())))
    try:
        enter_end(end.run_dir, document["verdict"])
    except GameDayError as error:
        print(f"gameday: the end is not in the register: {error.diagnostics()}", file=sys.stderr)
    return exits.code_of(document)


def _view(started: queue.SimpleQueue[Path | None], plain: bool, begin: Callable[[Path], None]) -> None:
    """Show the run in a process of its own: losing it changes nothing about the run."""
    run_dir = started.get()
    if run_dir is None:
        return
    begin(run_dir)
    command = [sys.executable, "-m", "gameday.console", str(run_dir)]
    command += ["--plain"] if plain else []
    with contextlib.suppress(OSError):
        child = subprocess.Popen(command, stdin=subprocess.PIPE)
        started.get()
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(VIEW_WAIT_S)
        except subprocess.TimeoutExpired:
            child.kill()


def _rehearse(plan: Plan, project: Path, policy: Policy) -> int:
    report = rehearse(plan, project, policy)
    for line in report.lines:
        print(line)
    print("ready" if report.ready else "not ready", "- a rehearsal is no test: it has no verdict")
    return exits.PASS if report.ready else exits.REFUSED


def _recover(asked: argparse.Namespace) -> int:
    run_dir = run_here(asked.run)
    for line in owed_by_hand(run_dir):
        print(line, flush=True)
    project = find_project(run_dir)  # A run folder may lie elsewhere.
    project = project if (project / "experiments").is_dir() else Path.cwd()
    end = recover(run_dir, asked.runner_is_gone, by=operator(asked), project=project)
    return _tell(end)


def _with_lab(path: Path, asked: argparse.Namespace) -> int:
    """Bring the lab up if it is not, run, and take it down if we brought it up.

    Raises:
        UsageError: There is no such plan.
        Refused: The plan is not for the lab: it must be asked for, and it is no part of `drill`.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file", todo="Call it in a project folder; `gameday init` makes one."
        )
    plan, project = _read(path, asked)
    if plan.target.environment != "lab":
        raise Refused(
            f"{path} is for {plan.target.environment!r}; `gameday drill` is for the built-in lab alone",
            todo=f"`gameday run {path}` runs it, and asks before it begins.",
        )
    folder = lab_state_file(project).parent
    was_up = _lab("status", folder).returncode == 0
    if not was_up:
        up = _lab("up", folder, *(["--system", plan.target.lab] if plan.target.lab else []))
        if up.returncode:
            raise Refused(up.stderr.strip().removeprefix("gameday lab: ") or "the lab does not come up")
        print(up.stdout.strip())
    try:
        return _run(plan, project, asked)
    finally:
        if not was_up and not asked.keep_lab:
            _lab("down", folder)


def _lab(do: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The lab stands alone: it is only ever another program."""
    command = [sys.executable, "-m", "gameday.lab", do, "--dir", str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
