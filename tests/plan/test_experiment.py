"""Chaos Toolkit experiments as plans: which files are, what is wrong with them, what they become."""

import json
from copy import deepcopy
from datetime import UTC, datetime

import pytest

from gameday.errors import PlanError, UsageError
from gameday.plan.bind import needed
from gameday.plan.experiment import Options, secret_values
from gameday.plan.experimentfile import looks_like_experiment
from gameday.plan.experimentstep import experiment_in, is_experiment
from gameday.plan.load import load_plan
from gameday.plan.permit import judge
from gameday.plan.policyfile import load_policy
from gameday.plan.stored import plan_digest

PROGRAM = {"type": "process", "path": "true"}
ACTION = {"type": "action", "name": "act", "provider": PROGRAM}
PROBE = {"type": "probe", "name": "look", "tolerance": 0, "provider": PROGRAM}
SOUND = {
    "title": "Lose ${what}", "description": "d", "configuration": {"what": "it"},
    "steady-state-hypothesis": {"title": "t", "probes": [PROBE]},
    "method": [ACTION], "rollbacks": [{**ACTION, "name": "undo"}],
}  # fmt: skip


def write(folder, data, name="it.json"):
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return path


def changed(**more):
    return {**deepcopy(SOUND), **more}


def acted(**more):
    return changed(method=[{**ACTION, **more}])


def probed(tolerance):
    return changed(
        **{"steady-state-hypothesis": {"title": "t", "probes": [{**PROBE, "tolerance": tolerance}]}}
    )


BAD = {
    "malformed JSON": ('{"title": ', "not JSON"),
    "a list": ("[]", "is a list"),
    "no title": (changed(title=""), "`title`"),
    "no description": (changed(description=None), "`description`"),
    "a method that is a mapping": (changed(method={"a": ACTION}), "`method` is a mapping"),
    "a method that is a text": (changed(method="x"), "`method` is a text"),
    "an empty method": (changed(method=None), "`method` is empty"),
    "no method": ({k: v for k, v in SOUND.items() if k != "method"}, "has no `method`"),
    "empty rollbacks": (changed(rollbacks=None), "`rollbacks` is empty"),
    "an activity that is a text": (changed(method=["x"]), "is a text: expected an activity"),
    "a provider that is a text": (acted(provider="x"), "is a text: expected a provider"),
    "an unknown provider": (acted(provider={"type": "ssh"}), "type 'ssh'"),
    "an unknown type": (acted(type="x"), "type 'x'"),
    "no name": (acted(name=""), "name ''"),
    "arguments that are a list": (
        acted(provider={"type": "python", "module": "os", "func": "getpid", "arguments": [1]}), "mapping of names",
    ),
    "pauses that are a number": (acted(pauses=3), "is a int: expected a mapping"),
    "a pause that is a text": (acted(pauses={"after": "3"}), "'3': expected a number"),
    "a negative pause": (acted(pauses={"after": -3}), "cannot be negative"),
    "a background that is a text": (acted(background="yes"), "expected true or false"),
    "an activity's timeout that is a text": (acted(timeout="3"), "'3': expected a number"),
    "an unknown ref": (changed(rollbacks=[{"ref": "nobody"}]), "'nobody': no such activity; there are act, look"),
    "a configuration that is a list": (changed(configuration=[]), "`configuration` is a list"),
    "secrets that are a list": (changed(secrets=[]), "`secrets` is a list"),
    "probes that are a mapping": (
        changed(**{"steady-state-hypothesis": {"title": "t", "probes": {"a": PROBE}}}), "`probes` is a mapping",
    ),
    "a hypothesis without a title": (changed(**{"steady-state-hypothesis": {"probes": []}}), "no title"),
    "a float as tolerance": (probed(0.5), "0.5: expected"),
    "a range of one": (probed({"type": "range", "range": [1]}), "expected two numbers"),
    "a pattern that is none": (probed({"type": "regex", "pattern": "("}), "pattern '('"),
    "an unknown tolerance": (probed({"type": "x"}), "type 'x'"),
    "an unknown rollback strategy": (changed(runtime={"rollbacks": {"strategy": "sometimes"}}), "'sometimes'"),
    "an unknown hypothesis strategy": (changed(runtime={"hypothesis": {"strategy": "never"}}), "'never'"),
    "a control without a module": (changed(controls=[{"name": "c", "provider": {"type": "python"}}]), "module"),
    "an extension without a name": (changed(extensions=[{}]), "needs a name"),
    "a tag that is a number": (changed(tags=[1]), "list of texts"),
    "env without a key": (changed(configuration={"a": {"type": "env"}}), "needs a `key`"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_chaos_toolkit_chokes_on_is_said_with_its_line(tmp_path, name):
    data, words = BAD[name]
    with pytest.raises(PlanError) as caught:
        load_plan(write(tmp_path, data))
    problem = next(p for p in caught.value.problems if words in p.message)
    assert problem.file == "it.json" and (
        problem.line > 1 or not isinstance(data, dict) or "method" not in data
    )


def test_all_problems_are_said_at_once(tmp_path):
    data = changed(title="", method=[{}, {**ACTION, "type": 1}], rollbacks=3)
    with pytest.raises(PlanError) as caught:
        load_plan(write(tmp_path, data))
    assert len(caught.value.problems) == 4


ODD = {
    "rollback for rollbacks": (
        {**{k: v for k, v in SOUND.items() if k != "rollbacks"}, "rollback": []}, "runs without its undo",
    ),
    "backgroud": (acted(backgroud=True), "did you mean `background`"),
    "a key of nobody": (acted(colour=True), "'colour' is not read"),
    "an unknown variable": (acted(provider={**PROGRAM, "arguments": ["${nobody}"]}), "nothing here defines"),
    "a reversed range": (probed({"type": "range", "range": [3, 1]}), "reversed"),
    "two statuses": (probed([200, 299]), "not a range"),
    "no probes": (changed(**{"steady-state-hypothesis": {"title": "t", "probes": []}}), "says nothing"),
    "a secret written out": (changed(secrets={"g": {"k": "hunter22"}}), "written out"),
    "no rollbacks": (changed(rollbacks=[]), "not taken back"),
    "a timeout that is a text": (acted(provider={**PROGRAM, "timeout": "3"}), "'3': expected a number"),
    "arguments that are a number": (acted(provider={**PROGRAM, "arguments": 3}), "it is aborted here"),
    "an address without a scheme": (acted(provider={"type": "http", "url": "x.y/z"}), "no scheme"),
    "a title that is a number": (changed(title=2026), "is a int, not a text"),
    "a name that is a number": (acted(name=7), "no `ref` can mean it"),
    "a tag instead of tags": (changed(tags="one"), "expected a list of texts"),
    "a control of no known kind": (changed(controls=[{"name": "c", "provider": {}}]), "it does nothing"),
    "a value from nowhere": (
        changed(configuration={"a": {"type": "probe", "provider": {"type": "python"}}}), "will not be there",
    ),
    "rollbacks that are never played": (changed(runtime={"rollbacks": {"strategy": "never"}}), "never played"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_harmless_is_taken_with_a_warning(tmp_path, name):
    data, words = ODD[name]
    plan = load_plan(write(tmp_path, data))
    assert any(words in warning for warning in plan.warnings), plan.warnings


def test_a_sound_one_becomes_a_plan_of_one_step_with_its_undo(tmp_path):
    path = write(tmp_path, acted(pauses={"after": 60}))
    plan = load_plan(path)
    (step,) = plan.steps
    assert is_experiment(plan) and plan.title == "Lose what" and plan.target.environment == "lab"
    assert needed(plan) == ()  # Nothing of the file waits to be filled in by gameday.
    assert step.undo is not None and step.deadline_ns == step.ttl_ns == 660 * 10**9
    inside = experiment_in(step.do)
    assert inside["file"] == "it.json" and inside["uses"] == [["process", ""]] and inside["acts"]
    assert plan_digest(load_plan(path, options=Options(rollbacks="always"))) != plan_digest(plan)
    assert load_plan(path, options=Options(rollbacks="never")).steps[0].undo is None
    path.write_text(path.read_text() + "\n")
    assert plan_digest(load_plan(path)) != plan_digest(plan)


def test_yaml_as_chaos_toolkit_takes_it(tmp_path):
    text = (
        "title: x\ndescription: d\nx: &a {type: process, path: 'true'}\nmethod:\n"
        "- {type: action, name: a, provider: *a}\n- {type: action, name: b, name: c, provider: *a}\n"
    )
    plan = load_plan(write(tmp_path, text, "it.yaml"))
    assert any("line 6: key 'name' stands here twice" in warning for warning in plan.warnings)
    bomb = "title: x\ndescription: d\nmethod: []\na: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for before, after in zip("abcdef", "bcdefg", strict=True):
        bomb += f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    with pytest.raises(PlanError, match="unfolds"):
        load_plan(write(tmp_path, bomb, "bomb.yaml"))


def test_json_with_tabs_keeps_its_places(tmp_path):
    text = json.dumps(changed(method=[{}]), indent="\t")
    with pytest.raises(PlanError, match=r"it.json:\d\d:\d+: is a mapping"):
        load_plan(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: x\nmethod: []\n", True), ("title: x\nsteps: []\n", False), ("kind: dr\n", False),
        ("title: x\ndescription: y\n", True), ("method: [\n", True), ("steps: [\n", False), ("- 1\n", False),
    ],
)  # fmt: skip
def test_which_files_are_experiments(tmp_path, text, expected):
    assert looks_like_experiment(write(tmp_path, text, "it.yaml")) is expected


def policy_of(folder, text):
    return load_policy(write(folder, text, "policy.yaml"))


def test_the_environment_comes_from_the_policy_or_the_command_line(tmp_path):
    path = write(tmp_path, SOUND)
    now = datetime.now(UTC)
    rules = "{modules: ['*'], providers: [process], ttl: 5m}"
    silent = policy_of(tmp_path, f"environments: {{lab: {rules}}}\n")
    plan = load_plan(path, policy=silent)
    assert judge(silent, plan, now).refusals and "no environment is named" in str(plan.warnings)
    assert not judge(silent, load_plan(path, options=Options(environment="lab"), policy=silent), now).refusals
    named = policy_of(tmp_path, f"environments: {{stage: {rules}}}\nexperiments: {{environment: stage}}\n")
    plan = load_plan(path, policy=named)
    assert plan.target.environment == "stage" and plan.steps[0].ttl_ns == 300 * 10**9
    assert not judge(named, plan, now).refusals
    bare = load_plan(write(tmp_path, changed(rollbacks=[])), policy=named)
    assert any("without rollbacks" in refusal.reason for refusal in judge(named, bare, now).refusals)


def test_the_policy_judges_what_an_experiment_would_run(tmp_path):
    controls = [{"name": "c", "provider": {"type": "python", "module": "some.control"}}]
    policy = policy_of(tmp_path, "environments: {lab: {}}\nexperiments: {environment: lab}\n")
    plan = load_plan(write(tmp_path, changed(controls=controls)), policy=policy)
    said = " ".join(refusal.reason for refusal in judge(policy, plan, datetime.now(UTC)).refusals)
    assert "provider 'process'" in said and "'some.control'" in said


def test_secrets_are_known_and_stand_in_no_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("A_TOKEN_OF_MINE", "from-the-environment")
    secrets = {"g": {"a": "written-out", "b": {"type": "env", "key": "A_TOKEN_OF_MINE"}}}
    plan = load_plan(write(tmp_path, changed(secrets=secrets)))
    assert secret_values(plan, tmp_path) == ("written-out", "from-the-environment")
    assert "written-out" not in repr(plan) and "from-the-environment" not in repr(plan)


def test_options_of_an_experiment_are_refused_for_a_native_plan(tmp_path):
    with pytest.raises(UsageError, match="native plan"):
        load_plan(write(tmp_path, "title: x\nsteps: []\n", "it.yaml"), options=Options(rollbacks="always"))


NATIVE = """
title: t
hypothesis: h
kind: game-day
service: s
author: a
owner: o
target: {environment: lab, identity: {http: "http://127.0.0.1:1/"}}
probes: {up: {http: {url: "http://127.0.0.1:1/"}, every: 1s, timeout: 200ms}}
slos: {availability: {probe: up, objective: 50%, window: 4s}}
steady_state: {slos: [availability], baseline: 1s, stabilise: 1s}
stop_conditions: [{silence: 5s, then: halt}]
blast_radius: {select: {region: a}, max: 1 of 1, duration: 5m}
steps:
- {experiment: experiments/it.json, variables: {n: 3, on: true}, fail_fast: true, ttl: 90s}
"""


def test_a_native_plan_can_have_one_among_its_steps(tmp_path):
    (tmp_path / "experiments").mkdir()
    inner = write(tmp_path / "experiments", acted(timeout=2, colour="red"))
    path = write(tmp_path, NATIVE, "plan.yaml")
    plan = load_plan(path)
    (step,) = plan.steps
    inside = experiment_in(step.do)
    assert not is_experiment(plan) and step.undo is not None and step.ttl_ns == 90 * 10**9
    assert (inside["file"], inside["folder"]) == ("experiments/it.json", ".") and inside["fail_fast"]
    assert inside["variables"] == ["n:int=3", "on:bool=True"]
    assert any("experiments/it.json: line" in said and "'colour'" in said for said in plan.warnings)
    digest = plan_digest(plan)
    write(tmp_path / "experiments", acted(timeout=3))
    assert plan_digest(load_plan(path)) != digest
    inner.write_text("[]")
    with pytest.raises(PlanError, match=r"experiments/it.json:1:1: is a list"):
        load_plan(path)
    inner.unlink()
    with pytest.raises(PlanError, match="no such file in the project"):
        load_plan(path)
