"""Bundles made to hurt: nothing crashes, hangs, grows, or opens anything outside the folder."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time

import pytest

from gameday.verify.verify import verify
from tests.verify.made import Maker, line

FAST, SLOW = 12, 2_000
WATCHED: list[tuple[str, int]] | None = None


def _hook(event, args):
    if WATCHED is not None and event == "open":
        WATCHED.append((args[0], args[2]))


sys.addaudithook(_hook)


def watched(folder, trust):
    """Verify, and return the report with every file that was opened meanwhile."""
    global WATCHED
    verify_once(folder, trust)
    WATCHED = []
    began = time.process_time()
    try:
        report = verify(folder, trust)
        opened = list(WATCHED)
    finally:
        WATCHED = None
    return report, opened, time.process_time() - began


def verify_once(folder, trust):
    """Once before, so that libraries which are loaded late are loaded."""
    if "rfc3161_client" not in sys.modules:
        verify(folder, trust)


def check_opened(folder, opened):
    assert len(opened) > 3
    for path, flags in opened:
        if str(path) == str(folder):
            continue
        assert isinstance(path, str) and "/" not in path and path not in (".", ".."), path
        assert flags & os.O_NOFOLLOW, path


def refused(folder, trust, *words):
    report, opened, took_s = watched(folder, trust)
    check_opened(folder, opened)
    assert took_s < 10
    assert report.exit_code == 1
    said = " ".join(text for found in report.lines for text in found.problems)
    for word in words:
        assert word in said, said
    return report


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "outside"
    path.write_text("secret")
    return path


@pytest.mark.parametrize(
    "where", ["report.html", "register/checkpoint", "attest/run.dsse.json", "segments/samples.jsonl"]
)
def test_a_link_is_not_followed(bundle, trust, canary, where):
    (bundle / where).unlink()
    (bundle / where).symlink_to(canary)
    refused(bundle, trust, "is a link")


def test_a_linked_folder_is_not_entered(bundle, trust, tmp_path):
    (bundle / "segments").rename(tmp_path / "segments")
    (bundle / "segments").symlink_to(tmp_path / "segments")
    refused(bundle, trust, "segments: is a link")


@pytest.mark.parametrize("path", ["history.jsonl", "findings.json", "time/start.tsr", "plan.json"])
def test_a_pipe_does_not_hang(bundle, trust, path):
    (bundle / path).unlink()
    os.mkfifo(bundle / path)
    refused(bundle, trust, "is neither a file nor a folder")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "a/../../outside", "a//b", ".", "", "e\u0301.txt", "x" * 300, "a\0b"],
)
def test_a_path_that_escapes_is_never_opened(world, trust, tmp_path, name):
    class Escaping(Maker):
        def manifest(self):
            data = json.loads(super().manifest())
            data["files"] = sorted(
                [*data["files"], {"path": name, "bytes": 6, "sha256": "0" * 64}], key=lambda r: r["path"]
            )
            return line(data)

    refused(Escaping(world).make().write(tmp_path / "b"), trust, "is no path that may be listed")


def test_files_that_are_not_listed_or_listed_twice(bundle, trust):
    (bundle / "extra.txt").write_text("x")
    (bundle / "attest" / "more.json").write_text("{}")
    (bundle / "register" / "other").write_text("x")
    (bundle / "addenda" / "9").mkdir()
    (bundle / "addenda" / "9" / "x").write_text("")
    refused(bundle, trust, "extra.txt: is not listed", "attest/more.json", "register/other", "addenda/9")


NO_JSON = {
    "twice": b'{"kind":"gameday-manifest-v1","kind":"x"}\n',
    "deep": b"[" * 100_000,
    "deeper": b'{"a":' * 50_000,
    "nan": b'{"a":NaN}\n',
    "float": b'{"a":1.5}\n',
    "digits": b'{"a":' + b"9" * 5000 + b"}\n",
    "integer": b'{"a":9007199254740993}\n',
    "bytes": b"\xff\xfe\n",
    "empty": b"",
    "spaces": b'{"kind": "gameday-manifest-v1"}\n',
    "surrogate": b'"\\ud800"\n',
    "null": b"null\n",
    "mark": b"\xef\xbb\xbf{}\n",
    "large": b"0" * (9 << 20),
}


def try_json(bundle, trust, paths, text):
    for path in paths:
        kept = (bundle / path).read_bytes()
        (bundle / path).write_bytes(text)
        refused(bundle, trust, path.partition("/")[0])
        (bundle / path).write_bytes(kept)


@pytest.mark.parametrize("what", NO_JSON)
def test_json_that_is_none(bundle, trust, what):
    try_json(bundle, trust, ["manifest.json"], NO_JSON[what])


@pytest.mark.slow
@pytest.mark.parametrize("what", NO_JSON)
def test_json_that_is_none_anywhere(bundle, trust, what):
    paths = [
        "plan.json",
        "findings.json",
        "attest/run.dsse.json",
        "register/leaves.jsonl",
        "register/at-start",
    ]
    try_json(bundle, trust, paths, NO_JSON[what])


def grown_mb(act) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    act()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.mark.parametrize(
    "path", ["history.jsonl", "segments/samples.jsonl", "findings.json", "report.html", "extra"]
)
def test_a_file_of_a_terabyte(bundle, trust, path):
    with (bundle / path).open("ab") as file:
        file.truncate(1 << 40)
    assert grown_mb(lambda: refused(bundle, trust)) < 100


def test_a_line_without_an_end(bundle, trust):
    for path in ("history.jsonl", "segments/load.jsonl", "register/leaves.jsonl"):
        kept = (bundle / path).read_bytes()
        (bundle / path).write_bytes(kept + b"x" * (4 << 20))
        assert grown_mb(lambda: refused(bundle, trust)) < 100
        (bundle / path).write_bytes(kept)


def test_more_entries_than_a_bundle_has(bundle, trust, monkeypatch):
    monkeypatch.setattr("gameday.verify.folder.ENTRIES_MAX", 60)
    for number in range(60):
        (bundle / f"{number}").write_bytes(b"")
    refused(bundle, trust, "more than 60 entries")


def test_folders_within_folders(bundle, trust):
    deep = bundle
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)
    refused(bundle, trust, "is no name that a bundle may hold")


# --- fuzzed ------------------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, -1, 1, 2**53 - 1, -(2**53 - 1), "", "x", "\x1b[31m", "é" * 50, [], {}, [[]], [None],
    {"a": 1}, ["1-dies"], "1-dies", 10**9, [[1, 2]], "fault", "good", "0" * 64,
]  # fmt: skip


def twist(dice: random.Random, value, depth=0):
    """Put something strange in one place of a JSON value."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(sorted(value))
        deed = dice.random()
        if deed < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if deed < 0.15:
            return value | {dice.choice(["extra", "é", "\U0001f600", ""]): dice.choice(VALUES)}
        return value | {key: twist(dice, value[key], depth + 1)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        deed = dice.random()
        if deed < 0.1:
            return value[:at] + value[at + 1 :]
        if deed < 0.2:
            return [*value, value[at]]
        return [*value[:at], twist(dice, value[at], depth + 1), *value[at + 1 :]]
    return dice.choice(VALUES)


class Twisted(Maker):
    """An insider who seals nonsense properly: it reaches the deepest parts of the verifier."""

    def __init__(self, world, dice, whole):
        super().__init__(world)
        self.dice, self.whole = dice, whole
        self.where = dice.choice(
            [
                "plan",
                "event",
                "event",
                "event",
                "sample",
                "load",
                "ledger",
                "findings",
                "predicate",
                "leaf",
                "manifest",
            ]
        )
        if self.where == "plan":
            self.plan = line(twist(dice, json.loads(self.plan)))[:-1]

    def approve(self):
        raw = self.whole.files["approvals/plan.a.bell.approver.json"]
        if self.dice.random() < 0.1:
            raw = line(twist(self.dice, json.loads(raw)))
        self.files["approvals/plan.a.bell.approver.json"] = raw
        self.files["approvals/plan.a.bell.approver.json.sig"] = self.whole.files[
            "approvals/plan.a.bell.approver.json.sig"
        ]
        given = next(json.loads(raw)["data"] for raw in self.whole.lines if b"ApprovalGiven" in raw)
        return given

    def events(self):
        if not hasattr(self, "kept"):
            self.kept = super().events()
            if self.where == "event":
                at = self.dice.randrange(1, len(self.kept))
                at_ns, kind, data = self.kept[at]
                self.kept[at] = (self.dice.choice([at_ns, 0, -5, 2**50]), kind, twist(self.dice, data) or {})
        return self.kept

    def append(self, at_ns, kind, data):
        super().append(at_ns, kind, data if isinstance(data, dict) else {"data": data})

    def segments(self):
        found = super().segments()
        name = {"sample": "samples"}.get(self.where, self.where)
        if name in found:
            lines = b"".join(found[name]).splitlines()
            for _ in range(self.dice.randrange(1, 4)):
                at = self.dice.randrange(len(lines))
                lines[at] = line(twist(self.dice, json.loads(lines[at])))[:-1]
            found[name] = [b"".join(raw + b"\n" for raw in lines), b"", b""]
        return found

    def conclude(self):
        self.findings = self.whole.findings
        if self.where == "findings":
            self.findings = twist(self.dice, self.findings)
        super().conclude()

    def end(self):
        self.findings, kept = self.whole.findings, self.findings
        super().end()
        self.findings = kept
        if self.where == "leaf":
            at = self.dice.randrange(len(self.leaves))
            twisted = twist(self.dice, self.leaves[at])
            self.leaves[at] = twisted if isinstance(twisted, dict) else {}

    def predicate(self):
        stated = json.loads(
            __import__("base64").b64decode(json.loads(self.whole.beside["attest/run.dsse.json"])["payload"])
        )
        stated = stated["predicate"] | {"head": self.prev, "events": len(self.lines)}
        return twist(self.dice, stated) if self.where == "predicate" else stated

    def attest(self):
        kept, self.findings = self.findings, self.whole.findings
        found = super().attest()
        self.findings = kept
        return found

    def manifest(self):
        data = json.loads(super().manifest())
        return line(twist(self.dice, data) if self.where == "manifest" else data)

    def sign_off(self, person, role):
        name = f"signoff-{role}-{person.name}.json"
        number = 1 if role == "owner" else 2
        return {f: self.whole.beside[f"addenda/{number}/{f}"] for f in (name, f"{name}.sig")}


def vandalise(dice, folder):
    """Do something crude to the files themselves."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    path = dice.choice(files)
    match dice.randrange(8):
        case 0:
            path.write_bytes(dice.randbytes(dice.randrange(2000)))
        case 1:
            data = path.read_bytes()
            path.write_bytes(data[: dice.randrange(len(data))] if data else b"x")
        case 2:
            path.unlink()
            path.symlink_to(
                dice.choice(["/etc/passwd", "..", path.name, "/dev/zero", str(folder.parent / "outside")])
            )
        case 3:
            path.unlink()
            os.mkfifo(path)
        case 4:
            path.write_bytes(
                path.read_bytes() + dice.choice([b"[" * 5000, b"\0", b"\n\n", b"{}\n", b"\xff\n"])
            )
        case 5:
            path.rename(path.with_name(dice.choice(["x\ny", "e\u0301", "-", "\x1b[2J", "z" * 200])))
        case 6:
            path.unlink()
            path.mkdir()
        case _:
            others = [data for data in (other.read_bytes() for other in files) if data != path.read_bytes()]
            path.write_bytes(dice.choice(others))


def fuzz(world, whole, trust, folder, seeds):
    (folder.parent / "outside").write_text("secret")
    passed = 0
    for seed in seeds:
        dice = random.Random(seed)
        sealed = dice.random() < 0.7
        made = Twisted(world, dice, whole).make() if sealed else whole
        made.write(folder)
        for _ in range(0 if sealed and dice.random() < 0.8 else dice.randrange(1, 4)):
            vandalise(dice, folder)
            sealed = False
        report, opened, took_s = watched(folder, trust)
        check_opened(folder, opened)
        assert took_s < 10, f"seed {seed}"
        assert report.exit_code in (0, 1, 4), f"seed {seed}"
        assert sealed or report.exit_code, f"seed {seed}: changed and not sealed, yet it passes"
        said = json.dumps(
            [[x.problems, x.gaps, x.why] for x in report.lines] + report.signatures, ensure_ascii=False
        )
        assert "\x1b" not in said and "secret" not in said, f"seed {seed}"
        passed += report.exit_code == 0
    return passed


def test_hostile_bundles_do_no_harm(world, whole, trust, tmp_path):
    assert grown_mb(lambda: fuzz(world, whole, trust, tmp_path / "b", range(FAST))) < 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_hostile_bundles_do_no_harm(world, whole, trust, tmp_path):
    assert grown_mb(lambda: fuzz(world, whole, trust, tmp_path / "b", range(1000, 1000 + SLOW))) < 200
