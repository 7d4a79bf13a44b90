"""Options of the load: what a plan may hand to Locust, and what is refused at its place."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.plan.loadoptions import ALLOWED, REFUSED, refused_options
from tests.drills import make_project

LOCUST = """
import json
from locust.argument_parser import get_parser
print(json.dumps([name for action in get_parser(default_config_files=[])._actions
                  for name in action.option_strings if name.startswith("--")]))
"""


@pytest.mark.parametrize(
    "option",
    ["-f", "-fx.py", "--locustfile", "--locustfile=https://x/evil.py", "--locustf", "--master", "--worker",
     "--expect-workers=1", "--web-host", "--web", "--headless", "--master-bind-host=0.0.0.0", "--config",
     "--conf=x", "--csv", "--html=x", "--logfile", "--json-file", "--processes", "--host", "-u5", "--", "-",
     "--users=9", "--x y"],
)  # fmt: skip
def test_what_swaps_the_file_listens_or_writes_is_refused(option):
    ((number, said),) = refused_options(["--tags", "orders", option])
    assert number == 2 and option[:10] in said


def test_tags_and_the_profiles_own_arguments_are_fine():
    given = ["--tags", "a", "b", "--exclude-tags", "slow", "--stop-timeout", "5", "--reset-stats"]
    given += ["--tenant", "blue", "--host-header=x", "--depth", "-3", "--loglevel", "DEBUG"]
    assert refused_options(given) == []


def test_every_option_of_the_installed_locust_is_decided():
    out = subprocess.run([sys.executable, "-c", LOCUST], capture_output=True, text=True, check=True).stdout
    assert set(json.loads(out)) <= {*ALLOWED, *REFUSED}


def test_a_refused_option_is_named_at_its_place(tmp_path):
    path = make_project(tmp_path) / "experiments" / "latency.yaml"
    old = 'rate: 50/s, host: "${lab.url}"'
    path.write_text(path.read_text().replace(old, f'{old}, options: [--tags, a, "-f", "https://x/evil.py"]'))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    (problem,) = caught.value.problems
    line = path.read_text().splitlines()[problem.line - 1]
    assert "short options are not taken" in problem.message
    assert line[problem.column - 1 :].startswith('"-f"')
