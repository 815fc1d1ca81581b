"""Through the proxy with a profile alone: a service of Keycloak, a pod, a workload of SPIRE; and what is critical."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pgbearer
from pgbearer.client import PersonSource, TokenRefusedError, claims_in
from pgbearer.client.login.request import BROWSER_CLIENT, DEVICE_CLIENT
from pgbearer.client.sources.ask import How
from tests.e2e.fix_keycloak import person
from tests.e2e.fix_kubernetes import Shop, settings
from tests.e2e.fix_services import SECRET, Services
from tests.e2e.fix_spire import AUDIENCE, ISS, ORDERS, Mesh
from tests.integration.fix_chain import PGBEARER, Chain, whole_chain
from tests.klite.cluster import ISSUER, Cluster
from tests.parts.authority import Authority
from tests.parts.device_pages import Browser
from tests.parts.keycloak import Keycloak
from tests.parts.postgres import Installation, embedded

WHO = "SELECT system_user, current_user, current_database()"
Login = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """Run psql below `pgbearer run`, whose proxy logs in with the one profile of a client.toml."""

    def login(chain: Chain, role: str, profile: str) -> "subprocess.CompletedProcess[str]":
        server = chain.server
        conninfo = f"host={server.folder} port={server.port} user={role} dbname=appdb"
        file = tmp_path / "client.toml"
        file.touch(mode=0o600)
        file.write_text(f'[profiles.job]\n{profile}\n[upstreams.appdb]\nconninfo = "{conninfo}"\nprofile = "job"\n')
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SPIFFE"))}
        return subprocess.run(
            [PGBEARER, "run", "appdb", "--", embedded().bin / "psql", "-XAtc", WHO],
            env={**ours, "PGBEARER_CONFIG_FILE": str(file)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return login


def volume(folder: Path, token: str) -> Path:
    """A pod's token as the kubelet writes it: everybody in the pod may read it."""
    file = folder / "pod"
    file.write_text(token)
    file.chmod(0o644)
    return file


def test_a_service_by_its_clients_secret(services: Services, login: Login) -> None:
    said = login(
        services.chain,
        "app_readonly",
        f'issuer = "{services.issuer}"\nscope = "db:demo"\nca_file = "{services.ca_file}"\n'
        f'source = {{kind = "client-credentials", client_id = "by-secret", '
        f'secret_file = "{services.private("secret", SECRET)}"}}',
    )
    assert (said.returncode, said.stderr) == (0, "")
    user, role, database = said.stdout.strip().split("|")
    account = services.admin("GET", f"/users/{user.rpartition(':')[2]}")
    assert (account["username"], role, database) == ("service-account-by-secret", "app_readonly", "appdb")


def test_a_pod_by_its_service_accounts_token(shop: Shop, login: Login, tmp_path: Path) -> None:
    file = volume(tmp_path, shop.token("orders"))
    said = login(
        shop.chain, "app_readonly", f'issuer = "{ISSUER}"\nsource = {{kind = "kubernetes", token_file = "{file}"}}'
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("oauth:cluster:shop:orders:")
    assert said.stdout.endswith("|app_readonly|appdb\n")


def test_a_pod_that_may_not_is_refused_with_where_to_ask(shop: Shop, login: Login, tmp_path: Path) -> None:
    file = volume(tmp_path, token := shop.token("billing"))
    said = login(
        shop.chain, "app_readonly", f'issuer = "{ISSUER}"\nsource = {{kind = "kubernetes", token_file = "{file}"}}'
    )
    assert (said.returncode, said.stdout) == (2, "")
    assert "pgbearer explain --token-ref" in said.stderr
    assert token not in said.stderr
    assert shop.chain.service.decisions()[-1]["reason"] == "role_not_allowed"


def test_a_workload_by_its_svid(mesh: Mesh, login: Login) -> None:
    mesh.domains.prod.register(ORDERS, Path(sys.executable))
    said = login(
        mesh.chain,
        "app_readwrite",
        f'issuer = "{ISS}"\nsource = {{kind = "spiffe", audience = "{AUDIENCE}", '
        f'socket = "{mesh.domains.prod.workload_api}", spiffe_id = "spiffe://prod.example{ORDERS}"}}',
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"oauth:spiffe://prod.example{ORDERS}|app_readwrite|appdb\n"


@pytest.fixture(scope="module")
def people(
    cluster: Cluster,
    keycloak: Keycloak,
    postgres: Installation,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Chain]:
    """A database whose HBA line names people's issuer alone; behind it pods come in, and one role is critical."""
    token_file = tmp_path_factory.mktemp("service") / "token"
    token_file.write_text(cluster.token("pgbearer", "service", seconds=3600))
    pods = settings(cluster, token_file)["issuers"]["cluster"]
    issuers = {
        "people": {
            "profile": "keycloak",
            "issuer": keycloak.issuer(),
            "audience": "db:demo",
            "clients": [BROWSER_CLIENT, DEVICE_CLIENT],
            "critical": {"clients": [BROWSER_CLIENT]},
            "identity": "people:{sub}",
            "token_roles": ["resource_access", "postgres", "roles"],
            "ca_file": str(authority.ca_file),
        },
        "cluster": pods | {"behind": {"people": ["appdb"]}, "implied_scopes": ["db:demo"]},
    }
    pod = {"name": "orders", "issuers": ["cluster"], "when": 'claims.service_account == "orders"'}
    critical = {"name": "critical", "issuers": ["people"], "any_role": ["app_readonly"], "tier": "critical"}
    where = {"databases": ["appdb"]}
    rules = [pod | where | {"roles": ["app_readonly"]}, critical | where | {"roles": ["app_readwrite"]}]
    hba = [f'local all all oauth issuer="{keycloak.issuer()}" scope="db:demo" delegate_ident_mapping=1']
    usual = {"session": {"until": "token", "max": "1h"}}
    with whole_chain(postgres, authority, hba=hba, issuers=issuers, defaults=usual, rules=rules) as chain:
        yield chain


def test_a_pod_behind_the_issuer_of_people(
    people: Chain, cluster: Cluster, keycloak: Keycloak, login: Login, tmp_path: Path
) -> None:
    file = volume(tmp_path, cluster.token("shop", "orders", AUDIENCE))
    pod = f'issuer = "{ISSUER}"\nsource = {{kind = "kubernetes", token_file = "{file}"}}'
    alone = login(people, "app_readonly", pod)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "No token was sent" in alone.stderr
    said = login(people, "app_readonly", f'behind = "{keycloak.issuer()}"\n{pod}')
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("oauth:cluster:shop:orders:")


# what is critical


@pytest.mark.parametrize(("how", "reason"), [("browser", "allowed"), ("device", "client_not_critical")])
def test_a_critical_role_takes_a_browsers_login_and_no_device_codes(
    people: Chain, keycloak: Keycloak, how: How, reason: str
) -> None:
    with Browser(person("alice"), keycloak.ca_file) as browser:
        source = PersonSource(
            keycloak.issuer(),
            scope="openid db:demo",
            how=how,
            show=lambda code: void(browser.visit(code.verification_uri, user_code=code.user_code)),
            browse=lambda url: void(browser.visit(url)),
            store="memory",
            ca_file=keycloak.ca_file,
        )
        token = source.token()
    assert claims_in(token)["azp"] == (BROWSER_CLIENT if how == "browser" else DEVICE_CLIENT)
    server = people.server
    conninfo = f"host={server.folder} port={server.port} user=app_readwrite dbname=appdb"
    if reason == "allowed":
        with pgbearer.connect(conninfo, token=token) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("app_readwrite",)
    else:
        with pytest.raises(TokenRefusedError):
            pgbearer.connect(conninfo, token=token)
    assert people.service.decisions()[-1]["reason"] == reason


def void(_visit: object) -> None:
    """Whom nobody asks what the person saw."""
