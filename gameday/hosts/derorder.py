"""Put the certificates of a time stamp response into the order that DER asks of a set.

Many authorities (every one built on `openssl ts`) list theirs in the order of their files, which
strict readers refuse. The list is no part of what is signed, so its order may be mended.

Source: ITU-T X.690, section 11.6; RFC 5652, section 5.1, `certificates`.
"""

from __future__ import annotations

_CERTIFICATES = 0xA0
_LONG = 0x80


def in_order(response: bytes) -> bytes:
    """Return the response with its certificates in order; unchanged where it has another shape."""
    try:
        _status, token = _children(response, *_content(response, 0))
        _kind, wrapped = _children(response, *_content(response, token[0]))
        signed = _content(response, wrapped[0])[0]
        for begin, end in _children(response, *_content(response, signed)):
            if response[begin] == _CERTIFICATES:
                inside = _content(response, begin)
                parts = sorted(response[first:last] for first, last in _children(response, *inside))
                return response[: inside[0]] + b"".join(parts) + response[end:]
    except (IndexError, ValueError):
        return response
    return response


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends."""
    length, begin = data[at + 1], at + 2
    if length & _LONG:
        more = length - _LONG
        if not 1 <= more <= 4:
            raise ValueError(length)
        length, begin = int.from_bytes(data[begin : begin + more], "big"), begin + more
    if begin + length > len(data):
        raise ValueError(length)
    return begin, begin + length


def _children(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    found = []
    while begin < end:
        after = _content(data, begin)[1]
        found.append((begin, after))
        begin = after
    return found
