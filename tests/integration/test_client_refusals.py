"""Each refusal for real, and what the client says of it: PostgreSQL, module, service and a programmable issuer."""

import re
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import pgbearer
from pgbearer.client import AccessToken, StaticSource, TokenRefusedError, UnsafeServerError
from pgbearer.errors import PgbearerError
from tests.device_issuer import DeviceIssuer
from tests.integration.fix_chain import Chain, whole_chain
from tests.integration.fix_postgres import ISSUER, TOKEN, BearerServer
from tests.parts.authority import Authority
from tests.parts.postgres import Installation
from tests.proxied import proxied

LINES = [
    "local passworddb all scram-sha-256",
    "local trustdb all trust",
    "local rejectdb all reject",
]


@pytest.fixture(scope="module")
def chain(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    with whole_chain(postgres, issuer_authority, hba=LINES) as running:
        for database in ("passworddb", "trustdb", "rejectdb"):
            running.server.sql(f"CREATE DATABASE {database}")
        yield running


def refusal(
    chain: Chain, token: str, *, role: str = "app_readonly", database: str = "appdb", **how: Any
) -> PgbearerError:
    """What the client says; never the token."""
    where = f"host={chain.server.folder} port={chain.server.port} user={role} dbname={database}"
    with pytest.raises(PgbearerError) as caught:
        pgbearer.connect(where, token=token, **how)
    assert not any(part in str(caught.value) for part in token.split("."))
    return caught.value


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize(
    ("claims", "reason", "sentence"),
    [
        (lambda: {"exp": now() - 60, "iat": now() - 300}, "token_expired", "The token expired [0-9]+ s ago; log in"),
        (lambda: {"iat": now() + 90, "exp": now() + 390}, "token_not_yet_valid", "s behind the issuer's: is it right"),
        (lambda: {"aud": "db:other"}, "audience_mismatch", "for db:other, and pgbearer-cli got it; is that this"),
        (lambda: {"aud": ["db:demo", "account"]}, "audience_mismatch", "db:demo, account, and pgbearer-cli got it; a"),
        (lambda: {"scope": "openid"}, "scope_missing", "The server asks for the scope db:demo, which this token lacks"),
        (lambda: {"typ": "ID"}, "token_kind", "This is an ID token; a database takes an access token."),
        (lambda: {"header": {"typ": "JWT"}}, "token_type", r"The token's header does not say at\+jwt: its client"),
        (lambda: {"azp": "stranger"}, "client_not_allowed", "The token is for db:demo, and stranger got it; is that"),
        (lambda: {"cnf": {"jkt": "x"}}, "sender_constrained", r"bound to a key or certificate \(cnf\)"),
        (lambda: {"exp": now() + 36_000}, "lifetime_too_long", "good for 10 h, and servers usually take at"),
        (lambda: {"realm_access": {"roles": ["guest"]}}, "no_rule",
         "has the roles guest and the groups /staff; you asked for app_readonly. The server decides"),
    ],
)  # fmt: skip
def test_a_token_that_is_refused(chain: Chain, claims: Any, reason: str, sentence: str) -> None:
    token = chain.issuer.token(**claims())
    error = refusal(chain, token)
    assert isinstance(error, TokenRefusedError)
    recorded = chain.service.decisions()[-1]
    assert recorded["reason"] == reason
    assert recorded["token_ref"] == AccessToken(token).ref
    assert error.hint is not None
    assert re.search(sentence, error.hint)
    assert error.hint.endswith(f"pgbearer explain --token-ref {AccessToken(token).ref}")


def test_a_role_that_the_rules_do_not_give(chain: Chain) -> None:
    error = refusal(chain, chain.issuer.token(), role="app_readwrite")
    assert chain.service.decisions()[-1]["reason"] == "role_not_allowed"
    assert "alice's token has the roles db-read and the groups /staff; you asked for app_readwrite." in str(error)


def test_a_token_of_another_issuer_is_not_sent(chain: Chain, issuer_authority: Authority) -> None:
    with DeviceIssuer(issuer_authority) as other:
        before = len(chain.service.decisions())
        error = refusal(chain, other.token())
    assert isinstance(error, UnsafeServerError)
    assert chain.issuer.url in error.what
    assert other.url in error.what
    assert error.hint == "The server asks for another issuer's token. Is this the right server? No token was sent."
    assert len(chain.service.decisions()) == before


def test_a_token_from_behind_an_issuer_that_the_server_does_not_open(chain: Chain, issuer_authority: Authority) -> None:
    with DeviceIssuer(issuer_authority) as other:
        error = refusal(chain, other.token(), behind=chain.issuer.url)
    assert chain.service.decisions()[-1]["reason"] == "issuer_unknown"
    assert f"The token is of {other.url}, and the server asks for one of {chain.issuer.url}" in str(error)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"database": "passworddb"}, "The server asks for another kind of login: no oauth line."),
        ({"database": "trustdb"}, "The server lets us in without any login: a trust line."),
        ({"database": "rejectdb"}, "The server has a reject line for this."),
        ({"replication": "true"}, "The server has no line for this, with or without TLS."),
    ],
    ids=["password", "trust", "reject", "no line"],
)
def test_a_server_without_an_oauth_line_gets_no_token(chain: Chain, where: dict[str, str], sentence: str) -> None:
    before = len(chain.service.decisions())
    error = refusal(chain, chain.issuer.token(), **where)
    assert isinstance(error, TokenRefusedError)
    assert error.hint == (
        f"{sentence} Of its pg_hba.conf the first line counts that matches the role, database and address."
        " No token was sent."
    )
    assert len(chain.service.decisions()) == before


def test_a_database_that_is_full_blames_no_token(chain: Chain) -> None:
    chain.server.sql("ALTER ROLE app_readonly CONNECTION LIMIT 0")
    token = chain.issuer.token()
    try:
        error = refusal(chain, token)
    finally:
        chain.server.sql("ALTER ROLE app_readonly CONNECTION LIMIT -1")
    assert 'too many connections for role "app_readonly"' in error.what
    assert error.hint == f"The server got the token (token_ref {AccessToken(token).ref}), and has another reason."


def test_a_service_that_is_down_looks_the_same_and_the_client_says_so(bearer: BearerServer) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        pgbearer.connect(
            f"host={bearer.folder} port={bearer.port} user=app dbname=postgres", token=TOKEN, issuer=ISSUER
        )
    reference = AccessToken(TOKEN).ref
    assert "nor does it tell a refusal from a service of its own that is down" in str(caught.value)
    assert f"token_ref {reference}" in bearer.log
    assert str(caught.value).endswith(f"pgbearer explain --token-ref {reference}")


async def test_the_same_in_asyncio(chain: Chain) -> None:
    where = f"host={chain.server.folder} port={chain.server.port} user=app_readonly dbname=appdb"
    with pytest.raises(TokenRefusedError, match="The token is for db:other, and pgbearer-cli got it"):
        await pgbearer.connect_async(where, token=chain.issuer.token(aud="db:other"))


async def test_the_proxy_says_the_same(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> None:
    token = chain.issuer.token(aud="db:other")
    upstream = f"host={chain.server.folder} port={chain.server.port} dbname=appdb"
    folder = tmp_path_factory.mktemp("p")
    async with proxied(folder, upstream, StaticSource(token), issuer=chain.issuer.url) as proxy:
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed") as caught:
            await proxy.connect(user="app_readwrite")
    said = str(caught.value)
    assert "The token is for db:other, and pgbearer-cli got it; is that this server, and" in said
    assert "alice's token has the roles db-read and the groups /staff; you asked for app_readwrite." in said
    assert said.strip().endswith(f"pgbearer explain --token-ref {AccessToken(token).ref}")
    assert not any(part in said for part in token.split("."))
