"""The one message of the Workload API that is read here, in protobuf's encoding, and what is none."""

import pytest

from pgbearer.http.workload_api import read_bundles


def field(number: int, data: bytes, wire: int = 2) -> bytes:
    return varint(number << 3 | wire) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def entry(name: str, bundle: bytes) -> bytes:
    return field(1, field(1, name.encode()) + field(2, bundle))


def test_no_bundles() -> None:
    assert read_bundles(b"") == {}


def test_bundles_by_trust_domain() -> None:
    long = b"x" * 300  # its length takes two bytes
    message = entry("spiffe://a", b"{}") + entry("spiffe://b", long)
    assert read_bundles(message) == {"spiffe://a": b"{}", "spiffe://b": long}


def test_unknown_fields_are_passed_over() -> None:
    assert read_bundles(field(7, b"later") + entry("spiffe://a", b"{}")) == {"spiffe://a": b"{}"}


GOOD = entry("spiffe://a", b"{}")
BAD = {
    "cut": GOOD[:-1],
    "cut in a length": b"\x0a\xff",
    "a length without an end": b"\x0a" + b"\xff" * 12,
    "another wire type": field(1, b"", wire=0),
    "a group": b"\x0b\x00",
    "longer than it is": b"\x0a\x7f" + b"x",
    "two of one name": GOOD + entry("spiffe://a", b"[]"),
    "a name that is no text": field(1, field(1, b"\xff") + field(2, b"{}")),
    "a page": b"<html><body>not here</body></html>",
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_bundles(message)
