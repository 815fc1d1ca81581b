"""The whole way of a login over the network: PostgreSQL with OpenSSL, `pgbearer serve`, an issuer; nothing played."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.integration.fix_chain import PGBEARER, Chain, whole_chain
from tests.integration.fix_module_network import tls_settings as module_settings
from tests.integration.fix_network import SERVICE_NAME, replace_certificate, replace_file, tls_settings
from tests.integration.fix_service import Service
from tests.parts.authority import Authority, Certificate
from tests.parts.ports import free_port
from tests.parts.postgres import Installation, server_uid
from tests.parts.processes import wait_until
from tests.under_load import under_load

PAY = "spiffe://prod.test/postgres/pay"


@dataclass
class NetworkChain:
    """A chain over the network; `own` is of the service, `pay` of the server."""

    chain: Chain
    authority: Authority
    own: Certificate
    pay: Certificate


@pytest.fixture
def network(tls_installation: Installation, issuer_authority: Authority) -> Iterator[NetworkChain]:
    """One in which the server has no socket to ask at."""
    folder = Path(f"/tmp/pgbearer-tls-{os.getpid()}-{free_port()}")  # noqa: S108 - PostgreSQL's uid must get in
    folder.mkdir(mode=0o755)
    try:
        authority = Authority(folder, "pgbearer network test")
        own = authority.server("service", [SERVICE_NAME])
        pay = authority.client("pay", [PAY], owner=server_uid() if os.geteuid() == 0 else None)
        port = free_port()
        listen = {"tls": tls_settings(own, authority) | {"address": f"127.0.0.1:{port}"}}
        settings = module_settings(pay, authority) | {
            "pgbearer.endpoints": f"tcp://127.0.0.1:{port}?hostname={SERVICE_NAME}",
            "pgbearer.timeout": "10s",
            "pgbearer.connect_timeout": "10s",
            "max_connections": "40",
        }
        servers = {"pay": {"certificate": PAY}}
        with whole_chain(
            tls_installation, issuer_authority, settings=settings, servers=servers, listen=listen
        ) as chain:
            yield NetworkChain(chain, authority, own, pay)
    finally:
        shutil.rmtree(folder)


def test_a_login_is_allowed_or_refused_with_the_same_reason_everywhere(network: NetworkChain) -> None:
    chain = network.chain
    with chain.login() as connection:
        row = connection.execute("SELECT system_user, current_user").fetchone()
    assert row is not None
    assert row[1] == "app_readonly"
    line = chain.service.decisions()[-1]
    assert (line["server"], line["peer_uid"], line["peer_certificate"]) == ("pay", None, PAY)
    assert chain.refusal("app_readwrite") == "role_not_allowed"


@pytest.mark.story("certificates", "refused", on="network")
def test_a_server_that_is_taken_out_is_refused_from_the_next_login_on(network: NetworkChain) -> None:
    chain = network.chain
    chain.login().close()
    chain.service.change(servers={"other": {"certificate": "other.test"}})
    chain.service.await_line("reloaded")
    before, decisions = len(chain.server.log), len(chain.service.decisions())
    with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
        chain.login()
    assert "OAuth login refused: caller_refused" in chain.server.log[before:]
    assert len(chain.service.decisions()) == decisions
    chain.service.await_line(rf"its certificate \({PAY}\) is of no server under servers:")
    chain.service.change(servers={"pay": {"certificate": PAY}})
    chain.service.await_count("reloaded", 2)
    chain.login().close()


def test_a_service_of_another_name_gets_no_token_and_is_told_of(network: NetworkChain) -> None:
    chain = network.chain
    replace_certificate(network.own, network.authority.server("other", ["other.test"]))
    chain.service.await_line("new certificate")
    before = len(chain.server.log)
    with pytest.raises(psycopg.OperationalError):
        chain.login()
    assert "OAuth login refused: peer_refused" in chain.server.log[before:]
    assert chain.service.decisions() == []
    chain.service.await_line("a connection from 127.0.0.1:.* is refused")


@pytest.mark.story("certificates", "both", on="network")
def test_both_sides_certificates_rotate_under_load_and_no_login_fails(network: NetworkChain) -> None:
    """Certificate and key are replaced one after the other, on either side, while logins go on."""
    chain, owner = network.chain, network.pay.key_file.stat().st_uid
    token = chain.issuer.token()
    with under_load(lambda: chain.login(token=token).close()) as await_more:
        for number in range(1, 6):
            replace_certificate(network.own, network.authority.server(f"service-{number}", [SERVICE_NAME]))
            replace_certificate(network.pay, network.authority.client(f"pay-{number}", [PAY], owner=owner))
            chain.service.await_count("new certificate for logins over the network", number)
            await_more(10)
    assert chain.service.count("a connection from .* is refused") == 0
    assert {line["decision"] for line in chain.service.decisions()} == {"allow"}


@pytest.mark.story("certificates", "authority", on="network")
def test_another_authority_takes_over_in_three_steps_and_no_login_fails(network: NetworkChain, tmp_path: Path) -> None:
    """Both trust both, then both have certificates of the new one, then both trust it alone."""
    chain, owner = network.chain, network.pay.key_file.stat().st_uid
    old, new = network.authority.ca_file.read_bytes(), Authority(tmp_path, "pgbearer network test, the next")
    token = chain.issuer.token()

    def log_in_after(changes: int) -> None:
        chain.service.await_count("new certificate for logins over the network", changes)
        chain.login(token=token).close()

    replace_file(network.authority.ca_file, old + new.ca_file.read_bytes())  # both sides read one file here
    log_in_after(1)
    replace_certificate(network.own, new.server("service", [SERVICE_NAME]))
    log_in_after(2)  # the server still shows its old one
    replace_certificate(network.pay, new.client("pay", [PAY], owner=owner))
    chain.login(token=token).close()
    replace_file(network.authority.ca_file, new.ca_file.read_bytes())
    log_in_after(3)
    replace_certificate(network.pay, network.authority.client("pay-again", [PAY], owner=owner))
    before = len(chain.server.log)
    with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
        chain.login(token=token)
    assert "OAuth login refused: tls_" in chain.server.log[before:]


@pytest.mark.story("service-down", "again", on="network")
def test_a_service_that_restarts_fails_no_login(network: NetworkChain) -> None:
    """Logins wait for it, as they do at a Unix socket."""
    chain = network.chain
    chain.login().close()
    assert chain.service.stop() == 0
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        login = pool.submit(chain.login)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'"
        wait_until(lambda: chain.server.sql(waiting) == "1", 20, "the login to wait", pause=0.01)
        stack.enter_context(restarted(chain))
        login.result(30).close()


def restarted(chain: Chain) -> contextlib.AbstractContextManager[object]:
    """The same service once more."""
    command = [PGBEARER, "serve", "-c", str(chain.service.file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return Service(chain.service.file, chain.service.settings, process, chain.issuer)
