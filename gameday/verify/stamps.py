"""Line 3: time stamp tokens pin the run from both sides.

A token over time/start.json stands in the genesis of the chain, so all that the chain holds was made
after it, and it was issued over the plan's digest, so the objectives were fixed before it. Tokens over
the chain's head, and over the manifest, say by when a record was there.

    start token <= first record;  record COVERED <= its token <= record TimeStamped
    last record <= manifest's token

up to the clock's own bound, the token's accuracy, and five seconds. Source: RFC 3161; the signature and
the chain to the auditor's roots are checked by rfc3161-client, at the token's own time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.x509 import Certificate

from .chain import History, Record
from .folder import Folder
from .lines import Broken, Line, clean
from .strictjson import canonical, get
from .trust import Trust

TOKEN_MAX = 64 << 10
NS = 1_000_000_000
SLACK_NS = 5 * NS
START_MAX_NS = 600 * NS
ACTS = ("StepStarted", "StepEnded", "UndoStarted", "UndoEnded", "LedgerRead")
_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z\Z")


def utc_ns(text: str, where: str) -> int:
    """Return an instant in RFC 3339 with `Z` as nanoseconds since 1970.

    Raises:
        Broken: It is none.
    """
    found = _UTC.match(text)
    try:
        whole = datetime.fromisoformat(f"{found[1]}+00:00" if found else "")
    except ValueError:
        raise Broken(f"{where}: {clean(text, 40)} is no time in UTC") from None
    assert found is not None
    return int(whole.timestamp()) * NS + int((found[2] or "").ljust(9, "0"))


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token that holds: its time, how far that may be off, and whose it is."""

    at_ns: int
    off_ns: int
    authority: str


def read_token(token: bytes, message: bytes, roots: list[Certificate], where: str) -> Stamp:
    """Return a token's time if it is over `message` and chains to one of the roots.

    Raises:
        Broken: It is not.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response  # noqa: PLC0415

    try:
        response = decode_timestamp_response(token)
        VerifierBuilder(roots=list(roots)).build().verify_message(response, message)
        info = response.tst_info
        time, accuracy, name = info.gen_time, info.accuracy, info.name
    except (KeyboardInterrupt, SystemExit):
        raise
    except VerificationError as error:
        raise Broken(f"{where}: the token does not hold: {error}") from None
    except BaseException as error:  # noqa: BLE001 - a hostile token; the library's panics are BaseExceptions
        raise Broken(f"{where}: is no token: {error}") from None
    at = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    off = 0
    if accuracy is not None:
        off = (
            (accuracy.seconds or 0) * NS + (accuracy.millis or 0) * 1_000_000 + (accuracy.micros or 0) * 1000
        )
    whole = int(at.timestamp()) * NS + at.microsecond * 1000
    # A time without a fraction was cut off, not rounded.
    return Stamp(whole, off + (0 if at.microsecond else NS), clean(_named(name), 120))


def _named(name: object) -> str:
    """Return a general name as text; a directory name in the form of RFC 4514."""
    value = getattr(name, "value", name)
    spelt = getattr(value, "rfc4514_string", None)
    return str(spelt() if spelt else value or "an authority without a name")


class Clock:
    """Reads tokens and holds their times against the history's."""

    def __init__(self, folder: Folder, history: History, trust: Trust, line: Line) -> None:
        self._folder, self._history, self._roots, self._line = folder, history, trust.roots, line
        bounds = [r.data.get("bound_ns") for r in history.all("ClockRead")]
        self._slack_ns = SLACK_NS + max((b for b in bounds if type(b) is int), default=0)
        self.stamps: list[Stamp] = []
        self.is_pinned_after = False

    def check(self, manifest: bytes) -> None:
        """Check every token, and that there is one before and one after all that was done."""
        started = self._history.first("RunStarted")
        if started is None:
            raise Broken("there is no first record whose time could be checked")
        if not self._roots:
            self._line.unknown("time: internal only (your trust file names no timestamp_roots)")
            return
        has_start = self._start(started)
        for record in self._history.all("TimeStamped"):
            with self._line.guard(f"record {record.seq}"):
                self._head(record)
        self._manifest(manifest)
        if not self.stamps and not self._line.problems:
            self._line.unknown("time: internal only (the bundle holds no tokens)")
        elif not has_start:
            self._line.unknown("no token was taken at the start: it could have been prepared at any time")
        elif not self.is_pinned_after:
            self._line.unknown("no token was taken after the last action: it could have been rewritten since")
        else:
            times = sorted(stamp.at_ns for stamp in self.stamps)
            self._line.good = (
                f"the run lies between {_said(times[0])} and {_said(times[-1])}: {len(times)} tokens by "
                + ", ".join(sorted({stamp.authority for stamp in self.stamps}))
            )

    def _stamp(self, path: str, message: bytes, sha256: str | None) -> Stamp:
        token = self._folder.small(path, TOKEN_MAX)
        if sha256 is not None and hashlib.sha256(token).hexdigest() != sha256:
            raise Broken(f"{path}: is not the token that the history holds")
        stamp = read_token(token, message, self._roots, path)
        self.stamps.append(stamp)
        return stamp

    def _start(self, started: Record) -> bool:
        where = "history.jsonl:1"
        sha256 = get(started.data, "start_token_sha256", str, where)
        if not sha256:
            if self._folder.has("time/start.tsr"):
                self._line.fail("time/start.tsr: is a token that the history does not know")
            return False
        data = self._folder.small("time/start.json", TOKEN_MAX)
        keys = ("plan_sha256", "register_sha256", "run")
        stated = {"kind": "gameday-start-v1"} | {key: get(started.data, key, str, where) for key in keys}
        if data != canonical(stated) + b"\n":
            raise Broken("time/start.json: is not about this plan, register and run")
        stamp = self._stamp("time/start.tsr", data, sha256)
        first_ns = utc_ns(started.utc, where)
        self._order(stamp.at_ns, first_ns, stamp.off_ns, "the start token", "the first record")
        self._order(
            first_ns, stamp.at_ns + START_MAX_NS, stamp.off_ns, "the first record", "10 min after its token"
        )
        return True

    def _head(self, record: Record) -> None:
        where = f"history.jsonl:{record.seq}"
        covers, head = get(record.data, "covers_seq", int, where), get(record.data, "head_sha256", str, where)
        sha256 = get(record.data, "token_sha256", str, where)
        if not sha256:
            self._line.unknown(f"{where}: no token could be had then: {record.data.get('detail')}")
            return
        if not 0 < covers < record.seq or self._history.digest(covers) != head:
            raise Broken(f"{where}: head_sha256 is not that of record {covers}")
        text = f"{head}\n".encode()
        path = f"time/head-{covers}"
        if self._folder.small(f"{path}.txt", TOKEN_MAX) != text:
            raise Broken(f"{path}.txt: is not the head of record {covers}")
        stamp = self._stamp(f"{path}.tsr", text, sha256)
        covered = [r for r in self._history.records if r.seq <= covers]
        before, after = f"record {covered[-1].seq}", f"the token over record {covers}"
        self._order(utc_ns(covered[-1].utc, before), stamp.at_ns, stamp.off_ns, before, after)
        self._order(stamp.at_ns, utc_ns(record.utc, where), stamp.off_ns, after, f"record {record.seq}")
        acts = self._history.all(*ACTS)
        self.is_pinned_after |= not acts or acts[-1].seq <= covers

    def _manifest(self, manifest: bytes) -> None:
        path = "attest/manifest.tsr"
        if not self._folder.has(path):
            return
        stamp = self._stamp(path, manifest, None)
        last_ns = utc_ns(self._history.last_utc, "the last record")
        self._order(last_ns, stamp.at_ns, stamp.off_ns, "the last record", "the manifest's token")
        self.is_pinned_after = True

    def _order(self, first_ns: int, second_ns: int, off_ns: int, first: str, second: str) -> None:
        late_ns = first_ns - second_ns
        if late_ns > self._slack_ns + off_ns:
            self._line.fail(
                f"{first} is {late_ns / NS:.0f} s later than {second}: a clock was moved or a time made up"
            )


def _said(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
