"""What is kept of drills: seal them, sign them off, look into the register."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.cli import exits
from gameday.cli.asked import login, operator, project_here, run_here
from gameday.errors import UsageError
from gameday.evidence.keys import key_file
from gameday.evidence.register import Register, population
from gameday.hosts.clock import utc_text
from gameday.plan.policyfile import find_policy
from gameday.runner.anchor import register_of, void

if TYPE_CHECKING:
    from gameday.runner.sealing import Sealed

SIGN_KEY = "~/.ssh/id_ed25519"


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out seal, signoff or register."""
    match asked.command:
        case "seal":
            return _seal(asked)
        case "signoff":
            return _signoff(asked)
        case _:
            return _register(asked)


def _seal(asked: argparse.Namespace) -> int:
    run_dir = run_here(asked.run)
    with announced_key():
        return sealed(run_dir, to=asked.to or "", endpoint=asked.endpoint_url or "", as_json=asked.json)


def sealed(run_dir: Path, *, to: str = "", endpoint: str = "", as_json: bool = False) -> int:
    """Seal a run, send it where the policy or `to` says, and say what was made.

    A run that is sealed already is only sent, with the addenda that came since.
    """
    from gameday.runner.sealing import BUNDLE, keeping_of, seal  # noqa: PLC0415 - only for this command
    from gameday.runner.sending import checked_sink, send  # noqa: PLC0415

    keeping = keeping_of(run_dir)
    if to:
        keeping = replace(keeping, sink=checked_sink(to), sink_endpoint=endpoint)
    if not (keeping.sink and (run_dir / BUNDLE).is_dir()):
        _say_sealed(seal(run_dir), as_json=as_json)
    if keeping.sink:
        sent = send(run_dir, keeping)
        out = sys.stderr if as_json else sys.stdout
        print(f"sent {sent.objects} files to {sent.to}, held until {sent.until_utc}", file=out)
        print(f"  {sent.receipt} says which version of each", file=out)
    return exits.PASS


def _say_sealed(made: Sealed, *, as_json: bool) -> None:
    if as_json:
        said = {"bundle": str(made.bundle), "manifest_sha256": made.manifest_sha256, "leaf": made.leaf,
                "time_stamp": made.stamped}  # fmt: skip
        print(json.dumps(said, indent=1))
        return
    print(f"sealed {made.bundle}")
    print(f"  manifest SHA-256 {made.manifest_sha256}, leaf {made.leaf} of the register")
    print(f"  time stamp: {made.stamped}")
    print(f"  {made.bundle / 'VERIFY.md'} says how anybody can check it")


def _signoff(asked: argparse.Namespace) -> int:
    from gameday.plan.stored import read_plan  # noqa: PLC0415
    from gameday.runner.signoff import sign_off  # noqa: PLC0415

    run_dir = run_here(asked.run)
    signers = Path(asked.signers) if asked.signers else None
    if signers is None:
        signers = project_here() / read_plan(run_dir).approvals.allowed_signers
    if asked.check:
        return _check(run_dir, signers, asked)
    if not asked.role:
        raise UsageError(
            "signoff: --role is missing", todo="For example: --role owner, or --role capacity-owner"
        )
    key = Path(asked.key or SIGN_KEY).expanduser()
    made = sign_off(
        run_dir, signers, who=asked.who or login(), role=asked.role, key=key, said=asked.statement
    )
    print(f"{made.principal} signed off as {made.role} with {made.fingerprint}: {made.addendum}")
    return exits.PASS


def _check(run_dir: Path, signers: Path, asked: argparse.Namespace) -> int:
    from gameday.runner.standing import Word, standing  # noqa: PLC0415

    found = standing(run_dir, signers, project_here(), artefact=asked.artefact or "", today=utc_text()[:10])
    code = {Word.VALID: exits.PASS, Word.LAPSED: exits.FAIL, Word.NO_GO: exits.FAIL}.get(
        found.word, exits.UNKNOWN
    )
    if asked.json:
        print(json.dumps({"standing": found.word, "why": found.reasons, **found.terms}, indent=1))
        return code
    print(f"{found.word}: {'; '.join(found.reasons)}")
    return code


def _register(asked: argparse.Namespace) -> int:
    project = project_here()
    register = register_of(project, find_policy(project, asked.policy).keeping)
    if asked.do == "void":
        return _void(register, asked)
    rows = population(register.leaves())
    if asked.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return exits.PASS
    if not rows:
        print(f"no drill is in the register {register.folder}: `gameday run PLAN` enters the first")
    for row in rows:
        print(_line(row))
    open_ends = sum(not row["end"] for row in rows)
    if open_ends:
        print(f"{open_ends} of {len(rows)} began and have no end: they run, or nobody finished them")
    return exits.PASS


def _line(row: dict[str, Any]) -> str:
    end = row["end"] or "NO END"
    more = "sealed" if row["sealed"] else row["reason"]
    signed = f", {row['addenda']} addenda" if row["addenda"] else ""
    begun = f"{row['started_utc'][:19]}Z  {row['run']:24} {row['plan']:36}"
    return f"{begun} {end:9} {row['verdict']:11} {more}{signed}".rstrip()


def _void(register: Register, asked: argparse.Namespace) -> int:
    if not asked.run or not asked.reason:
        raise UsageError(
            "register void: RUN and --reason are needed", todo="`gameday register` lists the runs."
        )
    run = void(register, asked.run, reason=asked.reason, by=operator(asked))
    print(f"{run} is void: it stays in the register, with the reason")
    return exits.PASS


class announced_key:  # noqa: N801 - reads as what it does
    """Say so when the runner's key is made in the meantime: an auditor needs its public half."""

    def __enter__(self) -> None:
        self._path = key_file()
        self._was_there = self._path.exists()

    def __exit__(self, *_: object) -> None:
        if not self._was_there and self._path.exists():
            print(
                f"made the runner's key {self._path}; give {self._path.with_suffix('.pub')} to your auditor"
            )
