"""The operator's policy: malformed and hostile files, what it permits, and where each value comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.canonical import from_json, to_json
from gameday.errors import NotAuthorised, PlanError
from gameday.plan.approvals import Requirement as PlanRequirement
from gameday.plan.load import load_plan
from gameday.plan.model import Activity, StepKind, StopCondition
from gameday.plan.permit import allows, is_native, judge
from gameday.plan.policy import Policy, Rule, approvals_needed, default_policy, policy_digest
from gameday.plan.policyfile import POLICY_FILE, STORED_FILE, find_policy, load_policy, write_policy
from gameday.plan.radius import most_at_once, parse_cap, reach_of, why_not
from gameday.plan.trippable import limit_warnings
from gameday.plan.lasting import longest_ns, steps_ns
from tests.drills import ROOT, make_project

MIN = 60 * 10**9
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)  # a Tuesday


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return load_plan(make_project(tmp_path_factory.mktemp("p")) / "experiments" / "primary-loss.yaml")


def policy_of(tmp_path, text):
    path = tmp_path / POLICY_FILE
    path.write_text(text)
    return load_policy(path, POLICY_FILE)


LAB = 'environments: {lab: {modules: ["*"]}}\n'

MALFORMED = [
    ("", 1, "holds 0 documents"),
    ("[]", 1, "is no mapping"),
    ("7", 1, "is no mapping"),
    ("{}", 1, "key 'environments' is missing"),
    ("environments: {}", 1, "at least 1 item"),
    ("environments: [lab]", 1, "is no mapping"),
    ("environments: {lab: 3}", 1, "lab: 3"),
    ("environments: {'la b': {}}", 1, "pattern"),
    ("environment: {lab: {}}", 1, "did you mean 'environments'?"),
    (LAB + "limits: {ttl: 5m}", 2, "unknown key 'limits'"),
    (LAB + "ttl: 5", 2, "5 is no duration"),
    (LAB + "ttl: -5m", 2, "is no duration"),
    (LAB + "ttl: 0s", 2, "out of range"),
    (LAB + "duration: 9999d", 2, "out of range"),
    (LAB + "targets: half", 2, "expected something like `1 of 2`, `50%` or `1`"),
    (LAB + "targets: 0%", 2, "'0%': expected something like"),
    (LAB + "targets: 101%", 2, "'101%': expected something like"),
    (LAB + "targets: '0'", 2, "'0': expected something like"),
    (LAB + "targets: 3 of 2", 2, "'3 of 2': expected something like"),
    (LAB + "targets: 1", 2, "is no text"),
    (LAB + "at_once: 0", 2, "greater than or equal to 1"),
    (LAB + "at_once: true", 2, "is no whole number"),
    (LAB + "windows: [{days: [tuesday], hours: 09:00-17:00}]", 2, "expected 'mon', 'tue'"),
    (LAB + "windows: [{days: [], hours: 09:00-17:00}]", 2, "at least 1 item"),
    (LAB + "windows: [{days: [tue], hours: 9-17}]", 2, "expected hours like 09:00-17:00"),
    (LAB + "windows: [{days: [tue], hours: 24:00-17:00}]", 2, "expected hours like"),
    (LAB + "windows: [{days: [tue], hours: '09:60-17:00'}]", 2, "expected hours like"),
    (LAB + "windows: [{days: [tue]}]", 2, "key 'hours' is missing"),
    (LAB + "time_zone: Mars/Olympus", 2, "no such time zone"),
    (LAB + "time_zone: ../../etc/passwd", 2, "no such time zone"),
    (LAB + "blackouts: [{from: 2026-13-01, to: 2027-01-01, reason: x}]", 2, "expected a date like"),
    (LAB + "blackouts: [{from: 2026-12-01, to: 2026-11-01, reason: x}]", 2, "is before its `from`"),
    (LAB + "blackouts: [{from: 2026-12-01, to: 2026-12-02}]", 2, "key 'reason' is missing"),
    (LAB + "stop_conditions: [silenc]", 2, "'silenc': expected one of silence, control"),
    (LAB + "modules: [os; import x]", 2, "expected a module"),
    (LAB + "modules: ['gameday*']", 2, "expected a module"),
    (LAB + "modules: ['*.evil']", 2, "expected a module"),
    (LAB + "modules: gameday", 2, "is no list"),
    (LAB + "providers: [shell]", 2, "expected 'python', 'process' or 'http'"),
    (LAB + "levers: [lever.json]", 2, "expected an absolute path, or an http, https or s3 URL"),
    (LAB + "levers: ['ftp://x/y']", 2, "expected an absolute path, or an http, https or s3 URL"),
    (LAB + "levers: ['https://u:secret@x/y']", 2, "must not hold a password"),
    (LAB + "leases: leases", 2, "expected an absolute path"),
    (LAB + "lease_expires: 100ms", 2, "cannot be kept"),
    (LAB + "lever_silence: soon", 2, "is no duration"),
    (LAB + "waivers: [{rule: modules, reason: r, by: b, until: 2027-01-01}]", 2, "'modules' cannot be waived"),
    (LAB + "waivers: [{rule: environment, reason: r, by: b, until: 2027-01-01}]", 2, "cannot be waived"),
    (LAB + "waivers: [{rule: ttl, by: b, until: 2027-01-01}]", 2, "key 'reason' is missing"),
    (LAB + "waivers: [{rule: ttl, reason: r, until: 2027-01-01}]", 2, "key 'by' is missing"),
    (LAB + "waivers: [{rule: ttl, reason: r, by: b}]", 2, "key 'until' is missing"),
    (LAB + "waivers: [{rule: ttl, reason: '', by: b, until: 2027-01-01}]", 2, "at least 1 character"),
    (LAB + "waivers: [{rule: ttl, reason: r, by: b, until: for ever}]", 2, "expected a date like"),
    (LAB + "waivers: [{rule: ttl, reason: r, by: b, until: 2027-01-01, environment: x}]", 2, "no such environment"),
    (LAB + "approvals: [{roles: []}]", 2, "at least 1 item"),
    (LAB + "approvals: [{roles: [sre], number: 0}]", 2, "greater than or equal to 1"),
    (LAB + "approvals: [{roles: [sre], tiers: [one]}]", 2, "is no whole number"),
    (LAB + "not_red: [a b]", 2, "pattern"),
    (LAB + "native_ttl: yes", 2, "is neither true nor false"),
    (LAB + LAB, 2, "stands here twice"),
    ("environments: &e {lab: {}}\nblackouts: *e", 2, "alias"),
    (LAB + "leases: !!python/object:os.system x", 2, "is not allowed"),
    (LAB + "---\n" + LAB, 1, "holds 2 documents"),
    ("a: [" * 60 + "]" * 60, 1, "nested deeper"),
    ("environments: {lab: {environments: {lab: {}}}}", 1, "unknown key 'environments'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_wrong_policy_is_refused_with_its_place(tmp_path, text, line, said):
    with pytest.raises(PlanError) as caught:
        policy_of(tmp_path, text)
    assert caught.value.exit_code == 2
    problem = caught.value.problems[0]
    assert problem.file == POLICY_FILE and problem.line == line and problem.column >= 1
    assert said in str(caught.value), str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / POLICY_FILE
    path.write_bytes(b"environments: {lab: {}}\n\xff")
    with pytest.raises(PlanError, match=r"policy.yaml:2:1: byte 0xff"):
        load_policy(path, POLICY_FILE)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_any_text_is_a_policy_or_is_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("f") / POLICY_FILE
    path.write_text("environments: {lab: {}}\nttl: " + text)
    try:
        assert load_policy(path).rules("lab") is not None
    except PlanError as error:
        assert error.problems


def test_all_problems_are_named_at_once(tmp_path):
    with pytest.raises(PlanError) as caught:
        policy_of(tmp_path, "environments: {lab: {ttl: 5, at_once: 0}}\nblackout: []\nleases: x\n")
    assert len(caught.value.problems) == 4


# --- which policy is in force ------------------------------------------------------------------


def test_the_command_line_beats_the_variable_beats_the_file(tmp_path):
    for name in ("line", "variable", "project"):
        (tmp_path / name).mkdir()
        (tmp_path / name / POLICY_FILE).write_text(f"environments: {{{name}: {{}}}}\n")
    project, line = tmp_path / "project", str(tmp_path / "line" / POLICY_FILE)
    variable = {"GAMEDAY_POLICY": str(tmp_path / "variable" / POLICY_FILE)}
    assert find_policy(project, line, variable).rules("line")
    assert find_policy(project, None, variable).rules("variable")
    assert find_policy(project, None, {}).rules("project")
    assert find_policy(tmp_path, None, {}) == default_policy()


def test_a_policy_that_was_named_and_is_not_there_is_an_error(tmp_path):
    with pytest.raises(PlanError, match="cannot be read"):
        find_policy(tmp_path, None, {"GAMEDAY_POLICY": str(tmp_path / "none.yaml")})
    (tmp_path / POLICY_FILE).symlink_to(tmp_path / "nowhere")
    with pytest.raises(PlanError, match="cannot be read"):
        find_policy(tmp_path, None, {})


def test_the_repositorys_own_policy_is_sound_and_its_commented_lines_too(tmp_path):
    assert load_policy(ROOT / POLICY_FILE).rules("lab").modules == ("*",)
    lines = (ROOT / POLICY_FILE).read_text().splitlines()
    start = lines.index("environments:")
    for prefix in ("  # ", "# "):
        lines[start:] = [
            line.replace(prefix, prefix.replace("# ", ""), 1) if line.startswith(prefix) else line
            for line in lines[start:]
        ]
    full = policy_of(tmp_path, "\n".join(lines))
    assert [name for name, _ in full.environments] == ["lab", "production", "staging"]
    assert full.rules("production").at_once == 1 and full.waivers and full.leases


def test_its_digest_is_that_of_its_meaning(tmp_path):
    one = policy_of(tmp_path, LAB + "ttl: 5m")
    again = policy_of(tmp_path, "# a comment\nttl: 300s\n" + LAB)
    assert policy_digest(one) == policy_digest(again)
    assert policy_digest(policy_of(tmp_path, LAB + "ttl: 6m")) != policy_digest(one)
    assert from_json(Policy, json.loads(json.dumps(to_json(one)))) == one


def test_its_digest_does_not_depend_on_how_its_path_is_written(tmp_path, monkeypatch):
    shown = policy_of(tmp_path, LAB)
    monkeypatch.chdir(tmp_path)
    named = [
        load_policy(path)
        for path in (tmp_path / POLICY_FILE, Path(POLICY_FILE), Path(f"../{tmp_path.name}/{POLICY_FILE}"))
    ]
    assert {policy_digest(policy) for policy in named} == {policy_digest(shown)}
    write_policy(tmp_path, named[0])
    stored = (tmp_path / STORED_FILE).read_bytes().strip()
    assert hashlib.sha256(stored).hexdigest() == policy_digest(shown)


# --- what it permits ---------------------------------------------------------------------------


def refused(policy, plan, now=NOW):
    return {item.rule: item.reason for item in judge(policy, plan, now).refusals}


def test_without_a_policy_only_the_lab_is_allowed(plan):
    assert not refused(default_policy(), plan)
    production = replace(plan, target=replace(plan.target, environment="production"))
    permit = judge(default_policy(), production, NOW)
    assert [item.rule for item in permit.refusals] == [Rule.ENVIRONMENT]
    with pytest.raises(NotAuthorised, match="'production' is not allowed: there is no policy file") as caught:
        permit.check(default_policy())
    assert caught.value.exit_code == 3 and "gameday init" in caught.value.todo


RULES = [
    ("ttl: 1m", Rule.TTL, "lives 2m, allowed is 1m"),
    ("duration: 1m", Rule.DURATION, "may last 5m, allowed is 1m"),
    ("protect: ['node:a']", Rule.PROTECT, "node:a is protected"),
    ("protect: ['node:*']", Rule.PROTECT, "is protected"),
    ("only: ['node:b']", Rule.ONLY, "node:a is not among node:b"),
    ("stop_conditions: [burn-rate]", Rule.STOP_CONDITIONS, "no stop condition of kind 'burn-rate'"),
    ("native_ttl: true", Rule.NATIVE_TTL, "must end by itself"),
    ("modules: [gameday.actions.network]", Rule.MODULES, "would import 'gameday.actions."),
    ("modules: []", Rule.MODULES, "allowed are none"),
    ("providers: []", Rule.PROVIDERS, "uses provider 'python'; allowed: none"),
    ("papers: [change_ticket]", Rule.PAPERS, "says nothing under 'change_ticket'"),
    ("not_red: [checkout-alert]", Rule.NOT_RED, "there is no probe 'checkout-alert'"),
    ("not_red: [place-order]", Rule.NOT_RED, "writes, so it cannot be read"),
    ("windows: [{days: [wed], hours: 09:00-17:00}]", Rule.WINDOWS, "Tue 10:00"),
    ("windows: [{days: [tue], hours: 09:00-10:05}]", Rule.WINDOWS, "it may last"),
    ("blackouts: [{from: 2026-11-20, to: 2026-11-24, reason: freeze}]", Rule.BLACKOUTS, "freeze"),
]


def env(text):
    """Rules at the top hold for the lab, which says nothing of its own."""
    return text if "modules" in text else f"modules: ['*']\n{text}"


@pytest.mark.parametrize(("text", "rule", "said"), RULES, ids=[r[0] for r in RULES])
def test_each_rule_refuses_with_its_reason(tmp_path, plan, text, rule, said):
    found = refused(policy_of(tmp_path, "environments: {lab: }\n" + env(text)), plan)
    assert set(found) == {rule}
    assert said in found[rule]


@pytest.mark.parametrize(
    "text",
    [
        "ttl: 2m", "duration: 5m", "protect: ['node:z']", "only: ['node:*']", "targets: 1 of 2", "at_once: 1",
        "stop_conditions: [silence, control, slo]", "modules: [gameday.actions.*]", "papers: [author, owner]",
        "not_red: [payments-untouched]", "windows: [{days: [tue], hours: 09:00-17:00}]",
        "windows: [{days: [mon], hours: 22:00-21:00}]", "windows: [{days: [tue], hours: 00:00-24:00}]",
        "blackouts: [{from: 2026-11-20, to: 2026-11-23, reason: freeze}]",
    ],
)  # fmt: skip
def test_what_keeps_to_the_rules_is_permitted(tmp_path, plan, text):
    assert not refused(policy_of(tmp_path, "environments: {lab: }\n" + env(text)), plan)


def test_windows_are_in_the_policys_own_time_zone(tmp_path, plan):
    text = LAB + "time_zone: Asia/Tokyo\nwindows: [{days: [tue], hours: 18:00-20:00}]"
    assert not refused(policy_of(tmp_path, text), plan)  # 10:00 UTC is 19:00 there
    assert Rule.WINDOWS in refused(policy_of(tmp_path, text.replace("Asia/Tokyo", "UTC")), plan)


def test_a_drill_that_would_outlast_its_window_does_not_begin(tmp_path, plan):
    policy = policy_of(tmp_path, LAB + "windows: [{days: [tue], hours: 09:00-17:00}]")
    close = NOW.replace(hour=17)
    lasts = timedelta(seconds=longest_ns(plan) / 10**9)
    assert not refused(policy, plan, close - lasts)
    assert Rule.WINDOWS in refused(policy, plan, close - lasts + timedelta(seconds=1))


def test_the_wait_for_live_signatures_counts(tmp_path, plan):
    close = NOW.replace(hour=17)
    window = "windows: [{days: [tue], hours: 09:00-17:00}]\n"
    live = "environments: {lab: {modules: ['*'], approvals: [{roles: [lead], number: 1, live: true}]}}\n"
    asked = replace(
        plan,
        approvals=replace(plan.approvals, before_faults=(PlanRequirement(live=True),), timeout_ns=10 * MIN),
    )
    begins = close - timedelta(seconds=longest_ns(plan) / 10**9)
    for policy, drill in (
        (policy_of(tmp_path, LAB + window), asked),
        (policy_of(tmp_path, live + window), plan),
    ):
        wait_ns = drill.approvals.timeout_ns
        assert longest_ns(drill, policy) == longest_ns(plan) + wait_ns
        assert Rule.WINDOWS in refused(policy, drill, begins)
        assert not refused(policy, drill, begins - timedelta(seconds=wait_ns / 10**9))


def test_there_is_one_longest_duration(plan):
    """A group waits for its fault's `for`; the deadline of a hold includes the hold."""
    fault = next(step for step in plan.steps if step.kind is StepKind.FAULT)
    hold = next(step for step in plan.steps if step.kind is StepKind.HOLD)
    lasting = replace(fault, for_ns=2 * MIN, group=0)
    drill = replace(plan, steps=(lasting, replace(hold, group=1)))
    assert steps_ns(drill) == lasting.deadline_ns + 2 * MIN + hold.deadline_ns
    assert longest_ns(drill) - 2 * drill.steady_state.patience_ns == steps_ns(drill) + fault.undo_deadline_ns
    limit = StopCondition("a minute", "warn", duration_ns=MIN)
    drill = replace(drill, steps=(lasting,), stop_conditions=(limit,))
    assert not [words for words in limit_warnings(drill) if "a minute" in words]
    twice = replace(drill, steps=(lasting, replace(lasting, id="again")))
    assert longest_ns(twice) == longest_ns(drill) + fault.undo_deadline_ns


def test_an_environment_replaces_what_is_said_for_all(tmp_path, plan):
    policy = policy_of(tmp_path, "ttl: 1m\nmodules: ['*']\nenvironments: {lab: {ttl: 10m}, prod: }\n")
    assert not refused(policy, plan)
    prod = replace(plan, target=replace(plan.target, environment="prod"))
    assert set(refused(policy, prod)) == {Rule.TTL}


def test_a_waiver_sets_one_rule_aside_by_name_until_its_day_ends(tmp_path, plan):
    text = (
        LAB
        + "ttl: 1m\nduration: 1m\nwaivers: [{rule: ttl, reason: slow standby, by: a.chen, until: 2026-11-24}]"
    )
    policy = policy_of(tmp_path, text)
    permit = judge(policy, plan, NOW)
    assert [item.rule for item in permit.refusals] == [Rule.DURATION]
    assert [(item.rule, waiver.by) for item, waiver in permit.waived] == [(Rule.TTL, "a.chen")]
    shown = {value.name: value for value in permit.values}
    assert shown["ttl"].origin == "waiver" and "a.chen until 2026-11-24: slow standby" in shown["ttl"].value
    assert Rule.TTL in refused(policy, plan, NOW + timedelta(days=1))
    other = text.replace("reason:", "plan: experiments/other*.yaml, reason:")
    assert Rule.TTL in refused(policy_of(tmp_path, other), plan)


def test_each_value_says_where_it_comes_from(tmp_path, plan):
    policy = policy_of(tmp_path, "environments: {lab: }\nttl: 10m\nduration: 1m\nmodules: ['*']\n")
    shown = {value.name: (value.value, value.origin) for value in judge(policy, plan, NOW).values}
    assert shown["ttl"] == ("2m", "plan")  # it asks for less than the policy allows
    assert shown["duration"] == ("1m", "policy")  # it asks for more, and the policy beats it
    assert shown["modules"] == ("*", "policy")
    assert shown["providers"] == ("python", "default")


def test_every_activity_of_a_plan_is_looked_at(tmp_path, plan):
    policy = policy_of(tmp_path, "environments: {lab: }\n")
    assert not refused(policy, plan)
    evil = Activity("x", json.dumps({"type": "python", "module": "evil", "func": "f"}), 1)
    program = Activity("x", json.dumps({"type": "process", "path": "rm"}), 1)
    fault = next(step for step in plan.steps if step.kind is StepKind.FAULT)
    for role in ("do", "undo", "in_place"):
        for activity, rule in ((evil, Rule.MODULES), (program, Rule.PROVIDERS)):
            steps = tuple(replace(s, **{role: activity}) if s is fault else s for s in plan.steps)
            assert set(refused(policy, replace(plan, steps=steps))) == {rule}, role
    spec = json.dumps({"provider": json.loads(evil.provider), "tolerance": True})
    probes = (replace(plan.probes[0], kind="activity", spec=spec), *plan.probes[1:])
    assert set(refused(policy, replace(plan, probes=probes))) == {Rule.MODULES}
    probes = (replace(plan.probes[0], kind="process", spec='{"argv":["true"]}'), *plan.probes[1:])
    assert set(refused(policy, replace(plan, probes=probes))) == {Rule.PROVIDERS}


@pytest.mark.parametrize(
    ("pattern", "module", "is_allowed"),
    [
        ("*", "os", True),
        ("gameday.actions.*", "gameday.actions.postgres", True),
        ("gameday.actions.*", "gameday.actions", True),
        ("gameday.actions.*", "gameday.actionsx", False),
        ("gameday.actions.*", "gameday.actionsx.evil", False),
        ("gameday.actions.*", "gameday", False),
        ("gameday.actions", "gameday.actions.postgres", False),
        ("chaosk8s.*", "evil.chaosk8s.pod", False),
        ("chaosk8s.*", "", False),
    ],
)
def test_a_pattern_allows_what_is_below_it_and_no_more(pattern, module, is_allowed):
    assert allows(pattern, module) is is_allowed


def test_approvals_by_environment_and_tier(tmp_path, plan):
    policy = policy_of(
        tmp_path,
        "environments:\n  lab:\n    approvals:\n"
        "      - {roles: [sre], number: 2}\n"
        "      - {roles: [owner, lead], tiers: [0, 1], author_may: true, live: true}\n",
    )
    both = approvals_needed(policy, plan)
    assert [(need.roles, need.number) for need in both] == [(("sre",), 2), (("owner", "lead"), 1)]
    assert both[0].distinct_from_author and not both[0].live
    assert not both[1].distinct_from_author and both[1].live
    tiered = replace(plan, about=(*plan.about, ("tier", "2")))
    assert len(approvals_needed(policy, tiered)) == 1
    assert approvals_needed(default_policy(), plan) == ()


def test_native_means_that_it_ends_by_itself():
    assert is_native("Runner killed: the watchdog undoes it. Host lost: it ends by itself after its ttl.")
    assert not is_native("Host lost: it stays until `gameday recover`.")
    assert not is_native("") and not is_native("it ends by itself")


# --- blast radius ------------------------------------------------------------------------------

LABELS = {
    "node:a": {"region": "a", "role": "primary"},
    "node:b": {"region": "b", "role": "standby"},
    "node:c": {"region": "c", "role": "standby"},
    "proxy:link-a": {"region": "a", "node": "a"},
}


@pytest.mark.parametrize(
    ("text", "of", "allowed"), [("1", 3, 1), ("1 of 3", 3, 1), ("50%", 3, 1), ("67%", 3, 2), ("10%", 3, 0)]
)
def test_a_cap_is_a_count_or_a_share_rounded_down(text, of, allowed):
    assert parse_cap(text).allows(of) == allowed


def test_a_link_of_a_node_is_a_part_of_it(plan):
    link = replace(next(s for s in plan.steps if s.kind is StepKind.FAULT), id="x", target="proxy:link-a")
    reach = reach_of(replace(plan, steps=(link, *plan.steps)), LABELS)
    assert reach.units == ("node:a",) and reach.population == 3
    assert reach.targets == ("node:a", "proxy:link-a")
    outside = dict(reach.excluded)
    assert outside["node:b"] == "outside the selector region=a: its region is 'b'"


def test_protection_covers_the_parts_and_speaks_before_the_selector(plan):
    assert why_not(plan, "node:a", LABELS) == ""
    assert why_not(plan, "proxy:link-a", LABELS, protect=("node:a",)).startswith("protected by the policy")
    assert "not on the policy's list" in why_not(plan, "node:a", LABELS, only=("node:b",))
    assert "has no label 'region'" in why_not(plan, "proxy:other", LABELS)


def test_faults_that_overlap_are_counted_together(tmp_path):
    project = make_project(tmp_path)
    text = (project / "experiments" / "latency.yaml").read_text()
    head, _, _ = text.partition("steps:")

    def loaded(steps):
        path = project / "experiments" / "it.yaml"
        path.write_text(head + "steps:\n" + steps)
        return load_plan(path)

    def fault(name, more=""):
        return (
            f"  - {{fault: {name}, do: {{action: gameday.actions.network.cut, with: {{proxy: {name}}}}},"
            f" ttl: 30s{more}}}\n"
        )

    undo = "  - undo: proxy:one\n"
    assert most_at_once(loaded(fault("one") + fault("two")), {}) == ("proxy:one", "proxy:two")
    assert len(most_at_once(loaded(fault("one") + undo + fault("two")), {})) == 1
    assert len(most_at_once(loaded(fault("one", ", for: 2s") + fault("two")), {})) == 1
    assert (
        len(most_at_once(loaded(fault("one") + "  - hold: 40s\n" + fault("two")), {})) == 2
    )  # ttl is no promise
    parallel = "  - parallel:\n" + "".join(
        "    " + line + "\n" for line in (fault("one", ", for: 2s") + fault("two", ", for: 2s")).splitlines()
    )
    assert len(most_at_once(loaded(parallel), {})) == 2
