"""PostgreSQL's answer is the same for every reason; what the client knows by itself it says."""

from typing import Any

import psycopg
import pytest

from pgbearer.client import AccessToken, ServerUnreachableError, TokenRefusedError, UnsafeServerError
from pgbearer.client.connection.failure import explained, hints
from pgbearer.client.connection.hook import Offer
from pgbearer.client.peek import audience_in, claims_in, issuer_in
from tests.issuer import Mint

MINT = Mint("https://sso.test/realms/corp")
REFUSED = 'connection failed: FATAL:  OAuth bearer authentication failed for user "app"'


def token(**claims: Any) -> AccessToken:
    return AccessToken(MINT.token(**claims))


def test_the_last_hint_is_what_the_dba_needs() -> None:
    held = token()
    assert list(hints(held, server_scope=None, now=0))[-1].endswith(f"pgbearer explain --token-ref {held.ref}")


def test_expired() -> None:
    assert next(hints(token(exp=1_000), server_scope=None, now=1_012)) == "The token expired 12 s ago; log in again."


def test_expired_where_only_the_answer_of_the_login_says_so() -> None:
    assert "expired 5 s ago" in next(hints(AccessToken("opaque", expires_at=10), server_scope=None, now=15))


def test_a_scope_that_the_server_asks_for_and_the_token_lacks() -> None:
    said = " ".join(hints(token(exp=10, scope="openid"), server_scope="openid db:demo", now=0))
    assert "asks for the scope db:demo," in said


def test_no_word_about_scopes_that_are_there() -> None:
    assert "scope" not in " ".join(hints(token(scope="openid db:demo"), server_scope="db:demo", now=0))


def test_the_audience_is_named() -> None:
    assert "for db:one, db:two;" in " ".join(hints(token(aud=["db:one", "db:two"]), server_scope=None, now=0))


@pytest.mark.parametrize("claims", [{"aud": 7}, {"aud": [7]}, {"exp": "soon"}, {"scope": ["a"]}, {"aud": {"a": 1}}])
def test_odd_claims_do_no_harm(claims: dict[str, object]) -> None:
    assert list(hints(token(**claims), server_scope="db", now=0))


@pytest.mark.parametrize("text", ["opaque", "a.b.c", "a.W10.c", "a.b", "....", "e30.e30"])
def test_what_is_no_jwt_says_nothing(text: str) -> None:
    held = AccessToken(text)
    assert (claims_in(held), issuer_in(held), audience_in(held)) == ({}, None, ())


def test_what_a_jwt_says() -> None:
    assert (issuer_in(token()), audience_in(token())) == ("https://sso.test/realms/corp", ("db:demo",))


@pytest.mark.parametrize(
    ("said", "handed_over", "kind", "exit_code"),
    [
        (REFUSED, True, TokenRefusedError, 1),
        ('authentication method requirement "oauth" failed: server requested a hashed password', False,
         TokenRefusedError, 1),
        ('issuer "https://b" is incompatible with oauth_issuer (https://a)', False, UnsafeServerError, 2),
        ("connection refused", False, ServerUnreachableError, 3),
        ("certificate verify failed", False, ServerUnreachableError, 3),
    ],
)  # fmt: skip
def test_what_kind_of_failure_it_is(said: str, handed_over: bool, kind: type[Exception], exit_code: int) -> None:
    held = token()
    offer = Offer(held, MINT.url)
    offer.handed_over = handed_over
    error = explained(psycopg.OperationalError(said), offer, held, now=0)
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert held.reveal() not in str(error)


def test_only_what_came_of_the_connection_with_the_token_is_told() -> None:
    held = token()
    offer = Offer(held, MINT.url)
    offer.handed_over = True
    first = 'connection failed: connection to server at "::1" failed: retrying connection with new bearer token\n'
    error = explained(psycopg.OperationalError(first + REFUSED), offer, held, now=0)
    assert error.what == " ".join(REFUSED.split())


def test_applications_that_catch_psycopgs_error_catch_ours() -> None:
    assert issubclass(TokenRefusedError, psycopg.OperationalError)
    assert issubclass(ServerUnreachableError, psycopg.OperationalError)
