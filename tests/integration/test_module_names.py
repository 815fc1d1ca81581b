"""Endpoints that are given by name: resolved by a worker alone, kept while the name service is away."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.fix_module_network import SERVICE_NAME, certificates_of, tls_settings
from tests.integration.fix_postgres import LOCAL, OAUTH, BearerServer, assert_calm, module_settings
from tests.lying_network import LyingNetwork
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.postgres import Installation
from tests.parts.processes import wait_until

NAME = "service.test"


@dataclass
class NamedServer:
    """A server whose name service is the file `names`."""

    server: BearerServer
    authority: Authority
    names: Path

    def resolve_to(self, *addresses: str) -> None:
        """Let `NAME` have these addresses; ``!`` stands for a name service that is away."""
        beside = self.names.with_suffix(".new")
        beside.write_text("".join(f"{NAME} {address}\n" for address in addresses))
        beside.chmod(0o644)
        beside.rename(self.names)

    def look_up_again(self) -> None:
        """The worker looks up when it is told to reload; wait until it has."""
        before = len(self.askers())
        self.server.reload()
        wait_until(lambda: len(self.askers()) > before, 20, "the worker to look up", pause=0.02)

    def askers(self) -> list[int]:
        """The pid of each who looked a name up."""
        asked = self.names.with_suffix(".asked")
        return [int(line) for line in asked.read_text().split()] if asked.exists() else []

    def service(self, identity: str, host: str = "127.0.0.1", port: int = 0) -> LyingNetwork:
        """A service that allows as `identity`; the caller stops it."""
        own = self.authority.server(identity, [SERVICE_NAME])
        service = LyingNetwork(own, self.authority.ca_file, host=host, port=port)
        service.start()
        service.allow(identity)
        return service

    def who(self) -> str:
        """Who a login is allowed as."""
        with self.server.login() as connection:
            row = connection.execute("SELECT system_user").fetchone()
        assert row is not None
        return str(row[0]).removeprefix("oauth:")


Make = Callable[..., NamedServer]


@pytest.fixture
def named(tls_installation: Installation, tmp_path: Path) -> Iterator[Make]:
    """Call it for a server that asks at these endpoints, ``NAME`` in them replaced."""
    shim = tmp_path / "names_shim.so"
    source = Path(__file__).with_name("names_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", source, "-o", shim, "-ldl"], check=True)
    made: list[BearerServer] = []

    def make(*endpoints: str, addresses: Sequence[str] = ("127.0.0.1",), preload: bool = True) -> NamedServer:
        ours = module_settings(tls_installation, preload=preload)
        server = BearerServer(tls_installation, ours, (LOCAL, OAUTH))
        made.append(server)
        authority, own = certificates_of(server)
        settings = ours | tls_settings(own, authority) | {"pgbearer.connect_timeout": "500ms"}
        settings["pgbearer.endpoints"] = ", ".join(endpoints)
        server.configure(settings, (LOCAL, OAUTH))
        folder = server.folder / "names"
        folder.mkdir()
        folder.chmod(0o777)
        library = folder / shim.name
        library.write_bytes(shim.read_bytes())
        result = NamedServer(server, authority, folder / "names")
        result.resolve_to(*addresses)
        preloaded = f'LD_PRELOAD="$LD_PRELOAD:{library}" NAMES_FILE={result.names} exec "$@"'
        server.start("sh", "-c", preloaded, "sh")
        server.sql("CREATE ROLE app LOGIN")
        return result

    yield make
    try:
        for server in made:
            assert_calm(server.log)
    finally:
        for server in made:
            server.remove()


def workers(server: BearerServer) -> list[int]:
    """The pid of each worker, which has no line in pg_stat_activity because it has no database."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(pid) for pid in children if "pgbearer names" in command_of(pid)]


def command_of(pid: str) -> str:
    """Its command line; nothing if it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def at(port: int, name: str = NAME) -> str:
    """An endpoint by name."""
    return f"tcp://{name}:{port}?hostname={SERVICE_NAME}"


def test_a_name_is_resolved_by_the_worker_and_by_nobody_else(named: Make) -> None:
    port = free_port()
    one = named(at(port))
    service = one.service("alice", port=port)
    wait_until(lambda: len(one.askers()) > 0, 20, "the worker to look up")
    for _ in range(3):
        assert one.who() == "alice"
    assert set(one.askers()) == set(workers(one.server))
    service.deny("no_rule")
    assert f"endpoint tcp://{NAME}:{port} (127.0.0.1)" in one.server.refusal()
    service.stop()


def test_a_worker_that_is_ended_comes_back(named: Make) -> None:
    one = named(at(free_port()))
    wait_until(lambda: len(one.askers()) > 0, 20, "the worker to look up")
    (first,) = workers(one.server)
    os.kill(first, signal.SIGTERM)
    wait_until(lambda: workers(one.server) not in ([], [first]), 30, "another worker")
    wait_until(lambda: one.askers()[-1] != first, 20, "it to look up")


def test_each_address_is_tried(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"])
    services = [one.service("third", "127.0.0.4", port)]
    for _ in range(4):
        assert one.who() == "third"
    services += [one.service("second", "127.0.0.3", port), one.service("fourth", "127.0.0.5", port)]
    wait_until(lambda: len({one.who() for _ in range(4)}) > 1, 30, "logins to be spread", pause=0)
    for service in services:
        service.stop()


def test_a_name_that_moves_is_followed_and_one_that_cannot_be_resolved_stays(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["127.0.0.2"])
    services = [one.service("before", "127.0.0.2", port), one.service("after", "127.0.0.3", port)]
    assert one.who() == "before"
    one.resolve_to("127.0.0.3")
    one.look_up_again()
    wait_until(lambda: one.who() == "after", 20, "the new address")
    one.resolve_to("!")
    one.look_up_again()
    wait_until(lambda: "could not resolve the name" in one.server.log, 20, "the worker to say so")
    assert "The addresses it had stay in use." in one.server.log
    assert one.who() == "after"
    for service in services:
        service.stop()


def test_a_name_without_an_address_refuses_and_is_looked_up_until_it_has_one(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["!"])
    refusal = one.server.refusal()
    assert refusal.startswith("name_unresolved")
    assert f"Endpoint tcp://{NAME}:{port} has no address: Temporary failure in name resolution." in refusal
    one.resolve_to("127.0.0.1")
    service = one.service("alice", port=port)
    wait_until(lambda: "resolved the name" in one.server.log, 20, "the worker to look up again")
    assert one.who() == "alice"
    service.stop()


def patiently(one: NamedServer) -> None:
    """Let logins try to connect for longer than a look-up takes on a busy machine, and less than until the next."""
    one.server.sql("ALTER SYSTEM SET pgbearer.connect_timeout = '20s'")
    one.server.sql("ALTER SYSTEM SET pgbearer.timeout = '40s'")
    one.look_up_again()


def test_a_name_that_is_found_meanwhile_helps_the_login_that_waits(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["!"])
    service = one.service("alice", port=port)
    patiently(one)
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(one.who)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'"
        wait_until(lambda: one.server.sql(waiting) == "1", 20, "the login to wait", pause=0.01)
        one.resolve_to("127.0.0.1")
        assert login.result(30) == "alice"
    service.stop()


def test_a_name_that_has_moved_is_looked_up_when_a_login_finds_nobody_there(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["127.0.0.2"])
    service = one.service("after", "127.0.0.3", port)
    patiently(one)
    one.resolve_to("127.0.0.3")
    assert one.who() == "after"
    service.stop()


def test_who_has_taken_the_request_is_not_asked_again_when_the_name_is_looked_up(named: Make) -> None:
    port = free_port()
    one = named(at(port))
    first, second = one.service("first", port=port), one.service("second", "127.0.0.2", port)
    first.cut_after(0)
    second.cut_after(0)
    patiently(one)
    one.resolve_to("127.0.0.1", "127.0.0.2")
    assert one.server.refusal().startswith("service_cut")
    assert (len(first.requests), len(second.requests)) == (1, 1)
    first.stop()
    second.stop()


def test_an_address_that_is_down_is_avoided_and_the_others_of_its_name_are_not(named: Make) -> None:
    port = free_port()
    one = named(at(port), addresses=["127.0.0.2", "127.0.0.3"])
    silent, service = one.service("silent", "127.0.0.2", port), one.service("alice", "127.0.0.3", port)
    silent.silent()
    wait_until(lambda: one.who() == "alice" and silent.came > 0, 60, "a login to find one silent", pause=0)
    began, before = time.monotonic(), silent.came
    for _ in range(20):
        assert one.who() == "alice"
    periods = 1 + int((time.monotonic() - began) / 5)  # after 5 s, one login tries it on behalf of all
    assert silent.came - before <= periods
    silent.stop()
    service.stop()


def test_other_endpoints_are_asked_where_a_name_has_no_address(named: Make) -> None:
    port = free_port()
    one = named(at(1, "nobody.test"), f"tcp://127.0.0.1:{port}?hostname={SERVICE_NAME}")
    service = one.service("alice", port=port)
    assert one.who() == "alice"
    service.stop()


def test_lazily_loaded_no_name_is_resolved(named: Make) -> None:
    port = free_port()
    one = named(at(port), preload=False)
    refusal = one.server.refusal()
    assert refusal.startswith("name_unresolved")
    assert 'pgbearer is not in "shared_preload_libraries"' in refusal
    assert one.askers() == []
    one.server.sql(
        f"ALTER SYSTEM SET pgbearer.endpoints = '{at(port)}, tcp://127.0.0.1:{port}?hostname={SERVICE_NAME}'"
    )
    one.server.reload()
    service = one.service("alice", port=port)
    assert one.who() == "alice"
    service.stop()


def test_a_first_name_after_the_start_takes_a_restart_and_says_so(named: Make) -> None:
    one = named("unix:/nowhere/login.sock")
    one.server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{at(free_port())}'")
    one.server.reload()
    assert "takes a restart if no name was configured at the start" in one.server.refusal()
    assert one.askers() == []


def test_without_names_there_is_no_worker(named: Make) -> None:
    one = named("unix:/nowhere/login.sock")
    assert workers(one.server) == []
    assert one.askers() == []
