"""Two services over the network, of which one ends while people log in: no login fails, and none is decided twice."""

import contextlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.fix_chain import PGBEARER, Chain, whole_chain
from tests.integration.fix_module_network import tls_settings as module_settings
from tests.integration.fix_network import SERVICE_NAME, tls_settings
from tests.integration.fix_service import Service, write_settings
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.postgres import Installation, server_uid
from tests.under_load import under_load

PAY = "spiffe://prod.test/postgres/pay"


@dataclass
class Pair:
    """A chain whose server asks `chain.service` first, and `second` if need be."""

    chain: Chain
    second: Service


@pytest.fixture
def pair(tls_installation: Installation, issuer_authority: Authority) -> Iterator[Pair]:
    """Both with the same settings, but for where they listen and write."""
    folder = Path(f"/tmp/pgbearer-pair-{os.getpid()}-{free_port()}")  # noqa: S108 - PostgreSQL's uid must get in
    folder.mkdir(mode=0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        authority = Authority(folder, "pgbearer network test")
        own = authority.server("service", [SERVICE_NAME])
        pay = authority.client("pay", [PAY], owner=server_uid() if os.geteuid() == 0 else None)
        ports = [free_port(), free_port()]
        listen = [{"tls": tls_settings(own, authority) | {"address": f"127.0.0.1:{port}"}} for port in ports]
        settings = module_settings(pay, authority) | {
            "pgbearer.endpoints": ", ".join(f"tcp://127.0.0.1:{port}?hostname={SERVICE_NAME}" for port in ports),
            "pgbearer.timeout": "20s",
            "pgbearer.connect_timeout": "10s",
            "max_connections": "40",
        }
        servers = {"pay": {"certificate": PAY}}
        chain = stack.enter_context(
            whole_chain(tls_installation, issuer_authority, settings=settings, servers=servers, listen=listen[0])
        )
        file = folder / "second" / "pgbearer.yaml"
        file.parent.mkdir()
        written = write_settings(file, chain.issuer, servers=servers, listen=listen[1])
        second = stack.enter_context(started(Service(file, written, serve(file), chain.issuer)))
        yield Pair(chain, second)


def serve(file: Path) -> subprocess.Popen[str]:
    """`pgbearer serve`."""
    command = [PGBEARER, "serve", "-c", str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def started(service: Service) -> Iterator[Service]:
    """One that can be asked."""
    with service:
        service.await_line("serving logins")
        yield service


@pytest.mark.parametrize("end", [lambda one: one.kill(), lambda one: one.terminate()], ids=["killed", "stopped"])
@pytest.mark.story("service-down", "other", on="network")
def test_one_of_two_ends_and_comes_back_under_load_and_no_login_fails(
    pair: Pair, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    """Whatever the one that ended had been sent, the other decides."""
    chain = pair.chain
    token, first = chain.issuer.token(), chain.service
    with contextlib.ExitStack() as stack, under_load(lambda: chain.login(token=token).close()) as await_more:
        for _ in range(3):
            await_more(10)
            end(first.process)
            await_more(10)
            first.process.wait(20)
            again = Service(first.file, first.settings, serve(first.file), chain.issuer)
            first = stack.enter_context(started(again))
    for service in (chain.service, pair.second):
        asked = Counter(line["request_id"] for line in service.decisions())
        assert set(asked.values()) == {1}, "a login was decided twice at one place"
