"""Who really runs this process: the person who logged in, whatever they say and whoever they became.

The kernel keeps the audit login uid through `su` and `sudo`, and an unprivileged process cannot change
it. Where there was no login (cron, a service, most containers) it is the real user. Neither depends on
the environment, which `getpass.getuser` believes first.

Source: proc(5), /proc/pid/loginuid; audit_setloginuid(3).
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

NO_LOGIN = 2**32 - 1


def login_uid(path: Path = Path("/proc/self/loginuid")) -> int:
    """Return the uid of the login, or the real uid where there was none."""
    try:
        uid = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return os.getuid()
    return os.getuid() if uid == NO_LOGIN else uid


def login_name(path: Path = Path("/proc/self/loginuid")) -> str:
    """Return the name of that user; `uid-N` where it has none."""
    uid = login_uid(path)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
