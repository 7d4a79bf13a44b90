"""Chaos Toolkit's runner as an experiment host uses it. Imported by that host alone: it needs chaoslib."""

from __future__ import annotations

import copy
import itertools
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

import chaoslib.activity
import chaoslib.hypothesis
import chaoslib.provider.process
from chaoslib import run as chaosrun
from chaoslib import settings as chaossettings
from chaoslib.caching import cache_activities, clear_cache
from chaoslib.configuration import load_configuration, load_dynamic_configuration
from chaoslib.control import (
    cleanup_controls,
    controls,
    initialize_controls,
    initialize_global_controls,
    load_global_controls,
)
from chaoslib.exceptions import ActivityFailed
from chaoslib.exit import exit_gracefully
from chaoslib.secret import load_secrets
from chaoslib.types import Dry, Schedule, Strategy

from gameday.hosts.experimentrecord import JournalFile, Owed
from gameday.hosts.processes import kill_carriers
from gameday.hosts.words import error_line

PROGRAM = "GAMEDAY_PROGRAM"
_NUMBERS = itertools.count(1)
CUT_OFF_S = 0.5  # Between short activities chaoslib ends the method by itself, and sooner.


class _Prepared(chaosrun.Runner):  # type: ignore[misc]
    """chaoslib's runner, which plays with the configuration and the secrets that it was given."""

    def configure(self, *ignored: Any) -> None:
        """Load nothing anew: chaoslib would write secrets into the experiment."""


class Runner:
    """One run of one experiment by chaoslib, in its order: configure, then play."""

    def __init__(self, strategy: str, frequency_s: float, *, fail_fast: bool) -> None:
        schedule = Schedule(continuous_hypothesis_frequency=frequency_s, fail_fast=fail_fast)
        self._runner = _Prepared(Strategy.from_string(strategy), schedule)
        self.config: Any = {}
        self.secrets: Any = {}

    def prepare(self, experiment: dict[str, Any], settings: dict[str, Any], variables: Any) -> None:
        """Load configuration and secrets. On copies: chaoslib writes secrets into what it is given here."""
        with suppress(AttributeError):
            chaossettings.loaded_settings.set(settings)
        cache_activities(experiment)
        given = {"configuration": copy.deepcopy(experiment.get("configuration") or {})}
        given["secrets"] = copy.deepcopy(experiment.get("secrets") or {})
        first = chaosrun.Runner(self._runner.strategy, self._runner.schedule)
        first.configure(given, settings, copy.deepcopy(variables))
        for name in ("config", "secrets", "settings"):
            setattr(self._runner, name, getattr(first, name))
        self.config, self.secrets = first.config, first.secrets

    def play(self, experiment: dict[str, Any], settings: dict[str, Any], handler: Handler) -> dict[str, Any]:
        """Play it and return the journal. Only the main thread can, because of its signals."""
        self._runner.register_event_handler(handler)
        try:
            journal: dict[str, Any] = self._runner.run(experiment, settings)
            if handler.was_cut_off and journal["status"] == "interrupted":
                journal["status"] = "failed"  # As it was when the hypothesis failed it.
            return journal
        finally:
            clear_cache()


class Handler(chaosrun.RunEventHandler):  # type: ignore[misc]
    """Hears what the runner does: writes what is owed ahead, keeps the journal, and says what ended."""

    def __init__(self, experiment: dict[str, Any], owed: Owed, file: JournalFile, note: Any) -> None:
        self.journal: dict[str, Any] = {}
        self._owed = owed
        self._dry = experiment.get("dry")
        self._file = file
        self._note = note
        self._rollbacks = list(experiment.get("rollbacks") or ())
        hypothesis = experiment.get("steady-state-hypothesis") or {}
        self._probes = {id(probe) for probe in hypothesis.get("probes") or ()}
        self._undoing = False
        self._said_unmet = False
        self._lock = threading.Lock()
        self._method = threading.Event()  # Set while the method goes on.
        self._failing = threading.Lock()
        self.cuts_off = False
        self.was_cut_off = False

    def started(self, experiment: dict[str, Any], journal: dict[str, Any]) -> None:
        """Keep the journal: it is the one that the runner fills."""
        del experiment
        self.journal = journal
        self._file.keep(journal)

    def start_activity(self, activity: dict[str, Any]) -> None:
        """Write ahead that something may be changed from here on."""
        if _acts(activity, self._dry) and not self._owed.acted and not self._undoing:
            with self._lock:
                self._owed.acted = True
                try:
                    self._owed.write()
                except OSError as error:  # No record, no action. Other exceptions chaoslib swallows here.
                    self._owed.acted = False
                    raise SystemExit(20) from error

    def activity_completed(self, activity: dict[str, Any], run: dict[str, Any]) -> None:
        """Say how an activity of the method or a rollback ended."""
        if id(activity) in self._probes and not self._undoing:
            self._file.keep(self.journal)
            return
        status = str(run.get("status") or "failed")
        if self._undoing:
            self._played(activity, status)
        detail = why_failed(run)
        part = "rollbacks" if self._undoing else "method"
        self._note({"part": part, "name": activity.get("name"), "status": status, "detail": detail})
        self._file.keep(self.journal)

    def _played(self, activity: dict[str, Any], status: str) -> None:
        with self._lock:
            for number, item in enumerate(self._rollbacks):
                mine = item is activity or item.get("ref") == activity.get("name")
                if mine and str(number) not in self._owed.rollbacks:
                    self._owed.rollbacks[str(number)] = status
                    self._owed.write()
                    return

    def start_rollbacks(self, experiment: dict[str, Any]) -> None:
        """From here on activities are rollbacks."""
        del experiment
        self._undoing = True

    def hypothesis_before_completed(self, experiment: Any, state: Any, journal: Any) -> None:
        """Say whether the hypothesis held before."""
        del experiment, journal
        self._looked("before", state)

    def hypothesis_after_completed(self, experiment: Any, state: Any, journal: Any) -> None:
        """Say whether the hypothesis held after."""
        del experiment, journal
        self._looked("after", state)

    def continuous_hypothesis_iteration(self, iteration_index: int, state: Any) -> None:
        """Say when the hypothesis is first not met during the method."""
        del iteration_index
        if state is not None and not state["steady_state_met"] and not self._said_unmet:
            self._said_unmet = True
            self._looked("during", state)
            if self.cuts_off:
                threading.Thread(target=self._cut_off, name="cut-off", daemon=True).start()

    def _cut_off(self) -> None:
        """End an activity that still blocks the method: chaoslib ends it only between two of them."""
        time.sleep(CUT_OFF_S)
        with self._failing:
            if self._method.is_set():
                self.was_cut_off = True
                exit_gracefully()

    def start_method(self, experiment: dict[str, Any]) -> None:
        """The method begins."""
        del experiment
        self._method.set()

    def method_completed(self, experiment: dict[str, Any], state: Any = None) -> None:
        """The method has ended: nothing is cut off any more, what follows least of all."""
        del experiment, state
        with self._failing:
            self._method.clear()

    def _looked(self, part: str, state: Any) -> None:
        if state is None:
            return
        met = bool(state.get("steady_state_met"))
        last = state["probes"][-1]["activity"].get("name") if state.get("probes") else ""
        status = "met" if met else "not met"
        self._note({"part": part, "name": "hypothesis", "status": status, "detail": "" if met else last})
        self._file.keep(self.journal)


def _acts(activity: dict[str, Any], dry: Any) -> bool:
    """Tell whether an activity may change the world: a dry run leaves out actions that say nothing of it."""
    is_left_out = dry in (Dry.ACTIONS, Dry.ACTIVITIES) and "dry" not in activity
    return activity.get("type") == "action" and not is_left_out


def dry_of(word: str) -> Any:
    """Return what a run leaves out, as chaoslib has it; None for nothing."""
    return Dry.from_string(word)


def read_settings(files: list[str], control_files: list[str]) -> dict[str, Any]:
    """Return what the settings files say, and load their controls and those of the control files."""
    settings: dict[str, Any] = {}
    for name in files:
        settings = chaossettings.load_settings(name) or {}
    load_global_controls(settings, control_files)
    return settings


def with_loader_controls(path: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return an experiment that was read, once the controls of its loading have seen it."""
    with controls(level="loader", context=path) as control:
        control.with_state(data)
    return data


def why_failed(run: dict[str, Any]) -> str:
    """Return why an activity failed, from the traceback in its run; nothing when it did not."""
    lines = "".join(run.get("exception") or ()).split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last.removeprefix("chaoslib.exceptions.ActivityFailed: ")[:200]


def handler(experiment: dict[str, Any], owed: Owed, file: JournalFile, note: Any) -> Handler:
    """Return what hears the runner."""
    return Handler(experiment, owed, file, note)


def new_journal(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return an empty journal."""
    journal: dict[str, Any] = chaosrun.initialize_run_journal(experiment)
    return journal


def values_of(experiment: dict[str, Any], variables: Any, known: Any) -> tuple[Any, Any]:
    """Return configuration and secrets for the undo: those that the experiment used, where they are known."""
    for_configuration, for_secrets = copy.deepcopy(variables)
    configuration = known
    if configuration is None:
        given = copy.deepcopy(experiment.get("configuration") or {})
        configuration = load_configuration(given, for_configuration)
    secrets = load_secrets(experiment.get("secrets") or {}, configuration, for_secrets)
    if known is None:
        configuration = load_dynamic_configuration(configuration, secrets)
    return configuration, secrets


def play_rollback(
    experiment: dict[str, Any],
    item: dict[str, Any],
    configuration: Any,
    secrets: Any,
    settings: dict[str, Any],
) -> tuple[dict[str, Any], str]:
    """Play one rollback with its controls; return its run and why it failed, or nothing."""
    runs: list[dict[str, Any]] = []
    alone = {**experiment, "rollbacks": [{**item, "background": False} if item.get("background") else item]}
    cache_activities(experiment)
    error = ""
    try:
        initialize_global_controls(alone, configuration, secrets, settings)
        initialize_controls(alone, configuration, secrets)
        chaosrun.apply_rollbacks(
            alone, configuration, secrets, None, experiment.get("dry"), chaosrun.EventHandlerRegistry(), runs
        )
    except BaseException as raised:  # noqa: BLE001 - the next rollback must be played whatever this one does
        error = error_line(raised)
    finally:
        with suppress(Exception):
            cleanup_controls(alone)
        clear_cache()
    run = runs[-1] if runs else {"activity": dict(item), "output": None, "status": "failed"}
    if not error and run.get("status") != "succeeded":
        error = why_failed(run) or "it failed"
    return run, error


def check_chaoslib() -> None:
    """Make sure that chaoslib has what is used of it.

    Raises:
        RuntimeError: This version lacks something; it says which.
    """
    used = (
        (chaosrun, "Runner", "apply_rollbacks", "EventHandlerRegistry", "initialize_run_journal"),
        (chaosrun.Runner, "run", "configure", "register_event_handler"),
        (chaoslib.activity, "run_python_activity", "run_process_activity", "run_http_activity"),
        (chaoslib.hypothesis, "within_tolerance"),
        (chaoslib.provider.process, "subprocess"),
    )
    for owner, *names in used:
        for name in names:
            if not hasattr(owner, name):
                where = getattr(owner, "__name__", str(owner))
                raise RuntimeError(
                    f"chaostoolkit-lib {chaosrun.__version__} has no {where}.{name}: "
                    "experiments run with 1.44 and 1.45"
                )


# --- providers with a deadline -------------------------------------------------------------------


class _Programs:
    """Stands in for `subprocess` where chaoslib runs a program: a late one is killed with its children."""

    PIPE = subprocess.PIPE
    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(
        arguments: Any, *, timeout: float | None = None, capture_output: bool = False, **more: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in a process group of its own, and with a mark that all it starts inherits."""
        mark = f"{os.getpid()}.{next(_NUMBERS)}"
        more["env"] = {**(more.get("env") or os.environ), PROGRAM: mark}
        if capture_output:  # As chaoslib 1.45 asks; 1.44 names both pipes.
            more |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        more.pop("check", None)
        with subprocess.Popen(arguments, process_group=0, **more) as process:
            ended = False
            try:
                out, err = process.communicate(timeout=timeout)
                ended = True
            finally:
                if not ended:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.kill()
                    kill_carriers(f"{PROGRAM}={mark}")  # Those that left its group and its session, too.
            return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def guard_providers() -> None:
    """Give every provider of this process its deadline. For an experiment host alone: it is for good."""
    if chaoslib.provider.process.subprocess is _Programs:
        return
    chaoslib.provider.process.subprocess = _Programs
    run_python = chaoslib.activity.run_python_activity
    run_process, run_http = chaoslib.activity.run_process_activity, chaoslib.activity.run_http_activity
    judge = chaoslib.hypothesis.within_tolerance

    def python(activity: dict[str, Any], configuration: Any, secrets: Any) -> Any:
        given = activity["provider"].get("timeout", activity.get("timeout"))
        if not isinstance(given, int | float) or isinstance(given, bool) or given <= 0:
            return run_python(activity, configuration, secrets)
        return _within(given, lambda: run_python(activity, configuration, secrets))

    def program(activity: dict[str, Any], configuration: Any, secrets: Any) -> Any:
        return run_process(_with_timeout(activity), configuration, secrets)

    def http(activity: dict[str, Any], configuration: Any, secrets: Any) -> Any:
        return run_http(_with_timeout(activity), configuration, secrets)

    def tolerance(given: Any, value: Any, **more: Any) -> Any:
        try:
            return judge(given, value, **more)
        except Exception:  # noqa: BLE001 - None, NaN and wrong types raise all sorts: not met
            return False

    chaoslib.activity.run_python_activity = python
    chaoslib.activity.run_process_activity = program
    chaoslib.activity.run_http_activity = http
    chaoslib.hypothesis.within_tolerance = tolerance


def _with_timeout(activity: dict[str, Any]) -> dict[str, Any]:
    given, provider = activity.get("timeout"), activity["provider"]
    if not given or "timeout" in provider:
        return activity
    return {**activity, "provider": {**provider, "timeout": given}}


def _within(timeout_s: float, work: Any) -> Any:
    """Return what `work` returns within a time; its thread is left behind when it is late."""
    found: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            raised.append(error)

    thread = threading.Thread(target=run, name="activity", daemon=True)
    thread.start()
    until_s = time.monotonic() + timeout_s
    while thread.is_alive() and (left_s := until_s - time.monotonic()) > 0:
        thread.join(min(left_s, 0.5))
    if thread.is_alive():
        raise ActivityFailed(f"activity took longer than {timeout_s:g} s")
    if raised:
        raise raised[0]
    return found[0] if found else None
