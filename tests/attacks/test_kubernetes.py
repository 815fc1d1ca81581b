"""Tokens of Kubernetes service accounts: whose they are, for whom, and what the API server alone would take."""

from collections.abc import Mapping
from typing import Any

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import Case, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, AUDIENCE
from tests.workload_tokens import CLUSTER, SERVICE_ACCOUNT, service_account_token

API_SERVER = "https://kubernetes.default.svc"
OTHERS_TOO = {"audience_exclusive": False, "kubernetes": {"api_audiences": (API_SERVER,)}}


def pod(name: str, reason: Reason, *, settings: Mapping[str, Any] | None = None, **changes: Any) -> Case:
    """A pod's token, changed: claims by name, `header` and `account` as `service_account_token` has them."""
    return Case(
        name,
        reason,
        lambda mint, now: service_account_token(mint, now, **changes),
        {**CLUSTER, **(settings or {})},
    )


def account(name: str, reason: Reason, **changes: Any) -> Case:
    """A pod's token whose ``kubernetes.io`` is changed."""
    return pod(name, reason, account=changes)


def named(**changes: Any) -> dict[str, Any]:
    """The service account's reference, changed."""
    return {**SERVICE_ACCOUNT["serviceaccount"], **changes}


NO_OBJECTS: tuple[Any, ...] = (None, [], "shop", True)
NAMESPACES = ("", "-shop", "shop-", "Shop", "shop:orders", "shop/x", "shop.x", "shop\n", "shöp", "s" * 64, 7, None)
NAMES = ("", "orders:x", "Orders", ".orders", "orders..x", "-orders", "o" * 254, "orders\0", 7, None, ["orders"])
UIDS = ("", "x y", "14ee\n", "u" * 65, 7, None)
SUBJECTS = (
    "system:serviceaccount:shop:billing",
    "system:serviceaccount:kube-system:orders",
    "system:serviceaccount:shop:orders:x",
    "system:serviceaccount::orders",
    "System:ServiceAccount:shop:orders",
    "shop:orders",
    "alice",
)

WHOSE = (
    pod("kubernetes.io absent", Reason.CLAIM_MISSING, **{"kubernetes.io": ABSENT}),
    *(pod(f"kubernetes.io {value!r}", Reason.CLAIM_TYPE, **{"kubernetes.io": value}) for value in NO_OBJECTS),
    account("no namespace", Reason.CLAIM_TYPE, namespace=ABSENT),
    *(account(f"namespace {value!a:.40}", Reason.CLAIM_TYPE, namespace=value) for value in NAMESPACES),
    account("no service account", Reason.CLAIM_MISSING, serviceaccount=ABSENT),
    account("service account a text", Reason.CLAIM_TYPE, serviceaccount="orders"),
    *(account(f"name {value!a:.40}", Reason.CLAIM_TYPE, serviceaccount=named(name=value)) for value in NAMES),
    *(account(f"uid {value!a:.40}", Reason.CLAIM_TYPE, serviceaccount=named(uid=value)) for value in UIDS),
    account("no uid", Reason.CLAIM_TYPE, serviceaccount={"name": "orders"}),
    account("another account than sub says", Reason.SUBJECT_INVALID, serviceaccount=named(name="billing")),
    account("another namespace than sub says", Reason.SUBJECT_INVALID, namespace="billing"),
    *(pod(f"sub {value!r}", Reason.SUBJECT_INVALID, sub=value) for value in SUBJECTS),
    pod("sub a SPIFFE ID", Reason.SUBJECT_INVALID, sub="spiffe://shop.example/orders"),
    pod("sub absent", Reason.CLAIM_MISSING, sub=ABSENT),
)

BOUND = (
    account("pod null", Reason.CLAIM_TYPE, pod=None),
    account("pod a text", Reason.CLAIM_TYPE, pod="orders-7d5f"),
    account("pod without a uid", Reason.CLAIM_TYPE, pod={"name": "orders-7d5f"}),
    account("pod of no name", Reason.CLAIM_TYPE, pod={"name": "a b", "uid": "1"}),
    account("node without a name", Reason.CLAIM_TYPE, node={"uid": "1"}),
    account("node a list", Reason.CLAIM_TYPE, node=["node-1"]),
    account("secret empty", Reason.CLAIM_TYPE, secret={}),
)

FOR_WHOM = (
    pod("aud of the API server", Reason.AUDIENCE_MISMATCH, aud=[API_SERVER]),
    pod("aud of the API server, as the issuer", Reason.AUDIENCE_MISMATCH, aud=["https://sso.example.com/realms/demo"]),
    pod("aud of the API server and ours", Reason.AUDIENCE_MISMATCH, aud=[API_SERVER, AUDIENCE]),
    pod("the same where others may be", Reason.AUDIENCE_MISMATCH, aud=[AUDIENCE, API_SERVER], settings=OTHERS_TOO),
    pod("no aud", Reason.CLAIM_MISSING, aud=ABSENT),
    pod("aud empty", Reason.AUDIENCE_MISMATCH, aud=[]),
)

KINDS = (
    *(
        pod(f"header typ {value!r}", Reason.TOKEN_TYPE, header={"typ": value})
        for value in ("at+jwt", "JOSE", "logout+jwt", "", None, ["JWT"])
    ),
    pod("a legacy token of a secret", Reason.ISSUER_UNKNOWN, iss="kubernetes/serviceaccount", exp=ABSENT),
    pod("without an end", Reason.CLAIM_MISSING, exp=ABSENT),
    Case(
        "extended to a year",
        Reason.LIFETIME_TOO_LONG,
        lambda mint, now: service_account_token(mint, now, exp=now + 365 * 86400),
        CLUSTER,
    ),
    pod("with a nonce", Reason.TOKEN_KIND, nonce="n"),
    pod("with a payload typ", Reason.TOKEN_KIND, typ="ID"),
    pod("bound to a key", Reason.SENDER_CONSTRAINED, cnf={"jkt": "x"}),
    pod("somebody acts", Reason.ACTOR_NOT_ALLOWED, act={"sub": "agent"}),
    pod("clients are asked for", Reason.CLIENT_NOT_ALLOWED, settings={"clients": ("orders",)}),
    Case("a person's token", Reason.TOKEN_TYPE, lambda mint, now: mint.token(iat=now, exp=now + 300), CLUSTER),
)

CASES = (*WHOSE, *BOUND, *FOR_WHOM, *KINDS)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


async def test_the_good_token_is_accepted() -> None:
    assert await outcome(pod("good", Reason.ALLOWED)) is Reason.ALLOWED


NO_FILE = {"clients are asked for"}
"""A file with such settings is refused itself."""


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in NO_FILE], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason
