"""One token must be one text with one meaning: segments, base64url, JSON, sizes."""

import base64
import json
from collections.abc import Callable

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import Case, good, header, name_of, outcome, payload, segments, text
from tests.attacks.fix_door import Door
from tests.issuer import Mint, b64

ENDS = "for libpq and PostgreSQL a token ends there; a request with one is no request: test_names.py"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def spelled_otherwise(token: str) -> str:
    """The same signature bytes, with the unused bits of the last character set: RS256's 256 bytes leave four."""
    other = token[:-1] + _ALPHABET[_ALPHABET.index(token[-1]) + 1]
    assert base64.urlsafe_b64decode(other.split(".")[2] + "==") == base64.urlsafe_b64decode(token.split(".")[2] + "==")
    return other


def signed_text(name: str, reason: Reason, head: bytes | None, body: bytes | None) -> Case:
    """Well signed, with exactly this header or payload."""

    def make(mint: Mint, now: int) -> str:
        claims = json.dumps(mint.claims(iat=now, exp=now + 300)).encode()
        return mint.sign(head if head is not None else json.dumps(mint.header()).encode(), body or claims)

    return Case(name, reason, make)


def nested_token(mint: Mint, now: int) -> str:
    """A token as the payload of a token (RFC 7519 section 5.2), without saying so in cty."""
    return mint.sign(json.dumps(mint.header()).encode(), good(mint, now).encode())


def encrypted(mint: Mint, _now: int) -> str:
    """What a JWE looks like (RFC 7516 section 3.1)."""
    head = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": mint.key.kid}
    return ".".join([b64(json.dumps(head).encode()), *(b64(bytes(size)) for size in (256, 12, 400, 16))])


def flattened(mint: Mint, now: int) -> str:
    """The JSON serialisation (RFC 7515 section 7.2.2)."""
    head, body, signature = good(mint, now).split(".")
    return json.dumps({"protected": head, "payload": body, "signature": signature})


def with_prefix(mark: str) -> Callable[[str], str]:
    return lambda written: mark + written


def nested(depth: int) -> Callable[[str], str]:
    return lambda written: written[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"


def member(more: str) -> Callable[[str], str]:
    return lambda written: f"{written[:-1]}, {more}}}"


def padded_to(size: int) -> Callable[[str], str]:
    return lambda token: token + "A" * (size - len(token))


TEXT = (
    Case("empty", Reason.TOKEN_MISSING, lambda _mint, _now: "", no_login="libpq does not send one"),
    text("a byte too large", Reason.TOKEN_TOO_LARGE, padded_to(32_769)),
    text("nearly all that PostgreSQL takes", Reason.TOKEN_TOO_LARGE, padded_to(60_000)),
    Case("a large claim", Reason.TOKEN_TOO_LARGE, lambda mint, now: mint.token(x="x" * 30_000, iat=now, exp=now + 300)),
    text("one segment", Reason.TOKEN_MALFORMED, lambda token: token.replace(".", "")),
    text("two segments", Reason.TOKEN_MALFORMED, lambda token: token.rpartition(".")[0]),
    text("four segments", Reason.TOKEN_MALFORMED, lambda token: token + ".AAAA"),
    text("an empty segment after", Reason.TOKEN_MALFORMED, lambda token: token + "."),
    text("an empty segment before", Reason.TOKEN_MALFORMED, lambda token: "." + token),
    text("five segments", Reason.TOKEN_MALFORMED, lambda token: token + ".AAAA.AAAA"),
    text("a thousand segments", Reason.TOKEN_MALFORMED, lambda token: token + ".A" * 1000),
    text("dots alone", Reason.TOKEN_MALFORMED, lambda _token: ".."),
    Case("encrypted", Reason.TOKEN_MALFORMED, encrypted),
    Case("nested", Reason.TOKEN_MALFORMED, nested_token),
    Case("as JSON", Reason.TOKEN_MALFORMED, flattened),
    text("twice", Reason.TOKEN_MALFORMED, lambda token: token + token),
    text("twice, with a comma", Reason.TOKEN_MALFORMED, lambda token: f"{token},{token}"),
    text("empty header", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda _: "")),
    text("empty payload", Reason.TOKEN_MALFORMED, lambda token: segments(token, p=lambda _: "")),
    text("padding", Reason.TOKEN_MALFORMED, lambda token: token + "=="),
    text("padding of the header", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda head: head + "=")),
    text("standard base64", Reason.TOKEN_MALFORMED, lambda token: segments(token, p=lambda body: body[:-4] + "+/+/")),
    text("hexadecimal", Reason.TOKEN_MALFORMED, lambda token: token.encode().hex()),
    text("percent signs", Reason.TOKEN_MALFORMED, lambda token: token.replace(".", "%2E")),
    text(
        "space before",
        Reason.TOKEN_MALFORMED,
        lambda token: " " + token,
        no_login="PostgreSQL skips it: RFC 9110 section 11.6.2 allows more than one after the scheme",
    ),
    text("space after", Reason.TOKEN_MALFORMED, lambda token: token + " "),
    text("newline after", Reason.TOKEN_MALFORMED, lambda token: token + "\n"),
    text("newline inside", Reason.TOKEN_MALFORMED, lambda token: token[:40] + "\n" + token[40:]),
    text("NUL inside", Reason.TOKEN_MALFORMED, lambda token: token[:40] + "\0" + token[40:], no_login=ENDS),
    text("NUL after", Reason.TOKEN_MALFORMED, lambda token: token + "\0", no_login=ENDS),
    text("Bearer before", Reason.TOKEN_MALFORMED, lambda token: "Bearer " + token),
    text("in quotes", Reason.TOKEN_MALFORMED, lambda token: f'"{token}"'),
    text("not ASCII", Reason.TOKEN_MALFORMED, lambda token: "é" + token),
    text("full-width digits", Reason.TOKEN_MALFORMED, lambda token: "１" + token),
    text("a dot of another script", Reason.TOKEN_MALFORMED, lambda token: token.replace(".", "\u3002")),
    text("impossible length", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda _: "AAAAA")),
    text("another spelling of the same signature", Reason.TOKEN_MALFORMED, spelled_otherwise),
    text(
        "another spelling of the same header", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda _: "e31")
    ),
)

HEADER_JSON = (
    signed_text("header is a list", Reason.TOKEN_MALFORMED, b"[]", None),
    signed_text("header is null", Reason.TOKEN_MALFORMED, b"null", None),
    signed_text("header is cut", Reason.TOKEN_MALFORMED, b'{"alg": "RS256"', None),
    signed_text("header is an empty object", Reason.TOKEN_TYPE, b"{}", None),
    signed_text(
        "alg twice", Reason.TOKEN_MALFORMED, b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"key-1"}', None
    ),
    signed_text(
        "kid twice, once by an escape",
        Reason.TOKEN_MALFORMED,
        rb'{"alg":"RS256","typ":"at+jwt","kid":"x","k\u0069d":"key-1"}',
        None,
    ),
    signed_text("header in UTF-16", Reason.TOKEN_MALFORMED, '{"alg":"RS256"}'.encode("utf-16"), None),
    signed_text("header with a byte order mark", Reason.TOKEN_MALFORMED, b'\xef\xbb\xbf{"alg":"RS256"}', None),
    signed_text("header after a comment", Reason.TOKEN_MALFORMED, b'/**/{"alg":"RS256"}', None),
    signed_text("header too deep", Reason.TOKEN_MALFORMED, b'{"alg":' + b"[" * 17 + b"]" * 17 + b"}", None),
    header("header of 9 KB", Reason.KEY_UNKNOWN, kid="k" * 9_000),
)

PAYLOAD_JSON = (
    payload("payload is a list", Reason.TOKEN_MALFORMED, lambda _: "[]"),
    payload("payload is a list of claims", Reason.TOKEN_MALFORMED, lambda written: f"[{written}]"),
    payload("payload is a string", Reason.TOKEN_MALFORMED, lambda _: '"x"'),
    payload("payload is null", Reason.TOKEN_MALFORMED, lambda _: "null"),
    payload("payload is no JSON", Reason.TOKEN_MALFORMED, lambda _: "{'iss': 1}"),
    payload("trailing comma", Reason.TOKEN_MALFORMED, lambda written: written[:-1] + ",}"),
    payload("a comment", Reason.TOKEN_MALFORMED, lambda written: written[:-1] + "/* */}"),
    payload("something after the object", Reason.TOKEN_MALFORMED, lambda written: written + "{}"),
    payload("NUL after the object", Reason.TOKEN_MALFORMED, lambda written: written + "\0"),
    payload("byte order mark", Reason.TOKEN_MALFORMED, with_prefix("\ufeff")),
    payload("not UTF-8", Reason.TOKEN_MALFORMED, lambda written: written.replace("alice", "al\udcffce")),
    payload("overlong UTF-8", Reason.TOKEN_MALFORMED, lambda written: written.replace("alice", "al\udcc0\udcafce")),
    payload("a claim twice", Reason.TOKEN_MALFORMED, member('"sub": "root"')),
    payload("a claim twice, and the same", Reason.TOKEN_MALFORMED, member('"typ": "Bearer"')),
    payload("a nested member twice", Reason.TOKEN_MALFORMED, member('"x": {"a": 1, "a": 2}')),
    payload("the same claim by an escape", Reason.TOKEN_MALFORMED, member(r'"s\u0075b": "root"')),
    payload("NaN", Reason.TOKEN_MALFORMED, member('"x": NaN')),
    payload("Infinity", Reason.TOKEN_MALFORMED, member('"x": -Infinity')),
    payload("a number that is infinite", Reason.TOKEN_MALFORMED, member('"x": 1e999')),
    payload("a number with a leading zero", Reason.TOKEN_MALFORMED, member('"x": 01')),
    payload("a hexadecimal number", Reason.TOKEN_MALFORMED, member('"x": 0x1')),
    payload("an integer of thousands of digits", Reason.TOKEN_MALFORMED, member(f'"x": {"9" * 5000}')),
    payload("lone surrogate", Reason.TOKEN_MALFORMED, member(r'"x": "\ud800"')),
    payload("lone surrogate as a name", Reason.TOKEN_MALFORMED, member(r'"x": [{"\udfff": 1}]')),
    payload("a surrogate in UTF-8", Reason.TOKEN_MALFORMED, member('"x": "\udced\udca0\udc80"')),
    payload("nested too deeply", Reason.TOKEN_MALFORMED, nested(17)),
    payload("nested absurdly", Reason.TOKEN_MALFORMED, nested(4500)),
    payload("thousands of lists", Reason.TOKEN_MALFORMED, member('"x": [' + "[]," * 2100 + "0]")),
    payload("raw control character in a string", Reason.TOKEN_MALFORMED, member('"x": "a\nb"')),
)

CASES = (*TEXT, *HEADER_JSON, *PAYLOAD_JSON)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


@pytest.mark.parametrize(
    "harmless", [member('"x": [' + "[]," * 100 + "0]"), nested(14), member(r'"x": "\ud83d\ude00"')]
)
async def test_what_is_only_unusual_is_accepted(harmless: Callable[[str], str]) -> None:
    assert await outcome(payload("unusual", Reason.ALLOWED, harmless)) is Reason.ALLOWED
