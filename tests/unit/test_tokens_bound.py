"""What the critical tier and organizations need of a token: its binding to a certificate, when and how one came."""

import base64
import hashlib
from typing import Any, ClassVar

import pytest

from pgbearer.config.settings import Critical
from pgbearer.tokens import Denied
from pgbearer.wire import Reason
from tests.issuer import CLIENT, Mint
from tests.unit.fix_tokens import Desk

NOW = 1_800_000_000
DER = b"a certificate"
THUMBPRINT = base64.urlsafe_b64encode(hashlib.sha256(DER).digest()).decode().rstrip("=")
CERTIFICATE = hashlib.sha256(DER).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


async def outcome(
    mint: Mint, settings: dict[str, Any], *, certificate: str | None = CERTIFICATE, cached: int = 0, **claims: Any
) -> Reason:
    """The reason that one login ends in; with `cached`, of the second with the same token."""
    desk = Desk(mint, cached=cached, **settings)
    await desk.fetch()
    token = mint.token(**{"iat": NOW, "exp": NOW + 300} | claims)
    asked: dict[str, Any] = {"hba_issuer": mint.url, "hba_scopes": (), "database": "appdb", "now": float(NOW)}
    if cached:
        await desk.verifiers.verify(token, **asked, client_certificate=CERTIFICATE)
        assert len(desk.verifiers.cache) == 1
    try:
        await desk.verifiers.verify(token, **asked, client_certificate=certificate)
    except Denied as denied:
        return denied.reason
    return Reason.ALLOWED


class TestCertificateBound:
    """RFC 8705 section 3."""

    ON: ClassVar[dict[str, Any]] = {"certificate_bound": True}

    @pytest.mark.parametrize(
        "settings",
        [ON, {"critical": Critical(clients=(CLIENT,), certificate_bound=True)}],
        ids=["accepted", "demanded by the critical tier"],
    )
    async def test_with_its_certificate_it_is_accepted(self, mint: Mint, settings: dict[str, Any]) -> None:
        assert await outcome(mint, settings, cnf={"x5t#S256": THUMBPRINT}) is Reason.ALLOWED

    @pytest.mark.parametrize("cached", [0, 2])
    @pytest.mark.parametrize("certificate", [None, OTHER, CERTIFICATE.upper(), ""])
    async def test_without_its_certificate_it_is_refused(
        self, mint: Mint, certificate: str | None, cached: int
    ) -> None:
        refused = await outcome(mint, self.ON, certificate=certificate, cached=cached, cnf={"x5t#S256": THUMBPRINT})
        assert refused is Reason.SENDER_CONSTRAINED

    @pytest.mark.parametrize("settings", [{}, {"critical": Critical(clients=(CLIENT,))}])
    async def test_unless_asked_for_it_is_refused_with_its_certificate(
        self, mint: Mint, settings: dict[str, Any]
    ) -> None:
        assert await outcome(mint, settings, cnf={"x5t#S256": THUMBPRINT}) is Reason.SENDER_CONSTRAINED

    @pytest.mark.parametrize(
        "cnf",
        [
            None,
            {},
            [],
            "x5t#S256",
            {"x5t#S256": None},
            {"x5t#S256": 1},
            {"x5t#S256": ""},
            {"x5t#S256": THUMBPRINT + "="},
            {"x5t#S256": THUMBPRINT[:-1]},
            {"x5t#S256": THUMBPRINT + "A"},
            {"x5t#S256": THUMBPRINT + "\n"},
            {"x5t#S256": CERTIFICATE},
            {"x5t#S256": THUMBPRINT[:-1] + chr(ord(THUMBPRINT[-1]) + 1)},
            {"x5t#S256": [THUMBPRINT]},
            {"X5T#S256": THUMBPRINT},
            {"x5t": THUMBPRINT},
            {"jkt": THUMBPRINT},
            {"x5t#S256": THUMBPRINT, "jkt": THUMBPRINT},
            {"x5t#S256": THUMBPRINT, "future": None},
            {"jwk": {"kty": "RSA"}},
        ],
        ids=repr,
    )
    async def test_every_other_cnf_is_refused(self, mint: Mint, cnf: object) -> None:
        assert await outcome(mint, self.ON, cnf=cnf) is Reason.SENDER_CONSTRAINED

    async def test_what_is_bound_to_nothing_needs_no_certificate(self, mint: Mint) -> None:
        assert await outcome(mint, self.ON, certificate=None) is Reason.ALLOWED


@pytest.mark.parametrize(
    ("claims", "auth_time", "acr"),
    [
        ({}, None, None),
        ({"auth_time": NOW - 5, "acr": "mfa"}, NOW - 5, "mfa"),
        ({"auth_time": NOW + 10, "acr": ""}, NOW + 10, ""),
        ({"auth_time": 0}, 0, None),
    ],
)
async def test_when_and_how_one_came_is_known(
    mint: Mint, claims: dict[str, Any], auth_time: int | None, acr: str | None
) -> None:
    desk = Desk(mint, claims={})
    await desk.fetch()
    known = await desk.verify(mint.token(**{"iat": NOW, "exp": NOW + 300} | claims), now=NOW)
    assert (known.auth_time, known.acr) == (auth_time, acr)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"auth_time": str(NOW)}, Reason.CLAIM_TYPE),
        ({"auth_time": float(NOW)}, Reason.CLAIM_TYPE),
        ({"auth_time": True}, Reason.CLAIM_TYPE),
        ({"auth_time": None}, Reason.CLAIM_TYPE),
        ({"auth_time": NOW + 11}, Reason.TOKEN_NOT_YET_VALID),
        ({"acr": 1}, Reason.CLAIM_TYPE),
        ({"acr": None}, Reason.CLAIM_TYPE),
        ({"acr": ["mfa"]}, Reason.CLAIM_TYPE),
    ],
)
async def test_when_and_how_of_another_kind_is_refused(mint: Mint, claims: dict[str, Any], reason: Reason) -> None:
    assert await outcome(mint, {"claims": {}}, **claims) is reason


class TestOrganizations:
    """Keycloak's claim ``organization``: aliases in a list, or with details as keys of an object."""

    @pytest.mark.parametrize(
        ("claim", "organizations"),
        [
            (["acme", "evil"], {"acme", "evil"}),
            ({"acme": {"id": "1"}, "evil": {}}, {"acme", "evil"}),
            ("acme", {"acme"}),
            ([], set()),
            ({}, set()),
        ],
    )
    async def test_known(self, mint: Mint, claim: object, organizations: set[str]) -> None:
        desk = Desk(mint)
        await desk.fetch()
        known = await desk.verify(mint.token(iat=NOW, exp=NOW + 300, organization=claim), now=NOW)
        assert known.organizations == organizations

    @pytest.mark.parametrize("claim", [None, 1, True, [1], [None], ["a\0"], {"a\0": {}}, "a\0", [["acme"]]], ids=repr)
    async def test_of_another_kind_is_refused(self, mint: Mint, claim: object) -> None:
        assert await outcome(mint, {}, organization=claim) is Reason.CLAIM_TYPE

    async def test_found_where_the_issuer_puts_them(self, mint: Mint) -> None:
        desk = Desk(mint, organizations=("https://example.com/orgs", "all"))
        await desk.fetch()
        elsewhere: dict[str, Any] = {"https://example.com/orgs": {"all": ["acme"]}}
        made = mint.token(iat=NOW, exp=NOW + 300, organization=["evil"], **elsewhere)
        assert (await desk.verify(made, now=NOW)).organizations == {"acme"}


async def test_a_warm_login_makes_no_call(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: fetches of keys, and connections of any kind that Python could make."""
    connections: list[object] = []
    monkeypatch.setattr("socket.socket.connect", lambda _, address: connections.append(address))
    monkeypatch.setattr("socket.getaddrinfo", lambda *address, **_: connections.append(address))
    desk = Desk(mint, cached=100)
    await desk.fetch()
    fetched = len(desk.documents.times)
    assert fetched == 1
    tokens = [mint.token(iat=NOW, exp=NOW + 300) for _ in range(10)]
    for made in (*tokens, *tokens):
        await desk.verify(made, now=NOW)
    assert (desk.verifiers.cache.hits, desk.verifiers.cache.misses) == (10, 10)
    assert len(desk.documents.times) == fetched
    assert connections == []
