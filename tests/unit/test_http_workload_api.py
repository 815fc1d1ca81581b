"""The messages of the Workload API that are read and written here, in protobuf's encoding, and what is none."""

import pytest

from pgbearer.http.workload_api import JwtSvid, read_bundles, read_svids, svid_request


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


def svid(name: str, token: bytes) -> bytes:
    return field(1, field(1, name.encode()) + field(2, token) + field(3, b"a hint"))


def test_what_is_asked_for_an_svid() -> None:
    audience = "db:" + "a" * 200  # its length takes two bytes
    assert svid_request(audience, None) == field(1, audience.encode())
    assert svid_request("db:shop", "spiffe://a/b") == field(1, b"db:shop") + field(2, b"spiffe://a/b")


def test_svids_in_their_order() -> None:
    answer = svid("spiffe://a/1", b"one") + field(7, b"later") + svid("spiffe://a/2", b"two")
    assert read_svids(answer) == (JwtSvid("spiffe://a/1", "one"), JwtSvid("spiffe://a/2", "two"))
    assert "one" not in repr(read_svids(answer))


@pytest.mark.parametrize("message", [b"", field(7, b"later"), svid("a", b"b")[:-1], b"<html>"])
def test_what_holds_no_svid_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="answered with"):
        read_svids(message)
