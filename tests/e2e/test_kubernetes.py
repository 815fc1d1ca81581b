"""Pods log in to PostgreSQL with tokens of a real API server, and are refused where they must be."""

import os
import signal
import time
from datetime import datetime

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.http import Fetcher
from pgbearer.tokens import KeySet
from pgbearer.tokens.sources import open_source
from tests.e2e.fix_kubernetes import AUDIENCE, Shop
from tests.issuer import Mint
from tests.klite.cluster import ISSUER
from tests.workload_tokens import service_account_token


def test_a_service_account_logs_in_as_itself(shop: Shop) -> None:
    with shop.login(shop.token()) as connection:
        user, identity = connection.execute("SELECT current_user, system_user").fetchone() or ("", "")
    account = shop.cluster.get("/api/v1/namespaces/shop/serviceaccounts/orders")
    assert user == "app_readonly"
    assert identity == f"oauth:cluster:shop:orders:{account['metadata']['uid']}"


def test_the_pod_on_the_page_logs_in(shop: Shop) -> None:
    """With what its volume asks for: audience and lifetime are read from the page's manifest."""
    pod = shop.cluster.get("/api/v1/namespaces/shop/pods/orders")
    (volume,) = pod["spec"]["volumes"]
    (source,) = volume["projected"]["sources"]
    wanted = source["serviceAccountToken"]
    token = shop.cluster.token("shop", "orders", wanted["audience"], pod=pod, seconds=wanted["expirationSeconds"])
    shop.login(token).close()
    assert shop.chain.service.decisions()[-1]["rules"] == ["orders reads"]


def test_its_session_ends_with_the_token(shop: Shop) -> None:
    """The default is 10 hours, which is for people."""
    shop.login(shop.token()).close()
    record = shop.chain.service.decisions()[-1]
    assert 0 < datetime.fromisoformat(record["ends_at"]).timestamp() - time.time() <= 600


def test_a_pod_and_its_node_are_claims(shop: Shop) -> None:
    """The rule of the critical tier asks for them."""
    pod = shop.cluster.pod("shop", "billing-1", "billing", node="node-1")
    assert shop.refusal(shop.token("billing"), "app_readwrite") == "role_not_allowed"
    shop.login(shop.token("billing", pod=pod), "app_readwrite").close()
    record = shop.chain.service.decisions()[-1]
    assert record["rules"] == ["billing writes"]
    assert record["display"] == "system:serviceaccount:shop:billing"


def test_another_account_is_refused(shop: Shop) -> None:
    assert shop.refusal(shop.token("billing")) == "role_not_allowed"


@pytest.mark.parametrize("audiences", [(ISSUER,), (ISSUER, AUDIENCE), ("db:other",)])
def test_a_token_for_the_api_server_or_another_database_is_refused(shop: Shop, audiences: tuple[str, ...]) -> None:
    assert shop.refusal(shop.token("orders", *audiences)) == "audience_mismatch"


def test_another_clusters_token_is_refused_although_it_says_the_same_issuer(shop: Shop) -> None:
    """Half the world's clusters have this issuer; only the keys tell them apart."""
    mint = Mint(ISSUER)
    assert shop.refusal(service_account_token(mint, int(time.time()), aud=[AUDIENCE])) == "key_unknown"


def test_a_pod_that_is_gone_takes_its_token_with_it(shop: Shop) -> None:
    """Its signature and its end are good for minutes yet: only the API server knows."""
    pod = shop.cluster.pod("shop", "orders-1", "orders")
    alive, never_seen = shop.token(pod=pod), shop.token(pod=pod)
    shop.login(alive).close()
    shop.cluster.delete("/api/v1/namespaces/shop/pods/orders-1")
    assert shop.refusal(never_seen) == "token_inactive"


def test_for_the_critical_tier_only_it_is_asked_for_nobody_else(shop: Shop) -> None:
    gone, kept = shop.cluster.pod("shop", "orders-2", "orders"), shop.cluster.pod("shop", "billing-2", "billing")
    normal, critical = shop.token(pod=gone), shop.token("billing", pod=kept)
    for pod in ("orders-2", "billing-2"):
        shop.cluster.delete(f"/api/v1/namespaces/shop/pods/{pod}")
    with shop.reviewing("critical"):
        shop.login(normal).close()
        assert shop.refusal(critical, "app_readwrite") == "token_inactive"


def test_an_account_made_anew_is_another(shop: Shop) -> None:
    shop.cluster.account("shop", "brief")
    before = shop.token("brief")
    shop.cluster.delete("/api/v1/namespaces/shop/serviceaccounts/brief")
    shop.cluster.account("shop", "brief")
    assert shop.refusal(before) == "token_inactive"
    assert shop.refusal(shop.token("brief")) == "role_not_allowed"


def test_no_permission_to_review_is_a_denial(shop: Shop) -> None:
    file = shop.token_file
    usual = file.read_text()
    file.write_text(shop.cluster.token("pgbearer", "nobody"))
    try:
        assert shop.refusal(shop.token()) == "issuer_unavailable"
        assert "403" in shop.chain.service.decisions()[-1]["detail"]
    finally:
        file.write_text(usual)
    shop.login(shop.token()).close()


def test_an_api_server_that_hangs_is_a_denial(shop: Shop) -> None:
    token = shop.token()
    os.kill(shop.cluster.apiserver.pid, signal.SIGSTOP)
    try:
        assert shop.refusal(token) == "issuer_unavailable"
    finally:
        os.kill(shop.cluster.apiserver.pid, signal.SIGCONT)
    shop.login(token).close()


@pytest.mark.parametrize("known", [True, False], ids=["with our token", "without"])
async def test_keys_are_given_to_accounts_that_the_api_server_knows(shop: Shop, known: bool) -> None:
    told = {"api_server": shop.cluster.url, **({"token_file": str(shop.token_file)} if known else {})}
    given = {"profile": "kubernetes", "issuer": ISSUER, "audience": AUDIENCE, "identity": "{sub}"}
    issuer = Issuer.model_validate({**given, "ca_file": shop.cluster.ca_file, "kubernetes": told}, strict=False)
    keys = KeySet("cluster", issuer, open_source(issuer, Fetcher)[0])
    await keys.refresh()
    status = keys.status()
    await keys.aclose()
    assert bool(status.keys) is known
    assert known or "answered 403" in str(status.last_error)
