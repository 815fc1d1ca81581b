"""The module over the network: who it gives a token to, every fault of TLS, failover, and what can end a wait."""

import os
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.integration.fix_module_network import SERVICE_ID, SERVICE_NAME, NetworkServer, waiting
from tests.integration.fix_postgres import BearerServer
from tests.lying_network import LyingNetwork
from tests.parts.authority import Authority, Certificate
from tests.parts.processes import wait_until

Issue = Callable[[Authority, Path], Certificate]
TLS_1_2 = ssl.TLSVersion.TLSv1_2


def test_a_login_over_tls_1_3_with_certificates_on_both_sides(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    with network_server.server.login() as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:alice",)
    (greeted,) = lying_network.greeted
    assert greeted["version"] == "TLSv1.3"
    assert greeted["certificate"]["subjectAltName"] == (("URI", "spiffe://prod.test/postgres/pay"),)
    (head,) = lying_network.heads
    assert head.startswith("POST /v1/login HTTP/1.1\r\n")
    assert "connection: close" in head.lower()


def test_a_service_is_known_by_its_spiffe_id(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    lying_network.show(network_server.authority.server("svid", [SERVICE_ID]))
    network_server.ask_at(lying_network.endpoint(f"spiffe={SERVICE_ID}"))
    network_server.server.login().close()
    assert len(lying_network.requests) == 1


@pytest.mark.parametrize(
    ("peer", "issue"),
    [
        ("hostname", lambda ours, folder: ours.server("late", [SERVICE_NAME], days=-1)),
        ("hostname", lambda ours, folder: Authority(folder, "pgbearer network test").server("x", [SERVICE_NAME])),
        ("hostname", lambda ours, folder: Authority(folder, "another").server("x", [SERVICE_NAME])),
        ("hostname", lambda ours, folder: ours.client("for-clients", [SERVICE_NAME])),
        ("hostname", lambda ours, folder: ours.server("other", ["other.test"])),
        ("hostname", lambda ours, folder: ours.server("below", ["sub.pgbearer.test"])),
        ("hostname", lambda ours, folder: ours.server("address", ["127.0.0.1"])),
        ("hostname", lambda ours, folder: ours.server(SERVICE_NAME, [SERVICE_ID])),
        ("hostname", lambda ours, folder: ours.server("both", [SERVICE_NAME, "spiffe://prod.test/other"])),
        ("hostname", lambda ours, folder: ours.server("ours", [SERVICE_ID, SERVICE_NAME])),
        ("hostname", lambda ours, folder: ours.server("page", [SERVICE_NAME, "https://prod.test/"])),
        ("spiffe", lambda ours, folder: ours.server("another", ["spiffe://prod.test/other"])),
        ("spiffe", lambda ours, folder: ours.server("longer", [SERVICE_ID + "/x"])),
        ("spiffe", lambda ours, folder: ours.server("shorter", [SERVICE_ID[:-1]])),
        ("spiffe", lambda ours, folder: ours.server("two", [SERVICE_ID, "spiffe://prod.test/other"])),
        ("spiffe", lambda ours, folder: ours.server("two", ["spiffe://prod.test/other", SERVICE_ID])),
        ("spiffe", lambda ours, folder: ours.server("dns", [SERVICE_NAME])),
        ("spiffe", lambda ours, folder: Authority(folder, "another").server("x", [SERVICE_ID])),
        ("spiffe", lambda ours, folder: ours.server("late", [SERVICE_ID], days=-1)),
    ],
)
def test_a_service_with_another_certificate_gets_no_byte(
    network_server: NetworkServer, lying_network: LyingNetwork, tmp_path: Path, peer: str, issue: Issue
) -> None:
    expected = SERVICE_NAME if peer == "hostname" else SERVICE_ID
    lying_network.show(issue(network_server.authority, tmp_path / "authority"))
    network_server.ask_at(lying_network.endpoint(f"{peer}={expected}"))
    refusal = network_server.server.refusal()
    assert refusal.startswith("peer_refused")
    assert f"Endpoint tcp://127.0.0.1:{lying_network.port}: its certificate is" in refusal
    assert lying_network.requests == []


def test_a_wildcard_stands_for_nobody(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    lying_network.show(network_server.authority.server("wild", ["*.prod.test"]))
    network_server.ask_at(lying_network.endpoint("hostname=service.prod.test"))
    assert network_server.server.refusal().startswith("peer_refused")
    assert lying_network.requests == []


def test_tls_1_2_is_not_spoken(network_server: NetworkServer) -> None:
    own = network_server.authority.server("service", [SERVICE_NAME])
    old = LyingNetwork(own, network_server.authority.ca_file, (TLS_1_2, TLS_1_2))
    old.start()
    old.allow()
    network_server.ask_at(old.endpoint())
    assert network_server.server.refusal().startswith("tls_failed")
    assert old.requests == []
    old.stop()


def test_a_service_that_does_not_take_our_certificate_is_named(network_server: NetworkServer, tmp_path: Path) -> None:
    """Over TLS 1.3 it says so after our side of the handshake is over."""
    own = network_server.authority.server("service", [SERVICE_NAME])
    strict = LyingNetwork(own, Authority(tmp_path / "other", "another").ca_file)
    strict.start()
    network_server.ask_at(strict.endpoint())
    refusal = network_server.server.refusal()
    assert refusal.startswith("tls_failed")
    assert "alert unknown ca" in refusal
    strict.stop()


def reset(connection: socket.socket) -> None:
    """Close with a RST."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def endless(connection: socket.socket) -> None:
    """A record that promises ever more."""
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff")
    while True:
        connection.sendall(b"\x00" * 65536)


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (lambda connection: None, "tls_failed"),
        (lambda connection: connection.recv(4096), "tls_failed"),
        (reset, "tls_failed"),
        (endless, "tls_failed"),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), "tls_failed"),
        (lambda connection: connection.sendall(b"\x00" * 65536), "tls_failed"),
        (lambda connection: connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28"), "tls_failed"),
    ],
    ids=["cut", "cut after the hello", "reset", "endless", "HTTP", "zeros", "alert"],
)
def test_what_is_no_tls_is_refused(
    network_server: NetworkServer,
    lying_network: LyingNetwork,
    instead: Callable[[socket.socket], object],
    reason: str,
) -> None:
    lying_network.instead_of_tls(instead)
    assert network_server.server.refusal().startswith(reason)
    lying_network.instead_of_tls(None)
    network_server.server.login().close()


def test_a_handshake_that_is_cut_is_tried_again(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    """So does a service that makes room for others."""
    lying_network.cut_once()
    network_server.server.login().close()
    assert (lying_network.came, len(lying_network.requests)) == (2, 1)


@pytest.mark.parametrize("lose", [lambda lying: lying.cut_after(0), lambda lying: lying.hang()], ids=["cut", "hung"])
def test_who_has_taken_the_request_is_not_asked_again(
    network_server: NetworkServer, lying_network: LyingNetwork, lose: Callable[[LyingNetwork], None]
) -> None:
    """It may have decided and recorded that: each place decides a login once, however often it is configured."""
    lose(lying_network)
    network_server.ask_at(lying_network.endpoint(), lying_network.endpoint(), timeout="2s", connect_timeout="2s")
    assert network_server.server.refusal().startswith("service_")
    assert len(lying_network.requests) == 1


def test_another_is_asked_in_place_of_one_that_has_taken_the_request(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    """It is told which login it is, as the first one was."""
    second = LyingNetwork(network_server.authority.server("second", [SERVICE_NAME]), network_server.authority.ca_file)
    second.start()
    second.allow("from-second")
    lying_network.cut_after(0)
    network_server.ask_at(lying_network.endpoint(), second.endpoint())
    with network_server.server.login() as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:from-second",)
    asked = [*lying_network.requests, *second.requests]
    assert len(asked) == 2
    assert asked[0]["request_id"] == asked[1]["request_id"]
    second.stop()


def test_a_service_that_cuts_every_connection_is_not_asked_for_ever(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    network_server.ask_at(lying_network.endpoint(), timeout="60s", connect_timeout="60s")
    lying_network.instead_of_tls(lambda _: None)
    assert network_server.server.refusal().startswith("tls_failed")
    assert lying_network.came == 4


def test_tickets_for_another_session_are_passed_over(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    lying_network.tickets = 100
    network_server.server.login().close()


def test_a_service_that_never_ends_its_handshake_is_left(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    network_server.ask_at(lying_network.endpoint(), connect_timeout="200ms")
    lying_network.silent()
    refusal = network_server.server.refusal()
    assert refusal.startswith("service_unreachable")
    assert "did not finish its TLS handshake in time" in refusal


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda lying: lying.cut_after(0), "service_cut"),
        (lambda lying: lying.cut_after(40), "service_cut"),
        (lambda lying: lying.cut_after(200), "service_cut"),
        (lambda lying: lying.hang(), "service_timeout"),
        (lambda lying: lying.trickle(1, every=0.5), "service_timeout"),
        (lambda lying: lying.status(503), "service_unavailable"),
        (lambda lying: lying.status(403), "caller_refused"),
        (lambda lying: lying.status(500), "answer_status"),
        (lambda lying: lying.say("{}"), "answer_invalid"),
        (lambda lying: lying.raw(b"junk" * 20_000), "answer_invalid"),
        (lambda lying: lying.allow(role="postgres"), "answer_mismatch"),
        (lambda lying: lying.allow(ends_at=1), "answer_expired"),
        (lambda lying: lying.deny("no_rule"), "no_rule"),
    ],
)
def test_every_fault_denies_with_its_reason(
    network_server: NetworkServer, lying_network: LyingNetwork, fault: Callable[[LyingNetwork], None], reason: str
) -> None:
    network_server.ask_at(lying_network.endpoint(), timeout="1s")
    fault(lying_network)
    assert network_server.server.refusal().startswith(reason)
    lying_network.allow()
    network_server.server.login().close()


def test_an_answer_as_large_as_may_be_is_read_in_any_pieces(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    lying_network.allow(claims={"padding": "x" * 60_000})
    network_server.server.login().close()
    lying_network.trickle(7, every=0)
    network_server.server.login().close()


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (lambda first: first.stop(), 0),
        (lambda first: first.instead_of_tls(lambda _: None), 0),
        (lambda first: first.silent(), 0),
        (lambda first: first.status(503), 1),
        (lambda first: first.cut_after(200), 1),
        (lambda first: first.hang(), 1),
    ],
    ids=["absent", "cut", "silent", "503", "cut in the answer", "hung"],
)
@pytest.mark.story("service-down", "other", on="network")
def test_fails_over_to_another(
    network_server: NetworkServer, lying_network: LyingNetwork, fault: Callable[[LyingNetwork], None], asked: int
) -> None:
    second = LyingNetwork(network_server.authority.server("second", [SERVICE_NAME]), network_server.authority.ca_file)
    second.start()
    second.allow("from-second")
    network_server.ask_at(lying_network.endpoint(), second.endpoint(), timeout="2s", connect_timeout="500ms")
    fault(lying_network)
    with network_server.server.login() as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:from-second",)
    assert len(lying_network.requests) == asked
    second.stop()


def test_fails_over_from_a_unix_socket_and_from_a_stranger_and_not_from_a_denial(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    stranger = LyingNetwork(network_server.authority.server("stranger", ["other.test"]))
    stranger.start()
    stranger.allow("stranger")
    network_server.ask_at("unix:/nowhere/login.sock", stranger.endpoint(), lying_network.endpoint())
    network_server.server.login().close()
    assert (stranger.requests, len(lying_network.requests)) == ([], 1)
    lying_network.deny("no_rule")
    network_server.ask_at(lying_network.endpoint(), stranger.endpoint("hostname=other.test"))
    assert network_server.server.refusal().startswith("no_rule")
    assert stranger.requests == []
    stranger.stop()


def test_a_service_that_starts_meanwhile_is_waited_for(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    network_server.ask_at(lying_network.endpoint(), timeout="30s", connect_timeout="20s")
    lying_network.stop()
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(network_server.server.login)
        wait_until(lambda: waiting(network_server.server) == 1, 20, "the login to wait", pause=0.01)
        lying_network.start()
        login.result(20).close()


@pytest.mark.parametrize("hold", ["handshake", "answer"])
def test_a_wait_ends_when_the_backend_is_told_to(
    network_server: NetworkServer, lying_network: LyingNetwork, hold: str
) -> None:
    lying_network.silent() if hold == "handshake" else lying_network.hang()
    server = network_server.server
    network_server.ask_at(lying_network.endpoint(), timeout="60s", connect_timeout="60s")
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(server.login)
        lying_network.wait_for_connections(1)
        wait_until(lambda: waiting(server) == 1, 20, "the login to wait", pause=0.01)
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'")
        with pytest.raises(psycopg.OperationalError):
            login.result(20)


@pytest.mark.parametrize("hold", ["handshake", "answer"])
def test_a_wait_ends_when_the_client_leaves(
    network_server: NetworkServer, lying_network: LyingNetwork, hold: str
) -> None:
    lying_network.silent() if hold == "handshake" else lying_network.hang()
    server = network_server.server
    network_server.ask_at(lying_network.endpoint(), timeout="60s", connect_timeout="60s")
    before = len(server.log)
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(server.login)
        wait_until(lambda: waiting(server) == 1, 20, "the login to wait", pause=0.01)
        cut_clients(server)
        wait_until(lambda: "OAuth login refused: client_gone" in server.log[before:], 20, "the module to notice")
        with pytest.raises(psycopg.OperationalError):
            login.result(20)
    assert waiting(server) == 0


def cut_clients(server: BearerServer) -> None:
    """Shut our ends of connections to the server's socket, as the kernel does when a client dies."""
    for handle in list(Path("/proc/self/fd").iterdir()):
        try:
            duplicate = socket.socket(fileno=os.dup(int(handle.name)))
        except OSError:
            continue
        with duplicate:
            try:
                peer = duplicate.getpeername() if duplicate.family == socket.AF_UNIX else ""
            except OSError:
                continue
            if str(peer).startswith(str(server.folder)):
                duplicate.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "value",
    [
        "tcp://127.0.0.1:8432?hostname=pgbearer.test",
        "tcp://[::1]:8432?hostname=pgbearer",
        "tcp://10.1.2.3:1?spiffe=spiffe://prod.example.com/ns/pgbearer/sa/service",
        "unix:/run/x.sock, tcp://127.0.0.1:65535?hostname=a-b_c.test",
        "tcp://127.0.0.1:8432?hostname=" + "a." * 126 + "a",
    ],
)
def test_good_endpoints_are_taken(value: str, network_server: NetworkServer) -> None:
    network_server.server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{value}'")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("tcp://127.0.0.1:8432", "does not say whose certificate is expected"),
        ("tcp://127.0.0.1?hostname=x", "no host and port"),
        ("tcp://127.0.0.1:?hostname=x", "no host and port"),
        ("tcp://127.0.0.1:0?hostname=x", "no host and port"),
        ("tcp://127.0.0.1:65536?hostname=x", "no host and port"),
        ("tcp://127.0.0.1:1a?hostname=x", "no host and port"),
        ("tcp://:8432?hostname=x", "no host and port"),
        ("tcp://[::1:8432?hostname=x", "no host and port"),
        ("tcp://[]:8432?hostname=x", "no host and port"),
        ("tcp://[::1]8432?hostname=x", "no host and port"),
        ("tcp://::1:8432?hostname=x", "no host and port"),
        ("tcp://127.0.0.1:8432?", "and nothing more"),
        ("tcp://127.0.0.1:8432?host=x", "and nothing more"),
        ("tcp://127.0.0.1:8432?hostname=", "not a DNS name"),
        ("tcp://127.0.0.1:8432?hostname=*.test", "not a DNS name"),
        ("tcp://127.0.0.1:8432?hostname=a..b", "not a DNS name"),
        ("tcp://127.0.0.1:8432?hostname=10.0.0.5", "an address is none"),
        ("tcp://127.0.0.1:8432?hostname=010.0.0.5", "an address is none"),
        ("tcp://127.0.0.1:8432?hostname=10.5", "an address is none"),
        ("tcp://10.0.0.256:8432?hostname=x", "neither an IP address nor a DNS name"),
        ("tcp://127.0.0.1:8432?hostname=a&spiffe=spiffe://a/b", "not a DNS name"),
        ("tcp://127.0.0.1:8432?hostname=" + "a" * 254, "not a DNS name"),
        ("tcp://127.0.0.1:8432?spiffe=prod/x", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod/", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod/a/", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod/../a", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://PROD/a", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod:1/a", "not the SPIFFE ID"),
        ("tcp://127.0.0.1:8432?spiffe=spiffe://prod/" + "a" * 255, "not the SPIFFE ID"),
        ("tls://127.0.0.1:8432?hostname=x", "begins neither with"),
        (", ".join("tcp://127.0.0.1:8432?hostname=x" for _ in range(9)), "one too many"),
    ],
)
def test_bad_endpoints_are_not_taken(value: str, said: str, network_server: NetworkServer) -> None:
    server = network_server.server
    before = len(server.log)
    with pytest.raises(subprocess.CalledProcessError):
        server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{value}'")
    assert said in server.log[before:]
