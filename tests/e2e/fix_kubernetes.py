"""A real API server for the run, and PostgreSQL with the module and a service that takes its service accounts."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgbearer.client
from pgbearer.client import StaticSource
from tests import profile_pages
from tests.integration.fix_chain import Chain, whole_chain
from tests.klite.cluster import ISSUER, Cluster
from tests.parts.authority import Authority
from tests.parts.needs import COMPILER
from tests.parts.postgres import Installation

__all__ = ["Shop", "cluster", "shop"]

AUDIENCE = "db:shop"


@dataclass
class Shop:
    """A namespace with accounts, and the database that they log in to."""

    cluster: Cluster
    chain: Chain
    token_file: Path
    """With the service's own token for the API server."""

    def token(self, account: str = "orders", *audiences: str, pod: Any = None) -> str:
        """A token for the database, or for `audiences`."""
        return self.cluster.token("shop", account, *(audiences or (AUDIENCE,)), pod=pod)

    def login(self, token: str, role: str = "app_readonly") -> psycopg.Connection[Any]:
        """Log in as a program would: psycopg with a token at hand."""
        server = self.chain.server
        where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": role, "dbname": "appdb"}
        return pgbearer.client.connect(source=StaticSource(token), issuer=ISSUER, **where)

    def refusal(self, token: str, role: str = "app_readonly") -> str:
        """Log in, which must be refused: the reason, which the server's log and the audit must agree on."""
        before = len(self.chain.server.log)
        with pytest.raises(psycopg.OperationalError):
            self.login(token, role).close()
        (said,) = re.findall(r"OAuth login refused: (\w+)\n", self.chain.server.log[before:])
        record = self.chain.service.decisions()[-1]
        assert (record["decision"], record["reason"]) == ("deny", said)
        return str(said)

    @contextmanager
    def reviewing(self, when: str) -> Iterator[None]:
        """Inside, `review` is `when`."""
        service = self.chain.service
        issuer = service.settings["issuers"]["cluster"]
        usual = issuer["kubernetes"]["review"]
        for value in (when, usual):
            service.settle(issuers={"cluster": {**issuer, "kubernetes": {**issuer["kubernetes"], "review": value}}})
            if value == when:
                yield


@pytest.fixture(scope="session")
def cluster(
    need: Callable[..., None], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """An API server with the namespaces ``shop`` and ``pgbearer``; in that, the account that the service is."""
    need(COMPILER)
    with Cluster.start(tmp_path_factory.mktemp("kubernetes"), authority) as running:
        for namespace, accounts in {"shop": ("orders", "billing"), "pgbearer": ("service", "nobody")}.items():
            running.namespace(namespace)
            for account in accounts:
                running.account(namespace, account)
        running.apply(profile_pages.block("kubernetes", "rbac"))
        running.apply(profile_pages.block("kubernetes", "pod"))
        yield running


@pytest.fixture(scope="module")
def shop(
    cluster: Cluster, postgres: Installation, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """The settings are those of docs/profiles/kubernetes.md."""
    token_file = tmp_path_factory.mktemp("service") / "token"
    token_file.write_text(cluster.token("pgbearer", "service", seconds=3600))
    hba = [f'local all app_readonly,app_readwrite oauth issuer="{ISSUER}" scope="" delegate_ident_mapping=1']
    with whole_chain(postgres, authority, hba=hba, **settings(cluster, token_file)) as chain:
        yield Shop(cluster, chain, token_file)


def settings(cluster: Cluster, token_file: Path) -> dict[str, Any]:
    """The sections of pgbearer.yaml on the page, with the addresses of this cluster."""
    page = profile_pages.settings("kubernetes")
    issuer = page["issuers"]["cluster"]
    issuer["ca_file"] = str(cluster.ca_file)
    issuer["kubernetes"] |= {"api_server": cluster.url, "token_file": str(token_file)}
    return {"issuers": page["issuers"], "defaults": page["defaults"], "rules": page["rules"]}
