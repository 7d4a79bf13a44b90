"""Calls to AWS that are bound to the plan's account and region. The only action module with boto3.

A session is made for each function that is carried out, so that nothing of the last one sticks to the
process, and its first call asks STS which account answers. Another one than the plan's: nothing else
is asked. What only reads is tried three times, with jitter. What changes something is sent once; only
a throttled call is sent again, because a throttled call is known not to have been carried out.

Each request id goes to the host's log, and those that count into the history with what a step says.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError

from gameday.actions.http import ActionError

CONNECT_S, READ_S = 3.0, 10.0
READ_ATTEMPTS, WRITE_ATTEMPTS = 3, 3
BACKOFF_S = 0.25
PAUSE_S = 2.0
_MODELS = create_loader()  # The services' models are read once; nothing else is shared by two sessions.
_NO_ANSWER = (ResponseParserError, KeyError)  # The second: XML that is well formed, and no answer of AWS.
_ACCOUNT = re.compile(r"\d{12}\Z")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d\Z")
_THROTTLED = re.compile(r"(?i)throttl|TooManyRequests|RequestLimitExceeded|SlowDown|BandwidthLimit")
_EXPIRED = re.compile(r"ExpiredToken|RequestExpired|TokenRefreshRequired")
_UNKNOWN = re.compile(r"InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|AuthFailure|InvalidAcc")
_FORBIDDEN = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|OptInRequired")


class Unanswered(ActionError):
    """Nothing came back. A change may have been carried out all the same: its read-back decides."""


class Failed(ActionError):
    """AWS answered with an error; `code` is its name. `is_refusal`: it was our request, not the server."""

    def __init__(self, code: str, message: str, *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_refusal = is_refusal


class Aws:
    """One function's session: who it is has been checked."""

    def __init__(self, account: str | int, region: str, profile: str = "") -> None:
        """Open a session and ask who it is.

        Raises:
            ActionError: Account or region are none, or another account answers.
        """
        self.account, self.region = _account(account), _region(region)
        self._profile = profile
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self.requests: list[str] = []
        try:
            core = botocore.session.Session(profile=profile or None)
            core.register_component("data_loader", _MODELS)
            self._session = boto3.session.Session(botocore_session=core, region_name=region)
        except BotoCoreError as error:
            raise ActionError(f"AWS profile {profile!r}: {error}") from None
        found = str(self.read("sts", "GetCallerIdentity").get("Account"))
        if found != self.account:
            raise ActionError(
                f"these AWS credentials are of account {found}, the plan says {self.account}: "
                "nothing was asked of it; use the credentials of the plan's account"
            )

    def beside(self, region: str) -> Aws:
        """Return the same account in another region, checked like the first."""
        return self if region == self.region else Aws(self.account, region, self._profile)

    def read(self, service: str, operation: str, /, *, url: str = "", **given: Any) -> dict[str, Any]:
        """Ask something that changes nothing, three times at most.

        Raises:
            Failed: AWS says no.
            Unanswered: Nothing came back.
        """
        return self._send(service, operation, self._client(service, url, READ_ATTEMPTS), given)

    def write(self, service: str, operation: str, /, *, url: str = "", **given: Any) -> dict[str, Any]:
        """Send a change once; again only when it was throttled. Raises as `read`."""
        client = self._client(service, url, 1)
        for attempt in range(WRITE_ATTEMPTS):
            try:
                return self._send(service, operation, client, given)
            except Failed as error:
                if not _THROTTLED.search(error.code) or attempt + 1 == WRITE_ATTEMPTS:
                    raise
                time.sleep(BACKOFF_S * 2**attempt * (0.5 + random.random()))  # noqa: S311 - jitter
        raise AssertionError("the loop returns or raises")

    def all(self, service: str, operation: str, key: str, /, **given: Any) -> list[Any]:
        """Read every page and return what stands under `key`. Raises as `read`."""
        client = self._client(service, "", READ_ATTEMPTS)
        name = xform_name(operation)
        if not client.can_paginate(name):
            return list(self.read(service, operation, **given).get(key) or ())
        found: list[Any] = []
        try:
            for page in client.get_paginator(name).paginate(**given):
                self._note(service, operation, page)
                found += page.get(key) or ()
        except (BotoCoreError, ClientError, *_NO_ANSWER) as error:
            raise _translated(service, operation, error) from None
        return found

    def says(self, text: str) -> dict[str, str]:
        """Return what a step says of itself: the requests that changed something, and the words."""
        ids = " ".join(self.requests[-3:])
        return {"says": f"{ids}; {text}" if ids else text}

    def _client(self, service: str, url: str, attempts: int) -> Any:
        key = (service, url, attempts > 1)
        if key not in self._clients:
            config = Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"total_max_attempts": attempts, "mode": "standard"},
                user_agent_extra="gameday",
            )
            try:
                made = self._session.client(service, endpoint_url=url or None, config=config)
            except (BotoCoreError, ValueError) as error:
                raise ActionError(f"{service} in {self.region}: {error}") from None
            self._clients[key] = made
        return self._clients[key]

    def _send(self, service: str, operation: str, client: Any, given: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**given)
        except (BotoCoreError, ClientError, *_NO_ANSWER, ValueError) as error:
            raise _translated(service, operation, error) from None
        request = self._note(service, operation, answer)
        if client.meta.config.retries.get("total_max_attempts") == 1:
            self.requests.append(f"{operation}={request}")
        return answer

    def _note(self, service: str, operation: str, answer: dict[str, Any]) -> str:
        about = answer.get("ResponseMetadata") or {}
        request = str(about.get("RequestId") or "none")
        sys.stdout.write(f"aws {self.account} {self.region} {service} {operation} request {request}\n")
        return request


def wait_until(is_so: Callable[[], bool], within_s: float, what: str, pause_s: float = PAUSE_S) -> None:
    """Ask again and again until it is so.

    Raises:
        ActionError: It is not, after so many seconds.
    """
    if not within_s > 0:
        raise ActionError(f"within_s {within_s!r}: expected more than 0 seconds")
    give_up_s = time.monotonic() + within_s
    wait_s = min(0.1, pause_s)
    while not is_so():
        if time.monotonic() >= give_up_s:
            raise ActionError(f"{what} within {within_s:g} s")
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, pause_s)


def _account(given: str | int) -> str:
    text = str(given)
    if not _ACCOUNT.match(text):
        raise ActionError(f"account {given!r}: expected twelve digits, in quotes")
    return text


def _region(given: str) -> str:
    if not isinstance(given, str) or not _REGION.match(given):
        raise ActionError(f"region {given!r}: expected something like 'eu-west-1'")
    return given


def _translated(service: str, operation: str, error: Exception) -> ActionError:
    """Return one line that says what it was, and what to do."""
    where = f"{service} {operation}"
    if isinstance(error, NoCredentialsError):
        return ActionError(f"{where}: no AWS credentials were found; set them in the environment")
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
        return Unanswered(f"{where}: no answer in time; whether it was carried out is not known")
    if isinstance(error, _NO_ANSWER):
        return Unanswered(
            f"{where}: what answered is not AWS (a proxy?); whether it was carried out is not known"
        )
    if isinstance(error, EndpointConnectionError):
        return Unanswered(f"{where}: the endpoint cannot be reached: {error}")
    if not isinstance(error, ClientError):
        kind = Unanswered if "onnection" in type(error).__name__ else ActionError
        return kind(f"{where}: {' '.join(str(error).split())[:200]}")
    said = error.response.get("Error") or {}
    code, text = str(said.get("Code")), " ".join(str(said.get("Message")).split())[:160]
    about = error.response.get("ResponseMetadata") or {}
    request, status = about.get("RequestId") or "none", int(about.get("HTTPStatusCode") or 0)
    line = f"{where}: {_advice(code, service, operation)}{code}: {text} (request {request})"
    return Failed(code, line, is_refusal=400 <= status < 500 or bool(_THROTTLED.search(code)))


def _advice(code: str, service: str, operation: str) -> str:
    if _EXPIRED.search(code):
        return "the AWS credentials have expired, renew them: "
    if _THROTTLED.search(code):
        return "throttled by AWS, and given up after a few tries: "
    if _UNKNOWN.search(code):
        return "AWS does not know these credentials: "
    if _FORBIDDEN.search(code):
        return f"not allowed, {service}:{operation} is needed (`gameday plan PLAN --iam` lists all): "
    return ""
