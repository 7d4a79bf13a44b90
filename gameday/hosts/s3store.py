"""A ledger of S3 objects: one object a write, whose body holds the number and its digest.

The client tries once and no more. Everything is read back object by object, because a listing proves
that names are there, not what they hold.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from gameday.hosts.stores import ACKED, Outcome, failed, unknown

READERS = 8
READ_TIMEOUT_S = 5.0
_NEVER_SENT = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError, ParamValidationError)


class S3Store:
    """One prefix of one bucket."""

    def __init__(self, spec: dict[str, Any], run: str, timeout_s: float) -> None:
        self._bucket = spec["bucket"]
        self._prefix = f"{spec.get('prefix', 'gameday-ledger/')}{run}/"
        self._spec = spec
        self._writer = self._client(timeout_s)
        self._reader = self._client(READ_TIMEOUT_S)

    def _client(self, timeout_s: float) -> Any:
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=64,
        )
        return boto3.client(
            "s3",
            endpoint_url=self._spec.get("endpoint"),
            region_name=self._spec.get("region"),
            config=config,
        )

    def prepare(self) -> None:
        """See that the bucket is there and may be used."""
        self._reader.head_bucket(Bucket=self._bucket)

    def write(self, number: int, sha256: str, payload: str) -> Outcome:
        """Put one object."""
        body = f"{number} {sha256} {payload}".encode()
        try:
            self._writer.put_object(Bucket=self._bucket, Key=f"{self._prefix}{number:09d}", Body=body)
        except _NEVER_SENT as error:
            return failed(_words(error))
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return failed(_words(error)) if 400 <= status < 500 else unknown(_words(error))
        except BotoCoreError as error:
            return unknown(_words(error))
        return ACKED

    def read_all(self) -> list[tuple[int, str]]:
        """Read every object of this run."""
        try:
            with ThreadPoolExecutor(READERS) as pool:
                return [found for found in pool.map(self._read, self._keys()) if found is not None]
        except (BotoCoreError, ClientError) as error:
            raise OSError(_words(error)) from error

    def _keys(self) -> list[str]:
        pages = self._reader.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        return [str(item["Key"]) for page in pages for item in page.get("Contents", ())]

    def _read(self, key: str) -> tuple[int, str] | None:
        body = self._reader.get_object(Bucket=self._bucket, Key=key)["Body"].read(4096)
        number, _, rest = body.decode("utf-8", "replace").partition(" ")
        name = key.rpartition("/")[2]
        if not number.isdigit() or int(number) != int(name if name.isdigit() else -1):
            # It is there, under its number, with another content: that is for the checker to say.
            return (int(name), "") if name.isdigit() else None
        return int(number), rest.partition(" ")[0]

    def purge(self) -> int:
        """Delete every object of this run."""
        try:
            keys = self._keys()
            with ThreadPoolExecutor(READERS) as pool:
                list(pool.map(lambda key: self._reader.delete_object(Bucket=self._bucket, Key=key), keys))
        except (BotoCoreError, ClientError) as error:
            raise OSError(_words(error)) from error
        return len(keys)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
