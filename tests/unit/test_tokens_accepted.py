"""What is accepted, and what is then known: the other side of the table of refusals."""

from collections.abc import Mapping
from typing import Any

import pytest

from pgbearer.tokens import Denied, parse, token_ref
from pgbearer.wire import Reason
from tests.issuer import ABSENT, AUDIENCE, Mint
from tests.unit.fix_tokens import Desk

NOW = 1_800_000_000
OTHER = "https://other.example/realms/demo"


def token(mint: Mint, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    return mint.token(header=header, **({"iat": NOW, "exp": NOW + 300} | claims))


async def opened(mint: Mint, **settings: Any) -> Desk:
    desk = Desk(mint, **settings)
    await desk.fetch()
    return desk


ACCEPTED: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("a plain one", {}, {}),
    ("aud as a list of one", {"aud": [AUDIENCE]}, {}),
    ("aud twice the same", {"aud": [AUDIENCE, AUDIENCE]}, {}),
    ("aud and another, where that is allowed", {"aud": ["account", AUDIENCE]}, {"audience_exclusive": False}),
    ("expired within the leeway", {"iat": NOW - 100, "exp": NOW - 9}, {}),
    ("issued within the leeway of the future", {"iat": NOW + 10}, {}),
    ("nbf within the leeway", {"nbf": NOW + 10}, {}),
    ("the longest lifetime", {"exp": NOW + 900}, {}),
    ("may_act, which is no actor", {"may_act": {"sub": "agent"}}, {}),
    ("azp and client_id that agree", {"client_id": "pgbearer-cli"}, {}),
    ("a sub that is no name", {"sub": "auth0|5f7c 2"}, {}),
    ("a service account", {"jti": "trrtcc:1", "sid": ABSENT}, {}),
    ("a jti of another form", {"jti": "of no known form"}, {}),
    ("no roles at all", {"realm_access": ABSENT, "groups": ABSENT}, {}),
    ("a claim nobody declared", {"unheard_of": [{"x": None}]}, {}),
)


@pytest.mark.parametrize(("claims", "settings"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_accepted(mint: Mint, claims: dict[str, Any], settings: dict[str, Any]) -> None:
    desk = await opened(mint, **settings)
    assert await desk.refusal(token(mint, **claims), now=float(NOW)) is Reason.ALLOWED


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_header_typ_is_a_media_type(desk: Desk, mint: Mint, typ: str) -> None:
    assert await desk.refusal(token(mint, {"typ": typ}), now=float(NOW)) is Reason.ALLOWED


async def test_header_typ_jwt_is_accepted_from_an_issuer_let_off(mint: Mint) -> None:
    desk = await opened(mint, insecure_header_typ_jwt=True)
    assert await desk.refusal(token(mint, {"typ": "JWT"}), now=float(NOW)) is Reason.ALLOWED


async def test_certificate_hash_in_the_header_is_ignored(desk: Desk, mint: Mint) -> None:
    assert await desk.refusal(token(mint, {"x5t": "abc", "x5t#S256": "abc"}), now=float(NOW)) is Reason.ALLOWED


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
async def test_every_algorithm_verifies(algorithm: str) -> None:
    mint = Mint(algorithm=algorithm)
    desk = await opened(mint, algorithms=(algorithm,))
    assert await desk.refusal(token(mint), now=float(NOW)) is Reason.ALLOWED


@pytest.mark.parametrize(
    "hba_issuer",
    [
        "https://sso.example.com/realms/demo",
        "https://sso.example.com/realms/demo/.well-known/openid-configuration",
        "https://sso.example.com/.well-known/oauth-authorization-server/realms/demo",
    ],
)
async def test_hba_names_the_issuer_or_its_metadata(desk: Desk, mint: Mint, hba_issuer: str) -> None:
    assert await desk.refusal(token(mint), now=float(NOW), hba_issuer=hba_issuer) is Reason.ALLOWED


@pytest.mark.parametrize("scopes", [(), ("",), ("db:demo",), ("openid", "db:demo"), ("openid db:demo",)])
async def test_every_scope_of_the_hba_line_is_there(desk: Desk, mint: Mint, scopes: tuple[str, ...]) -> None:
    assert await desk.refusal(token(mint), now=float(NOW), hba_scopes=scopes) is Reason.ALLOWED


async def test_what_is_known_of_a_verified_token(desk: Desk, mint: Mint) -> None:
    made = token(mint, acr="mfa", level=3, vip=True, teams=["a", "b"], undeclared="x", jti="onrtdg:7")
    verified = await desk.verify(made, now=float(NOW))
    assert verified.issuer == "corp"
    assert verified.issuer_url == mint.url
    assert verified.identity == f"corp:{verified.subject}"
    assert verified.display == "alice"
    assert verified.client == "pgbearer-cli"
    assert verified.audience == (AUDIENCE,)
    assert verified.scopes == {"openid", "db:demo"}
    assert verified.token_roles == {"db-read"}
    assert verified.groups == {"/staff"}
    assert verified.claims == {"acr": "mfa", "level": 3, "vip": True, "teams": ("a", "b")}
    assert (verified.issued_at, verified.expires_at) == (NOW, NOW + 300)
    assert (verified.token_id, verified.session_id, verified.key_id) == ("onrtdg:7", "5f3a7c1e", "key-1")
    assert verified.token_ref == token_ref(made) == parse(made).token_ref


async def test_profile_rfc9068_knows_the_client_by_client_id(mint: Mint) -> None:
    desk = await opened(mint, profile="rfc9068", clients=())
    made = token(mint, client_id="app", azp=ABSENT, typ=ABSENT, roles=["r1"], jti="of1234:x")
    verified = await desk.verify(made, now=float(NOW))
    assert verified.client == "app"
    assert verified.token_roles == {"r1"}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"client_id": ABSENT}, Reason.CLAIM_MISSING),
        ({"jti": ABSENT}, Reason.CLAIM_MISSING),
        ({"client_id": "shop"}, Reason.CLIENT_NOT_ALLOWED),
        ({"typ": "ID"}, Reason.TOKEN_KIND),
        ({"nonce": "n"}, Reason.TOKEN_KIND),
    ],
)
async def test_profile_rfc9068_refuses(mint: Mint, claims: dict[str, Any], reason: Reason) -> None:
    desk = await opened(mint, profile="rfc9068")
    good: dict[str, Any] = {"client_id": "pgbearer-cli", "azp": ABSENT, "typ": ABSENT}
    assert await desk.refusal(token(mint, **(good | claims)), now=float(NOW)) is reason


async def test_subject_may_be_any_readable_text(mint: Mint) -> None:
    desk = await opened(mint, identity="größe:{sub}")
    assert (await desk.verify(token(mint, sub="Zoë Ångström 李"), now=float(NOW))).identity == "größe:Zoë Ångström 李"


async def test_identity_from_a_declared_claim_and_the_client(mint: Mint) -> None:
    desk = await opened(mint, identity="{client}/{acr}/{sub}")
    verified = await desk.verify(token(mint, acr="a.b-c@d", sub="x/y"), now=float(NOW))
    assert verified.identity == "pgbearer-cli/a.b-c@d/x/y"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Zoë", "Zoë"), ("a\x1b[2J\u202eb", r"a\x1b[2J\u202eb"), ("x" * 500, "x" * 100), (7, None), (ABSENT, None)],
)
async def test_display_is_escaped_and_decides_nothing(desk: Desk, mint: Mint, name: object, shown: str | None) -> None:
    assert (await desk.verify(token(mint, preferred_username=name), now=float(NOW))).display == shown


@pytest.mark.parametrize(
    ("make", "authentic"),
    [
        (lambda mint: token(mint, aud="db:other"), True),
        (lambda mint: token(mint, scope="openid"), True),
        (lambda mint: token(mint)[:-4] + "AAAA", False),
        (lambda mint: token(mint, iss=OTHER), False),
        (lambda mint: token(mint, {"kid": "x"}), False),
    ],
)
async def test_a_refusal_says_whether_the_token_is_the_issuers(
    desk: Desk, mint: Mint, make: Any, authentic: bool
) -> None:
    with pytest.raises(Denied) as caught:
        await desk.verify(make(mint), now=float(NOW))
    assert caught.value.authentic is authentic


async def test_a_refusal_quotes_claims_escaped_and_shortened(desk: Desk, mint: Mint) -> None:
    with pytest.raises(Denied) as caught:
        await desk.verify(token(mint, azp="\x1b[2J\u202e" + "x" * 1000), now=float(NOW))
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) <= 300


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text[:-4] + "AAAA", lambda text: "x" + text])
async def test_no_refusal_or_repr_shows_the_token(desk: Desk, mint: Mint, change: Any) -> None:
    made = change(token(mint, aud="db:other"))
    with pytest.raises(Denied) as caught:
        await desk.verify(made, now=float(NOW))
    shown = f"{caught.value!r} {caught.value} {caught.value.diagnostics()}"
    if caught.value.reason is not Reason.TOKEN_MALFORMED:
        shown += repr(parse(made))
    assert not any(part in shown for part in made.split("."))
