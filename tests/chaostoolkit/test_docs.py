"""The page's experiment is one that `chaos validate` accepts, and its plan is sound."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from chaoslib.experiment import ensure_experiment_is_valid

from gameday.chaostoolkit.papers import arguments_of, ledger_of, plan_of, terms_of
from tests.drills import ROOT


def test_the_page_shows_an_experiment_that_is_valid():
    page = (ROOT / "docs" / "extension.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    experiment = yaml.safe_load(text)
    ensure_experiment_is_valid(experiment)
    guard, evidence = (arguments_of(experiment, f"gameday.chaostoolkit.{n}") for n in ("guard", "evidence"))
    assert terms_of(guard, evidence).seals
    plan = plan_of(experiment, guard, evidence, ledger_of(experiment), Path.cwd())
    assert [len(part) for part in (plan.probes, plan.stop_conditions, plan.ledgers, plan.objectives)] == [
        1,
        2,
        1,
        1,
    ]
    assert [step.owes_undo for step in plan.steps] == [False, True, False]
