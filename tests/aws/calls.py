"""Which calls to AWS our code really sends in the tests, and who answered them.

While a function of ours runs, each call of botocore is noted as `service:Operation`, with who stood behind the
endpoint (moto, ministack, or `model`: rules of a test, requests and answers by botocore's own service model)
and how it ended. `python -m tests.aws.table` makes the list of it that stands in docs/aws.md.
"""

from __future__ import annotations

import ast
import json
import os
from contextlib import contextmanager
from pathlib import Path

import botocore.client
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError

import gameday.actions.aws as package
from gameday.plan.awsneeds import NEEDS

RECORD = "GAMEDAY_AWS_CALLS"
ANSWERED = "answers"


@contextmanager
def noted(kind: str):
    """Note what is called meanwhile; without a record to write to nothing is changed."""
    path = os.environ.get(RECORD)
    if not path:
        yield
        return
    send = botocore.client.BaseClient._make_api_call

    def sent(self, operation, given):
        ended = ANSWERED
        try:
            return send(self, operation, given)
        except ClientError as error:
            ended = str(error.response.get("Error", {}).get("Code"))
            raise
        except Exception as error:
            ended = type(error).__name__
            raise
        finally:
            line = json.dumps([f"{self.meta.service_model.service_name}:{operation}", kind, ended])
            with open(path, "a") as file:
                file.write(f"{line}\n")

    botocore.client.BaseClient._make_api_call = sent
    try:
        yield
    finally:
        botocore.client.BaseClient._make_api_call = send


def in_code():
    """Every call that stands in the source of `gameday.actions.aws`, as `service:Operation`.

    Those that are written where they are sent; and of what is declared, each whose name stands anywhere.
    """
    found, words = set(), set()
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 1:
                first, second = node.args[:2]
                if node.func.attr in ("read", "write", "all") and isinstance(second, ast.Constant):
                    name = {"DATA": "route53-recovery-cluster", "SHIFT": "arc-zonal-shift"}
                    service = first.value if isinstance(first, ast.Constant) else name[first.id]
                    found.add(f"{service}:{second.value}")
    declared = {action for needs in NEEDS.values() for need in needs for action in need.actions}
    return found | {action for action in declared if action.partition(":")[2] in words}


def s3_in_code():
    """Every call to S3 in the hosts that use boto3: by method, or by the name that a paginator is asked for."""
    model = botocore.session.get_session().get_service_model("s3")
    by_method = {xform_name(operation): operation for operation in model.operation_names}
    found = set()
    for path in (Path(package.__file__).parents[2] / "hosts").glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        if "boto3" not in imported:
            continue
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        words |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        found |= {f"s3:{by_method[word]}" for word in words & set(by_method)}
    return found
