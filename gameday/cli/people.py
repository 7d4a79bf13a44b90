"""What people do from any terminal: approve a plan or a waiting run, say what they did by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gameday.canonical import from_json
from gameday.cli import exits
from gameday.cli.asked import login, operator, run_here, writing
from gameday.errors import NotAuthorised, Refused, UsageError
from gameday.hosts.sshkeygen import sign, verify
from gameday.plan.approvals import (
    NAMESPACE,
    START,
    Requirement,
    Statement,
    Subject,
    parse_statement,
    statement_bytes,
    unfit,
)
from gameday.plan.byhand import by_hand
from gameday.plan.load import find_project, load_plan
from gameday.plan.policyfile import find_policy
from gameday.runner.anchor import write_anew
from gameday.runner.approvals import FOLDER, file_name, parts_of, subject_of, terms_of
from gameday.runner.control import ask
from gameday.runner.statements import make_statement, sign_command, statement_lines

PLANS = (".yaml", ".yml", ".json")


def approve(asked: argparse.Namespace) -> int:
    """Sign for a plan, or for the gate at which a run waits."""
    what = asked.what
    if what is not None and Path(what).suffix in PLANS:
        return _approve_plan(Path(what), asked)
    return _approve_run(run_here(what), asked)


def report(asked: argparse.Namespace) -> int:
    """Say that what was to be done by hand is done, or failed."""
    if asked.command == "failed" and not asked.note:
        raise UsageError("failed: --note is missing", todo="Say what went wrong; it is recorded.")
    run_dir = run_here(asked.run)
    reply = ask(run_dir, asked.command, by=operator(asked), text=asked.note, step=asked.step)
    what = "the undo of " if reply.get("role") == "undo" else ""
    print(f"{asked.command}: {what}{reply.get('step', '')}, noted in {run_dir.name}")
    return exits.PASS


def _approve_plan(path: Path, asked: argparse.Namespace) -> int:
    plan, project = load_plan(path), find_project(path)
    plan = by_hand(plan) if asked.by_hand else plan
    terms = terms_of(plan, project, find_policy(project, asked.policy))
    subject = subject_of(plan, START, terms.policy_sha256)
    wanted = tuple(need for need in terms.before_faults if not need.live)
    if not wanted:
        raise Refused(
            f"{path} asks for no approval beforehand", todo="Add `approvals: {before_faults: …}` to the plan."
        )
    statement = _statement(asked, subject, [need.role for need in wanted])
    if asked.statement is None:
        _show(statement)
    data, signature = _sign(statement, asked)
    if data and asked.write is None:
        statement = parse_statement(data)
    folder = project / FOLDER
    file = folder / file_name(statement)
    if asked.write is not None:
        return exits.PASS
    if signature:
        held = verify(data, signature, terms.signers, statement.principal, NAMESPACE)
        _check(statement, held.names, wanted, parts_of(plan, ""))
    with writing(file):
        folder.mkdir(exist_ok=True)
        file.with_name(f"{file.name}.sig").unlink(missing_ok=True)
        write_anew(file, data)
        if signature:
            write_anew(file.with_name(f"{file.name}.sig"), signature)
    if not signature:
        print(f"claimed, not signed: {file}; it will be recorded, and counts for nothing")
        return exits.PASS
    print(f"approved by {statement.principal} as {statement.role} until {statement.expires_utc}: {file}")
    return exits.PASS


def _check(
    statement: Statement,
    names: tuple[str, ...],
    wanted: tuple[Requirement, ...],
    parts: tuple[tuple[str, str], ...],
) -> None:
    """Say at once what the run would say later."""
    reasons = [unfit(need, names, parts) for need in wanted if statement.role in need.roles]
    if not reasons:
        roles = ", ".join(dict.fromkeys(need.role for need in wanted))
        raise NotAuthorised(f"no {statement.role!r} is asked for here, only {roles}")
    if all(reasons):
        raise NotAuthorised(reasons[0])


def _approve_run(run_dir: Path, asked: argparse.Namespace) -> int:
    by = asked.who or login()
    gates: list[dict[str, Any]] = ask(run_dir, "gates", by=by)["gates"]
    gate = gates[0]
    subject = from_json(Subject, gate["subject"], "the runner's answer")
    statement = _statement(asked, subject, gate["roles"])
    if asked.statement is None:
        _show(statement)
    data, signature = _sign(statement, asked)
    if asked.write is not None:
        return exits.PASS
    if not signature:
        ask(run_dir, "claim", by=by, statement=data.decode())
        print(f"claimed, not signed: recorded in {run_dir.name}, and counts for nothing")
        return exits.PASS
    reply = ask(run_dir, "approve", by=by, statement=data.decode(), signature=signature.decode())
    print(f"approved: {gate['name']} in {run_dir.name}; still needed: {reply['still']}")
    return exits.PASS


def _statement(asked: argparse.Namespace, subject: Subject, roles: list[str]) -> Statement:
    who = asked.who or login()
    role = asked.role or (roles[0].split("/")[0] if roles else "approver")
    words = ("--as", "--role", "--expires")
    return make_statement(subject, principal=who, role=role, lasting=asked.expires, asked_as=words)


def _sign(statement: Statement, asked: argparse.Namespace) -> tuple[bytes, bytes]:
    """Return the statement's bytes and its signature; none when the name is only claimed."""
    if asked.statement is not None:
        path = Path(asked.statement)
        try:
            data, signature = path.read_bytes(), path.with_name(f"{path.name}.sig").read_bytes()
            _ = data.decode(), signature.decode()
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{path}: it or its signature is no text: {error.reason} at byte {error.start}",
                todo="`gameday approve --write FILE` writes the one, `ssh-keygen -Y sign` the other.",
            ) from error
        return data, signature
    data = statement_bytes(statement)
    if asked.write is not None:
        with writing(Path(asked.write)):
            Path(asked.write).write_bytes(data)
        print(f"written, not signed. Sign it anywhere: {sign_command(asked.write)}")
        print(f"  then hand it in: gameday approve {asked.what or ''} --statement {asked.write}")
        return data, b""
    if asked.unsigned:
        return data, b""
    return data, sign(data, ssh_key(asked.key), NAMESPACE)


def ssh_key(asked: str | None) -> Path:
    """Return the key that was named, else the one a person usually has."""
    try:
        if asked:
            return Path(asked).expanduser()
        folder = Path.home() / ".ssh"
    except RuntimeError as error:  # A user without a home, as in many containers.
        raise UsageError(f"--key {asked or ''}: {error}", todo="Name the key's file in full.") from error
    known = [folder / name for name in ("id_ed25519", "id_ecdsa", "id_rsa")]
    return next((path for path in known if path.is_file()), known[0])


def _show(statement: Statement) -> None:
    """Show a person what they put their name to, before they do."""
    for line in statement_lines(statement):
        print(line, file=sys.stderr)
