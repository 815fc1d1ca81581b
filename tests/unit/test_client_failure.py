"""PostgreSQL's answer is the same for every reason; what the client knows by itself it says."""

from typing import Any

import psycopg
import pytest

from pgbearer.client import AccessToken, ServerUnreachableError, TokenRefusedError, UnsafeServerError
from pgbearer.client.connection.failure import explained
from pgbearer.client.connection.hook import Offer
from pgbearer.client.connection.plan import Plan
from pgbearer.client.peek import audience_in, claims_in, issuer_in
from tests.issuer import Mint

MINT = Mint("https://sso.test/realms/corp")
REFUSED = 'connection failed: FATAL:  OAuth bearer authentication failed for user "app"'


PLAN = Plan(MINT.url, {}, None, "app_readwrite")


def token(**claims: Any) -> AccessToken:
    return AccessToken(MINT.token(**claims))


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
        ('authentication method requirement "oauth" failed: server did not complete authentication', False,
         TokenRefusedError, 1),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "app", database "appdb", no encryption', False,
         TokenRefusedError, 1),
        ('FATAL:  pg_hba.conf rejects connection for host "[local]", user "app"', False, TokenRefusedError, 1),
        ('issuer "https://b" is incompatible with oauth_issuer (https://a)', False, UnsafeServerError, 2),
        ("connection refused", False, ServerUnreachableError, 3),
        ("certificate verify failed", False, ServerUnreachableError, 3),
    ],
)  # fmt: skip
def test_what_kind_of_failure_it_is(said: str, handed_over: bool, kind: type[Exception], exit_code: int) -> None:
    held = token()
    offer = Offer(held, MINT.url)
    offer.handed_over = handed_over
    error = explained(psycopg.OperationalError(said), offer, held, PLAN, now=0)
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert held.reveal() not in str(error)


def test_only_what_came_of_the_connection_with_the_token_is_told() -> None:
    held = token()
    offer = Offer(held, MINT.url)
    offer.handed_over = True
    first = 'connection failed: connection to server at "::1" failed: retrying connection with new bearer token\n'
    error = explained(psycopg.OperationalError(first + REFUSED), offer, held, PLAN, now=0)
    assert error.what == " ".join(REFUSED.split())


def test_applications_that_catch_psycopgs_error_catch_ours() -> None:
    assert issubclass(TokenRefusedError, psycopg.OperationalError)
    assert issubclass(ServerUnreachableError, psycopg.OperationalError)


def test_a_refusal_has_what_is_known_of_token_server_and_role() -> None:
    held = token(scope="openid")
    offer = Offer(held, MINT.url)
    offer.handed_over, offer.server_scope = True, "db:demo"
    error = explained(psycopg.OperationalError(REFUSED), offer, held, PLAN, now=0)
    assert isinstance(error, TokenRefusedError)
    assert error.hint is not None
    assert "scope db:demo" in error.hint
    assert "you asked for app_readwrite" in error.hint
    assert error.hint.endswith(f"pgbearer explain --token-ref {held.ref}")


@pytest.mark.parametrize("said", ['FATAL:  database "nowhere" does not exist', "server closed the connection"])
def test_another_reason_than_the_token_blames_no_token(said: str) -> None:
    held = token(exp=1)
    offer = Offer(held, MINT.url)
    offer.handed_over = True
    error = explained(psycopg.OperationalError(said), offer, held, PLAN, now=1_000)
    assert error.hint == f"The server got the token (token_ref {held.ref}), and has another reason."
