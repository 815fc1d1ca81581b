"""Workloads log in with what their platform gives them: a pod's token from its volume, an SVID from a real agent."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgbearer.client
from pgbearer.client import KubernetesSource, NoTokenError, SpiffeSource, TokenSource, UnsafeServerError
from pgbearer.errors import UnreachableError
from tests.e2e.fix_kubernetes import Shop
from tests.e2e.fix_spire import AUDIENCE, ISS, ORDERS, Domains, Mesh
from tests.integration.fix_chain import Chain
from tests.klite.cluster import ISSUER


def who(chain: Chain, source: TokenSource, role: str, **more: Any) -> str:
    """Log in as a program does that has this source and nothing else."""
    server = chain.server
    where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": role, "dbname": "appdb"}
    with pgbearer.client.connect(source=source, **where, **more) as connection:
        (user,) = connection.execute("SELECT system_user").fetchone() or ("",)
    return str(user)


# pods


class Volume:
    """A projected volume as the kubelet lays and renews it: a link to a link to the file, exchanged at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        folder.mkdir()
        folder.chmod(0o1777)

    @property
    def file(self) -> Path:
        return self._folder / "pgbearer"

    def write(self, token: str) -> None:
        self._count += 1
        made = self._folder / f"..{self._count}"
        made.mkdir(0o755)
        (made / "pgbearer").write_text(token)
        (made / "pgbearer").chmod(0o644)
        fresh = self._folder / "..data_tmp"
        fresh.symlink_to(made.name)
        fresh.rename(self._folder / "..data")
        if self._count == 1:
            self.file.symlink_to("..data/pgbearer")


def test_a_pod_logs_in_with_what_is_in_its_volume_now(shop: Shop, tmp_path: Path) -> None:
    volume = Volume(tmp_path / "tokens")
    volume.write(shop.token("orders"))
    source = KubernetesSource(volume.file, issuer=ISSUER)
    assert who(shop.chain, source, "app_readonly").startswith("oauth:cluster:shop:orders:")
    first = source.token()
    volume.write(shop.token("orders"))
    assert source.token() != first
    assert who(shop.chain, source, "app_readonly").startswith("oauth:cluster:shop:orders:")


def test_another_accounts_token_is_that_accounts(shop: Shop, tmp_path: Path) -> None:
    volume = Volume(tmp_path / "tokens")
    volume.write(shop.token("billing"))
    with pytest.raises(psycopg.OperationalError):
        who(shop.chain, KubernetesSource(volume.file, issuer=ISSUER), "app_readonly")
    assert shop.chain.service.decisions()[-1]["reason"] == "role_not_allowed"


def test_the_api_servers_own_token_is_not_sent_to_a_server_of_another_issuer(shop: Shop, tmp_path: Path) -> None:
    volume = Volume(tmp_path / "tokens")
    volume.write(shop.token("orders"))
    with pytest.raises(UnsafeServerError, match="issuers differ"):
        who(shop.chain, KubernetesSource(volume.file, issuer="https://sso.example.org"), "app_readonly")


# SPIFFE


@pytest.fixture(scope="module")
def workload(domains: Domains) -> Path:
    """This interpreter has a second identity, the orders'; the Workload API's socket."""
    domains.prod.register(ORDERS, Path(sys.executable))
    return domains.prod.workload_api


ID = f"spiffe://prod.example{ORDERS}"


def test_a_workload_logs_in_with_its_svid(mesh: Mesh, workload: Path) -> None:
    source = SpiffeSource(AUDIENCE, spiffe_id=ID, socket=workload, issuer=ISS)
    assert who(mesh.chain, source, "app_readwrite") == f"oauth:{ID}"
    assert source.token().expires_at is not None


async def test_in_a_task_and_by_the_environment(mesh: Mesh, workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", f"unix://{workload}")
    source = SpiffeSource(AUDIENCE, spiffe_id=ID, issuer=ISS)
    server = mesh.chain.server
    where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": "app_readwrite"}
    connection = await pgbearer.client.connect_async(source=source, dbname="appdb", **where)
    async with connection:
        cursor = await connection.execute("SELECT system_user")
        assert await cursor.fetchone() == (f"oauth:{ID}",)
    assert await asyncio.to_thread(source.token) == await source.token_async()


def test_an_identity_that_this_process_does_not_have(domains: Domains, workload: Path) -> None:
    source = SpiffeSource(AUDIENCE, spiffe_id="spiffe://prod.example/ns/shop/sa/nobody", socket=workload)
    with pytest.raises((NoTokenError, UnreachableError), match="Workload API"):
        source.token()
