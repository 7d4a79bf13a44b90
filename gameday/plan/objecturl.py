"""Where an S3 object is, as a policy names it: bucket, key, and what is needed to reach it.

`account` is the bucket's owner: another one's bucket of that name is refused by S3 itself. Credentials
never stand here; they come from the environment, as for every other call.

    s3://ops-levers/gameday/lever.json?region=eu-west-1&account=123456789012
    s3://ops-levers/gameday/leases/?region=eu-west-1       a prefix, for leases
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_KEY = re.compile(r"[A-Za-z0-9!_.*'()/=-]{0,900}\Z")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d\Z")
_ACCOUNT = re.compile(r"\d{12}\Z")
_OPTIONS = ("account", "endpoint", "region")


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """One object, or a prefix of objects."""

    text: str
    bucket: str
    key: str
    region: str = ""
    account: str = ""
    endpoint: str = ""

    def below(self, name: str) -> ObjectUrl:
        """Return the object of that name below this prefix."""
        key = f"{self.key.rstrip('/')}/{name}".lstrip("/")
        text = f"{SCHEME}{self.bucket}/{key}"
        return ObjectUrl(text, self.bucket, key, self.region, self.account, self.endpoint)


def object_url(text: str, *, is_prefix: bool = False) -> ObjectUrl:
    """Read an object's URL.

    Raises:
        ValueError: It is none, or an option is not known.
    """
    parts = urlsplit(text)
    key = parts.path.lstrip("/")
    if parts.scheme != "s3" or not _BUCKET.match(parts.netloc) or not _KEY.match(key) or ".." in key:
        raise ValueError(
            f"{text!r}: expected something like s3://bucket/{'leases' if is_prefix else 'lever.json'}"
        )
    if parts.fragment or (not is_prefix and (not key or key.endswith("/"))):
        raise ValueError(f"{text!r}: expected the key of one object after the bucket's name")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(given) - set(_OPTIONS)):
        raise ValueError(f"{text!r}: {unknown[0]!r} is none of {', '.join(_OPTIONS)}")
    if "region" in given and not _REGION.match(given["region"]):
        raise ValueError(f"{text!r}: region {given['region']!r}: expected something like eu-west-1")
    if "account" in given and not _ACCOUNT.match(given["account"]):
        raise ValueError(f"{text!r}: account {given['account']!r}: expected twelve digits")
    if "endpoint" in given:
        _check_endpoint(text, given["endpoint"])
    shown = f"{SCHEME}{parts.netloc}/{key}"
    return ObjectUrl(shown, parts.netloc, key, **given)


def _check_endpoint(text: str, endpoint: str) -> None:
    there = urlsplit(endpoint)
    if there.scheme not in ("http", "https") or not there.hostname or there.query or there.fragment:
        raise ValueError(f"{text!r}: endpoint {endpoint!r}: expected an http or https URL")
    if there.username or there.password:
        raise ValueError("an endpoint must not hold a password: the policy stands in every record")
