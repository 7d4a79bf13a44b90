"""The permissions that are declared: real names, for every function, narrowed to what a plan names."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import gameday.actions.aws as package
from gameday.plan.awsneeds import NEEDS, PERMISSION_ONLY, least_policy
from gameday.plan.load import load_plan
from tests.aws.calls import in_code
from tests.aws.plans import documented

HELPERS = {"session", "prior"}
MODULES = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in HELPERS]


def test_every_function_says_what_it_needs():
    found = {f"{m}.{f}" for m in MODULES for f in importlib.import_module(f"gameday.actions.aws.{m}").__all__}
    assert found == set(NEEDS)


def operations(service):
    import botocore
    from botocore.loaders import Loader

    found = Loader(extra_search_paths=[str(Path(botocore.__file__).parent / "data")])
    return set(found.load_service_model(service, "service-2")["operations"])


@pytest.mark.slow  # It reads nine service models.
def test_every_permission_is_an_operation_that_botocore_knows():
    declared = {action for needs in NEEDS.values() for need in needs for action in need.actions}
    services = {action.partition(":")[0] for action in declared} - {
        "ec2"
    }  # Its model takes a second to read.
    known = {f"{service}:{name}" for service in services for name in operations(service)}
    known |= {
        f"ec2:{name}" for name in ("DescribeInstances", "DescribeSubnets", "StartInstances", "StopInstances")
    }
    assert declared - known == PERMISSION_ONLY


def test_every_call_in_the_code_is_declared_somewhere():
    declared = {action for needs in NEEDS.values() for need in needs for action in need.actions}
    made = in_code()
    assert len(made) > 25
    assert made - declared == {"sts:GetCallerIdentity"}


def test_the_least_policy_names_what_the_plan_names(tmp_path):
    plan = load_plan(documented(tmp_path))
    policy = least_policy(plan)
    by_action = {}
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in statement["Action"]:
            by_action.setdefault(action, []).extend(statement["Resource"])
    assert by_action == {
        "cloudwatch:DescribeAlarms": ["*"],
        "rds:DescribeDBClusters": ["arn:aws:rds:us-east-1:123456789012:cluster:orders"],
        "rds:FailoverDBCluster": ["arn:aws:rds:us-east-1:123456789012:cluster:orders"],
        "route53:ChangeResourceRecordSets": ["arn:aws:route53:::hostedzone/ZONE"],
        "route53:ListResourceRecordSets": ["arn:aws:route53:::hostedzone/ZONE"],
        "route53:GetChange": ["arn:aws:route53:::change/*"],
    }


def test_the_command_prints_it_without_boto3(tmp_path, capsys):
    import sys

    from gameday.cli.main import main

    before = {name for name in sys.modules if name.startswith("boto")}
    assert main(["plan", str(documented(tmp_path)), "--iam"]) == 0
    assert json.loads(capsys.readouterr().out)["Version"] == "2012-10-17"
    assert {name for name in sys.modules if name.startswith("boto")} == before
