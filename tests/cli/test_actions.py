"""The action catalogue: what it knows is held against the installed packages, what it shows validates."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zipfile

import pytest

from gameday.cli.actions import as_data
from gameday.cli.main import main
from gameday.cli.snippets import READ_BACK, TAKE_BACK, snippet
from gameday.hosts.extensions import extensions, read_package
from gameday.plan.catalogue import INVERSES
from gameday.plan.foreign import CHAOSAWS, CHAOSK8S, FOREIGN, Way, way_back
from gameday.plan.load import load_plan
from tests.drills import ROOT

PLAN = """
title: Everything that can be pasted
kind: game-day
service: orders
target: {environment: lab, identity: {http: "http://127.0.0.1:1/identity"}}
steady_state: {slos: [it], baseline: 1s, stabilise: 1s}
slos:
  it: {probe: it, objective: 90%, window: 5s}
stop_conditions:
  - {probe: it, bad: 10 in a row}
blast_radius: {max: 100%, duration: 5m}
"""
IT = '  it: {http: {url: "http://127.0.0.1:1/"}, every: 100ms, timeout: 100ms}\n'


@pytest.fixture(scope="module")
def found():
    return extensions()


def actions_of(found, top):
    return {o.name: o for o in found.offered if o.name.startswith(f"{top}.") and o.kind == "action"}


def hold_against(table, top, found):
    """Every entry is there with the arguments it speaks of, and every action has an entry."""
    offered = actions_of(found, top)
    for short, back in table.items():
        assert f"{top}.{short}" in offered, short
        if back.undo:
            undo = offered[f"{top}.{back.undo}"]
            for name in (*back.before, *dict(back.fixed)):
                assert undo.argument(name), (short, name)
        assert bool(back.undo) == (back.way in (Way.DIRECT, Way.SNAPSHOT)), short
    assert {name for name in offered if name not in FOREIGN} == set()


def test_what_is_known_of_chaosk8s_is_what_is_installed(found):
    hold_against(CHAOSK8S, "chaosk8s", found)


@pytest.mark.slow
def test_what_is_known_of_chaosaws_is_what_the_index_has(tmp_path):
    """It need not be installed: its source is read, and nothing of it imported."""
    got = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            tmp_path,
            "chaostoolkit-aws==0.35.1",
        ],
        capture_output=True,
        text=True,
    )
    if got.returncode:
        pytest.skip(f"chaostoolkit-aws cannot be downloaded here: {got.stderr.strip()[-200:]}")
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(tmp_path)
    read = read_package(tmp_path / "chaosaws", "chaostoolkit-aws 0.35.1")
    hold_against(CHAOSAWS, "chaosaws", read)
    assert len(actions_of(read, "chaosaws")) >= 90
    validates(read, tmp_path)


@pytest.mark.slow
def test_it_finds_what_chaos_discover_finds(found, tmp_path):
    """The other way of looking: chaoslib imports the extension and asks it.

    Of kinds nothing is said: that extension calls the probes of its nodes actions.
    """
    out = tmp_path / "d.json"
    subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "--no-version-check", "discover", "chaostoolkit-kubernetes",
         "--no-install", "--no-system-info", "--discovery-path", out],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    theirs = {
        f"{a['mod']}.{a['name']}": [
            x["name"] for x in a["arguments"] if x["name"] not in ("secrets", "configuration")
        ]
        for a in json.loads(out.read_text())["activities"]
    }
    ours = {
        o.name: [a.name for a in o.arguments]
        for o in found.offered
        if o.extension.startswith("chaostoolkit-kubernetes")
    }
    assert len(theirs) > 80
    assert {key: ours.get(key) for key in theirs} == theirs


def test_every_inverse_of_ours_is_offered_with_its_arguments(found):
    for name, inverse in INVERSES.items():
        if not name.startswith("gameday."):
            continue
        action, undo, read = found.get(name), found.get(inverse.undo), found.get(inverse.in_place)
        assert action and undo and read, name
        assert read.kind == "probe", name
        assert all(read.argument(kept) for kept in inverse.keep), name
        assert all(undo.argument(kept) for kept in (*inverse.keep, *inverse.undo_keep)), name


def test_each_has_a_line_and_a_way_back(found):
    for offered in found.offered:
        if offered.name.startswith("gameday."):
            assert offered.line, offered.name
            assert way_back(offered.name).way is not Way.UNKNOWN, offered.name
        assert json.dumps(as_data(offered, found))


def validates(found, folder):
    """Put every snippet into one plan, and load it."""
    (folder / "experiments").mkdir(exist_ok=True)
    steps, probes, names = [], [], []
    for number, offered in enumerate(found.offered):
        text = snippet(offered, found)
        first, _, rest = text.partition("\n")
        if offered.kind == "probe":
            probes.append(f"{first.removesuffix(':')}-{number}:\n{rest}")
        else:
            steps.append(f"{first} {number}\n{rest}")
            names.append(offered.name)
    path = folder / "experiments" / "all.yaml"
    path.write_text(
        PLAN
        + "probes:\n"
        + IT
        + textwrap.indent("".join(probes), "  ")
        + "steps:\n"
        + textwrap.indent("".join(steps), "  ")
    )
    plan = load_plan(path)
    assert len(plan.probes) == len(probes) + 1
    assert len(plan.steps) == len(names)
    return dict(zip(names, plan.steps, strict=True))


def test_every_snippet_validates_and_carries_the_undo_that_is_known(found, tmp_path):
    steps = validates(found, tmp_path)
    for name, step in steps.items():
        back = way_back(name)
        if back.undo:
            provider = json.loads(step.undo.provider)
            assert f"{provider['module']}.{provider['func']}" == back.undo, name
            assert step.in_place is not None
    scaled = steps["chaosk8s.deployment.actions.scale_deployment"]
    assert json.loads(scaled.undo.provider)["arguments"] == {"name": "NAME", "replicas": 1}
    assert READ_BACK in f"{json.loads(scaled.in_place.provider)['module']}.is_in_place"
    healed = json.loads(steps["chaosk8s.pod.actions.terminate_pods"].undo.provider)
    assert f"{healed['module']}.{healed['func']}" == TAKE_BACK


def test_a_broken_extension_takes_no_other_along(tmp_path, monkeypatch):
    package = tmp_path / "chaosbroken"
    (package / "part").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "actions.py").write_text("__all__ = ['f']\ndef f(:\n")
    (package / "part" / "probes.py").write_text(
        "import nobody_has_this\n__all__ = ['seen']\n__all__ += ['g']\ndef seen(a, b=1): 'See it.'\n"
    )
    info = tmp_path / "chaostoolkit_broken-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaostoolkit-broken\nVersion: 1.2\n")
    (info / "top_level.txt").write_text("chaosbroken\n")
    nameless = tmp_path / "nameless-1.dist-info"
    nameless.mkdir()
    (nameless / "METADATA").write_bytes(b"\xff\xfe")
    monkeypatch.syspath_prepend(tmp_path)
    found = extensions()
    assert "chaosbroken" not in sys.modules
    seen = found.get("chaosbroken.part.probes.seen")
    assert (seen.kind, seen.line, seen.extension) == ("probe", "See it.", "chaostoolkit-broken 1.2")
    assert [(a.name, a.default) for a in seen.arguments] == [("a", None), ("b", "1")]
    assert way_back("chaosbroken.part.actions.f").way is Way.UNKNOWN
    said = "\n".join(found.troubles)
    assert "chaosbroken.actions cannot be read: line 2: " in said
    assert "chaosbroken.part.probes needs nobody_has_this, which is not installed" in said
    assert found.get("gameday.actions.postgres.kill") and found.get("chaosk8s.pod.actions.terminate_pods")


def test_it_imports_no_extension(tmp_path):
    code = (
        "import sys; from gameday.cli.main import main; code = main(['actions', 'scale_deployment']);"
        "print(code, [m for m in ('chaoslib','chaosk8s','kubernetes','boto3','locust') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "0 []"
    assert "undo: {action: chaosk8s.deployment.actions.scale_deployment" in out.stdout


def test_searching(capsys):
    assert main(["actions", "postgres", "replay", "--json"]) == 0
    rows = {row["name"].rpartition(".")[2]: row for row in json.loads(capsys.readouterr().out)["actions"]}
    assert rows["pause_replay"]["inverse"]["derived"] is True
    assert rows["pause_replay"]["inverse"]["way"] == "direct"
    assert "inverse" not in rows["is_replay_paused"]
    assert set(rows) == {"pause_replay", "resume_replay", "is_replay_paused"}
    assert main(["actions", "chaosk8s.node.actions.drain_nods"]) == 2
    assert "Did you mean chaosk8s.node.actions.drain_nodes?" in capsys.readouterr().err
