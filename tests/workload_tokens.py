"""Tokens of workloads as their issuers make them, changed as a test asks."""

from collections.abc import Mapping
from typing import Any

from tests.issuer import ABSENT, AUDIENCE, Mint

__all__ = ["CLUSTER", "DOMAIN", "SERVICE_ACCOUNT", "service_account_token", "svid", "trust_domain"]

SERVICE_ACCOUNT: dict[str, Any] = {
    "namespace": "shop",
    "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
    "pod": {"name": "orders-7d5f", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
    "serviceaccount": {"name": "orders", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
}
"""What a real API server wrote into a token bound to a pod on a node."""

CLUSTER: dict[str, Any] = {
    "profile": "kubernetes",
    "clients": (),
    "identity": "cluster:{namespace}:{service_account}:{service_account_uid}",
    "implied_scopes": ("db:demo",),
    "claims": {
        **dict.fromkeys(("namespace", "service_account", "service_account_uid"), "string"),
        **dict.fromkeys(("pod", "pod_uid", "node", "node_uid"), "string"),
    },
}
"""Settings of an issuer that accepts them."""

_OF_PEOPLE = ("typ", "azp", "sid", "scope", "realm_access", "groups", "preferred_username")


def service_account_token(
    mint: Mint,
    now: int,
    *,
    header: Mapping[str, Any] | None = None,
    account: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A token as TokenRequest gives it; `account` changes members of ``kubernetes.io``, ABSENT removes them."""
    private = {key: value for key, value in {**SERVICE_ACCOUNT, **(account or {})}.items() if value is not ABSENT}
    good: dict[str, Any] = {
        **dict.fromkeys(_OF_PEOPLE, ABSENT),
        "aud": [AUDIENCE],
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "jti": "3c3d4f2e-1f9b-4d0e-9d55-0e6e2b3f0a11",
        "sub": "system:serviceaccount:shop:orders",
        "kubernetes.io": private,
    }
    return mint.token(header={"typ": ABSENT, **(header or {})}, **{**good, **claims})


DOMAIN = "spiffe://prod.example"


def trust_domain(mint: Mint) -> dict[str, Any]:
    """Settings of an issuer that accepts JWT-SVIDs of `DOMAIN`, whose bundle is what the mint publishes."""
    return {
        "profile": "spiffe",
        "issuer": DOMAIN,
        "clients": (),
        "identity": "{sub}",
        "implied_scopes": ("db:demo",),
        "claims": {"trust_domain": "string", "path": "string"},
        "spiffe": {"bundle_url": mint.bundle_url, "iss": mint.url},
    }


def svid(mint: Mint, now: int, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A JWT-SVID as SPIRE makes it."""
    good: dict[str, Any] = {
        **dict.fromkeys((*_OF_PEOPLE, "jti"), ABSENT),
        "aud": [AUDIENCE],
        "iat": now,
        "exp": now + 300,
        "sub": f"{DOMAIN}/ns/shop/sa/orders",
    }
    return mint.token(header={"typ": "JWT", **(header or {})}, **{**good, **claims})
