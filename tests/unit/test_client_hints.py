"""What the client says of a refused token: a table of what may be wrong, and of what must not be said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.client import AccessToken
from pgbearer.client.connection.hints import hints
from tests.issuer import ABSENT, Mint

MINT = Mint("https://sso.test/realms/corp")
NOW = 1_800_000_000
GOOD = {"iat": NOW - 10, "exp": NOW + 290, "realm_access": {"roles": ["app"]}, "groups": ABSENT}


def held(*, expires_at: float | None = None, **claims: Any) -> AccessToken:
    return AccessToken(MINT.token(**GOOD | claims), expires_at=expires_at)


def said(
    token: AccessToken, *, server_scope: str | None = "db:demo", role: str | None = "app", **more: Any
) -> list[str]:
    return list(hints(token, server_scope=server_scope, role=role, now=NOW, **more))


def test_of_a_good_token_only_whom_it_is_for_and_where_the_reason_is() -> None:
    token = held()
    audience, reason = said(token, server_issuer=MINT.url)
    assert (
        audience
        == "The token is for db:demo, and pgbearer-cli got it; is that this server, and does it take that client?"
    )
    assert reason.startswith("PostgreSQL gives no reason, nor does it tell a refusal from a service of its own that is")
    assert f"in its log under token_ref {token.ref}," in reason
    assert reason.endswith(f"pgbearer explain --token-ref {token.ref}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"exp": NOW - 12}, "The token expired 12 s ago; log in again."),
        ({"exp": NOW - 150}, "The token expired 2 min ago; log in again."),
        ({"exp": NOW - 3 * 86_400}, "The token expired 3 days ago; log in again."),
        ({"exp": NOW}, "The token expired 0 s ago; log in again."),
        ({"exp": NOW + 10 * 3_600}, "The token is good for 10 h, and servers usually take at most 15 min."),
        ({"iat": NOW + 42, "exp": NOW + 342}, "This machine's clock is 42 s behind the issuer's"),
        ({"nbf": NOW + 3_000, "exp": NOW + 3_300}, "This machine's clock is 50 min behind the issuer's"),
        ({"expires_at": NOW - 10.0}, "This machine's clock is 5 min behind the issuer's"),
        ({"expires_at": NOW + 490.0}, "This machine's clock is 3 min ahead of the issuer's"),
        ({"scope": "openid"}, "The server asks for the scope db:demo, which this token lacks; log in with --scope."),
        ({"aud": "db:other"}, "The token is for db:other, and pgbearer-cli got it; is that this server, and"),
        ({"aud": ["db:demo", "account"]}, "The token is for db:demo, account, and pgbearer-cli got it; a server"),
        ({"aud": ABSENT}, "The token names nobody that it is for (aud)"),
        ({"typ": "ID"}, "This is an ID token; a database takes an access token."),
        ({"typ": "Refresh"}, "This is a refresh token"),
        ({"header": {"typ": "JWT"}}, "The token's header does not say at+jwt: its client at Keycloak lacks"),
        ({"azp": "psql"}, "The token is for db:demo, and psql got it; is that this server, and does it take"),
        ({"azp": ABSENT, "client_id": "job"}, "The token is for db:demo, and job got it;"),
        ({"azp": ABSENT}, "The token is for db:demo; is that this server,"),
        ({"cnf": {"jkt": "x"}}, "The token is bound to a key or certificate (cnf)"),
        ({"realm_access": {"roles": ["db-read", "offline_access", "default-roles-corp"]}},
         "alice's token has the roles db-read; you asked for app. The server decides what that gives."),
        ({"realm_access": ABSENT, "resource_access": {"pg": {"roles": ["w"]}, "x": {"roles": ["r"]}}},
         "alice's token has the roles r, w; you asked for app."),
        ({"realm_access": ABSENT, "groups": ["/staff"], "preferred_username": ABSENT},
         "The token has the groups /staff; you asked for app."),
        ({"realm_access": ABSENT}, "alice's token has no roles and no groups; you asked for app."),
        ({"realm_access": {"roles": [f"r{number:02}" for number in range(14)]}}, "r08, r09 and 4 more; you asked"),
    ],
)  # fmt: skip
def test_what_may_be_wrong(change: dict[str, Any], sentence: str) -> None:
    assert any(sentence in one for one in said(held(**change)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "expired"),
        ({}, "clock"),
        ({"typ": ABSENT, "header": {"typ": "JWT"}}, "at+jwt"),
        ({"header": {"typ": "AT+JWT"}}, "at+jwt"),
        ({"iat": NOW + 5}, "clock"),
        ({"expires_at": NOW + 280.0}, "clock"),
        ({"scope": "openid db:demo"}, "scope"),
        ({"realm_access": ABSENT, "resource_access": {"postgres": {"roles": ["app"]}}}, "you asked for"),
        ({"realm_access": ABSENT, "roles": ["app"]}, "you asked for"),
    ],
)
def test_what_is_in_order_is_not_blamed(change: dict[str, Any], word: str) -> None:
    assert not any(word in one for one in said(held(**change)))


def test_another_issuer_than_the_servers() -> None:
    sentences = said(held(), server_issuer="https://sso.test/realms/other")
    assert f"The token is of {MINT.url}, and the server asks for one of https://sso.test/realms/other" in sentences[0]


def test_expired_where_only_the_answer_of_the_login_says_so() -> None:
    assert "The token expired 5 s ago" in said(AccessToken("opaque", expires_at=NOW - 5))[0]


def test_an_opaque_token_is_not_blamed_for_what_nobody_can_see() -> None:
    assert len(said(AccessToken("opaque"))) == 1


def test_the_scope_of_the_answer_counts_where_the_token_says_none() -> None:
    assert "scope db:demo, which" in said(AccessToken("opaque", scope="openid"))[0]


def test_a_role_that_nobody_named() -> None:
    assert not any("you asked" in one for one in said(held(realm_access=ABSENT), role=None))


def test_names_cannot_drive_the_terminal() -> None:
    token = held(
        aud="\x1b[2Jdb", preferred_username="\u202ebob\n", realm_access={"roles": ["\x07" * 500]}, groups=["a\nb"]
    )
    sentences = said(token, role="x\x1b]0;", server_scope="s\x1b", server_issuer="https://\u202e")
    assert all(one.isprintable() for one in sentences)
    assert all(len(one) < 1_200 for one in sentences)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "iss",
    "azp",
    "aud",
    "exp",
    "iat",
    "nbf",
    "scope",
    "typ",
    "cnf",
    "realm_access",
    "resource_access",
    "groups",
    "roles",
]


@given(st.dictionaries(st.sampled_from([*NAMES, "preferred_username"]), odd))
def test_odd_claims_do_no_harm(claims: dict[str, Any]) -> None:
    token = held(**claims)
    sentences = said(token, server_issuer=MINT.url)
    assert sentences[-1].endswith(f"pgbearer explain --token-ref {token.ref}")
    assert all(one.isprintable() for one in sentences)
    assert not any(part in one for part in token.reveal().split(".") for one in sentences)
