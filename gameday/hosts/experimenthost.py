"""A Chaos Toolkit experiment, carried out in an action host by Chaos Toolkit's own runner.

The sequence, the controls and the tolerances are chaoslib's, so the outcome is. Ours is what stands around
it: the file is the one that was approved (by digest), the journal grows on disk, what is owed is written
ahead, and rollbacks that were not played are played by the undo. Unless `compat` is set, also:

* `timeout` holds for Python activities; one that is late has failed, its thread is left to the host's end;
* a program that is late is killed with what it started, not alone;
* a tolerance that raises (None, NaN, a wrong type) is not met, where chaoslib leaves without a journal.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from gameday.history.redact import Redactor
from gameday.hosts.experimentlog import clean_log, mask_output
from gameday.hosts.experimentplace import place_of
from gameday.hosts.experimentrecord import JournalFile, Owed, read_owed
from gameday.hosts.words import error_line, one_line
from gameday.plan.bind import RUN_DIR
from gameday.plan.experiment import VAULT
from gameday.plan.experimentfile import read_experiment
from gameday.plan.source import Source

Note = Callable[[dict[str, Any]], None]


class Play:
    """One experiment in one host: read and validated when armed, carried out or taken back later."""

    def __init__(self, provider: dict[str, Any], step: str, configuration: dict[str, str]) -> None:
        self._provider = provider
        self._step = step
        self._home = Path.cwd()  # The project's folder, to which all names in the provider are relative.
        folder = Path(configuration.get(RUN_DIR, "."))
        self._state = folder / "hosts" / f"{step}.state.json"
        self._journal_path = folder / provider["journal"]
        self._known = [value for name, value in configuration.items() if name.startswith("env.")]
        self._experiment: dict[str, Any] = {}
        self._variables: Any = (None, None)
        self._settings: dict[str, Any] = {}

    def arm(self) -> str:
        """Read and validate the experiment, as `chaos run` does before it begins; return why not."""
        from gameday.hosts import experimentrun  # noqa: PLC0415 - paid by experiments alone

        path = self._home / self._provider["file"]
        like_the_command(self._home)
        try:
            read = read_experiment(path)
            if read.sha256 != self._provider["sha256"]:
                return f"{path} is not what it was when the plan was made: its digest differs"
            os.chdir(self._home / self._provider["folder"])
            sys.path += [os.getcwd(), str(self._home)]  # noqa: PTH109 - more than `chaos run` looks through
            self._variables = self._given()
            self._settings = self._told()
            self._experiment = experimentrun.with_loader_controls(str(path), read.source.data)
            if reason := self._why_not(read.source):
                return reason
            self._experiment["dry"] = experimentrun.dry_of(self._provider["dry"])
            experimentrun.check_chaoslib()
        except BaseException as raised:  # noqa: BLE001 - validation imports user code
            return error_line(raised)
        return ""

    def _why_not(self, source: Source) -> str:
        """Validate the experiment; return what is wrong with it and where, or nothing."""
        from chaoslib.activity import ensure_activity_is_valid  # noqa: PLC0415 - as above
        from chaoslib.experiment import ensure_experiment_is_valid  # noqa: PLC0415 - as above

        try:
            ensure_experiment_is_valid(self._experiment)
        except BaseException as raised:  # noqa: BLE001 - it imports user code
            place = place_of(source, raised, ensure_activity_is_valid)
            return f"{self._provider['file']}:{place}: {error_line(raised)}" if place else error_line(raised)
        return ""

    def _given(self) -> Any:
        """Return what --var and --var-file say, in chaoslib's own form."""
        from chaoslib import convert_vars, merge_vars  # noqa: PLC0415 - as above

        return merge_vars(convert_vars(self._provider["variables"]), self._files("variable_files"))

    def _told(self) -> dict[str, Any]:
        """Return the settings, with the strategies that count; load the controls beside the experiment."""
        from gameday.hosts import experimentrun  # noqa: PLC0415 - as above

        given = self._provider
        settings = experimentrun.read_settings(self._files("settings"), self._files("control_files"))
        settings["runtime"] = {
            "rollbacks": {"strategy": given["rollbacks"]},
            "hypothesis": {"strategy": given["hypothesis"]},
        }
        return settings

    def _files(self, what: str) -> list[str]:
        """Return the paths of files that the plan names by digest.

        Raises:
            ValueError: One is not what it was.
        """
        files = []
        for name, sha256 in self._provider[what]:
            path = self._home / name
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise ValueError(f"{path} is not what it was when the plan was made")
            files.append(str(path))
        return files

    def do(self, note: Note) -> dict[str, Any]:
        """Carry the experiment out and return how it ended."""
        from gameday.hosts import experimentrun  # noqa: PLC0415 - as above

        given = self._provider
        if not given["compat"]:
            experimentrun.guard_providers()
        experiment = self._experiment
        settings = self._settings
        runner = experimentrun.Runner(given["hypothesis"], given["frequency_s"], fail_fast=given["fail_fast"])
        try:
            runner.prepare(experiment, settings, self._variables)
        except BaseException as raised:  # noqa: BLE001 - configuration may be read by user code
            return self._failed(f"it could not be configured: {error_line(raised)}", {})
        redact = self._redactor(runner.secrets, runner.config)
        mask_output(redact)
        owed = Owed(self._state, configuration=_shareable(runner.config, redact))
        owed.write()
        file = JournalFile(self._journal_path, redact)
        handler = experimentrun.handler(experiment, owed, file, lambda said: note(_redacted(said, redact)))
        handler.cuts_off = given["fail_fast"] and not given["compat"]
        try:
            journal = runner.play(experiment, settings, handler)
        except BaseException as raised:  # noqa: BLE001 - chaoslib lets some of them through
            return self._failed(error_line(raised), handler.journal, owed=owed, redact=redact)
        finally:
            clean_log(redact)
        owed.ended = True
        owed.write()
        return _reply(journal, file.write(journal))

    def undo(self, note: Note) -> str:
        """Play the rollbacks that are owed, each whatever becomes of the others; return what failed."""
        owed = read_owed(self._state)
        items = list(self._owed_now(owed))
        if not items:
            return ""
        from gameday.hosts import experimentrun  # noqa: PLC0415 - as above

        if not self._provider["compat"]:
            experimentrun.guard_providers()
        configuration, secrets = experimentrun.values_of(
            self._experiment, self._variables, owed.configuration
        )
        redact = self._redactor(secrets, configuration)
        mask_output(redact)
        file = JournalFile(self._journal_path, redact)
        journal = file.read() or {}
        runs = journal.get("rollbacks")  # A control may have left anything in there.
        runs = journal["rollbacks"] = runs if isinstance(runs, list) else []
        failed = []
        for number, item in items:
            run, error = experimentrun.play_rollback(
                self._experiment, item, configuration, secrets, self._settings
            )
            runs.append(run)
            status = "failed" if error else "succeeded"
            owed.rollbacks[str(number)] = status
            owed.write()
            name = str(item.get("name") or item.get("ref"))
            note(_redacted({"part": "rollbacks", "name": name, "status": status, "detail": error}, redact))
            if error:
                failed.append(redact.text(f"{name}: {error}"))
        journal.pop("end", None)
        file.write(journal)
        clean_log(redact)
        return "; ".join(failed)

    def _owed_now(self, owed: Owed) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rollbacks that are owed, by what was done and how it ended.

        An experiment that ended by itself played them as its strategy says; `compat` leaves it at that.
        Else whatever it left is taken back, unless `deviated` was asked for and it did not deviate.
        """
        strategy = self._provider["rollbacks"]
        if owed.ended and (self._provider["compat"] or (strategy == "deviated" and not owed.rollbacks)):
            return
        if not owed.acted and not (strategy == "always" and not owed.ended):
            return
        for number, item in enumerate(self._experiment.get("rollbacks") or ()):
            if owed.rollbacks.get(str(number)) != "succeeded":
                yield number, item

    def _failed(
        self,
        detail: str,
        journal: dict[str, Any],
        *,
        owed: Owed | None = None,
        redact: Redactor | None = None,
    ) -> dict[str, Any]:
        """End an experiment that chaoslib could not: its journal says aborted, which it was."""
        from gameday.hosts import experimentrun  # noqa: PLC0415 - as above

        whole = journal or experimentrun.new_journal(self._experiment)
        whole["status"] = "aborted"
        redact = redact or self._redactor({})
        data = JournalFile(self._journal_path, redact).write(whole)
        del owed  # Not ended: whatever it has done is taken back by the undo.
        return _reply(whole, data, redact.text(detail))

    def _redactor(self, secrets: Any, configuration: Any = None) -> Redactor:
        vault = [(configuration or {}).get(name) for name in VAULT]
        return Redactor([*self._known, *_leaves(secrets), *_leaves(self._variables[1]), *_leaves(vault)])


def like_the_command(home: Path) -> None:
    """Make this host like a process of `chaos run`, where user code can tell them apart.

    SIGINT interrupts its programs again (the fork server ignores it). What is installed comes before what
    lies in the project's folder, as there. And `from logzero import logger`, which old extensions say, gives
    Chaos Toolkit's own logger without that package.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(ValueError):
        sys.path.remove(str(home))
    logzero = ModuleType("logzero")
    logzero.__dict__.update(__path__=[], logger=logging.getLogger("chaostoolkit"))
    sys.modules["logzero"] = logzero


def _reply(journal: dict[str, Any], data: bytes, detail: str = "") -> dict[str, Any]:
    return {
        "status": str(journal["status"]),
        "deviated": bool(journal.get("deviated")),
        "sha256": hashlib.sha256(data).hexdigest(),
        "detail": one_line(detail),
    }


def _redacted(said: dict[str, Any], redact: Redactor) -> dict[str, Any]:
    return {key: one_line(redact.text(str(value))) for key, value in said.items()}


def _shareable(configuration: Any, redact: Redactor) -> Any:
    """Return the configuration for the undo's host, or None where a secret stands in it, or no JSON."""
    try:
        text = json.dumps(configuration)
    except (TypeError, ValueError):
        return None
    return None if redact.is_in(text.encode()) else json.loads(text)


def _leaves(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for item in data.values():
            yield from _leaves(item)
    elif isinstance(data, list | tuple):
        for item in data:
            yield from _leaves(item)
    elif isinstance(data, str):
        yield data
