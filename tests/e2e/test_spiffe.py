"""Workloads log in to PostgreSQL with JWT-SVIDs of real SPIRE servers, and are refused where they must be."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from pgbearer.client import UnsafeServerError
from pgbearer.config.settings import Issuer
from pgbearer.http import Fetcher
from pgbearer.service.explaining import rehearse
from pgbearer.tokens import KeySet
from pgbearer.tokens.sources import open_source
from tests.e2e.fix_spire import AUDIENCE, ISS, ORDERS, REPORTS, Domains, Mesh
from tests.issuer import Mint
from tests.klite.programs import spire_server
from tests.klite.spire import TrustDomain
from tests.workload_tokens import svid


def test_a_workload_logs_in_as_its_spiffe_id(mesh: Mesh) -> None:
    with mesh.login(mesh.domains.prod.svid(ORDERS, AUDIENCE), "app_readwrite") as connection:
        said = connection.execute("SELECT current_user, system_user").fetchone()
    assert said == ("app_readwrite", f"oauth:spiffe://prod.example{ORDERS}")


def test_its_session_ends_with_the_svid(mesh: Mesh) -> None:
    """The default is 10 hours, which is for people."""
    mesh.login(mesh.domains.prod.svid(ORDERS, AUDIENCE), "app_readwrite").close()
    record = mesh.chain.service.decisions()[-1]
    assert 0 < datetime.fromisoformat(record["ends_at"]).timestamp() - time.time() <= 300


def test_a_federated_workload_logs_in_where_its_domain_is_opened(mesh: Mesh) -> None:
    """Its SVID names no issuer: the trust domain in sub chooses the keys."""
    token = mesh.domains.partner.svid(REPORTS, AUDIENCE)
    with mesh.login(token, "app_readonly") as connection:
        said = connection.execute("SELECT system_user").fetchone()
    assert said == (f"oauth:spiffe://partner.example{REPORTS}",)
    assert mesh.refusal(token, "app_readonly", "stock") == "issuer_mismatch"


def test_each_has_its_own_rules(mesh: Mesh) -> None:
    assert mesh.refusal(mesh.domains.partner.svid(REPORTS, AUDIENCE), "app_readwrite") == "role_not_allowed"
    assert mesh.refusal(mesh.domains.prod.svid(ORDERS, AUDIENCE), "app_readonly") == "role_not_allowed"


@pytest.mark.parametrize("audiences", [("db:other",), (AUDIENCE, "db:other")])
def test_an_svid_for_another_is_refused(mesh: Mesh, audiences: tuple[str, ...]) -> None:
    assert mesh.refusal(mesh.domains.prod.svid(ORDERS, *audiences)) == "audience_mismatch"


def test_a_domain_that_nobody_knows_is_refused(mesh: Mesh) -> None:
    token = svid(Mint(ISS), int(time.time()), sub="spiffe://other.example/ns/shop", iss="https://other.example")
    with pytest.raises(UnsafeServerError, match="issuers differ"):
        mesh.login(token, "app_readwrite")
    token = svid(Mint(ISS), int(time.time()), aud=[AUDIENCE], sub="spiffe://other.example/ns/shop")
    assert mesh.refusal(token) == "issuer_unknown"


def test_a_key_of_one_domain_does_not_sign_for_another(mesh: Mesh) -> None:
    """The partner's own server, asked to sign for prod, would have to use a key that is not in prod's bundle."""
    head = mesh.domains.partner.svid(REPORTS, AUDIENCE).split(".")[0]
    body = mesh.domains.prod.svid(ORDERS, AUDIENCE).split(".")[1]
    assert mesh.refusal(f"{head}.{body}.{'A' * 86}") == "key_unknown"


def test_a_new_key_is_found_by_the_first_token_that_it_signed(mesh: Mesh) -> None:
    known = mesh.domains.prod
    known.rotate_keys()
    mesh.login(known.svid(ORDERS, AUDIENCE), "app_readwrite").close()


@pytest.mark.parametrize(
    ("database", "reason"), [("appdb", "allowed"), ("stock", "issuer_mismatch")], ids=["opened", "not opened"]
)
async def test_a_federated_svid_is_explained_without_a_login(mesh: Mesh, database: str, reason: str) -> None:
    """It names no issuer, so the HBA line is taken to be one that its trust domain is opened behind."""
    token = mesh.domains.partner.svid(REPORTS, AUDIENCE)
    file = mesh.chain.service.file
    said = await rehearse(file, token, role="app_readonly", database=database, server=None, address=None)
    assert said["decision"]["reason"] == reason


def issuer(domain: TrustDomain, **where: Any) -> Issuer:
    return Issuer.model_validate(
        {
            "profile": "spiffe",
            "issuer": f"spiffe://{domain.name}",
            "audience": AUDIENCE,
            "identity": "{sub}",
            "ca_file": where.pop("ca_file", None),
            "spiffe": where,
        },
        strict=False,
    )


async def keys_of(settings: Issuer) -> frozenset[str]:
    keys = KeySet("one", settings, open_source(settings, Fetcher)[0])
    await keys.refresh()
    status = keys.status()
    await keys.aclose()
    assert status.last_error is None
    return frozenset(status.keys)


async def api_has(domain: TrustDomain, kids: frozenset[str]) -> None:
    """Wait until the agent has been told of these keys: it asks its server every few seconds."""
    deadline = time.monotonic() + 60
    while not kids <= await keys_of(issuer(domain, workload_api=domain.workload_api)):
        assert time.monotonic() < deadline, kids
        await asyncio.sleep(0.2)


@pytest.fixture
def file(domains: Domains, tmp_path: Path) -> Iterator[Path]:
    """The bundle, as a file that the service would trust."""
    bundle = domains.folder / "bundle.json"
    bundle.write_text(domains.prod.bundle())
    bundle.chmod(0o644)
    yield bundle
    bundle.unlink()


async def test_the_three_places_of_a_bundle_hold_the_same_keys(domains: Domains, file: Path) -> None:
    prod, ca_file = domains.prod, domains.authority.ca_file
    from_endpoint = await keys_of(issuer(prod, bundle_url=prod.bundle_url, ca_file=ca_file))
    assert from_endpoint
    assert await keys_of(issuer(prod, bundle_file=file)) == from_endpoint
    await api_has(prod, from_endpoint)


async def test_the_workload_api_has_the_federated_domains_keys_apart(domains: Domains) -> None:
    api = domains.prod.workload_api
    assert await keys_of(issuer(domains.partner, workload_api=api))
    assert not await keys_of(issuer(domains.partner, workload_api=api)) & await keys_of(
        issuer(domains.prod, workload_api=api)
    )


def test_a_nested_servers_workload_logs_in_by_the_one_bundle(mesh: Mesh) -> None:
    """Its keys are published by the server above; nothing in the settings says that it is there."""
    prod, folder = mesh.domains.prod, mesh.domains.folder / "nested"
    folder.mkdir()
    prod.register("/nested", spire_server(), downstream=True)
    with TrustDomain.start(folder, mesh.domains.authority, "prod.example", jwt_issuer=ISS, above=prod) as nested:
        nested.register(ORDERS)
        token = nested.svid(ORDERS, AUDIENCE)
        asyncio.run(api_has(prod, frozenset({jwt.get_unverified_header(token)["kid"]})))
        mesh.chain.service.settle()  # so that the key is looked for at once, however short ago another was
        mesh.login(token, "app_readwrite").close()
