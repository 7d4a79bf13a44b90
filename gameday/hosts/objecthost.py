"""The process that reads and writes S3 objects for levers and leases. Nobody imports it.

One JSON object a line each way, answers in any order, each under the number of its question:

    {"n", "do": "get" | "make" | "replace" | "put" | "remove", "at": {bucket, key, region, account, endpoint},
     "body", "tag", "timeout_s"}
    {"n", "is": "there" | "absent" | "done" | "conflict" | "error", "body", "tag", "why"}

`make` writes only where nothing is (If-None-Match), `replace` and `remove` only what was read (If-Match).
Each is sent once: the answer to one that was sent again would be about the first. What did not answer
is an error, never `absent`. Absent is an object of which S3 itself says NoSuchKey, and nothing else:
a bucket that is not there, or that may not be read, is an error.

Source: Amazon S3 User Guide, "Add preconditions to S3 operations with conditional requests".
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BODY_MAX = 1 << 16
THREADS = 8
CONFLICT_CODES = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class _Clients:
    """One client for each endpoint, region and patience."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, float], Any] = {}
        self._lock = threading.Lock()

    def get(self, endpoint: str, region: str, timeout_s: float) -> Any:
        """Return the client, made on first use."""
        key = (endpoint, region, timeout_s)
        with self._lock:
            if key not in self._made:
                config = Config(
                    connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1},
                    user_agent_extra="gameday",
                )  # fmt: skip
                session = boto3.session.Session(region_name=region or None)
                self._made[key] = session.client("s3", endpoint_url=endpoint or None, config=config)
            return self._made[key]


def main() -> int:
    """Answer until stdin ends."""
    clients, out = _Clients(), threading.Lock()

    def serve(asked: dict[str, Any]) -> None:
        line = json.dumps({"n": asked.get("n"), **_answer(clients, asked)})
        with out:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(THREADS) as pool:
        for line in sys.stdin:
            pool.submit(serve, json.loads(line))
    return 0


def _answer(clients: _Clients, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return _carry_out(clients, asked)
    except ClientError as error:
        said = error.response.get("Error") or {}
        code = str(said.get("Code"))
        status = (error.response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
        if code == "NoSuchKey":
            return {"is": "absent"}
        if code in CONFLICT_CODES or status in (409, 412):
            return {"is": "conflict"}
        return {"is": "error", "why": f"{error.operation_name}: {code}: {said.get('Message')}"[:300]}
    except BotoCoreError as error:
        return {"is": "error", "why": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    except Exception as error:  # noqa: BLE001 - the host's reply: whatever it was, it is no answer
        return {"is": "error", "why": type(error).__name__}


def _carry_out(clients: _Clients, asked: dict[str, Any]) -> dict[str, Any]:
    at = asked["at"]
    s3 = clients.get(at.get("endpoint", ""), at.get("region", ""), float(asked["timeout_s"]))
    where = {"Bucket": at["bucket"], "Key": at["key"]}
    if at.get("account"):
        where["ExpectedBucketOwner"] = at["account"]
    tag, body = asked.get("tag", ""), str(asked.get("body", "")).encode()
    match asked["do"]:
        case "get":
            found = s3.get_object(**where)
            text = found["Body"].read(BODY_MAX).decode("utf-8", "replace")
            return {"is": "there", "body": text, "tag": found["ETag"]}
        case "make":
            made = s3.put_object(**where, Body=body, ContentType="application/json", IfNoneMatch="*")
        case "replace":
            made = s3.put_object(**where, Body=body, ContentType="application/json", IfMatch=tag)
        case "put":
            made = s3.put_object(**where, Body=body, ContentType="application/json")
        case "remove":
            s3.delete_object(**where, IfMatch=tag)
            return {"is": "done", "tag": ""}
        case other:
            raise ValueError(other)
    return {"is": "done", "tag": made["ETag"]}


if __name__ == "__main__":
    sys.exit(main())
