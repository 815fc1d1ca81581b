"""The short cut takes what our module writes, and nothing that the long way would refuse or read another way."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.wire import LoginRequest, RequestError, encode_request
from pgbearer.wire.compact import read_compact
from pgbearer.wire.decode import _read
from tests.parts.login import login_body

TLS = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "client_cert_sha256": None}


def written(**members: Any) -> bytes:
    """A request as our module writes it."""
    return encode_request(_read(json.dumps(login_body(token="h.p.s", **members)).encode()))


BODY = written(role="größe", client={"address": "::1", "port": 5, "tls": TLS})


def the_long_way(body: bytes) -> LoginRequest | None:
    with contextlib.suppress(RequestError):
        return _read(body)
    return None


def the_ways_agree(body: bytes) -> bool:
    """Whether the short cut passes, or reads what the long way reads."""
    short = read_compact(body)
    return short is None or short == the_long_way(body)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"client": {"address": None, "port": None, "tls": None}},
        {"hba": {"issuer": "https://sso.test", "scopes": [], "delegate": True, "map": "corp"}},
        {"replication": "physical"},
        {"unverified": {"application_name": "psql"}},
    ],
)
def test_what_our_module_writes_takes_the_short_cut(change: dict[str, Any]) -> None:
    body = written(**change)
    assert read_compact(body) is not None
    assert read_compact(body) == the_long_way(body)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b'"role":', b'"role":"postgres","role":'),
        (b'"super":false', b'"super":false,"super":false'),
        (b'{"v":1,', b'{"v":1,"later":0,'),
        (b'{"v":1,', b'{"v": 1,'),
        (b',"map":null', b""),
        (b'"pid":', b'"pid":0'),
        (b"h.p.s", b"h.\\u0070.s"),
        (b"h.p.s", b"h.\\u0000.s"),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":true'),
        (b'"super":false', b'"super":0'),
        (b'"replication":"none"', b'"replication":"both"'),
        ("größe".encode(), b"gr\xf6\xdfe"),
        ("größe".encode(), b"\xed\xa0\x80"),
        ("größe".encode(), b"x" * 513),
    ],
)
def test_what_is_written_otherwise_goes_the_long_way(written: bytes, instead: bytes) -> None:
    changed = BODY.replace(written, instead, 1)
    assert changed != BODY
    assert read_compact(changed) is None


def test_a_member_left_out_makes_no_room_for_one_that_comes_twice() -> None:
    """As long as the shortest text, but not the shortest: `,"map":null` has eleven bytes, and so has the other."""
    changed = BODY.replace(b',"map":null', b"", 1).replace(b'{"v":1,', b'{"v":1,"v":1     ,', 1)
    assert len(changed) == len(BODY)
    assert read_compact(changed) is None


PIECES = [
    b'"',
    b":",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b" ",
    b"\\",
    b"null",
    b"1",
    b'"v":1,',
    b'"super":true,',
    b'"map":null',
    b"\xff",
    b"0",
]


@given(
    st.lists(st.tuples(st.integers(0, len(BODY)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4)
)
def test_no_edit_makes_the_ways_disagree(edits: list[tuple[int, int, bytes]]) -> None:
    body = BODY
    for at, cut, piece in edits:
        body = body[:at] + piece + body[at + cut :]
    assert the_ways_agree(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.data())
def test_no_value_makes_the_ways_disagree(value: object, data: st.DataObject) -> None:
    body = login_body(token="h.p.s")
    inner = data.draw(st.sampled_from([body, *(one for one in body.values() if isinstance(one, dict))]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = value
    assert the_ways_agree(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass"))
