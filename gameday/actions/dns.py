"""Give wrong DNS answers through a hosts file: that of dnsmasq (`addn-hosts`), or /etc/hosts itself.

The line that the fault adds ends with a comment that names the fault, and lines that answer for the
same host are put behind such a comment, because resolvers answer with all of them. So the undo finds
just these lines again, whatever else was edited meanwhile. dnsmasq reads its file again upon a
SIGHUP, which is sent when its pid file is given; the C library reads /etc/hosts at each question.

Source: dnsmasq(8), option --addn-hosts; hosts(5).
"""

from __future__ import annotations

import ipaddress
import os
import re
import signal
from pathlib import Path

from gameday.actions import faults, procs
from gameday.actions.http import ActionError
from gameday.actions.process import pid_in

__all__ = ["answer_wrongly", "answers_wrongly", "restore_answers"]
NOWHERE = "192.0.2.1"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\Z")


def answer_wrongly(
    hosts_file: str,
    host: str,
    address: str = NOWHERE,
    pid_file: str = "",
    name: str = "gameday-dns",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Answer `address` for `host` (192.0.2.1: a documentation address at which nobody lives).

    Raises:
        ActionError: The file cannot be changed, or the fault is in place already.
    """
    if not _HOST.match(host):
        raise ActionError(f"host {host!r}: expected a host name")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ActionError(f"address {address!r}: expected an IP address") from None
    path = Path(hosts_file)
    if answers_wrongly(hosts_file, name):
        raise ActionError(f"fault {name!r} is in place already: undo it, or give this one another `name`")
    before = _read(path)
    arguments = {"hosts_file": hosts_file, "pid_file": pid_file, "name": name}
    with faults.timed(name, "dns.answer_wrongly", restore_answers, arguments, ttl_s):
        rest = [_silenced(line, host, name) for line in before.splitlines(keepends=True)]
        _write(path, f"{address} {host} {_comment(name)}\n{''.join(rest)}")
        _reload(pid_file)


def restore_answers(hosts_file: str, pid_file: str = "", name: str = "gameday-dns") -> None:
    """Remove the fault's line, and no other.

    Raises:
        ActionError: The file cannot be changed.
    """
    path = Path(hosts_file)
    if answers_wrongly(hosts_file, name):
        lines = _read(path).splitlines(keepends=True)
        kept = [line for line in lines if not line.rstrip().endswith(_comment(name))]
        _write(path, "".join(line.removeprefix(_before(name)) for line in kept))
    _reload(pid_file)
    faults.end(name)


def answers_wrongly(hosts_file: str, name: str = "gameday-dns") -> bool:
    """Tell whether the fault's line stands in the file."""
    lines = _read(Path(hosts_file)).splitlines()
    return any(line.rstrip().endswith(_comment(name)) or line.startswith(_before(name)) for line in lines)


def _silenced(line: str, host: str, name: str) -> str:
    """Return a line as it is, or behind the fault's comment when it answers for the host."""
    answers = line.partition("#")[0].split()[1:]
    return _before(name) + line if host.lower() in map(str.lower, answers) else line


def _before(name: str) -> str:
    return f"{_comment(name)}: "


def _comment(name: str) -> str:
    return f"# {faults.ARGUMENT} {faults.check_name(name)}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionError(f"the hosts file {path} cannot be read: {error}") from None


def _write(path: Path, text: str) -> None:
    """Replace the text in one write: the file may be bind-mounted, so it cannot be renamed over."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ActionError(f"the hosts file {path} cannot be written: {error.strerror}") from None


def _reload(pid_file: str) -> None:
    if pid_file:
        procs.send(pid_in(pid_file), signal.SIGHUP)
