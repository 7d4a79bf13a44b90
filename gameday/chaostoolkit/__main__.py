"""The companion's process: its first request makes it, its last one (or the end of its input) ends it."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gameday import __version__
from gameday.chaostoolkit import papers
from gameday.chaostoolkit.companion import Asked, Chaos, Companion
from gameday.chaostoolkit.replay import Player
from gameday.engine.state import begin
from gameday.errors import GameDayError, PlanError
from gameday.history.events import Command, HostStarted, Phase, PhaseChanged, Report, RunStarted
from gameday.history.redact import Redactor
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.clockbound import read_clock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.ledgers import Ledgers
from gameday.hosts.probes import ProbeCrew
from gameday.hosts.secretvalues import redactor, sweep
from gameday.hosts.whoami import login_name
from gameday.plan.model import Plan
from gameday.plan.policyfile import find_policy, write_policy
from gameday.plan.stored import plan_digest, write_plan
from gameday.procfs import boot_id, start_ticks
from gameday.runner.anchor import anchor, enter_end
from gameday.runner.conclude import conclude
from gameday.runner.folder import make_run_folder
from gameday.runner.sealing import seal
from gameday.runner.software import software


def main() -> None:
    """Serve one `chaos run`."""
    out = os.dup(1)
    os.dup2(2, 1)  # What user code prints must not stand among the answers.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # A Ctrl-C is for `chaos`; who undoes must outlive it.
    first = json.loads(sys.stdin.buffer.readline())

    def answer(number: int, reply: dict[str, Any]) -> None:
        with suppress(OSError):  # `chaos` may be gone.
            os.write(out, json.dumps({"id": number, **reply}, ensure_ascii=False).encode() + b"\n")

    try:
        companion = made(first)
    except PlanError as error:
        answer(first["id"], {"error": papers.problems(error)})
        return
    except (GameDayError, OSError) as error:
        answer(first["id"], {"error": str(error)})
        return
    answer(first["id"], {"ok": True, "folder": str(companion.history.run_dir)})
    threading.Thread(target=_listen, args=(companion, answer), name="chaos", daemon=True).start()
    companion.serve()
    sys.stderr.flush()
    os._exit(0)


def _listen(companion: Companion, answer: Any) -> None:
    """Put each request into the queue; the end of them too."""
    put: Any = companion.inbox.put
    for line in sys.stdin.buffer:
        request = json.loads(line)
        put((companion.clock.now_ns(), Asked(request, partial(answer, request["id"]))))
    put((companion.clock.now_ns(), Asked(None, lambda _reply: None)))


def made(first: dict[str, Any]) -> Companion:
    """Return the companion of an experiment: its folder, its place in the register, its first records.

    Raises:
        GameDayError: Something speaks against it; nothing was injected.
    """
    project = Path(first["project"])
    experiment, written, live = first["experiment"], first["written"], first["live"]
    terms = papers.terms_of(live["guard"], live["evidence"])
    redact = redactor({f"env.{n}": value for n, value in enumerate(_texts(first["secrets"]))})
    plan = redact.record(
        papers.plan_of(experiment, written["guard"], written["evidence"], written["ledger"], project)
    )
    usable = papers.plan_of(experiment, live["guard"], live["evidence"], live["ledger"], project)
    policy = find_policy(project)
    folder = make_run_folder(project, plan, Path(terms.folder) if terms.folder else None)
    write_plan(folder, plan)
    write_policy(folder, policy)
    anchored = anchor(folder, plan, project, policy.keeping)
    history = HistoryWriter(folder, anchored.roots, redact)
    clock, inbox = RunClock(), new_inbox()
    probes = ProbeCrew(
        usable.probes, run=folder.name, clock=clock, inbox=inbox, log_dir=folder / "hosts",
        configuration={key: str(value) for key, value in first["configuration"].items()},
    )  # fmt: skip
    ledgers = None
    if usable.ledgers:
        ledgers = Ledgers(
            usable.ledgers, folder=folder, project=project, clock=clock, inbox=inbox, redact=redact
        )
    chaos = Chaos(
        first["pid"], first["ticks"], first["marker"], tuple(experiment.get("rollbacks") or ()),
        first["configuration"], first["secrets"], project,
    )  # fmt: skip
    companion = Companion(
        state=begin(plan),
        terms=terms,
        chaos=chaos,
        history=history,
        clock=clock,
        inbox=inbox,
        probes=probes,
        ledgers=ledgers,
        player=Player(chaos),
        finish=lambda: finished(folder, redact, seals=terms.seals),
    )
    _open(companion, plan, anchored.roots.register_sha256, anchored.roots.start_token_sha256)
    probes.start()
    return companion


def _open(companion: Companion, plan: Plan, register_sha256: str, token_sha256: str) -> None:
    """Write the first records."""
    pid = companion.chaos.pid
    started = RunStarted(
        run=companion.history.run_dir.name,
        plan_sha256=plan_digest(plan),
        origin_boot_ns=str(companion.clock.origin_boot_ns),
        boot_id=boot_id(),
        gameday_version=__version__,
        software=software(),
        operator=companion.terms.operator or login_name(),
        machine=platform.node(),
        login=login_name(),
        register_sha256=register_sha256,
        start_token_sha256=token_sha256,
    )
    events: tuple[Command | Report, ...] = (
        started,
        read_clock(),
        HostStarted("chaos", "runner", pid, companion.chaos.ticks, boot_id(), companion.chaos.marker),
        HostStarted("companion", "watchdog", os.getpid(), start_ticks(os.getpid()) or 0, boot_id()),
        *companion.probes.started(),
        PhaseChanged(Phase.ARMING, "chaos begins the experiment"),
    )
    for event in events:
        companion.history.record(companion.clock.now_ns(), utc_text(), "companion", event, sync=True)


def finished(folder: Path, redact: Redactor, *, seals: bool) -> dict[str, Any]:
    """Judge the run that has ended, enter its end, seal it where that was asked, and say what was found."""
    sweep(folder / "hosts", redact)
    findings = conclude(folder)
    said: dict[str, Any] = {
        "ok": True,
        "folder": str(folder),
        "verdict": str(findings.verdict),
        "findings": [
            {"name": item.name, "verdict": str(item.verdict), "observed": item.observed, "why": item.why}
            for item in findings.findings
        ],
        "bundle": "",
    }
    try:
        enter_end(folder, str(findings.verdict))
        if seals:
            said["bundle"] = str(seal(folder).bundle)
    except GameDayError as error:
        said["findings"].append({"name": "seal", "verdict": "fail", "observed": "none", "why": str(error)})
    return said


def _texts(value: Any) -> list[str]:
    """Return every text in the secrets of an experiment."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) and len(value) >= 4 else []


if __name__ == "__main__":
    main()
