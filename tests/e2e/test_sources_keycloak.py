"""Services get tokens of a real Keycloak in every way they can prove themselves, and log in to PostgreSQL with them."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pgbearer.client import (
    ClientCertificate,
    ClientCredentialsSource,
    ClientSecret,
    FederatedAssertion,
    LoginRefusedError,
    SignedAssertion,
    claims_in,
)
from pgbearer.errors import UnreachableError
from tests.e2e.fix_services import KEYS, SECRET, Services
from tests.klite.cluster import Cluster
from tests.parts.authority import Authority
from tests.parts.keycloak import Keycloak


def by_secret(
    services: Services, secret: str = SECRET, wall: Callable[[], float] = time.time
) -> ClientCredentialsSource:
    client = ClientSecret("by-secret", services.private("secret", secret))
    return ClientCredentialsSource(services.issuer, client, "db:demo", ca_file=services.ca_file, timeout=3.0, wall=wall)


def by_key(services: Services, name: str) -> ClientCredentialsSource:
    pem = KEYS[name].private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    algorithm = name if name.startswith("PS") else None
    client = SignedAssertion("by-key", services.private("key", pem), key_id=f"key-{name}", algorithm=algorithm)
    return ClientCredentialsSource(services.issuer, client, "db:demo", ca_file=services.ca_file)


def test_by_secret(services: Services) -> None:
    source = by_secret(services)
    assert services.who(source) == "by-secret"
    token = source.token()
    assert claims_in(token)["azp"] == "by-secret"
    assert 290 < (token.expires_at or 0) - time.time() <= 300


def test_a_wrong_secret_is_refused_and_a_new_one_is_read(services: Services) -> None:
    source = by_secret(services, "another")
    with pytest.raises(LoginRefusedError, match="proves itself with") as caught:
        source.token()
    assert "another" not in str(caught.value)
    services.private("secret", SECRET)
    assert services.who(source) == "by-secret"


@pytest.mark.parametrize("name", KEYS)
def test_by_key(services: Services, name: str) -> None:
    assert services.who(by_key(services, name)) == "by-key"


def test_a_key_that_keycloak_does_not_know_is_refused(services: Services) -> None:
    pem = KEYS["ES256"].private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    client = SignedAssertion("by-key", services.private("key", pem), key_id="key-RS256")
    with pytest.raises(LoginRefusedError):
        ClientCredentialsSource(services.issuer, client, ca_file=services.ca_file).token()


async def test_by_certificate(services: Services, authority: Authority) -> None:
    shown = authority.client("by-certificate")
    client = ClientCertificate("by-certificate", (shown.cert_file, shown.key_file))
    source = ClientCredentialsSource(services.issuer, client, "db:demo", ca_file=services.ca_file)
    assert services.who(source) == "by-certificate"
    again = ClientCredentialsSource(services.issuer, client, "db:demo", ca_file=services.ca_file)
    assert claims_in(await again.token_async())["azp"] == "by-certificate"


def test_anothers_certificate_is_refused(services: Services, authority: Authority) -> None:
    shown = authority.client("somebody-else")
    client = ClientCertificate("by-certificate", (shown.cert_file, shown.key_file))
    with pytest.raises(LoginRefusedError):
        ClientCredentialsSource(services.issuer, client, ca_file=services.ca_file).token()


@pytest.mark.parametrize("client_id", ["", "by-pod"])
def test_by_pod(services: Services, pod_cluster: Cluster, client_id: str) -> None:
    """The kubelet's file is the assertion, whose audience is the realm."""
    file = services.private("pod", pod_cluster.token("shop", "orders", services.issuer))
    pod = FederatedAssertion(file, client_id)
    assert services.who(ClientCredentialsSource(services.issuer, pod, "db:demo", ca_file=services.ca_file)) == "by-pod"


@pytest.mark.parametrize("wrong", ["account", "audience"])
def test_another_pods_token_or_one_for_another_is_refused(services: Services, pod_cluster: Cluster, wrong: str) -> None:
    account, audience = ("billing", services.issuer) if wrong == "account" else ("orders", "https://sso.example")
    file = services.private("pod", pod_cluster.token("shop", account, audience))
    with pytest.raises(LoginRefusedError):
        ClientCredentialsSource(services.issuer, FederatedAssertion(file), ca_file=services.ca_file).token()


def test_a_client_that_may_have_no_token_of_its_own(services: Services) -> None:
    client = ClientSecret("without-account", services.private("secret", SECRET))
    with pytest.raises(LoginRefusedError, match="may not have such a token") as caught:
        ClientCredentialsSource(services.issuer, client, ca_file=services.ca_file).token()
    assert "Service account roles" in (caught.value.hint or "")


@pytest.fixture
def paused(keycloak: Keycloak) -> Callable[[int], None]:
    """Sends a signal to Keycloak, which is the script that started it and Java."""
    return lambda number: os.killpg(keycloak.process.pid, number)


def test_while_keycloak_is_away_the_token_serves_to_its_end(services: Services, paused: Callable[[int], None]) -> None:
    ahead = 0.0
    source = by_secret(services, wall=lambda: time.time() + ahead)
    services.login(source).close()
    paused(signal.SIGSTOP)
    try:
        ahead = 280.0
        services.login(source).close()
        ahead = 301.0
        with pytest.raises(UnreachableError, match=r"within 3 s|no answer in time"):
            source.token()
    finally:
        paused(signal.SIGCONT)
