"""The process that sends sealed files to a bucket with Object Lock. Only it imports boto3; nobody imports it.

One JSON object each way: {"to", "endpoint_url", "folder", "until_utc", "legal_hold"} on stdin, and on
stdout {"objects": [{"path", "key", "version", "sha256"}, …]} or {"refused": "why"}.

Compliance mode only: in governance mode whoever has the permission shortens and deletes. An object counts
as kept when its content and its retention were read back by its version; a plain delete only hides it.

Source: Amazon S3 User Guide, "Locking objects with Object Lock".
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 4, "mode": "standard"})
COMPLIANCE = "COMPLIANCE"


class NotKeptError(Exception):
    """What was sent is not held as it must be. Not an error of the network."""


def main() -> int:
    """Send one folder."""
    asked = json.loads(sys.stdin.buffer.read())
    reply: dict[str, Any]
    try:
        reply = {"objects": list(_Sink(asked).send(Path(asked["folder"])))}
    except ClientError as error:
        said = error.response.get("Error", {})
        reply = {"refused": f"{error.operation_name}: {said.get('Code')}: {said.get('Message')}"}
    except (BotoCoreError, OSError, NotKeptError) as error:
        reply = {"refused": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__}
    sys.stdout.write(json.dumps(reply))
    return 0


class _Sink:
    """One bucket, one prefix, one date of release."""

    def __init__(self, asked: dict[str, Any]) -> None:
        bucket, _, prefix = asked["to"].removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, prefix
        self._until = datetime.fromisoformat(asked["until_utc"])
        self._legal_hold = bool(asked["legal_hold"])
        self._s3: Any = boto3.client("s3", endpoint_url=asked["endpoint_url"] or None, config=PATIENCE)

    def send(self, folder: Path) -> Iterator[dict[str, str]]:
        """Send every file of a folder; what lies there already, held long enough, is left as it is."""
        self._check_bucket()
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            key = "/".join(part for part in (self._prefix, name) if part)
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            version = self._held(key, sha256) or self._put(key, data)
            self._check(key, version, sha256)
            yield {"path": name, "key": key, "version": version, "sha256": sha256}

    def _check_bucket(self) -> None:
        try:
            found = self._s3.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ObjectLockConfigurationNotFoundError":
                raise
            found = {}
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise NotKeptError(f"the bucket {self._bucket} has no Object Lock; it is set when one is made")

    def _put(self, key: str, data: bytes) -> str:
        hold = {"ObjectLockLegalHoldStatus": "ON"} if self._legal_hold else {}
        made = self._s3.put_object(
            Bucket=self._bucket, Key=key, Body=data, ObjectLockMode=COMPLIANCE,
            ObjectLockRetainUntilDate=self._until, **hold,
        )  # fmt: skip
        version = str(made.get("VersionId") or "")
        if not version:
            raise NotKeptError(f"{key}: no version came back, so nobody could tell which one is held")
        return version

    def _held(self, key: str, sha256: str) -> str:
        """Return the version that lies there already and is what would be sent; empty for none."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return ""
            raise
        same = hashlib.sha256(found["Body"].read()).hexdigest() == sha256
        return str(found.get("VersionId") or "") if same and self._is_kept(found) else ""

    def _is_kept(self, found: dict[str, Any]) -> bool:
        until = found.get("ObjectLockRetainUntilDate")
        return (
            found.get("ObjectLockMode") == COMPLIANCE
            and until is not None
            and until.astimezone(UTC) >= self._until
            and (not self._legal_hold or found.get("ObjectLockLegalHoldStatus") == "ON")
        )

    def _check(self, key: str, version: str, sha256: str) -> None:
        """Read one version back: its content, and until when it is held."""
        where = {"Bucket": self._bucket, "Key": key, "VersionId": version}
        found = self._s3.get_object(**where)
        if hashlib.sha256(found["Body"].read()).hexdigest() != sha256:
            raise NotKeptError(f"{key}: what was read back is not what was sent")
        held = self._s3.get_object_retention(**where).get("Retention", {})
        until = held.get("RetainUntilDate")
        if held.get("Mode") != COMPLIANCE or until is None or until.astimezone(UTC) < self._until:
            raise NotKeptError(
                f"{key}: is held in mode {held.get('Mode')} until {until}, not until {self._until}"
            )
        if self._legal_hold:
            hold = self._s3.get_object_legal_hold(**where).get("LegalHold", {})
            if hold.get("Status") != "ON":
                raise NotKeptError(f"{key}: the legal hold is not in place")


if __name__ == "__main__":
    sys.exit(main())
