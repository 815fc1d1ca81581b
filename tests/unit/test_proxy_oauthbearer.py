"""The login at the server, without I/O: which of its messages lead to a token, and which to nothing being sent."""

import json
import struct
from typing import Any

import pytest

from pgbearer.client import AccessToken, TokenRefusedError, UnsafeServerError
from pgbearer.client.proxy.messages import Message, MessageError
from pgbearer.client.proxy.oauthbearer import Asked, Login, Outcome, ServerRefusedError
from pgbearer.client.proxy.refusal import RefusedError

ISSUER = "https://issuer.test"
URL = f"{ISSUER}/.well-known/openid-configuration"
TOKEN = AccessToken("the-token")


def request(code: int, data: bytes = b"") -> Message:
    return Message(b"R", struct.pack("!i", code) + data)


OFFER = request(10, b"OAUTHBEARER\0\0")
OK = request(0)
ERROR = Message(b"E", b"SFATAL\0C28000\0Mno\0\0")


def failure(**members: Any) -> Message:
    said = {"status": "invalid_token", "openid-configuration": URL, "scope": "openid", **members}
    return request(11, json.dumps({name: value for name, value in said.items() if value is not None}).encode())


def begun(token: AccessToken | None = TOKEN) -> Login:
    login = Login(ISSUER, token)
    login.receive(OFFER)
    return login


def test_the_token_is_sent_as_rfc_7628_says() -> None:
    sent = Login(ISSUER, TOKEN).receive(OFFER)
    said = b"n,,\x01auth=Bearer the-token\x01\x01"
    body = b"OAUTHBEARER\0" + struct.pack("!i", len(said)) + said
    assert sent == b"p" + struct.pack("!i", len(body) + 4) + body


def test_asking_sends_no_token() -> None:
    sent = Login(ISSUER, None).receive(OFFER)
    assert sent is not None
    assert sent.endswith(b"n,,\x01auth=\x01\x01")


def test_let_in() -> None:
    login = begun()
    outcomes = [login.outcome]
    assert login.receive(OK) is None
    assert [*outcomes, login.outcome] == [Outcome.UNDER_WAY, Outcome.LET_IN]


def test_a_refusal_says_whose_token_is_wanted() -> None:
    login = begun(None)
    assert login.receive(failure()) == b"p\0\0\0\5\x01"
    with pytest.raises(ServerRefusedError) as caught:
        login.receive(ERROR)
    assert (caught.value.asked, caught.value.body) == (Asked(URL, "openid"), ERROR.body)


def test_an_error_before_anything_is_asked() -> None:
    with pytest.raises(ServerRefusedError) as caught:
        Login(ISSUER, TOKEN).receive(ERROR)
    assert caught.value.asked is None


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (request(3), "a cleartext password"),
        (request(5, b"salt"), "an MD5 password"),
        (request(2), "Kerberos"),
        (request(7), "GSSAPI"),
        (request(8, b"data"), "something unknown"),
        (request(9), "SSPI"),
        (request(12, b"v="), "something unknown"),
        (request(4711), "something unknown"),
        (request(-1), "something unknown"),
        (request(10, b"SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0"), "SASL with SCRAM-SHA-256, SCRAM-SHA-256-PLUS"),
        (request(10, b"\0"), "SASL with no mechanism"),
        (request(10, b"OAUTHBEARER2\0\0"), "SASL with OAUTHBEARER2"),
    ],
)
def test_another_kind_of_login_is_refused(said: Message, what: str) -> None:
    with pytest.raises(TokenRefusedError, match=f"asks for {what}"):
        Login(ISSUER, TOKEN).receive(said)


@pytest.mark.parametrize("login", [Login(ISSUER, TOKEN), Login(ISSUER, None), begun(None)])
def test_being_let_in_without_the_token_is_refused(login: Login) -> None:
    with pytest.raises(TokenRefusedError, match="without our token"):
        login.receive(OK)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.test/.well-known/openid-configuration",
        "http://issuer.test/.well-known/openid-configuration",
        ISSUER,
        "https://issuer.test.evil/.well-known/openid-configuration",
        "",
        "\x1b[2J",
    ],
)
def test_another_issuer_is_refused(url: str) -> None:
    with pytest.raises(UnsafeServerError) as caught:
        begun(None).receive(failure(**{"openid-configuration": url}))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        request(11, b""),
        request(11, b"<html>"),
        request(11, b"\xff"),
        request(11, b"[]"),
        request(11, b"[" * 50_000),
        request(11, b'{"status":"a","status":"b"}'),
        failure(status=None),
        failure(status=7),
        failure(**{"openid-configuration": None}),
        failure(**{"openid-configuration": 7}),
        failure(scope=["a"]),
    ],
)
def test_an_answer_that_is_none_is_refused(said: Message) -> None:
    with pytest.raises(RefusedError):
        begun(None).receive(said)


@pytest.mark.parametrize(
    "messages",
    [
        [Message(b"Z", b"I")],
        [Message(b"S", b"a\0b\0")],
        [Message(b"N", b"")],
        [Message(b"R", b"\0")],
        [failure()],
        [OFFER, OFFER],
        [OFFER, failure(), failure()],
        [OFFER, Message(b"v", struct.pack("!ii", 0, 0))],
        [Message(b"v", struct.pack("!ii", 0, 0)), Message(b"v", struct.pack("!ii", 0, 0))],
        [Message(b"v", b"")],
    ],
)
def test_what_has_no_place_here(messages: list[Message]) -> None:
    login = Login(ISSUER, TOKEN)
    for said in messages[:-1]:
        login.receive(said)
    with pytest.raises(MessageError):
        login.receive(messages[-1])


def test_after_a_failure_there_is_no_way_in() -> None:
    login = begun()
    login.receive(failure())
    with pytest.raises(TokenRefusedError, match="without our token"):
        login.receive(OK)


def test_an_older_version_is_negotiated() -> None:
    login = Login(ISSUER, TOKEN)
    offer = Message(b"v", struct.pack("!ii", 3 << 16, 1) + b"_pq_.x\0")
    assert login.receive(offer) is None
    login.receive(OFFER)
    login.receive(OK)
    assert login.negotiated == [offer]
