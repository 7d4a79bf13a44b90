"""Line 1: the manifest and the files agree both ways, and so do those of each addendum.

Every file is listed with its size and SHA-256, and every listed file is there. Only manifest.json,
attest/, register/ and addenda/ stand beside the list; those are held by the register's leaf, by
signatures and by the addenda's own manifests.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from .folder import Folder, is_sound
from .lines import Broken, Line
from .strictjson import get, parse_canonical, rows

MANIFEST_MAX = 4 << 20
BESIDE = ("attest/", "register/", "addenda/")
ATTEST = {"run.dsse.json", "test-result.dsse.json", "runner.pub", "manifest.tsr"}
REGISTER = {"at-start", "leaves.jsonl", "checkpoint"}
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that is well-formed."""

    data: dict[str, Any]
    raw: bytes
    sha256: str
    files: dict[str, tuple[int, str]]


def read_manifest(folder: Folder, path: str, kind: str) -> Manifest:
    """Return the manifest of a bundle or an addendum.

    Raises:
        Broken: It is none.
    """
    raw = folder.small(path, MANIFEST_MAX)
    if not raw.endswith(b"\n"):
        raise Broken(f"{path}: does not end with a newline")
    data = parse_canonical(raw[:-1], path)
    if get(data, "kind", str, path) != kind:
        raise Broken(f"{path}: is {data['kind']!r}, expected {kind}")
    files: dict[str, tuple[int, str]] = {}
    last = ""
    for row in rows(data, "files", path):
        name, size, sha256 = (
            get(row, "path", str, path), get(row, "bytes", int, path), get(row, "sha256", str, path)
        )  # fmt: skip
        if not is_sound(name) or name == "manifest.json" or name.startswith(BESIDE):
            raise Broken(f"{path}: {name!r} is no path that may be listed")
        if name <= last:
            raise Broken(f"{path}: {name!r} stands twice or out of order")
        if size < 0 or not _HEX.match(sha256):
            raise Broken(f"{path}: {name!r} has no proper size and digest")
        files[name], last = (size, sha256), name
    return Manifest(data, raw, hashlib.sha256(raw).hexdigest(), files)


def check_files(folder: Folder, there: dict[str, int], manifest: Manifest, at: str, line: Line) -> None:
    """Hold the files below `at` (empty, or `addenda/1/`) against their manifest, both ways."""
    for name, (size, sha256) in manifest.files.items():
        path = at + name
        if path not in there:
            line.fail(f"{path}: is listed and missing")
        elif there[path] != size:
            line.fail(f"{path}: has {there[path]} bytes, listed are {size}")
        else:
            with line.guard(path):
                if folder.digest(path) != (size, sha256):
                    line.fail(f"{path}: is not the file that was sealed")
    for path in there:
        name = path.removeprefix(at)
        if path.startswith(at) and name not in manifest.files and not _is_beside(name):
            line.fail(f"{path}: is not listed")


def _is_beside(name: str) -> bool:
    room, _, rest = name.partition("/")
    if room == "attest":
        return rest in ATTEST or rest == "addendum.dsse.json"
    return name == "manifest.json" or (room == "register" and rest in REGISTER) or room == "addenda"


def addenda_of(there: dict[str, int], line: Line) -> int:
    """Return how many addenda there are; they are numbered from 1 without a hole."""
    numbers = {path.split("/")[1] for path in there if path.startswith("addenda/")}
    wanted = {str(number) for number in range(1, len(numbers) + 1)}
    for name in sorted(numbers - wanted):
        line.fail(f"addenda/{name}: is not the next number")
    return len(numbers & wanted)


def check_head(manifest: Manifest, plan_sha256: str, run: str, count: int, head: str, line: Line) -> None:
    """Hold what the manifest says of the run against its history."""
    for key, found in (("run", run), ("plan_sha256", plan_sha256), ("events", count), ("head", head)):
        stated = manifest.data.get(key)
        if type(stated) is not type(found) or stated != found:
            line.fail(f"manifest.json: {key} is {stated!r}, the history has {found!r}")
