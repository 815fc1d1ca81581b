"""JWT-SVIDs: which trust domain they are of, and so whose keys count, and what only looks like one."""

from collections.abc import Callable
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.tokens import Denied, parse
from pgbearer.wire import Reason
from tests.attacks.cases import NOW, Case, Publish, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, AUDIENCE, Mint
from tests.unit.fix_tokens import Desk
from tests.workload_tokens import DOMAIN, svid, trust_domain


def workload(
    name: str,
    reason: Reason,
    *,
    settings: Callable[[Mint], dict[str, Any]] = trust_domain,
    publish: Publish | None = None,
    **changes: Any,
) -> Case:
    """A workload's token, changed: claims by name, and `header`."""
    return Case(name, reason, lambda mint, now: svid(mint, now, **changes), settings, publish=publish)


def key(name: str, reason: Reason, **changes: Any) -> Case:
    """A good token, whose bundle has the key otherwise."""

    def publish(keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in {**key, **changes}.items() if value is not ABSENT} for key in keys]

    return workload(name, reason, publish=publish, settings=with_keys_at_the_issuer)


def with_keys_at_the_issuer(mint: Mint) -> dict[str, Any]:
    """The keys for access tokens in the bundle's place."""
    return {
        **trust_domain(mint),
        "spiffe": {"bundle_url": f"{mint.url}/protocol/openid-connect/certs", "iss": mint.url},
    }


def without_iss(mint: Mint) -> dict[str, Any]:
    """A trust domain whose tokens say no iss, opened behind nobody."""
    domain = trust_domain(mint)
    return {**domain, "spiffe": {"bundle_url": domain["spiffe"]["bundle_url"]}}


NO_SPIFFE_IDS = (
    f"{DOMAIN}",
    f"{DOMAIN}/",
    f"{DOMAIN}/ns/shop/",
    f"{DOMAIN}//ns/shop",
    f"{DOMAIN}/ns/../shop",
    f"{DOMAIN}/./shop",
    f"{DOMAIN}/ns/shop?x=1",
    f"{DOMAIN}/ns/shop#x",
    f"{DOMAIN}/ns%2Fshop",
    f"{DOMAIN}/ns/sh\u00f6p",
    f"{DOMAIN}/ns/shop\n",
    f"{DOMAIN}:443/ns/shop",
    "spiffe://user@prod.example/ns/shop",
    "SPIFFE://prod.example/ns/shop",
    "spiffe://PROD.example/ns/shop",
    "spiffe:///ns/shop",
    "spiffe:/prod.example/ns/shop",
    " spiffe://prod.example/ns/shop",
    "https://prod.example/ns/shop",
    "system:serviceaccount:shop:orders",
    "alice",
    "",
)
OTHER_DOMAINS = ("prod.example.", "prod.example.evil", "evil-prod.example", "prod_example", "prod")

WHOSE = (
    *(workload(f"sub {value!a}", Reason.ISSUER_UNKNOWN, sub=value) for value in NO_SPIFFE_IDS),
    *(
        workload(f"trust domain {value!r}", Reason.ISSUER_UNKNOWN, sub=f"spiffe://{value}/ns/shop")
        for value in OTHER_DOMAINS
    ),
    workload("sub longer than an identity", Reason.SUBJECT_INVALID, sub=f"{DOMAIN}/{'x' * 240}"),
    workload("sub longer than a SPIFFE ID", Reason.ISSUER_UNKNOWN, sub=f"{DOMAIN}/{'x' * 2048}"),
    *(workload(f"sub {value!r}", Reason.ISSUER_UNKNOWN, sub=value) for value in (None, 7, [f"{DOMAIN}/a"])),
    workload("sub absent", Reason.ISSUER_UNKNOWN, sub=ABSENT),
    workload("iss of another", Reason.ISSUER_UNKNOWN, iss="https://other.example"),
    workload("iss absent where one is asked for", Reason.ISSUER_UNKNOWN, iss=ABSENT),
    workload("iss null", Reason.ISSUER_UNKNOWN, iss=None),
    workload("iss a number", Reason.CLAIM_TYPE, iss=7),
    workload("the trust domain as iss", Reason.ISSUER_UNKNOWN, iss=DOMAIN),
    workload("of a domain that no HBA line can name", Reason.ISSUER_MISMATCH, settings=without_iss, iss=ABSENT),
    workload("the same with the iss of the HBA line", Reason.ISSUER_MISMATCH, settings=without_iss),
)

KEYS = (
    key("a key for access tokens", Reason.KEY_UNSUITABLE),
    key("a key for X.509-SVIDs", Reason.KEY_UNSUITABLE, use="x509-svid"),
    key("a key for nothing", Reason.KEY_UNSUITABLE, use=ABSENT),
    key("a key without a kid", Reason.KEY_UNKNOWN, use="jwt-svid", kid=ABSENT),
    key("a key of another alg", Reason.ALGORITHM_NOT_ALLOWED, use="jwt-svid", alg="RS512"),
    workload("no kid in the header", Reason.KEY_UNKNOWN, header={"kid": ABSENT}),
    workload("another kid in the header", Reason.KEY_UNKNOWN, header={"kid": "key-9"}),
    workload("alg EdDSA", Reason.ALGORITHM_NOT_ALLOWED, header={"alg": "EdDSA"}),
    workload("alg none", Reason.ALGORITHM_NOT_ALLOWED, header={"alg": "none"}),
    workload("alg HS256", Reason.ALGORITHM_NOT_ALLOWED, header={"alg": "HS256"}),
)

KINDS = (
    *(
        workload(f"header typ {value!r}", Reason.TOKEN_TYPE, header={"typ": value})
        for value in ("at+jwt", "application/JWT", "logout+jwt", "wit+jwt", "", None, 7)
    ),
    workload("a header that JWT-SVID forbids", Reason.HEADER_NOT_ALLOWED, header={"cty": "JWT"}),
    workload("without an end", Reason.CLAIM_MISSING, exp=ABSENT),
    workload("without an audience", Reason.CLAIM_MISSING, aud=ABSENT),
    workload("without a beginning", Reason.CLAIM_MISSING, iat=ABSENT),
    workload("an end as a text", Reason.CLAIM_TYPE, exp="1900000000"),
    workload("for another", Reason.AUDIENCE_MISMATCH, aud=["db:other"]),
    workload("for another as well", Reason.AUDIENCE_MISMATCH, aud=[AUDIENCE, "db:other"]),
    workload("for nobody", Reason.AUDIENCE_MISMATCH, aud=[]),
    Case(
        "expired",
        Reason.TOKEN_EXPIRED,
        lambda mint, now: svid(mint, now, iat=now - 400, exp=now - 100),
        trust_domain,
    ),
    Case(
        "of a day",
        Reason.LIFETIME_TOO_LONG,
        lambda mint, now: svid(mint, now, exp=now + 86400),
        trust_domain,
    ),
    workload("bound to a key", Reason.SENDER_CONSTRAINED, cnf={"jwk": {"kty": "EC"}}),
    workload("somebody acts", Reason.ACTOR_NOT_ALLOWED, act={"sub": "agent"}),
)

CASES = (*WHOSE, *KEYS, *KINDS)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


async def test_the_good_token_is_accepted() -> None:
    for typ in ("JWT", "JOSE", ABSENT):
        assert await outcome(workload("good", Reason.ALLOWED, header={"typ": typ})) is Reason.ALLOWED


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


async def test_a_verifier_refuses_svids_of_another_trust_domain_itself() -> None:
    """`Verifiers` chooses by trust domain, so only a verifier asked directly can show that it checks."""
    mint = Mint()
    desk = Desk(mint, **trust_domain(mint))
    await desk.fetch()
    with pytest.raises(Denied) as caught:
        await desk.verifiers.by_name["corp"].verify(parse(svid(mint, NOW, sub="spiffe://other.example/a")), NOW)
    assert caught.value.reason is Reason.ISSUER_UNKNOWN


async def test_a_token_that_fits_an_issuer_and_a_trust_domain_is_refused() -> None:
    """The iss of people and the SPIFFE ID of a workload, whoever signed it."""
    mint = Mint()
    domain = Issuer(audience=AUDIENCE, **{key: value for key, value in without_iss(mint).items() if key != "clients"})
    desk = Desk(mint, also=(domain,))
    await desk.fetch()
    assert await desk.refusal(svid(mint, NOW), now=float(NOW)) is Reason.ISSUER_AMBIGUOUS
