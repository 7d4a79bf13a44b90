"""Disturb packets in the kernel: `tc` for delay, loss and rate, `nft` for loss, partition and reset.

Root in the network namespace concerned (`namespace`: a file such as /proc/PID/ns/net). Both leave a
mark that no one else has, by which exactly this fault is found: a queueing discipline has the handle
6764: and a rule set is a table called after the fault. A process beside them takes them away after
`ttl_s` seconds. `gameday doctor` says what this kernel has.

Source: tc-netem(8), tc-tbf(8), nft(8).
"""

from __future__ import annotations

import re
import shutil
import subprocess

from gameday.actions import faults
from gameday.actions.http import ActionError

__all__ = ["drop", "has_rules", "is_shaped", "rate", "remove_rules", "shape", "unshape"]
HANDLE = "6764:"
TIMEOUT_S = 8.0
_NAME = re.compile(r"[\w.:-]{1,15}\Z")
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+(/\d{1,3})?\Z")


def shape(
    device: str,
    latency_ms: int = 0,
    jitter_ms: int = 0,
    loss_percent: float = 0.0,
    namespace: str = "",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Delay or lose what leaves through a network device (`tc netem`).

    Raises:
        ActionError: This kernel has no netem, or the device has a discipline of somebody else's.
    """
    options = []
    if latency_ms:
        options += ["delay", f"{int(latency_ms)}ms", f"{int(jitter_ms)}ms"]
    if loss_percent:
        options += ["loss", f"{float(loss_percent):g}%"]
    if not options:
        raise ActionError("shape: at least one of latency_ms and loss_percent is needed")
    _put(device, ["netem", *options], namespace, ttl_s)


def rate(device: str, kbit_per_s: int, namespace: str = "", ttl_s: float = faults.TTL_S) -> None:
    """Bound what leaves through a network device to `kbit_per_s` kilobits a second (`tc tbf`).

    Raises:
        ActionError: As `shape`.
    """
    burst = max(_mtu(device, namespace) + 64, 4096)  # A packet larger than the burst would never pass.
    options = ["tbf", "rate", f"{int(kbit_per_s)}kbit", "burst", str(burst), "latency", "400ms"]
    _put(device, options, namespace, ttl_s)


def _mtu(device: str, namespace: str) -> int:
    if not _NAME.match(device):
        raise ActionError(f"device {device!r}: expected the name of a network device")
    found = re.search(r" mtu (\d+) ", _run(["ip", "-o", "link", "show", "dev", device], namespace))
    if found is None:
        raise ActionError(f"device {device!r} does not say how long its packets are")
    return int(found[1])


def unshape(device: str, namespace: str = "") -> None:
    """Take our discipline off the device; the kernel puts its own default back.

    Raises:
        ActionError: It cannot be taken off.
    """
    if is_shaped(device, namespace):
        _run(["tc", "qdisc", "del", "dev", device, "root"], namespace)
    faults.end(_fault_name(device))


def is_shaped(device: str, namespace: str = "") -> bool:
    """Tell whether the discipline at the root of the device is ours."""
    return f" {HANDLE} root" in _root_discipline(device, namespace)


def _root_discipline(device: str, namespace: str) -> str:
    if not _NAME.match(device):
        raise ActionError(f"device {device!r}: expected the name of a network device")
    shown = _run(["tc", "qdisc", "show", "dev", device], namespace)
    return next((line for line in shown.splitlines() if " root" in line), "")


def _put(device: str, options: list[str], namespace: str, ttl_s: float) -> None:
    now = _root_discipline(device, namespace)
    if now and " 0: root" not in now:
        what = "ours, so the fault is in place already" if HANDLE in now else "somebody's own"
        raise ActionError(f"device {device} has a queueing discipline that is {what}: {now.strip()}")
    name = _fault_name(device)
    arguments = {"device": device, "namespace": namespace}
    with faults.timed(name, "kernelnet.shape", unshape, arguments, ttl_s):
        _run(["tc", "qdisc", "add", "dev", device, "root", "handle", HANDLE, *options], namespace)


def _fault_name(device: str) -> str:
    return "gameday-tc-" + re.sub(r"[^A-Za-z0-9]", "-", device)


def drop(
    address: str = "",
    port: int | None = None,
    percent: int = 100,
    answer: str = "drop",
    name: str = "gameday-drop",
    namespace: str = "",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Lose (`drop`) or refuse (`reset`) packets to and from an address or TCP port: loss, partition, cut.

    Args:
        address: The peer, IPv4 or IPv6, or a network; empty for any.
        port: A TCP port, of either side; None for any.
        percent: How many of the packets in a hundred; 100 is a partition.
        answer: `drop` (nobody hears of it) or `reset` (TCP connections are refused).
        name: The fault's name, and that of its table.
        namespace: The network namespace, as a file; empty for this one.
        ttl_s: After so many seconds the rules are removed, whoever is dead by then.

    Raises:
        ActionError: There is no nft, a value is out of range, or the fault is in place already.
    """
    if not address and port is None:
        raise ActionError("drop: an address or a port is needed; everything is no target")
    if address and not _ADDRESS.match(address):
        raise ActionError(f"address {address!r}: expected an IP address or network")
    if not isinstance(percent, int) or not 1 <= percent <= 100:
        raise ActionError(f"percent {percent!r}: expected a whole number from 1 to 100")
    verdict = {"drop": "drop", "reset": "reject with tcp reset"}.get(answer)
    if verdict is None:
        raise ActionError(f"answer {answer!r}: expected drop or reset")
    if has_rules(name, namespace):
        raise ActionError(f"fault {name!r} is in place already: undo it, or give this one another `name`")
    rules = _rules(_table(name), address, port, percent, verdict)
    arguments = {"name": name, "namespace": namespace}
    with faults.timed(name, "kernelnet.drop", remove_rules, arguments, ttl_s):
        _run(["nft", "-f", "-"], namespace, rules)


def _rules(table: str, address: str, port: int | None, percent: int, verdict: str) -> str:
    """Return one transaction: it is there as a whole or not at all."""
    lines = [f"add table inet {table}"]
    family = "ip6" if ":" in address else "ip"
    chance = f"numgen random mod 100 < {percent} " if percent < 100 else ""
    for chain, peer in (("input", "saddr"), ("output", "daddr")):
        lines.append(f"add chain inet {table} {chain} {{ type filter hook {chain} priority -10; }}")
        who = f"{family} {peer} {address} " if address else ""
        # A reset must get through, or nobody would hear of the refusal.
        only_tcp = "meta l4proto tcp tcp flags & rst == 0 " if "reset" in verdict else ""
        ports = [f"tcp sport {int(port)} ", f"tcp dport {int(port)} "] if port is not None else [""]
        lines += [f"add rule inet {table} {chain} {who}{part}{only_tcp}{chance}{verdict}" for part in ports]
    return "\n".join(lines) + "\n"


def remove_rules(name: str, namespace: str = "") -> None:
    """Remove the fault's table; one that is not there is no error.

    Raises:
        ActionError: It cannot be removed.
    """
    if has_rules(name, namespace):
        _run(["nft", "delete", "table", "inet", _table(name)], namespace)
    faults.end(name)


def has_rules(name: str, namespace: str = "") -> bool:
    """Tell whether the fault's table is there."""
    return f"table inet {_table(name)}" in _run(["nft", "list", "tables"], namespace).splitlines()


def _table(name: str) -> str:
    return faults.check_name(name).replace("-", "_")


def _run(command: list[str], namespace: str, text: str = "") -> str:
    if namespace:
        command = ["nsenter", f"--net={namespace}", *command]
    if shutil.which(command[0]) is None:
        raise ActionError(f"{command[0]} is not installed here")
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ActionError(f"{' '.join(command)}: {error}") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit {done.returncode}"
        raise ActionError(f"{' '.join(command)}: {reason}")
    return done.stdout
