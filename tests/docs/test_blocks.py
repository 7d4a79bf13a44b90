"""Every example of the documentation is run, read or parsed by the product itself; every link leads somewhere.

```sh      each `gameday …` is parsed by the real command line, each `make …` is a target, each
           `python -m …` a module; the README's newcomer path is typed whole in tests/newcomer
```yaml    a plan, policy, experiment or trust file is read by its own reader; a fragment of a plan,
           by the reader too, inside a plan that has all the rest
```json    parsed
```text    output or a drawing: nothing to run
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess

import pytest
import yaml

from gameday.cli.main import parser
from gameday.errors import GameDayError
from gameday.plan.load import load_plan
from gameday.plan.policyfile import PolicyIn, find_policy
from gameday.plan.schema import PlanIn
from tests.docs.blocks import ROOT, blocks, commands, files

BLOCKS = blocks()
SHELL = [one for one in BLOCKS if one.language in ("sh", "console")]
YAML = [one for one in BLOCKS if one.language == "yaml"]
PROGRAMS = {  # Programs of others that examples call.
    "cd", "cat", "pip", "python3", "nginx", "sed", "kubectl", "ssh", "ssh-keygen", "printf", "export", ".", "grep",
}  # fmt: skip


def by_name(found):
    return pytest.mark.parametrize("block", found, ids=lambda one: one.name)


def test_every_block_says_what_it_is():
    assert len(BLOCKS) > 20
    for one in BLOCKS:
        assert one.language in ("sh", "console", "yaml", "json", "text"), (
            f"{one.name}: a block of {one.language or 'nothing'}"
        )


@by_name(SHELL)
def test_every_command_is_one(block):
    found = commands(block)
    assert found
    targets = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for words in found:
        check(words, targets)


def check(words, targets):
    match words:
        case ["gameday", *rest]:
            asked(rest)
        case ["gameday-verify", *rest]:
            assert "--trust" in rest
        case ["make", target]:
            assert target in targets
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module), module
        case [program, *_]:
            assert program in PROGRAMS, f"{program}: what is that?"


def asked(rest):
    """The real parser takes it. What stands for something else (RUN, PLAN, FILE) is taken as it is."""
    rest = rest[: rest.index(">")] if ">" in rest else rest
    rest = [word for word in rest if word not in ("&", "…")]
    if rest[:1] in (["lab"], ["verify"]):
        return
    command = parser().parse_args(rest)
    assert command.command


@by_name(YAML)
def test_every_yaml_is_read_by_who_reads_it(block, tmp_path):
    found = yaml.safe_load(re.sub(r"…", "x", block.text))
    readers = (trust, experiment, policy, plan_or_part)
    assert any(read(found, block, tmp_path) for read in readers), f"{block.name}: nobody reads this"


def trust(found, block, _):
    if not isinstance(found, dict) or "runners" not in found:
        return False
    from gameday.verify.trust import read_yaml

    assert set(read_yaml(block.text, block.name)) == set(found)
    return True


def experiment(found, block, folder):
    if not isinstance(found, dict) or "method" not in found:
        return False
    path = folder / "experiment.yaml"
    path.write_text(block.text)
    load_plan(path)
    return True


def policy(found, block, folder):
    if not isinstance(found, dict) or not set(found) <= {
        f.alias or n for n, f in PolicyIn.model_fields.items()
    }:
        return False
    if not set(found) & (set(PolicyIn.model_fields) - set(PlanIn.model_fields)):
        return False
    path = folder / "policy.yaml"
    path.write_text(block.text if "environments" in found else f"environments: {{lab: {{}}}}\n{block.text}")
    assert find_policy(folder, str(path)).file
    return True


def plan_or_part(found, block, folder):
    """A whole plan; or a part of one, put into a whole one in place of what stands there."""
    base = yaml.safe_load((ROOT / "experiments" / "primary-loss.yaml").read_text())
    part = (
        {"steps" if "runbook" in found[0] or "fault" in found[0] else "load": found}
        if isinstance(found, list)
        else found
    )
    keys = {f.alias or n for n, f in PlanIn.model_fields.items()}
    assert set(part) <= keys, f"{block.name}: {set(part) - keys} are no keys of a plan"
    if {"title", "steps"} <= set(part):
        whole = part
    else:
        whole = merged(base, part)
    project = folder / "project"
    for name in ("loadprofiles", "runbooks"):
        (project / name).mkdir(parents=True)
        for path in (ROOT / name).iterdir():
            if path.is_file():
                (project / name / path.name).write_bytes(path.read_bytes())
    for load in whole.get("load", ()):
        profile = project / load["profile"]
        if not profile.exists():
            profile.write_text("from locust import HttpUser\n")
    (project / "experiments").mkdir()
    path = project / "experiments" / "plan.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    try:
        load_plan(path)
    except GameDayError as error:
        if "capacity" not in part and "slos_from" not in part:
            raise AssertionError(f"{block.name}\n{error.diagnostics()}") from None
        told = [
            line for line in str(error.diagnostics()).splitlines() if "expected" in line and "unknown" in line
        ]
        assert not told, told
    return True


def merged(base, part):
    """The base with a part's keys; names that the part speaks of are there."""
    whole = {**base, **part}
    if "probes" in part:
        whole["probes"] = {**base["probes"], **part["probes"]}
    if "stop_conditions" in part:
        for one in part["stop_conditions"]:
            for key, kind in (("probe", "probes"), ("slo", "slos")):
                name = one.get(key)
                if name and name not in whole[kind]:
                    whole[kind] = {**whole[kind], name: next(iter(whole[kind].values()))}
    if "load" in part:
        whole["slos"] = {k: v for k, v in base["slos"].items() if "load" not in v}
        whole["steady_state"] = {**base["steady_state"], "slos": list(whole["slos"])}
        whole["stop_conditions"] = [
            c for c in base["stop_conditions"] if "load" not in c and c.get("slo") in (None, *whole["slos"])
        ]
    return whole


def test_every_json_is_json():
    for block in BLOCKS:
        if block.language == "json":
            json.loads(block.text)


def anchors(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found = set()
    for title in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(there), f"{target}: no such heading"
    for name in re.findall(
        r"`((?:docs|experiments|loadprofiles|runbooks|tests)/[\w./-]+\.(?:md|yaml|py|csv))`", text
    ):
        if not name.endswith("shop-dr.yaml"):
            assert (ROOT / name).exists(), f"`{name}` is not there"


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_within_the_text_are_real(path):
    """`gameday COMMAND …` in the prose names a command that is there."""
    from gameday.cli.help_texts import COMMANDS

    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for name in re.findall(r"`gameday ([a-z]+)", text):
        assert name in COMMANDS, f"`gameday {name}` is no command"
