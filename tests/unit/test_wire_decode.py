"""What decode_request takes, and every way in which it refuses."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.wire import Reason, Replication, RequestError, decode_request, encode_request
from tests.parts.login import login_body, login_request

TOKEN = "header.payload.signature"


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


def changed(path: str, value: object) -> bytes:
    """The good request with the member at `path` set, or removed for `...`."""
    body = login_body(token=TOKEN)
    *above, name = path.split(".")
    inner = body
    for step in above:
        inner = inner[step]
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return encoded(body)


def test_every_member_is_read() -> None:
    tls = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "client_cert_sha256": "ab" * 32}
    request = decode_request(
        encoded(login_body(token=TOKEN, replication="logical", client={"address": "::1", "port": 5, "tls": tls}))
    )
    assert request.token == TOKEN
    assert request.access.replication is Replication.LOGICAL
    assert request.access.client.tls is not None
    assert request.access.client.tls.client_cert_sha256 == "ab" * 32
    assert request.access.server.version == 180000
    assert request.access.hba.scopes == ("openid", "db:demo")


def test_encoding_and_decoding_agree() -> None:
    request = login_request(token=TOKEN, role="größe")
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize(
    "member", ["client.address", "client.port", "client.tls", "hba.map", "unverified", "unverified.application_name"]
)
@pytest.mark.parametrize("value", [None, ...])
def test_optional_members_may_be_null_or_absent(member: str, value: object) -> None:
    assert decode_request(changed(member, value)).token == TOKEN


def test_unknown_members_are_ignored_even_twice() -> None:
    body = encoded(login_body()).replace(b'{"v":', b'{"later": {"a": 1}, "later": [2], "v":', 1)
    assert decode_request(body).version == 1


def test_a_role_that_does_not_exist_needs_no_attributes() -> None:
    request = decode_request(changed("role_attributes", {"exists": False}))
    assert not request.access.role_attributes.exists


@pytest.mark.parametrize(
    "member",
    [
        "now",
        "token",
        "role_attributes",
        "role_attributes.exists",
        "role_attributes.super",
        "role_attributes.replication",
        "role_attributes.createrole",
        "role_attributes.createdb",
        "role_attributes.bypassrls",
        "role_attributes.member_of",
        "replication",
        "hba",
        "hba.issuer",
        "hba.scopes",
        "hba.delegate",
        "client",
        "server",
        "server.instance",
        "server.system_identifier",
        "server.start",
        "server.in_recovery",
        "server.version",
        "backend",
        "backend.pid",
        "backend.start",
    ],
)
@pytest.mark.parametrize("value", [..., None, 1.5, [[]]])
def test_a_required_member_absent_or_of_another_type_is_refused_by_name(member: str, value: object) -> None:
    with pytest.raises(RequestError) as refusal:
        decode_request(changed(member, value))
    assert refusal.value.reason is Reason.REQUEST_INVALID
    assert member in refusal.value.detail
    assert refusal.value.echo is not None


@pytest.mark.parametrize("member", ["v", "request_id", "role", "database"])
@pytest.mark.parametrize("value", [..., None, True, ["x"]])
def test_without_the_echoed_members_no_answer_is_possible(member: str, value: object) -> None:
    with pytest.raises(RequestError) as refusal:
        decode_request(changed(member, value))
    assert refusal.value.reason is Reason.REQUEST_INVALID
    assert refusal.value.echo is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("request_id", "short"),
        ("request_id", "g" * 32),
        ("request_id", "a" * 65),
        ("now", True),
        ("now", -1),
        ("now", 2**63),
        ("replication", "both"),
        ("role", "app\0readonly"),
        ("role", "\ud800"),
        ("role", "x" * 2049),
        ("role_attributes.super", 1),
        ("role_attributes.super", "false"),
        ("role_attributes.member_of", ["pg_monitor", 1]),
        ("role_attributes.member_of", ["x"] * 257),
        ("client.port", 65536),
        ("client.tls", {}),
        ("hba.scopes", "openid db:demo"),
        ("unverified", []),
        ("server.version", "180000"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(member: str, value: object) -> None:
    with pytest.raises(RequestError) as refusal:
        decode_request(changed(member, value))
    assert refusal.value.reason is Reason.REQUEST_INVALID


@pytest.mark.parametrize(
    ("first", "twice"),
    [(b'"role":', b'"role": "postgres", "role":'), (b'"super":', b'"super": true, "super":')],
)
def test_a_known_member_that_comes_twice_is_refused(first: bytes, twice: bytes) -> None:
    with pytest.raises(RequestError, match="more than once"):
        decode_request(encoded(login_body()).replace(first, twice, 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"v": 1',
        b'{"v": 1} {}',
        b'{"v": NaN}',
        b'{"v": 1' + b"0" * 5000 + b"}",
        b'\xff{"v": 1}',
        '{"v": 1}'.encode("utf-16"),
        b'"' + b'\\"' * 65_000,
        b" " * (128 * 1024 + 1),
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refusal:
        decode_request(body)
    assert refusal.value.reason is Reason.REQUEST_INVALID


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_bounded_before_the_parser_sees_it(opening: bytes) -> None:
    for body in (opening * 9, b'{"v": 1, "later": ' + opening * 8 + b"1"):
        with pytest.raises(RequestError, match="nested too deeply"):
            decode_request(body)


def test_brackets_inside_strings_are_not_depth() -> None:
    assert decode_request(changed("unverified.application_name", '[[[[[[[[[["{{{{{{{{')).version == 1


@pytest.mark.parametrize("version", [2, 7])
def test_a_newer_version_is_refused_by_name_whatever_else_it_says(version: int) -> None:
    body = {"v": version, "request_id": "a" * 32, "role": "r", "database": "d", "token": {"new": "shape"}}
    with pytest.raises(RequestError) as refusal:
        decode_request(encoded(body))
    assert refusal.value.reason is Reason.VERSION_UNSUPPORTED
    assert refusal.value.echo is not None
    assert refusal.value.echo.version == version


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_decode_or_refuse(body: bytes) -> None:
    with pytest.raises(RequestError):
        decode_request(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.data())
def test_no_value_in_any_member_does_anything_but_decode_or_refuse(value: object, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(sorted(login_body())))
    with contextlib.suppress(RequestError):
        decode_request(changed(member, value))


def test_a_refusal_never_quotes_the_token() -> None:
    secret = "eyJhbGciOiJub25lIn0.secret.part"
    for body in (changed("now", secret), encoded({"token": secret}), b"\xff" + secret.encode()):
        with pytest.raises(RequestError) as refusal:
            decode_request(body)
        assert secret not in repr(refusal.value)
        assert secret not in str(refusal.value)
        assert refusal.value.__cause__ is None
    assert secret not in repr(login_request(token=secret))
