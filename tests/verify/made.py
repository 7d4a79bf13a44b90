"""Bundles made here, by a small maker that shares nothing with the sealing side but the document.

The cryptography is real: an Ed25519 runner key, SSH signatures by ssh-keygen, tokens by `openssl ts` with
its own CA. `World` holds keys and what the auditor brings; `Maker` makes one bundle, step by step, so
that an attack is a maker with one step changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from gameday.canonical import canonical, to_json
from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.history.events import RunStarted
from gameday.history.record import Record, Trace
from tests.evidence import synthetic

ORIGIN_ID = "0123456789abcdef"
RUN = "20260101T000000Z-abcdef"
TSA_CONFIG = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def line(value) -> bytes:
    return canonical(value) + b"\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


CHECKED: dict = {}


class Authority:
    """A time stamp authority: a CA, a certificate for time stamping, and `openssl ts -reply`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        run = lambda *words: subprocess.run(  # noqa: E731
            ["openssl", *words], cwd=folder, check=True, capture_output=True
        )
        (folder / "ext").write_text(
            "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        )
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name} root",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name}")  # fmt: skip
        run("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", "ext", "-out", "tsa.pem")  # fmt: skip
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(TSA_CONFIG.format(folder=folder))
        self._known: dict[bytes, bytes] = {}

    def token(self, data: bytes) -> bytes:
        if data not in self._known:
            from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

            request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
            (self.folder / "q").write_bytes(request.cert_request(cert_request=True).build().as_bytes())
            subprocess.run(
                ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q", "-out", "r"],
                cwd=self.folder, check=True, capture_output=True,
            )  # fmt: skip
            self._known[data] = (self.folder / "r").read_bytes()
        return self._known[data]


class Person:
    """Somebody with an SSH key, who signs with ssh-keygen."""

    def __init__(self, folder: Path, name: str, kind: str = "ed25519") -> None:
        self.name, self.key = name, folder / f"{name}.key"
        bits = ["-b", "2048"] if kind == "rsa" else []
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", name, "-f", str(self.key)], check=True
        )
        self.public = " ".join(self.key.with_suffix(".key.pub").read_text().split()[:2])
        self._known: dict[tuple[bytes, str], bytes] = {}

    def sign(self, data: bytes, namespace: str) -> bytes:
        if (data, namespace) not in self._known:
            done = subprocess.run(
                ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(self.key), "-"],
                input=data, capture_output=True, check=True,
            )  # fmt: skip
            self._known[data, namespace] = done.stdout
        return self._known[data, namespace]

    def quickly_sign(self, data: bytes, namespace: str) -> bytes:
        """The same without a process: PROTOCOL.sshsig, for an Ed25519 key."""
        key = load_ssh_private_key(self.key.read_bytes(), None)
        pack = lambda part: len(part).to_bytes(4, "big") + part  # noqa: E731
        about = pack(namespace.encode()) + pack(b"") + pack(b"sha512")
        signed = key.sign(b"SSHSIG" + about + pack(hashlib.sha512(data).digest()))
        public = base64.b64decode(self.public.split()[1])
        blob = b"SSHSIG" + (1).to_bytes(4, "big") + pack(public) + about
        blob += pack(pack(b"ssh-ed25519") + pack(signed))
        return f"-----BEGIN SSH SIGNATURE-----\n{b64(blob)}\n-----END SSH SIGNATURE-----\n".encode()


class World:
    """The keys of everybody, and the auditor's trust folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trust = folder, folder / "trust"
        self.runner, self.stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.tsa = Authority(folder / "tsa", "Test TSA")
        self.other_tsa = Authority(folder / "tsa2", "Other TSA")
        self.approver, self.owner, self.reviewer = (Person(folder, n) for n in ("a.bell", "o.cole", "v.dunn"))
        now = datetime.now(UTC)
        self.given_utc, self.expires_utc = (
            f"{now + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ}" for h in (-1, 24)
        )
        self.trust.mkdir()
        (self.trust / "runner.pub").write_bytes(pem(self.runner))
        (self.trust / "tsa-ca.pem").write_bytes((folder / "tsa" / "ca.pem").read_bytes())
        people = (self.approver, self.owner, self.reviewer)
        (self.trust / "allowed_signers").write_text("".join(f"{p.name} {p.public}\n" for p in people))
        (self.trust / "checkpoint").write_bytes(note(self.runner, earlier()))
        self.write_trust()

    def write_trust(self, name: str = "trust.yaml", **changes: str) -> Path:
        rows = {
            "runners": "[runner.pub]", "allowed_signers": "allowed_signers", "timestamp_roots": "[tsa-ca.pem]",
            "checkpoint": "checkpoint", "approvals": "[approver]", "signoffs": "[owner, reviewer]", **changes,
        }  # fmt: skip
        path = self.trust / name
        path.write_text("".join(f"{key}: {value}\n" for key, value in rows.items() if value))
        return path


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def keyid(key: Ed25519PrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{sha256(der)}"


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there: by recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def indexed(leaves: list[dict]) -> list[bytes]:
    return [
        canonical({"at_utc": "2026-01-01T00:00:00Z", **leaf, "index": n}) for n, leaf in enumerate(leaves)
    ]


def origin(leaves: list[bytes]) -> str:
    return f"gameday-register/{hashlib.sha256(bytes(1) + leaves[0]).hexdigest()[:16]}"


def note(key: Ed25519PrivateKey, leaves: list[dict]) -> bytes:
    raw = indexed(leaves)
    name = origin(raw)
    text = f"{name}\n{len(raw)}\n{b64(root(raw))}\n".encode()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    known_by = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    return text + f"\n— {name} {b64(known_by + key.sign(text))}\n".encode()


def earlier() -> list[dict]:
    """A register with one drill of last year, at whose end the auditor kept the checkpoint."""
    return [
        {
            "kind": "started",
            "run": "old",
            "plan_sha256": "1" * 64,
            "plan": "p",
            "service": "s",
            "drill_kind": "dr",
        },
        {"kind": "finished", "run": "old", "head": "2" * 64, "events": 9, "verdict": "pass"},
    ]


def envelope(key: Ed25519PrivateKey, predicate_type: str, predicate: dict, manifest: bytes) -> bytes:
    statement = {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": predicate_type, "predicate": predicate,
        "subject": [{"name": "manifest.json", "digest": {"sha256": sha256(manifest)}}],
    }  # fmt: skip
    payload, kind = canonical(statement), "application/vnd.in-toto+json"
    pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = {"keyid": keyid(key), "sig": b64(key.sign(pae))}
    return line({"payload": b64(payload), "payloadType": kind, "signatures": [signature]})


@cache
def _base():
    story = synthetic.completed()
    story.ledger = [entry for entry in story.ledger if entry.number % 25 == 0]
    return story


def small_story():
    """The synthetic drill, with a thin ledger: byte changes are tried thousands of times."""
    base = _base()
    return replace(
        base, records=[*base.records], samples=[*base.samples], load=[*base.load], ledger=[*base.ledger]
    )


item_line = cache(lambda item: line(to_json(item)))


class Maker:
    """Makes one bundle. Every step may be changed by a subclass or by setting an attribute."""

    run = RUN
    operator = "r.ito"
    with_tokens = False  # Tokens and ssh-keygen are processes; where they do not matter they are spared.
    by_ssh_keygen = False

    def __init__(self, world: World, story=None) -> None:
        self.world, self.key = world, world.runner
        self.story = story or small_story()
        self.utc0 = datetime.now(UTC) - timedelta(seconds=1)
        self.tsa = world.tsa
        self.plan = canonical(to_json(self.story.plan))
        self.policy = canonical({"policy": "none"})
        self.leaves = earlier()
        self.files: dict[str, bytes] = {}
        self.previous = ""
        self.findings: dict | None = None

    # --- before the run

    def sign(self, person: Person, data: bytes, namespace: str) -> bytes:
        return (person.sign if self.by_ssh_keygen else person.quickly_sign)(data, namespace)

    def started_leaf(self) -> dict:
        return {
            "kind": "started", "run": self.run, "plan_sha256": sha256(self.plan), "plan": self.story.plan.source,
            "service": self.story.plan.service, "drill_kind": self.story.plan.kind,
        }  # fmt: skip

    def start(self) -> None:
        self.leaves.append(self.started_leaf())
        self.at_start = note(self.key, self.leaves)
        stated = {"kind": "gameday-start-v1", "plan_sha256": sha256(self.plan),
                  "register_sha256": sha256(self.at_start), "run": self.run}  # fmt: skip
        self.files["time/start.json"] = line(stated)
        if self.with_tokens:
            self.files["time/start.tsr"] = self.tsa.token(self.files["time/start.json"])

    def approve(self) -> dict:
        """Sign an approval, and return the event that takes it."""
        plan = self.story.plan
        statement = {
            "kind": "gameday-approval-v1", "principal": self.world.approver.name, "role": "approver",
            "given_utc": self.world.given_utc, "expires_utc": self.world.expires_utc,
            "subject": {
                "gate": "start", "plan": plan.source, "plan_sha256": sha256(self.plan),
                "policy_sha256": sha256(self.policy), "environment": plan.target.environment,
                "select": [], "caps": "", "duration_ns": 1, "run": "", "targets": [],
            },
        }  # fmt: skip
        raw = line(statement)
        signature = self.sign(self.world.approver, raw, "gameday-approval")
        self.files["approvals/plan.a.bell.approver.json"] = raw
        self.files["approvals/plan.a.bell.approver.json.sig"] = signature
        return {"gate": "start", "principal": self.world.approver.name, "role": "approver", "live": False,
                "verified": True, "statement_sha256": sha256(raw), "signature_sha256": sha256(signature)}  # fmt: skip

    # --- the run

    def utc(self, at_ns: int) -> str:
        """Ten times faster than the run: tokens are made now, so the records must be of now."""
        whole, rest_ns = divmod(at_ns // 10, 10**9)
        at = self.utc0 + timedelta(seconds=whole)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"

    def trace(self) -> Trace:
        ordered = sorted(self.story.records, key=lambda pair: pair[0])
        records = tuple(
            Record(n, at, self.utc(at), "runner", e) for n, (at, e) in enumerate(ordered, start=1)
        )
        return Trace(records, tuple(self.story.samples), tuple(self.story.load), tuple(self.story.ledger))

    def segments(self) -> dict[str, list[bytes]]:
        """Every stream in three slices."""
        found = {}
        for name, items in (
            ("samples", self.story.samples),
            ("load", self.story.load),
            ("ledger", self.story.ledger),
        ):
            lines = [item_line(item) for item in items]
            third = len(lines) // 3
            found[name] = [
                b"".join(lines[:third]),
                b"".join(lines[third : 2 * third]),
                b"".join(lines[2 * third :]),
            ]
        return found

    def events(self) -> list[tuple[int, str, dict]]:
        """The run's events with what the chain adds: approval, slices, stamps."""
        taken = self.approve()
        found = []
        for record in self.trace().records:
            kind, data = type(record.event).__name__, to_json(record.event)
            if isinstance(record.event, RunStarted):
                data |= {"run": self.run, "plan_sha256": sha256(self.plan), "operator": self.operator,
                         "register_sha256": sha256(self.at_start),
                         "start_token_sha256": sha256(self.files["time/start.tsr"]) if self.with_tokens else ""}  # fmt: skip
                found += [(record.at_ns, kind, data), (record.at_ns, "ApprovalGiven", taken)]
                continue
            if kind == "RunEnded":
                found += [(record.at_ns, "slices", {}), (record.at_ns, "stamp", {})]
            found.append((record.at_ns, kind, data))
            if kind == "PhaseChanged" and data["phase"] == "recovering":
                found += [(record.at_ns, "slice", {}), (record.at_ns, "stamp", {})]
        return found

    def history(self) -> None:
        self.lines: list[bytes] = []
        self.slices = self.segments()
        self.ends = dict.fromkeys(self.slices, 0)
        started = next(data for _, kind, data in self.events() if kind == "RunStarted")
        parts = (
            "gameday-history-v2",
            *(started[k] for k in ("plan_sha256", "register_sha256", "start_token_sha256")),
        )
        self.prev = sha256("\0".join(parts).encode())
        for at_ns, kind, data in self.events():
            if kind == "stamp":
                self.stamp(at_ns)
            elif kind in ("slice", "slices"):
                for stream in self.slices:
                    for _ in range(1 if kind == "slice" else len(self.slices[stream])):
                        self.seal_slice(at_ns, stream)
            else:
                self.append(at_ns, kind, data)
        self.files["history.jsonl"] = b"".join(raw + b"\n" for raw in self.lines)

    def append(self, at_ns: int, kind: str, data: dict) -> None:
        raw = canonical({"actor": "runner", "at_ns": at_ns, "data": data, "kind": kind, "prev": self.prev,
                         "seq": len(self.lines) + 1, "utc": self.utc(at_ns)})  # fmt: skip
        self.lines.append(raw)
        self.prev = sha256(raw)

    def seal_slice(self, at_ns: int, stream: str) -> None:
        data = self.slices[stream].pop(0)
        start, self.ends[stream] = self.ends[stream], self.ends[stream] + len(data)
        path = f"segments/{stream}.jsonl"
        self.files[path] = self.files.get(path, b"") + data
        self.append(at_ns, "SegmentSealed", {"stream": stream, "start_byte": start, "end_byte": start + len(data),
                                             "sha256": sha256(data)})  # fmt: skip

    def stamp(self, at_ns: int) -> None:
        if not self.with_tokens:
            return
        covers, head = len(self.lines), self.prev
        self.files[f"time/head-{covers}.txt"] = f"{head}\n".encode()
        token = self.files[f"time/head-{covers}.tsr"] = self.tsa.token(f"{head}\n".encode())
        self.append(at_ns, "TimeStamped", {"covers_seq": covers, "head_sha256": head, "token_sha256": sha256(token),
                                           "authority": "http://127.0.0.1/", "detail": ""})  # fmt: skip

    # --- afterwards

    def checked(self):
        """What the checkers find; computed once for each story."""
        story = self.story
        key = (story.plan, *map(tuple, (story.records, story.samples, story.load, story.ledger)))
        if key not in CHECKED:
            CHECKED[key] = check(story.plan, self.trace())
        return CHECKED[key]

    def conclude(self) -> None:
        document = self.findings or as_document(self.checked())
        self.findings = document
        self.files["findings.json"] = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        self.files["plan.json"] = self.plan + b"\n"
        self.files["policy.json"] = self.policy + b"\n"
        self.files["report.html"] = b"<p>report</p>\n"
        self.files["VERIFY.md"] = b"# by hand\n"

    def end(self) -> None:
        kind = {"completed": "finished"}.get(self.findings["outcome"], self.findings["outcome"])
        self.leaves.append({"kind": kind, "run": self.run, "head": self.prev, "events": len(self.lines),
                            "verdict": self.findings["verdict"]})  # fmt: skip

    def manifest(self) -> bytes:
        rows = [{"path": p, "bytes": len(d), "sha256": sha256(d)} for p, d in sorted(self.files.items())]
        return line({
            "kind": "gameday-manifest-v1", "run": self.run, "plan_sha256": sha256(self.plan),
            "events": len(self.lines), "head": self.prev, "files": rows, "redactions": [], "previous": self.previous,
            "retention": {"class": "default", "until_utc": "2033-01-01T00:00:00Z", "legal_hold": False},
        })  # fmt: skip

    def predicate(self) -> dict:
        stated, plan = self.findings, self.story.plan
        found = self.checked()
        by_name = {f.name: f for f in found.findings}
        objectives = []
        for o in plan.objectives:
            for measure, limit in (("rta", o.rto_ns), ("rpa", o.rpo_ns)):
                finding = by_name.get(f"{measure.upper()} {o.service}")
                if limit is not None and finding is not None:
                    span = finding.interval
                    objectives.append({
                        "service": o.service, "measure": measure, "objective_ns": limit, "verdict": str(finding.verdict),
                        "min_ns": span.min_ns if span else None, "max_ns": span.max_ns if span else None,
                    })  # fmt: skip
        return {
            "run": self.run, "kind": plan.kind, "service": plan.service, "environment": plan.target.environment,
            "outcome": stated["outcome"], "verdict": stated["verdict"], "startedAt": json.loads(self.lines[0])["utc"],
            "finishedAt": json.loads(self.lines[-1])["utc"],
            "objectives": objectives, "findings_sha256": sha256(self.files["findings.json"]), "head": self.prev,
            "events": len(self.lines), "runner": {"name": "gameday", "version": "0", "checker": "1"},
            "controls": [], "limitations": [],
        }  # fmt: skip

    def results(self) -> dict:
        rows = self.findings["findings"]
        by = lambda *verdicts: [r["name"] for v in verdicts for r in rows if r.get("verdict") == v]  # noqa: E731
        return {
            "result": {"pass": "PASSED", "fail": "FAILED"}.get(self.findings["verdict"], "WARNED"),
            "configuration": [], "passedTests": by("pass"), "warnedTests": by("unknown", "not_tested"),
            "failedTests": by("fail"),
        }  # fmt: skip

    def attest(self) -> dict[str, bytes]:
        found = {
            "attest/run.dsse.json": envelope(
                self.key, "urn:gameday:drill-evidence:v1", self.predicate(), self.sealed
            ),
            "attest/test-result.dsse.json": envelope(
                self.key, "https://in-toto.io/attestation/test-result/v0.1", self.results(), self.sealed
            ),
            "attest/runner.pub": pem(self.key),
        }
        if self.with_tokens:
            found["attest/manifest.tsr"] = self.tsa.token(self.sealed)
        return found

    def sealed_leaf(self, attested: dict[str, bytes]) -> dict:
        rows = [{"path": path, "sha256": sha256(data)} for path, data in sorted(attested.items())]
        return {
            "kind": "sealed",
            "run": self.run,
            "manifest_sha256": sha256(self.sealed),
            "attestations": rows,
        }

    def sign_off(self, person: Person, role: str) -> dict[str, bytes]:
        raw = line({
            "kind": "gameday-signoff-v1", "run": self.run, "manifest_sha256": sha256(self.sealed),
            "findings_sha256": sha256(self.files["findings.json"]), "role": role, "principal": person.name,
            "statement": "accepted", "given_utc": self.world.given_utc,
        })  # fmt: skip
        name = f"signoff-{role}-{person.name}.json"
        return {name: raw, f"{name}.sig": self.sign(person, raw, "gameday-signoff")}

    def addendum(self, number: int, previous: bytes, files: dict[str, bytes]) -> bytes:
        rows = [{"path": p, "bytes": len(d), "sha256": sha256(d)} for p, d in sorted(files.items())]
        manifest = line({"kind": "gameday-addendum-v1", "run": self.run, "number": number,
                         "previous": sha256(previous), "files": rows})  # fmt: skip
        predicate = {"run": self.run, "number": number}
        sealed = envelope(self.key, "urn:gameday:drill-addendum:v1", predicate, manifest)
        at = f"addenda/{number}/"
        self.beside |= {at + p: d for p, d in files.items()}
        self.beside |= {f"{at}manifest.json": manifest, f"{at}attest/addendum.dsse.json": sealed}
        return manifest

    def make(self) -> Maker:
        self.start()
        self.history()
        self.conclude()
        self.end()
        return self.seal()

    def seal(self) -> Maker:
        """From the files on: what an insider with the runner's key can do again at any time."""
        self.sealed = self.manifest()
        self.beside = self.attest()
        self.leaves.append(self.sealed_leaf(self.beside))
        self.beside |= {
            "manifest.json": self.sealed, "register/at-start": self.at_start,
            "register/leaves.jsonl": b"".join(raw + b"\n" for raw in indexed(self.leaves)),
            "register/checkpoint": note(self.key, self.leaves),
        }  # fmt: skip
        first = self.addendum(1, self.sealed, self.sign_off(self.world.owner, "owner"))
        self.addendum(2, first, self.sign_off(self.world.reviewer, "reviewer"))
        return self

    def write(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in (self.files | self.beside).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


def changed(story, kind, **changes):
    """The story with one kind of event changed."""
    story.records = [(at, replace(e, **changes) if isinstance(e, kind) else e) for at, e in story.records]
    return story
