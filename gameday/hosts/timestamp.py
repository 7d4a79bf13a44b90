"""The process that asks a time stamp authority, for as long as one answer takes. Nobody imports it.

One JSON object each way: {"url", "data": base64, "timeout_s"} on stdin, and on stdout
{"tsr": base64, "utc": text} or {"missing": "why"}. What comes back is checked for being about what was
asked, in answer to this request; whether its chain leads to a root somebody trusts is for verifiers.

Source: RFC 3161, sections 2.4 and 3.4.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from gameday.hosts.derorder import in_order

ANSWER_MAX = 256 << 10
GRANTED = (0, 1)


def main() -> int:
    """Answer one request."""
    asked = json.loads(sys.stdin.buffer.read())
    try:
        reply = _stamp(asked["url"], base64.b64decode(asked["data"]), asked["timeout_s"])
    except (OSError, ValueError, http.client.HTTPException) as error:
        reply = {"missing": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__}
    sys.stdout.write(json.dumps(reply))
    return 0


def _stamp(url: str, data: bytes, timeout_s: float) -> dict[str, Any]:
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    body = in_order(_post(url, request.as_bytes(), timeout_s))
    response = decode_timestamp_response(body)
    if response.status not in GRANTED:
        said = ", ".join(response.status_string) or "without a reason"
        return {"missing": f"the authority refused (status {response.status}), {said}"}
    info = response.tst_info
    if info.message_imprint.message != hashlib.sha256(data).digest():
        return {"missing": "the token is about something else"}
    if info.nonce != request.nonce:
        return {"missing": "the token answers another request"}
    return {"tsr": base64.b64encode(body).decode(), "utc": info.gen_time.isoformat()}


def _post(url: str, body: bytes, timeout_s: float) -> bytes:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        connection.request("POST", parts.path or "/", body, headers)
        answer = connection.getresponse()
        data = answer.read(ANSWER_MAX + 1)
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"HTTP {answer.status}, expected 200; redirects are not followed")
    if len(data) > ANSWER_MAX:
        raise ValueError(f"the answer is larger than {ANSWER_MAX} bytes")
    return data


if __name__ == "__main__":
    sys.exit(main())
