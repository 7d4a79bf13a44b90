"""A disk of its own for a lab's database, small enough to be filled: a tmpfs that nobody else sees.

The lab's supervisor enters a user and a mount namespace and mounts it there: no root is needed, nothing
shows outside, and it is gone with the lab. Where namespaces are forbidden an ordinary folder does, which
cannot be filled.
"""

from __future__ import annotations

import ctypes
import errno
import os
from io import FileIO
from pathlib import Path

from gameday.lab.errors import LabError

BALLAST = "ballast"
CHUNK = 1 << 20
FULL_BELOW = 64 << 10
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_NOSUID_NODEV = 2 | 4


class SmallDisk:
    """One folder, on a disk of `size_mb` where that can be had."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        """Mount it. Must be called before this process has threads: a kernel rule for user namespaces."""
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.is_small = _mount(folder, size_mb)

    def fill(self) -> None:
        """Write until nothing more fits.

        Raises:
            LabError: It is an ordinary folder.
        """
        if not self.is_small:
            raise LabError("no small disk here: user namespaces are forbidden, or cannot mount")
        with (self.folder / BALLAST).open("ab", buffering=0) as file:
            for size in (CHUNK, 4096):
                while _fits(file, size):
                    pass

    def free(self) -> None:
        """Make room again."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Tell whether nothing more can be written."""
        found = os.statvfs(self.folder)
        return (self.folder / BALLAST).exists() and found.f_bavail * found.f_frsize < FULL_BELOW


def _fits(file: FileIO, size: int) -> bool:
    try:
        return file.write(bytes(size)) == size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def _mount(folder: Path, size_mb: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    except OSError:
        return False
    options = f"size={size_mb}m,mode=700".encode()
    done: int = libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_NOSUID_NODEV, options)
    return done == 0
