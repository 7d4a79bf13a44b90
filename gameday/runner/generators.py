"""What preflight says of a load's generators: enough cores for them, and who may reach their master."""

from __future__ import annotations

import ipaddress
import os

from gameday.hosts.load import worker_command
from gameday.plan.model import Load, Plan
from gameday.runner.preflight import OK, WARN, Check


def generators(plan: Plan) -> list[Check]:
    """Return a check for each load that comes from more than one process."""
    return [check for load in plan.load for check in (*_processes(load), *_workers(load))]


def _processes(load: Load) -> list[Check]:
    if load.processes == 1:
        return []
    cores = len(os.sched_getaffinity(0))
    if load.processes <= cores:
        return [Check("generators", OK, f"load {load.name}: {load.processes} processes, {cores} cores")]
    said = f"load {load.name}: {load.processes} processes asked and {cores} cores here: they slow one another"
    return [Check("generators", WARN, f"{said}, and the probes", f"Ask for `processes: {cores}` at most.")]


def _workers(load: Load) -> list[Check]:
    if not load.workers:
        return []
    said = f"load {load.name}: waits for {load.workers} workers: {worker_command(load)}"
    if _is_loopback(load.bind):
        return [Check("generators", OK, said)]
    open_to = f"{load.bind} is reached from elsewhere, with neither authentication nor encryption"
    return [Check("generators", WARN, f"{said}; {open_to}", "Keep that network closed, or use a tunnel.")]


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
