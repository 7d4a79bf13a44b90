"""How much load, in each of the four ways to say it; what does not go together is named with its place."""

from __future__ import annotations

import pytest

from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.plan.model import NS, Stage
from tests.plan.test_plan import changed, project

RATE = "rate: 50/s"
__all__ = ["project"]


def written(project, text):
    return load_plan(changed(project, RATE, text))


def test_stages_follow_one_another(project):
    load = written(
        project, "stages: [{over: 0s, rate: 0/s}, {over: 1m, rate: 50/s}, {over: 0s, rate: 20/s}]"
    ).load[0]
    assert load.stages == (Stage(0, 0), Stage(60 * NS, 50_000), Stage(0, 20_000))
    assert load.rate_per_1000s is None


def test_all_of_it_reaches_the_plan(project):
    more = "arrivals: poisson, seed: 7, timeout: 2s, trace: true"
    load = written(project, f"{RATE}, {more}, processes: 3").load[0]
    assert (load.arrivals, load.seed, load.timeout_ns, load.trace) == ("poisson", 7, 2 * NS, True)
    assert load.processes == 3
    load = written(project, f"{RATE}, workers: {{expect: 2}}").load[0]
    assert (load.workers, load.bind) == (2, "127.0.0.1:5557")
    assert written(project, "shape: true").load[0].shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{RATE}, users: 3", "here is `rate` and `users`"),
        ("shape: false", "here is none"),
        ("shape: true, stages: [{over: 1s, users: 3}]", "here is `stages` and `shape`"),
        ("stages: [{over: 1s, rate: 5/s}, {over: 1s, users: 5}]", "an open loop or a closed one, not both"),
        ("stages: [{over: 1s}]", "exactly one of `rate` and `users`"),
        ("stages: [{over: 1s, rate: 5/s, users: 4}]", "exactly one of `rate` and `users`"),
        ("stages: [{over: 1s, rate: 0/s}]", "there would be no load"),
        ("stages: [{over: soon, rate: 5/s}]", "'soon' is no duration"),
        ("users: 3, arrivals: poisson", "`arrivals` is for arrivals at a `rate`"),
        ("users: 3, max_users: 30", "`max_users` is for arrivals at a `rate`"),
        ("shape: true, seed: 1", "`seed` is for arrivals at a `rate`"),
    ],
)
def test_what_does_not_go_together_is_named(project, text, words):
    with pytest.raises(PlanError) as caught:
        written(project, text)
    assert words in str(caught.value)
    assert "experiments/it.yaml:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "step", "words"),
    [
        (RATE, "users: 3", "is an open loop: change its `rate`"),
        ("users: 3", "rate: 5/s", "is a closed loop: change its `users`"),
        ("shape: true", "rate: 5/s", "is a closed loop: change its `users`"),
    ],
)
def test_a_step_changes_a_load_in_its_own_terms(project, text, step, words):
    path = changed(project, RATE, text)
    name = load_plan(path).load[0].name
    path.write_text(path.read_text().replace("steps:\n", f"steps:\n  - load: {name}\n    {step}\n", 1))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert words in str(caught.value)
