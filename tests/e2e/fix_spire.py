"""Real SPIRE for two trust domains, and PostgreSQL with the module and a service that takes their workloads."""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgbearer.client
from pgbearer.client import StaticSource
from tests import profile_pages
from tests.integration.fix_chain import Chain, whole_chain
from tests.klite.spire import TrustDomain
from tests.parts.authority import Authority
from tests.parts.needs import COMPILER
from tests.parts.postgres import Installation

__all__ = ["Mesh", "domains", "mesh"]

AUDIENCE = "db:shop"
ISS = "https://oidc.prod.example"
ORDERS, REPORTS = "/ns/shop/sa/orders", "/reports/daily"


@dataclass
class Domains:
    """Two trust domains that are federated, each with a workload; in one of them, this interpreter is the service."""

    prod: TrustDomain
    partner: TrustDomain
    authority: Authority
    folder: Path


@dataclass
class Mesh:
    """The trust domains, and the database that their workloads log in to."""

    domains: Domains
    chain: Chain

    def login(self, svid: str, role: str, database: str = "appdb") -> psycopg.Connection[Any]:
        """Log in as a program would: psycopg with a token at hand."""
        server = self.chain.server
        where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": role, "dbname": database}
        return pgbearer.client.connect(source=StaticSource(svid), issuer=ISS, **where)

    def refusal(self, svid: str, role: str = "app_readwrite", database: str = "appdb") -> str:
        """Log in, which must be refused: the reason, which the server's log and the audit must agree on."""
        before = len(self.chain.server.log)
        with pytest.raises(psycopg.OperationalError):
            self.login(svid, role, database).close()
        (said,) = re.findall(r"OAuth login refused: (\w+)\n", self.chain.server.log[before:])
        record = self.chain.service.decisions()[-1]
        assert (record["decision"], record["reason"]) == ("deny", said)
        return str(said)


@pytest.fixture(scope="session")
def domains(need: Callable[..., None], authority: Authority) -> Iterator[Domains]:
    """``prod.example``, whose SVIDs say an issuer, and ``partner.example``, whose do not."""
    need(COMPILER)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pgb-spire-", dir="/tmp"))  # short, for the sockets
        stack.callback(shutil.rmtree, folder)
        for name in ("prod", "partner"):
            (folder / name).mkdir()
        prod = stack.enter_context(TrustDomain.start(folder / "prod", authority, "prod.example", jwt_issuer=ISS))
        partner = stack.enter_context(TrustDomain.start(folder / "partner", authority, "partner.example"))
        prod.federate(partner)
        prod.register(ORDERS)
        prod.register("/pgbearer", Path(sys.executable), federates_with=["partner.example"])
        partner.register(REPORTS)
        yield Domains(prod, partner, authority, folder)


@pytest.fixture(scope="module")
def mesh(domains: Domains, postgres: Installation) -> Iterator[Mesh]:
    """The settings are those of docs/profiles/spiffe.md."""
    hba = [f'local all app_readonly,app_readwrite oauth issuer="{ISS}" scope="" delegate_ident_mapping=1']
    with whole_chain(postgres, domains.authority, hba=hba, **_settings(domains)) as chain:
        chain.server.sql("CREATE DATABASE stock")
        yield Mesh(domains, chain)


def _settings(domains: Domains) -> dict[str, Any]:
    """The sections of pgbearer.yaml on the page, with the addresses of these trust domains."""
    page = profile_pages.settings("spiffe")
    issuers = page["issuers"]
    issuers["prod"]["spiffe"]["workload_api"] = str(domains.prod.workload_api)
    issuers["partner"]["spiffe"]["bundle_url"] = domains.partner.bundle_url
    issuers["partner"]["ca_file"] = str(domains.authority.ca_file)
    return {"issuers": issuers, "defaults": page["defaults"], "rules": page["rules"]}
