"""The reference, made of the code: commands, keys of plan and policy, events, findings, codes, variables."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import gameday.plan
from gameday.cli import exits
from gameday.cli.help_texts import COMMANDS
from gameday.cli.main import parser
from gameday.history.events import Command, Report
from gameday.plan import meanings, policymeanings
from gameday.plan.load import load_plan
from gameday.plan.policyfile import PolicyIn, RulesIn
from gameday.plan.schema import FailoverIn, PlanIn, RunbookFileIn
from gameday.plan.shape import Part, Written
from gameday.plan.units import as_text
from tests.docs.words import EXITS, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
MADE = "Made from the code by `python -m tests.docs --write`; a test holds it."
WHERE = {"PolicyIn": "a policy", "PlanIn": "a plan", "RunbookFileIn": "a runbook"}


def pages() -> dict[str, str]:
    """Every page of the reference by its file's name."""
    return {
        "cli.md": _cli(),
        "plan.md": _shapes("The plan file", "plan", [PlanIn, RunbookFileIn], meanings.MEANINGS),
        "policy.md": _shapes("The policy file", "policy", [PolicyIn], policymeanings.MEANINGS),
        "history.md": _history(),
        "exit-codes.md": _exits(),
        "environment.md": _environment(),
        "drills.md": _drills(),
    }


# --- the command line --------------------------------------------------------------------------


def _cli() -> str:
    lines = ["# The command line", "", MADE, "", "Exit codes: [exit-codes.md](exit-codes.md).", ""]
    top = parser()
    choices = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices
    for name, text in COMMANDS.items():
        lines += [f"## gameday {name}", "", f"{text.line[0].upper()}{text.line[1:]}.", ""]
        lines += ["```sh", text.example, "```", ""]
        if name in ("lab", "verify"):
            lines += [f"A program of its own: `gameday {name} --help`.", ""]
            continue
        rows = [_argument(action) for action in choices[name]._actions if action.dest != "help"]
        if rows:
            lines += ["| argument | means |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _argument(action: argparse.Action) -> str:
    if action.option_strings:
        value = "" if action.nargs == 0 else f" {action.metavar or _choices(action)}"
        name = f"`{', '.join(action.option_strings)}{value}`"
    else:
        name = f"`{action.metavar or _choices(action)}`"
    more = f" ({', '.join(map(str, action.choices))})" if action.choices and action.metavar else ""
    return f"| {name} | {_cell((action.help or '').replace('%%', '%'))}{more} |"


def _choices(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# --- plan and policy ---------------------------------------------------------------------------


def _shapes(title: str, what: str, roots: list[type[Part]], said: dict[str, str]) -> str:
    lines = [
        f"# {title}", "", MADE, "",
        "YAML or JSON. Unknown keys are refused. Times are written like `500ms`, `10s`, `5m`, `2h`, `90d`; rates like `50/s`; shares",
        "like `95%`. A key without a default must be there, where the other keys of its part do not take its place.", "",
    ]  # fmt: skip
    for shape in _reached(roots):
        name = shape.__name__
        heading = WHERE.get(name, _plain(name))
        lines += [f"## {heading}", "", inspect.cleandoc(shape.__doc__ or ""), "", "| key | value | default | means |", "|---|---|---|---|"]  # fmt: skip
        lines += [_row(shape, key, said) for key in shape.model_fields]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _plain(name: str) -> str:
    """`StopConditionIn` is read as `stop condition`."""
    return " ".join(re.findall(r"[A-Z][a-z0-9]*", name.removesuffix("In"))).lower()


def _reached(roots: list[type[Part]]) -> list[type[Part]]:
    found: list[type[Part]] = []

    def go(shape: type[Part]) -> None:
        if shape in found:
            return
        found.append(shape)
        for field in shape.model_fields.values():
            for part in _parts(field.annotation):
                go(part)
            for meta in field.metadata:
                for part in _parts(meta):
                    go(part)

    for root in roots:
        go(root)
    return found


def _parts(kind: object) -> Iterator[type[Part]]:
    if isinstance(kind, type) and issubclass(kind, Part):
        yield kind
    for inner in typing.get_args(kind):
        yield from _parts(inner)


def _row(shape: type[Part], name: str, said: dict[str, str]) -> str:
    field = shape.model_fields[name]
    key = field.alias or name
    if field.is_required():
        default = "-"
    else:
        default = _default(field)
    return f"| `{key}` | {_cell(_kind(field.annotation, field.metadata))} | {_cell(default)} | {_cell(words(shape, key, said))} |"


def words(shape: type[Part], key: str, said: dict[str, str]) -> str:
    """What a key means: said for the shape itself, or for one that it extends."""
    for owner in shape.__mro__:
        for line in said.get(owner.__name__, "").splitlines():
            name, _, text = line.partition(": ")
            if name == key:
                return text
    return ""


def _default(field: typing.Any) -> str:
    value = field.get_default(call_default_factory=True)
    written = _written(field.annotation, field.metadata)
    if value in (None, [], {}, "") or isinstance(value, Part):
        return ""
    if written and isinstance(value, int):
        sign = written.examples[0]
        return as_text(value) if sign[-1] in "smhd" and "/" not in sign else f"{value / 10_000:g}%" if sign.endswith("%") else str(value)  # fmt: skip
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _written(kind: object, metadata: list[object]) -> Written | None:
    for meta in metadata:
        if isinstance(meta, Written):
            return meta
    for inner in typing.get_args(kind):
        if isinstance(inner, Written):
            return inner
        found = _written(inner, [])
        if found:
            return found
    return None


def _kind(kind: object, metadata: list[object] = ()) -> str:
    for meta in metadata:
        if isinstance(meta, Written):
            return f"like `{meta.examples[0]}`"
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _kind(args[0], list(args[1:]))
    if origin is typing.Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin is list:
        return f"list of {_kind(args[0])}"
    if origin is dict:
        return f"by name: {_kind(args[1])}"
    if args:
        kinds = dict.fromkeys(_kind(arg) for arg in args if arg is not type(None))
        return " or ".join(kinds)
    if isinstance(kind, type) and issubclass(kind, Part):
        return f"[{_plain(kind.__name__)}](#{_plain(kind.__name__).replace(' ', '-')})"
    return {str: "text", int: "number", float: "number", bool: "true or false"}.get(kind, "anything")  # type: ignore[call-overload]


# --- history -----------------------------------------------------------------------------------


def _history() -> str:
    lines = [
        "# The history: every kind of event", "", MADE, "",
        "`history.jsonl` holds one record a line: `{\"at_ns\", \"data\", \"kind\", \"prev\", \"seq\", \"utc\", \"writer\"}`; `data` has the fields below.",
        "A *command* is on disk before it is carried out, a *report* says what came of it. Times end in `_ns`: whole nanoseconds of the run's one",
        "monotonic clock. How lines are chained is in [the evidence format](../evidence-format.md).", "",
    ]  # fmt: skip
    for title, union in (("Commands", Command), ("Reports", Report)):
        lines += [f"## {title}", "", "| event | says | fields |", "|---|---|---|"]
        for event in sorted(typing.get_args(union), key=lambda kind: kind.__name__):
            first = inspect.cleandoc(event.__doc__).split("\n\n")[0].replace("\n", " ")
            fields = ", ".join(f"`{f.name}`" for f in dataclasses.fields(event)) or "none"
            lines.append(f"| `{event.__name__}` | {_cell(first)} | {fields} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


# --- codes and variables -----------------------------------------------------------------------


def _exits() -> str:
    numbers = {name: number for name, number in vars(exits).items() if name.isupper()}
    assert set(numbers) == set(EXITS), "tests/docs/words.py names every exit code"
    lines = ["# Exit codes", "", MADE, "", "The first that applies:", "", "| code | means |", "|---|---|"]
    lines += [f"| **{numbers[name]}** | {text} |" for name, text in EXITS.items()]
    return "\n".join(lines) + "\n"


def variables() -> set[str]:
    """Every environment variable whose name stands in the code where the environment is read."""
    found = set()
    for path in (ROOT / "gameday").rglob("*.py"):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }  # fmt: skip
        for node in ast.walk(tree):
            key = None
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("os.environ", "environ"):
                key = node.slice
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("environ.get", "getenv")):
                key = node.args[0]
            if isinstance(key, ast.Constant):
                found.add(key.value)
            elif isinstance(key, ast.Name) and key.id in constants:
                found.add(constants[key.id])
    return found


def _environment() -> str:
    lines = ["# Environment variables", "", MADE, "", "| variable | means |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in sorted(VARIABLES.items())]
    lines += ["", "Besides these a plan or policy names its own: `${env.NAME}`, and `token_env: NAME`."]
    return "\n".join(lines) + "\n"


# --- ready drills ------------------------------------------------------------------------------

SYSTEMS = (
    ("aws-", "AWS"), ("kubernetes-", "Kubernetes"), ("patroni-", "PostgreSQL under Patroni"), ("sentinel-", "Redis Sentinel"),
    ("", "the lab: PostgreSQL with a standby, users on two regions"),
)  # fmt: skip


def _drills() -> str:
    lines = [
        "# Ready drills", "", MADE, "",
        "`gameday init` copies them. Each is a plan in `experiments/` that runs as it is in the lab, or with your names and addresses in it elsewhere.", "",
    ]  # fmt: skip
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "experiments").glob("*.yaml")):
        plan = load_plan(path)
        books = dict.fromkeys(step.runbook for step in plan.steps if step.runbook)
        loads = ", ".join(f"`{load.profile}`" for load in plan.load) or "none"
        system = next(title for start, title in SYSTEMS if path.stem.startswith(start))
        hypothesis = " ".join(dict(plan.about)["hypothesis"].split())
        found.setdefault(system, []).append(
            f"| `{path.name}` | **{_cell(plan.title)}**: {_cell(hypothesis)} | {loads} | {', '.join(f'`{b}`' for b in books) or 'none'} |"
        )
    for _, title in reversed(SYSTEMS):
        lines += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| plan | shows | load | runbooks |",
            "|---|---|---|---|",
            *found[title],
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def shapes() -> Iterator[tuple[type[Part], dict[str, str]]]:
    """Every shape of plan and policy, with where its keys are explained."""
    for module in pkgutil.iter_modules(gameday.plan.__path__):
        importlib.import_module(f"gameday.plan.{module.name}")
    for shape in _reached([PlanIn, RunbookFileIn, FailoverIn]):
        yield shape, meanings.MEANINGS
    for shape in _reached([PolicyIn, RulesIn]):
        yield shape, policymeanings.MEANINGS
