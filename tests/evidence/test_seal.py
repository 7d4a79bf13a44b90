"""A run becomes a bundle that stands alone: whole, signed, in the register, checked by public tools alone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gameday.canonical import canonical
from gameday.errors import NotAuthorised, RecordError, Refused
from gameday.evidence import keys
from gameday.evidence.bundle import REDACTED
from gameday.evidence.merkle import leaf_hash, root
from gameday.evidence.note import parse
from gameday.plan.keeping import Keeping
from gameday.runner.sealing import seal, until_utc
from gameday.runner.signoff import sign_off
from tests.drills import ROOT, SHORT, Run, make_project
from tests.evidence import synthetic
from tests.evidence.sealed import by_hand, ended
from tests.tsa import authority


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One sealed run that many tests look at: its bundle, and what sealing said."""
    project = tmp_path_factory.mktemp("project")
    run_dir = ended(project, keeping=Keeping(retention_class="dora", retention_years=10, legal_hold=True))
    (run_dir / "approvals").mkdir()
    (run_dir / "approvals" / "claim.json").write_bytes(b'{"token":"' + REDACTED + b'"}\n')
    return seal(run_dir), run_dir


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """SSH keys and an allowed_signers file."""
    folder = tmp_path_factory.mktemp("people")
    lines = []
    for name in ("a.chen", "b.dee", "r.ito"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        lines.append(f"{name} {(folder / f'{name}.pub').read_text()}")
    (folder / "allowed_signers").write_text("".join(lines))
    return folder


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def leaves(project):
    return [json.loads(line) for line in (project / "register" / "leaves.jsonl").read_bytes().splitlines()]


def test_the_manifest_lists_every_file_and_no_other(made):
    sealed, run_dir = made
    data = (sealed.bundle / "manifest.json").read_bytes()
    manifest = json.loads(data)
    assert canonical(manifest) + b"\n" == data
    assert sealed.manifest_sha256 == hashlib.sha256(data).hexdigest()
    there = sorted(p.relative_to(sealed.bundle).as_posix() for p in sealed.bundle.rglob("*") if p.is_file())
    apart = ("attest/", "register/")
    listed = [item["path"] for item in manifest["files"]]
    assert listed == [path for path in there if path != "manifest.json" and not path.startswith(apart)]
    assert {"plan.json", "policy.json", "history.jsonl", "findings.json", "report.html", "VERIFY.md"} <= set(
        listed
    )
    assert "segments/ledger.jsonl" in listed and "time/start.json" in listed
    for item in manifest["files"]:
        assert item["sha256"] == sha(sealed.bundle / item["path"])
        assert item["bytes"] == (sealed.bundle / item["path"]).stat().st_size
    lines = (run_dir / "history.jsonl").read_bytes().splitlines()
    assert manifest["events"] == len(lines) and manifest["head"] == hashlib.sha256(lines[-1]).hexdigest()
    assert manifest["plan_sha256"] == hashlib.sha256((run_dir / "plan.json").read_bytes()[:-1]).hexdigest()
    assert manifest["kind"] == "gameday-manifest-v1" and manifest["previous"] == ""
    assert manifest["retention"] == {
        "class": "dora", "legal_hold": True, "until_utc": manifest["retention"]["until_utc"],
    }  # fmt: skip
    assert int(manifest["retention"]["until_utc"][:4]) == datetime.now(UTC).year + 10
    assert [(r["path"], r["count"]) for r in manifest["redactions"]] == [("approvals/claim.json", 1)]


def test_the_attestations_are_canonical_and_signed_over_the_manifest(made):
    sealed, _ = made
    public = keys.sign((b"",))
    for name, kind in (
        ("run", "urn:gameday:drill-evidence:v1"),
        ("test-result", "https://in-toto.io/attestation/test-result/v0.1"),
    ):
        data = (sealed.bundle / "attest" / f"{name}.dsse.json").read_bytes()
        envelope = json.loads(data)
        assert canonical(envelope) + b"\n" == data
        payload = base64.b64decode(envelope["payload"])
        said = json.loads(payload)
        assert canonical(said) == payload and said["predicateType"] == kind
        assert said["subject"] == [{"name": "manifest.json", "digest": {"sha256": sealed.manifest_sha256}}]
        [signature] = envelope["signatures"]
        assert signature["keyid"] == public.keyid
        pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        Ed25519PublicKey.from_public_bytes(public.public_raw).verify(base64.b64decode(signature["sig"]), pae)
        if name == "run":
            body = said["predicate"]
    assert (sealed.bundle / "attest" / "runner.pub").read_text() == public.public_pem
    assert body["outcome"] == "completed" and body["kind"] == "dr" and body["service"] == "orders"
    rta, rpa = body["objectives"]
    found = json.loads((sealed.bundle / "findings.json").read_bytes())
    assert (rta["measure"], rta["objective_ns"], rpa["measure"]) == ("rta", 30_000_000_000, "rpa")
    assert abs(rta["max_ns"] - found["rta_s"]["max"] * 1e9) < 1000 and rta["verdict"] == "pass"
    assert body["findings_sha256"] == sha(sealed.bundle / "findings.json")
    assert {
        "clause": "CP-10",
        "framework": "NIST SP 800-53r5",
        "shown": "recovery and reconstitution",
    } in body["controls"]
    assert any("internal only" in limit for limit in body["limitations"])


def test_the_register_in_the_bundle_ends_with_its_own_leaf(made):
    sealed, _ = made
    lines = (sealed.bundle / "register" / "leaves.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["started", "finished", "sealed"]
    last = json.loads(lines[-1])
    assert last["manifest_sha256"] == sealed.manifest_sha256
    assert {item["path"]: item["sha256"] for item in last["attestations"]} == {
        f"attest/{path.name}": sha(path) for path in (sealed.bundle / "attest").iterdir()
    }
    assert parse((sealed.bundle / "register" / "checkpoint").read_bytes()).root == root(map(leaf_hash, lines))
    first = json.loads((sealed.bundle / "history.jsonl").read_bytes().splitlines()[0])["data"]
    assert first["register_sha256"] == sha(sealed.bundle / "register" / "at-start")


def test_what_is_sealed_is_not_sealed_again(made):
    sealed, run_dir = made
    with pytest.raises(Refused, match="is there already"):
        seal(run_dir)
    assert sha(sealed.bundle / "manifest.json") == sealed.manifest_sha256


@pytest.mark.slow
@pytest.mark.parametrize("story", ["halted", "refused"])
def test_runs_that_went_badly_are_sealed_too(tmp_path, story):
    if story == "halted":
        run_dir = ended(tmp_path, synthetic.halted(stuck=True))
        kind = "halted"
    else:
        from gameday.history.events import Outcome, RunEnded

        told = synthetic.Story(synthetic.make_plan())
        synthetic.opening(told)
        told.records = [*told.records[:3], (10_000_000, RunEnded(Outcome.REFUSED, (), False))]
        run_dir = ended(tmp_path, told)
        kind = "refused"
    sealed = seal(run_dir)
    assert [leaf["kind"] for leaf in leaves(tmp_path)][-2:] == [kind, "sealed"]
    payload = json.loads((sealed.bundle / "attest" / "run.dsse.json").read_bytes())["payload"]
    assert json.loads(base64.b64decode(payload))["predicate"]["outcome"] == story


@pytest.mark.slow
def test_no_half_of_a_bundle_is_left(tmp_path, monkeypatch):
    run_dir = ended(tmp_path)
    (run_dir / "approvals").mkdir()
    (run_dir / "approvals" / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(RecordError, match="cannot be written"):
        seal(run_dir)
    (run_dir / "approvals" / "link.json").unlink()
    os.mkfifo(run_dir / "approvals" / "pipe.json")
    with pytest.raises(Refused, match="no plain file"):
        seal(run_dir)
    (run_dir / "approvals" / "pipe.json").unlink()
    monkeypatch.setenv("GAMEDAY_KEY", str(tmp_path / "nothing" / "here"))
    (tmp_path / "nothing").write_text("in the way")
    with pytest.raises(Refused, match="the runner's key"):
        seal(run_dir)
    assert not [path for path in run_dir.iterdir() if "bundle" in path.name]
    assert "sealed" not in {leaf["kind"] for leaf in leaves(tmp_path)}


@pytest.mark.slow
def test_a_run_that_stands_in_no_register_is_refused(tmp_path):
    run_dir = ended(tmp_path)
    (run_dir / "register" / "path").unlink()
    with pytest.raises(Refused, match="stands in no register"):
        seal(run_dir)


@pytest.mark.slow
def test_people_sign_off_with_their_own_keys(tmp_path, people):
    run_dir = ended(tmp_path)
    with pytest.raises(RecordError, match="No such file") as missing:
        sign(run_dir, people, "a.chen", "owner")
    assert "gameday seal" in missing.value.todo
    sealed = seal(run_dir)
    first = sign(run_dir, people, "r.ito", "owner", said="accepted")
    folder = sealed.bundle / "addenda" / "1"
    said = json.loads((folder / "signoff-owner-r.ito.json").read_bytes())
    assert said["manifest_sha256"] == sealed.manifest_sha256 and said["statement"] == "accepted"
    assert said["findings_sha256"] == sha(sealed.bundle / "findings.json")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["previous"] == sealed.manifest_sha256 and manifest["number"] == first.number == 1
    second = sign(run_dir, people, "b.dee", "reviewer")
    again = json.loads((second.addendum / "manifest.json").read_bytes())
    assert again["previous"] == sha(folder / "manifest.json")
    assert [leaf["kind"] for leaf in leaves(tmp_path)][-3:] == ["sealed", "addendum", "addendum"]
    assert sha(sealed.bundle / "manifest.json") == sealed.manifest_sha256
    done = by_hand(sealed.bundle, env_of(people))
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count('Good "gameday-signoff" signature') == 2


@pytest.mark.slow
def test_who_may_not_sign_off(tmp_path, people):
    run_dir = ended(tmp_path)
    seal(run_dir)
    with pytest.raises(NotAuthorised, match="r.ito is the author"):
        sign(run_dir, people, "r.ito", "reviewer")  # Author and operator of the synthetic drill.
    with pytest.raises(NotAuthorised, match="is not that of 'a.chen'"):
        sign(run_dir, people, "a.chen", "owner", key="b.dee")
    with pytest.raises(NotAuthorised, match="is no name and role"):
        sign(run_dir, people, "a.chen", "../../owner")
    sign(run_dir, people, "a.chen", "owner")
    with pytest.raises(NotAuthorised, match="has signed off already, as owner"):
        sign(run_dir, people, "a.chen", "reviewer")
    assert [path.name for path in (run_dir / "bundle" / "addenda").iterdir()] == ["1"]


def sign(run_dir, people, who, role, key="", said=""):
    return sign_off(
        run_dir, people / "allowed_signers", who=who, role=role, key=people / (key or who), said=said
    )


def env_of(people=None, roots=None):
    public = Path(os.environ["GAMEDAY_KEY"]).with_suffix(".pub")
    env = {"RUNNER": str(public)}
    if people:
        env["SIGNERS"] = str(people / "allowed_signers")
    if roots:
        env["ROOTS"] = str(roots)
    return env


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("findings.json", b'"verdict"', b'"Verdict"'),
        ("history.jsonl", b'"Armed"', b'"armed"'),
        ("manifest.json", b'"events":', b'"eventS":'),
        ("register/leaves.jsonl", b'"started"', b'"startEd"'),
        ("attest/run.dsse.json", b'"sig":"', b'"sig":"A'),
    ],
)
def test_by_hand_every_change_shows(made, tmp_path, path, old, new):
    import shutil

    bundle = tmp_path / "bundle"
    shutil.copytree(made[0].bundle, bundle)
    if path == "findings.json":  # The untouched one passes, or the test says nothing.
        done = by_hand(bundle, env_of())
        assert done.returncode == 0, done.stderr + done.stdout
    data = (bundle / path).read_bytes()
    assert old in data
    (bundle / path).write_bytes(data.replace(old, new, 1))
    assert by_hand(bundle, env_of()).returncode != 0


def test_the_date_of_release_is_so_many_years_away():
    assert until_utc(7, datetime(2026, 11, 24, 20, 15, tzinfo=UTC)) == "2033-11-24T20:15:00Z"
    assert until_utc(1, datetime(2028, 2, 29, tzinfo=UTC)) == "2029-03-01T00:00:00Z"


@pytest.mark.slow
def test_a_real_drill_is_sealed_and_checked_by_hand(lab, tmp_path, people):
    """From `gameday run` to `VERIFY.md`, with a real time stamp authority and real signatures."""
    project = make_project(tmp_path / "p", **SHORT)
    (project / "approvals").mkdir()
    (project / "approvals" / "allowed_signers").write_text((people / "allowed_signers").read_text())
    with authority(tmp_path / "tsa") as url:
        (project / "policy.yaml").write_text(
            "environments: {lab: {modules: ['*'], providers: [python, process, http]}}\n"
            f"time_stamps: {{url: '{url}', required: true}}\nseal: true\n"
            "retention: {class: dora, years: 5}\n"
        )
        run = Run(project, "primary-loss")
        code, out = run.end()
        assert code == 0 and "sealed " in out, out
        bundle = run.folder / "bundle"
        signed = subprocess.run(
            [sys.executable, "-m", "gameday", "signoff", run.folder.name, "--as", "b.dee", "--role", "reviewer",
             "--key", people / "b.dee", "--statement", "as planned"],
            cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
    assert signed.returncode == 0, signed.stderr
    done = by_hand(bundle, env_of(people, tmp_path / "tsa" / "ca.pem"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("Verification: OK") + done.stderr.count("Verification: OK") >= 6
    listed = subprocess.run(
        [sys.executable, "-m", "gameday", "register", "--json"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    [row] = json.loads(listed.stdout)
    assert (row["end"], row["verdict"], row["sealed"], row["addenda"]) == ("finished", "pass", True, 1)
