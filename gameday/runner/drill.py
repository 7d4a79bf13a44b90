"""Run one drill from arming to its last record."""

from __future__ import annotations

import os
import platform
import queue
import signal
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gameday import __version__
from gameday.engine.state import State, begin
from gameday.errors import GameDayError, HistoryError, Refused
from gameday.history.events import (
    Armed,
    HaltAsked,
    HostStarted,
    Noted,
    Outcome,
    Report,
    RunEnded,
    RunStarted,
)
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.clockbound import read_clock
from gameday.hosts.clockwatch import ClockWatch
from gameday.hosts.inbox import Inbox, new_inbox
from gameday.hosts.loadcrew import LoadCrew
from gameday.hosts.probes import ProbeCrew
from gameday.hosts.secretvalues import redactor, sweep
from gameday.hosts.whoami import login_name
from gameday.plan.model import Plan
from gameday.plan.policy import Policy
from gameday.plan.policyfile import write_policy
from gameday.plan.stored import plan_digest, write_plan
from gameday.procfs import boot_id, start_ticks
from gameday.runner.anchor import Stamper, anchor, enter_refusal
from gameday.runner.approvals import keep, needed_event
from gameday.runner.control import HALT_FILE, ControlSocket
from gameday.runner.crew import ActionHosts, Crew, configuration_of
from gameday.runner.desk import Desk, Session
from gameday.runner.folder import make_run_folder
from gameday.runner.guard import Guard
from gameday.runner.loop import Loop
from gameday.runner.preflight import OK, Check, LookHost, as_event, monitoring, refuse
from gameday.runner.ready import Ready, make_ready
from gameday.runner.software import software
from gameday.runner.traffic import armed_ledgers, armed_loads, awaited

_LOOK_EVERY_NS = 250_000_000
GUARDS_LOST_MAX = 3
NO_RECORD = "Free some space or mend the disk. Without a record nothing is injected."
HALTS_ASKED_MAX = 2  # The second one means: do not stay to watch the recovery.


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, before anything is judged."""

    run_dir: Path
    outcome: str
    stuck: tuple[str, ...]
    failed_over: bool
    interrupted: bool


def run_drill(
    plan: Plan,
    *,
    project: Path,
    operator: str,
    run_dir: Path | None = None,
    started: queue.SimpleQueue[Path | None] | None = None,
    policy: Policy | None = None,
) -> RunEnd:
    """Run a drill and return how it ended.

    Args:
        plan: The plan, unbound.
        project: The folder that paths in the plan and the run folder are relative to.
        operator: Who runs it, as claimed.
        run_dir: Where to put the run folder; None for the usual place.
        started: Told the run folder as soon as there is one.
        policy: The policy in force; None to find it as always.

    Raises:
        PlanError: The policy file is wrong.
        Refused: Something speaks against it; nothing was injected.
        UsageError: `run_dir` is there already.
    """
    with ExitStack() as stack:
        ready = make_ready(plan, project, policy, stack, operator=operator, run=plan.source)
        folder = make_run_folder(project, plan, run_dir)
        if ready.lease is not None:
            ready.lease.run = folder.name
        try:
            write_plan(folder, plan)
            write_policy(folder, ready.policy)
            keep(folder, ready.terms, ready.papers)
            drill = _Drill(plan, ready, folder, project, operator)
        except (OSError, HistoryError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            enter_refusal(folder, plan, f"the run folder cannot be written: {reason}")
            raise Refused(f"the run folder {folder} cannot be written: {reason}", todo=NO_RECORD) from error
        try:
            return drill.run(started)
        except Refused as error:
            enter_refusal(folder, plan, drill.redact.text(str(error)))
            raise
        finally:
            sweep(folder / "hosts", drill.redact)


class _Drill:
    """One run's processes and threads, made in order and ended in reverse."""

    def __init__(self, plan: Plan, ready: Ready, folder: Path, project: Path, operator: str) -> None:
        self.plan = ready.found.plan
        self.sha256 = plan_digest(plan)
        self.ready = ready
        self.found = ready.found
        self.folder = folder
        self.configuration = configuration_of(ready.found.values, folder)
        self.project = project
        self.operator = operator
        self.clock = RunClock()
        self.inbox: Inbox = new_inbox()
        self.redact = redactor(ready.found.values)
        self.anchor = anchor(folder, plan, project, ready.policy.keeping)
        self.history = HistoryWriter(folder, self.anchor.roots, self.redact)
        self.stamper = Stamper(folder, ready.policy.keeping.stamp_url, self.clock, self.inbox)
        session = Session(plan, ready.terms, folder, ready.found.targets.targets, operator, login_name())
        self.desk = Desk(self.clock, self.inbox, session)
        self.loop: Loop | None = None
        self.clocks = ClockWatch(self.clock, self.inbox)
        self.halts_asked = 0
        self.halt_file_seen = False
        self.guard: Guard | None = None
        self.looked_ns = 0
        self.guards_lost = 0
        self.is_settled = False  # Nothing is owed: nothing was begun, or the loop came to its end.

    def run(self, started: queue.SimpleQueue[Path | None] | None) -> RunEnd:
        with ExitStack() as stack:
            stack.callback(self.history.close)
            self._take_signals(stack)
            beats = ExitStack()
            try:
                self._begin()
                if started is not None:
                    started.put(self.folder)
                self._start_guard()
                stack.callback(self._end_guard)
                stack.enter_context(beats)  # Closed after all that is made ready below.
                ready = stack.enter_context(ExitStack())
                assert self.guard is not None
                with self.guard.beating():
                    loop = self._arm(ready)
            except GameDayError as error:
                self.is_settled = True
                if self.guard is not None:
                    beats.enter_context(self.guard.beating())
                self._end(begin(self.plan), Outcome.REFUSED)
                if isinstance(error, Refused):
                    raise
                raise Refused(str(error), todo=error.todo) from error
            state = loop.run()
            self.is_settled = True
            # Hosts, loads and probes may take their time to end; that is no sign of death.
            beats.enter_context(self.guard.beating())
            outcome = Outcome.HALTED if state.halted is not None else Outcome.COMPLETED
            return self._end(state, Outcome.REFUSED if state.is_refused else outcome)

    def _begin(self) -> None:
        self._note(
            RunStarted(
                run=self.folder.name,
                plan_sha256=self.sha256,
                origin_boot_ns=str(self.clock.origin_boot_ns),
                boot_id=boot_id(),
                gameday_version=__version__,
                software=software(),
                operator=self.operator,
                machine=platform.node(),
                login=login_name(),
                register_sha256=self.anchor.roots.register_sha256,
                start_token_sha256=self.anchor.roots.start_token_sha256,
            )
        )
        if self.anchor.missing:
            self._note(Noted(by="time stamps", mark="", text=f"no start token: {self.anchor.missing}"))
        self.anchor.check()
        self._note(read_clock())
        self._note(self.ready.applied())
        for event in self.found.events:
            self._note(event)
        if self.ready.lease is not None and self.ready.lease.taken_over:
            self._note(Noted(by="lease", mark="", text=self.ready.lease.taken_over))
        self._host("runner", "runner", os.getpid())

    def _arm(self, stack: ExitStack) -> Loop:
        """Make everything ready. The watchdog came first, the load comes last."""
        hosts = ActionHosts(
            self.plan,
            log_dir=self.folder / "hosts",
            configuration=self.configuration,
            clock=self.clock,
            inbox=self.inbox,
            project=self.project,
        )
        stack.callback(hosts.close)
        for host in hosts:
            self._note(host.started())
        look = LookHost(
            self.plan,
            log_dir=self.folder / "hosts",
            configuration=self.configuration,
            spawner=hosts.spawner,
        )
        stack.callback(look.close)
        if look.host is not None:
            self._note(look.host.started("probe"))
        loads = self._arm_loads(stack)
        hosts.wait_armed()
        assert self.guard is not None
        self.guard.wait_armed()
        probes = self._arm_probes(stack, hosts)
        self._preflight(look, probes, sum(len(tuple(crew.hosts())) for crew in loads.values()))
        site = (self.plan, self.project, self.folder, self.clock, self.inbox)
        ledgers = armed_ledgers(*site, self.redact, stack, self._host)
        self._listen(stack)
        self._watch(stack, probes)
        if ledgers is not None:
            ledgers.start()
        crew = Crew(self.plan, clock=self.clock, inbox=self.inbox, hosts=hosts, loads=loads, ledgers=ledgers)
        self.inbox.put((self.clock.now_ns(), needed_event(self.ready.terms)))
        for paper in self.ready.papers:
            self.inbox.put((self.clock.now_ns(), paper.given))
        self.inbox.put((self.clock.now_ns(), Armed(hosts=sum(1 for _ in hosts))))
        self.loop = Loop(
            begin(self.plan),
            self.history,
            crew,
            self.clock,
            self.inbox,
            "runner",
            beat=self._between_turns,
            permit=self.ready.against,
        )
        return self.loop

    def _watch(self, stack: ExitStack, probes: ProbeCrew) -> None:
        self.clocks.start()
        stack.callback(self.clocks.stop)
        probes.start()

    def _arm_probes(self, stack: ExitStack, hosts: ActionHosts) -> ProbeCrew:
        probes = ProbeCrew(
            self.plan.probes,
            run=self.folder.name,
            clock=self.clock,
            inbox=self.inbox,
            log_dir=self.folder / "hosts",
            configuration=self.configuration,
            spawner=hosts.spawner,
        )
        stack.callback(probes.stop, 2.0)
        for started in probes.started():
            self._note(started)
        return probes

    def _preflight(self, look: LookHost, probes: ProbeCrew, loads: int) -> None:
        """The checks that need armed hosts. All checks are recorded, whether they are good or bad."""
        checks = [*self.ready.checks, Check("generator", OK, f"{loads} load hosts are armed")]
        checks += look.look()
        look.close()
        checks += monitoring(self.plan, probes, self.ready.rules)
        self._note(as_event(checks))
        refuse(checks)

    def _arm_loads(self, stack: ExitStack) -> dict[str, LoadCrew]:
        loads = {}
        for text in awaited(self.plan):
            self._note(Noted(by="load", mark="", text=text))
        site = (self.plan, self.project, self.folder, self.clock, self.inbox)
        for name, crew in armed_loads(*site, stack):
            for number, host in crew.hosts():
                self._host(number, "load", host.pid, host.marker)
            loads[name] = crew
        return loads

    def _listen(self, stack: ExitStack) -> None:
        """Hear what people say; where no socket can be had the halt file must do, and the history says so."""
        try:
            control = ControlSocket(self.folder, self.clock, self.inbox, self.desk)
        except (OSError, Refused) as error:
            said = f"none can be had ({error}): only signals, levers and the halt file halt this run"
            self._note(Noted(by="control socket", mark="", text=said))
        else:
            stack.callback(control.close)

    def _start_guard(self) -> None:
        self.guard = self._new_guard()
        self._host("watchdog", "watchdog", self.guard.pid)

    def _new_guard(self) -> Guard:
        return Guard(
            self.folder,
            project=self.project,
            values=self.found.values,
            names=self.found.names,
            runner_ticks=start_ticks(os.getpid()) or 0,
            clock=self.clock,
            inbox=self.inbox,
        )

    def _replace_guard(self) -> None:
        """The watchdog died: start another at once; without one the run must not go on."""
        self.guards_lost += 1
        try:
            guard = self._new_guard()
        except OSError as error:
            assert self.guard is not None
            self.guard.is_lost = False  # Asked for once: a halt is under way, and undoes from here.
            reason = f"the watchdog died and no other can be started: {error}"
            self.inbox.put((self.clock.now_ns(), HaltAsked(by="watchdog", reason=reason)))
            return
        self.guard = guard
        if self.guards_lost > GUARDS_LOST_MAX:
            reason = f"the watchdog died {self.guards_lost} times"
            self.inbox.put((self.clock.now_ns(), HaltAsked(by="watchdog", reason=reason)))
        started = HostStarted("watchdog", "watchdog", guard.pid, start_ticks(guard.pid) or 0, boot_id())
        self.inbox.put((self.clock.now_ns(), started))

        def wait() -> None:
            try:
                guard.wait_armed()
            except Refused as error:
                reason = f"the watchdog died and cannot be replaced: {error}"
                self.inbox.put((self.clock.now_ns(), HaltAsked(by="watchdog", reason=reason)))

        threading.Thread(target=wait, name="new-guard", daemon=True).start()

    def _end_guard(self) -> None:
        """Let the watchdog go. After a defect of ours it must stay: it undoes once this process ends."""
        if self.guard is not None and self.is_settled:
            self.guard.end()

    def _between_turns(self) -> None:
        """Beat for the watchdog, and look at the ways of halting that are files."""
        assert self.guard is not None
        assert self.loop is not None
        self.desk.state = self.loop.state
        self.stamper.look(self.loop.state.phase, self.history.head)
        self.clocks.in_phase(self.loop.state.phase)
        if self.guard.is_lost:
            self._replace_guard()
        self.guard.beat()
        now_ns = self.clock.now_ns()
        if now_ns - self.looked_ns < _LOOK_EVERY_NS:
            return
        self.looked_ns = now_ns
        if not self.halt_file_seen and (self.folder / HALT_FILE).exists():
            self.halt_file_seen = True
            self.inbox.put((now_ns, HaltAsked(by="operator (halt file)", reason="a halt file was put down")))
        asked = self.ready.halting()
        if asked is not None and self.halts_asked < HALTS_ASKED_MAX:
            self.halts_asked += 1
            self.inbox.put((now_ns, HaltAsked(by=asked[0], reason=asked[1])))

    def _take_signals(self, stack: ExitStack) -> None:
        def ask(number: int, _frame: FrameType | None) -> None:
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            self.inbox.put((self.clock.now_ns(), HaltAsked(by=f"operator ({name})", reason=f"{name}")))

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack.callback(signal.signal, number, signal.signal(number, ask))

    def _end(self, state: State, outcome: Outcome) -> RunEnd:
        with suppress(HistoryError):
            for stamped in self.stamper.finish():
                self._note(stamped)
        with suppress(HistoryError):  # A disk that is broken halted the run, and must not hide its end.
            self._note(read_clock())
            self.history.seal(self.clock.now_ns(), utc_text())
        with suppress(HistoryError):
            self._note(RunEnded(outcome, state.stuck, state.failed_over))
        interrupted = state.halted is not None and state.halted.by.startswith("operator")
        return RunEnd(self.folder, str(outcome), state.stuck, state.failed_over, interrupted)

    def _host(self, name: str, role: str, pid: int, marker: str = "") -> None:
        self._note(HostStarted(name, role, pid, start_ticks(pid) or 0, boot_id(), marker))

    def _note(self, event: Report) -> None:
        self.history.record(self.clock.now_ns(), utc_text(), "runner", event, sync=True, safe=False)
