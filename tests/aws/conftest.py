from __future__ import annotations

import importlib
import inspect

import boto3
import pytest

from gameday.plan.awsneeds import NEEDS
from tests.aws.calls import noted
from tests.aws.emulators import ACCOUNTS, CREDENTIALS, Front, emulator

REGION = "us-east-1"


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Credentials for nobody, and records of their own."""
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    for key in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("GAMEDAY_FAULT_DIR", str(tmp_path / "faults"))
    return monkeypatch


@pytest.fixture(scope="session", params=["moto", "ministack"])
def running(request, tmp_path_factory):
    with emulator(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield request.param, url


@pytest.fixture
def world(running, private, capsys):
    """An emulator that answers to whatever a test calls."""
    kind, url = running
    private.setenv("AWS_ENDPOINT_URL", url)
    return World(kind, url, capsys)


@pytest.fixture
def front(private, capsys):
    """No emulator: only rules."""
    one = Front()
    private.setenv("AWS_ENDPOINT_URL", one.url)
    one.rule("GetCallerIdentity", sts_answer("123456789012"))
    yield one
    one.close()


def sts_answer(account):
    xml = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>arn:aws:iam::{account}:user/t</Arn><UserId>U</UserId><Account>{account}</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return 200, xml, {"Content-Type": "text/xml"}


class World:
    def __init__(self, kind, url, capsys):
        self.kind, self.url, self.capsys = kind, url, capsys
        self.account = ACCOUNTS.get(kind, "123456789012")
        self.called = set()

    def client(self, service, region=REGION):
        return boto3.client(service, endpoint_url=self.url, region_name=region)

    def do(self, name, /, region=REGION, **given):
        """Carry out a function; what it called must be what it says that it needs."""
        module, _, func = name.rpartition(".")
        function = getattr(importlib.import_module(f"gameday.actions.aws.{module}"), func)
        if "within_s" in inspect.signature(function).parameters:
            given = {"within_s": 20, **given}
        self.capsys.readouterr()
        try:
            with noted("model" if self.kind == "front" else self.kind):
                return function(self.account, region, **given)
        finally:
            lines = [line.split() for line in self.capsys.readouterr().out.splitlines()]
            made = {f"{w[3]}:{w[4]}" for w in lines if w[:1] == ["aws"]} - {"sts:GetCallerIdentity"}
            assert all(len(w) == 7 and w[6] for w in lines if w[:1] == ["aws"]), lines
            needed = {action for need in NEEDS[name] for action in need.actions}
            assert made <= needed, f"{name} called {made - needed}"
            self.called |= made
