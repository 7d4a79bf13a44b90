"""What `chaos validate` accepts, gameday accepts: over experiments that were changed at random places."""

import copy
import json
import random
import re

import pytest
from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid

from gameday.errors import PlanError
from gameday.hosts.experimentlog import Masked
from gameday.history.redact import Redactor
from gameday.plan.experiment import Options, load_experiment
from gameday.plan.policy import default_policy

EXISTS = {"type": "python", "module": "os.path", "func": "exists", "arguments": {"path": "x"}}
PROGRAM = {"type": "process", "path": "true"}
HTTP = {
    "type": "http", "url": "http://127.0.0.1:9/${a}", "headers": {"x": "y"}, "timeout": [1, 2], "verify_tls": False,
    "method": "GET", "arguments": {"q": 1},
}  # fmt: skip
CONTROL = {"name": "c", "provider": {"type": "python", "module": "json"}}
WHOLE = {
    "title": "t", "description": "d", "tags": ["a"], "version": "1.0.0",
    "configuration": {
        "a": "1",
        "b": {"type": "env", "key": "HOME", "default": "x", "env_var_type": "str"},
        "c": {"type": "probe", "name": "p", "provider": PROGRAM},
    },
    "secrets": {"g": {"k": {"type": "env", "key": "HOME"}, "z": "inline"}},
    "controls": [{**CONTROL, "automatic": False, "scope": "before"}],
    "extensions": [{"name": "e"}], "contributions": {"x": "high"},
    "steady-state-hypothesis": {
        "title": "h",
        "probes": [
            {"type": "probe", "name": "p1", "tolerance": [200, 201], "provider": HTTP},
            {
                "type": "probe", "name": "p2", "tolerance": {"type": "regex", "pattern": "a", "target": "stdout"},
                "provider": {**PROGRAM, "arguments": ["a"], "timeout": 1},
            },
            {
                "type": "probe", "name": "p3", "tolerance": {"type": "range", "range": [1, 2]},
                "provider": {**EXISTS, "secrets": ["g"]},
            },
            {
                "type": "probe", "name": "p4", "provider": PROGRAM,
                "tolerance": {"type": "jsonpath", "path": "$.a[*].b", "count": 1, "target": "stdout", "expect": [1]},
            },
            {
                "type": "probe", "name": "p5", "provider": PROGRAM,
                "tolerance": {"type": "probe", "name": "q", "provider": EXISTS},
            },
            {"ref": "p1", "tolerance": 200},
        ],
    },
    "method": [
        {
            "type": "action", "name": "a1", "provider": {**PROGRAM, "arguments": "x ${a}"}, "background": False,
            "pauses": {"before": 1, "after": "${a}"}, "timeout": 2, "controls": [CONTROL],
        },
        {"ref": "p1"},
    ],
    "rollbacks": [
        {"type": "action", "name": "r", "provider": {**PROGRAM, "arguments": {"-a": "b"}}}, {"ref": "a1"},
    ],
    "runtime": {"rollbacks": {"strategy": "always"}, "hypothesis": {"strategy": "default"}},
}  # fmt: skip
VALUES = (
    None, True, False, 0, 1, 5, -1, 2.5, "", "x", "${a}", "${zz}", "5", [], ["x"], [1, 2], [5, 1], ["a", None], {},
    {"type": "env", "key": "HOME"}, {"a": 1}, "http", "true", 10**30, {"name": "n"},
)  # fmt: skip
# Rows of the table: a strategy or a `ref` that is none, a pause below zero, and what ends in a traceback.
DELIBERATE = re.compile(
    r"no such activity|expected one of default, |cannot be negative|expected a mapping with a strategy"
    r"|^is .*: expected a mapping$|expected a provider, a mapping with a type"
)


def _places(data, where=()):
    if where:
        yield where
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, item in list(items):
        yield from _places(item, (*where, key))


def changed(draw):
    data = copy.deepcopy(WHOLE)
    for _ in range(draw.choice((1, 1, 1, 2))):
        where = draw.choice(list(_places(data)))
        inside = data
        for key in where[:-1]:
            inside = inside[key]
        how = draw.random()
        if how < 0.2:
            del inside[where[-1]]
        elif how < 0.3 and isinstance(inside, dict):
            inside[draw.choice(("foo", "timeout", "ref", "dry", "name", "title"))] = draw.choice(VALUES)
        else:
            inside[where[-1]] = copy.deepcopy(draw.choice(VALUES))
    return data


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_what_chaos_toolkit_accepts_is_accepted(tmp_path):
    path, accepted = tmp_path / "it.json", 0
    for seed in range(1500):
        path.write_text(json.dumps(changed(random.Random(seed))))
        try:
            ensure_experiment_is_valid(json.loads(path.read_text()))
        except ChaosException:
            continue
        except Exception:
            continue  # A traceback in `chaos validate`.
        accepted += 1
        try:
            load_experiment(path, tmp_path, "it.json", Options(environment="lab"), default_policy())
        except PlanError as error:
            rest = [problem for problem in error.problems if not DELIBERATE.search(problem.message)]
            assert not rest, (seed, rest, path.read_text())
    assert accepted > 500


class _Stream:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_secret_in_two_writes_is_masked_as_well():
    to = _Stream()
    stream = Masked(to, Redactor(["canary-12345"]))
    for part in ("a cana", "ry-123", "45\nb canary-", "12345"):
        stream.write(part)
    stream.flush()
    assert to.text == "a [redacted]\nb [redacted]"
