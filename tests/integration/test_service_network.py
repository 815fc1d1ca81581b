"""Logins over the network: who is let ask, what is refused before it is read, certificates that change."""

import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from tests.integration.fix_network import (
    PAY,
    SERVICE_NAME,
    NetworkService,
    StartNetwork,
    replace_certificate,
    tls_settings,
)
from tests.integration.fix_service import Start, local_server, read_answer
from tests.parts.authority import Authority, Certificate
from tests.under_load import under_load

HEAD = b"POST /v1/login HTTP/1.1\r\nHost: pgbearer\r\n"


@pytest.fixture
def network(start_network: StartNetwork) -> NetworkService:
    """One that is ready to decide."""
    return start_network()


def test_a_server_is_who_its_certificate_says_whatever_the_body_says(network: NetworkService) -> None:
    body = json.loads(network.service.encoded())
    body["server"]["instance"] = "shop"
    for certificate, name, known in ((network.pay, "pay", PAY), (network.shop, "shop", "shop.test")):
        assert network.post(certificate, json.dumps(body).encode()).body["decision"] == "allow"
        line = network.service.decisions()[-1]
        assert (line["server"], line["peer_uid"], line["peer_certificate"]) == (name, None, known)
    assert network.service.login()["decision"] == "allow"
    line = network.service.decisions()[-1]
    assert (line["server"], line["peer_certificate"]) == ("local", None)


def test_only_tls_1_3_is_spoken(network: NetworkService) -> None:
    with network.connect(network.pay) as connection:
        assert connection.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        network.connect(network.pay, maximum=ssl.TLSVersion.TLSv1_2)
    assert network.refused("handshake") >= 1
    assert network.login(network.pay)["decision"] == "allow"


Make = Callable[[NetworkService, Path], Certificate | None]


@pytest.mark.parametrize(
    "made",
    [
        lambda network, folder: None,
        lambda network, folder: network.authority.client("late", [PAY], days=-1),
        lambda network, folder: Authority(folder / "other", "pgbearer network test").client("pay", [PAY]),
        lambda network, folder: Authority(folder / "third", "another").client("pay", [PAY]),
        lambda network, folder: network.authority.server("for-servers", [PAY]),
    ],
    ids=["none", "expired", "of another authority of the same name", "of another authority", "not for clients"],
)
def test_a_certificate_that_does_not_verify_is_refused_and_nothing_is_read(
    network: NetworkService, tmp_path: Path, made: Make
) -> None:
    answer = None
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        answer = network.post(made(network, tmp_path), network.service.encoded())
    assert answer is None or answer.status == 0
    network.service.await_line("a connection from 127.0.0.1:.* is refused: ")
    assert network.refused("handshake") == 1
    assert network.service.decisions() == []
    assert network.login(network.pay)["decision"] == "allow"


def test_until_when_each_servers_certificate_is_good_is_measured(network: NetworkService) -> None:
    def end(certificate: Certificate) -> float:
        return x509.load_pem_x509_certificates(certificate.cert_file.read_bytes())[0].not_valid_after_utc.timestamp()

    assert network.known_ends() == {}
    soon = network.authority.client("soon", [PAY], days=3)
    stranger = network.authority.client("stranger", ["stranger.test"], days=1)
    network.login(soon)
    network.login(network.shop)
    assert network.post(stranger, b"{}").status == 403
    assert network.known_ends() == {"pay": end(soon), "shop": end(network.shop)}
    network.login(network.pay)
    assert network.known_ends() == {"pay": end(network.pay), "shop": end(network.shop)}
    servers = network.service.settings["servers"]
    network.service.change(servers={name: servers[name] for name in servers if name != "pay"})
    network.service.await_line("reloaded")
    assert network.known_ends() == {}


@pytest.mark.parametrize(
    "names",
    [
        ["spiffe://prod.test/postgres/other"],
        ["spiffe://prod.test/postgres/pay/"],
        ["spiffe://prod.test/postgres/PAY"],
        ["spiffe://prod.test"],
        ["https://prod.test/postgres/pay"],
        [PAY, "spiffe://prod.test/postgres/other"],
        [PAY, PAY],
        ["other.test"],
        ["*.test"],
        ["*"],
        ["sub.shop.test"],
        ["shop.test."],
        ["spiffe://prod.test/postgres/other", "shop.test"],
        ["127.0.0.1"],
    ],
    ids=str,
)
def test_a_certificate_of_no_server_is_told_so_before_its_request_is_read(
    network: NetworkService, names: list[str]
) -> None:
    stranger = network.authority.client("stranger", names)
    with network.connect(stranger) as connection:
        connection.sendall(b"P")
        answer = read_answer(connection)
    assert (answer.status, answer.body["reason"]) == (403, "caller_unknown")
    network.service.await_line(r"is refused: its certificate \(.*\) is of no server under servers:")
    assert network.refused("unknown") == 1
    assert network.service.decisions() == []


def test_a_stranger_does_not_fill_the_log_with_names(network: NetworkService) -> None:
    many = network.authority.client("many", [f"name-{number}.{'x' * 50}.test" for number in range(300)])
    assert network.post(many, b"{}").status == 403
    line = network.service.await_line(r"is refused: its certificate \((.*) is of no server")
    assert len(line[1]) < 1000
    assert "name-0." in line[1]


def test_a_certificate_of_two_servers_is_nobodys(network: NetworkService) -> None:
    servers = network.service.settings["servers"] | {"both": {"certificate": "both.test"}}
    network.service.change(servers=servers)
    network.service.await_line("reloaded")
    assert network.post(network.authority.client("two", ["shop.test", "both.test"]), b"{}").status == 403
    twice = network.authority.client("more", ["shop.test", "anything.test"])
    assert network.login(twice)["decision"] == "allow"


def test_taken_out_of_the_settings_it_is_refused_from_the_next_login_on(network: NetworkService) -> None:
    assert network.login(network.pay)["decision"] == "allow"
    with network.connect(network.pay) as open_before:
        open_before.sendall(b"P")
        servers = {name: one for name, one in network.service.settings["servers"].items() if name != "pay"}
        network.service.change(servers=servers)
        network.service.await_line("reloaded")
        assert network.post(network.pay, network.service.encoded()).status == 403
        body = network.service.encoded()
        open_before.sendall(HEAD[1:] + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(open_before).body["reason"] == "caller_unknown"
    assert network.login(network.shop)["decision"] == "allow"


def test_the_same_limits_hold(start_network: StartNetwork) -> None:
    network = start_network(limits={"per_caller_per_second": 1, "in_flight": 2})
    said = {network.post(network.pay, network.service.encoded()).body["reason"] for _ in range(20)}
    assert said == {"allowed", "overloaded"}
    with network.connect(network.shop) as one, network.connect(network.shop) as two:
        for connection in (one, two):
            connection.sendall(HEAD)
        network.service.await_metric("pgbearer_in_flight 2.0")
        answer = network.post(network.shop, network.service.encoded())
        assert (answer.status, answer.body["reason"]) == (503, "overloaded")


def test_one_server_leaves_places_to_the_others(start_network: StartNetwork) -> None:
    network = start_network(limits={"in_flight": 16})
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(network.connect(network.shop)).sendall(HEAD)
        network.service.await_metric('pgbearer_crowded_total{server="shop"} 10.0')
        assert network.login(network.pay)["decision"] == "allow"
        assert network.service.login()["decision"] == "allow"


def test_one_instance_of_a_server_leaves_places_to_the_others(start_network: StartNetwork) -> None:
    """They have one certificate, and addresses of their own."""
    network = start_network(limits={"in_flight": 16})
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(network.connect(network.shop)).sendall(HEAD)
        network.service.await_metric('pgbearer_crowded_total{server="shop"} 10.0')
        other = stack.enter_context(network.connect(network.shop, whence="127.0.0.2"))
        body = network.service.encoded()
        other.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(other).body["reason"] == "allowed"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET /v1/decisions HTTP/1.1\r\n\r\n", 404),
        (b"GET /v1/login HTTP/1.1\r\n\r\n", 405),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (HEAD + b"Content-Length: 131073\r\n\r\n", 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_is_no_login_is_refused(network: NetworkService, data: bytes, status: int) -> None:
    assert network.send(network.pay, data).status == status


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\x00" * 100_000])
def test_what_is_no_tls_costs_nobody_else_anything(network: NetworkService, data: bytes) -> None:
    with network.connect_plainly() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    network.service.await_metric('pgbearer_tls_refused_total{reason="handshake"} 1.0')
    assert network.login(network.pay)["decision"] == "allow"


def test_a_handshake_that_never_ends_is_ended(network: NetworkService) -> None:
    with network.connect_plainly() as silent, network.connect_plainly() as slow:
        slow.sendall(b"\x16\x03\x01")
        for connection in (silent, slow):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(4096) == b""
    assert network.refused("slow") == 2


def test_a_request_that_never_ends_is_ended(network: NetworkService) -> None:
    with network.connect(network.pay) as slow:
        slow.sendall(HEAD)
        assert read_answer(slow).status == 408


def test_those_who_only_connect_keep_out_nobody_who_asks(network: NetworkService) -> None:
    """More than may shake hands at a time: the oldest make room for each that comes."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(network.connect_plainly())
        for _ in range(3):
            assert network.login(network.pay)["decision"] == "allow"
        assert network.refused("crowded") >= 300 - 256
        refusals = network.service.count("handshakes are under way")
        assert refusals <= 2, "a flood does not fill the log"


def test_one_address_crowds_out_nobody_at_another(network: NetworkService) -> None:
    """The first to come is the oldest of all, and stays."""
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", network.port)
        waiting = stack.enter_context(socket.create_connection(address, 30, ("127.0.0.2", 0)))
        for _ in range(300):
            stack.enter_context(network.connect_plainly())
        network.service.await_metric('pgbearer_tls_refused_total{reason="crowded"} 45.0')
        context = ssl.create_default_context(cafile=str(network.authority.ca_file))
        context.load_cert_chain(network.pay.cert_file, network.pay.key_file)
        with context.wrap_socket(waiting, server_hostname="pgbearer.test") as connection:
            assert connection.version() == "TLSv1.3"


def test_a_client_that_leaves_is_recorded_and_gives_its_place_back(network: NetworkService) -> None:
    for part in (b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"):
        with network.connect(network.pay) as connection:
            connection.sendall(part)
    assert network.login(network.pay)["decision"] == "allow"
    network.service.await_metric("pgbearer_in_flight 0.0")


def test_certificates_change_under_load_and_no_login_fails(network: NetworkService) -> None:
    """Both sides' certificates and the authority: first both authorities are trusted, then the new one alone."""
    successor = Authority(network.service.file.parent / "next", "the next authority")
    both = network.authority.ca_file.read_bytes() + successor.ca_file.read_bytes()
    present = [network.pay]

    def ask() -> None:
        assert network.login(present[0])["decision"] == "allow"

    with under_load(ask) as await_more:
        for number, made in enumerate((network.authority, network.authority, successor), start=1):
            if made is successor:
                _replace(network.authority.ca_file, both)
                network.service.await_count("new certificate for logins over the network", number)
                present[0] = made.client("pay-next", [PAY])
            else:
                present[0] = made.client(f"pay-{number}", [PAY])
                replace_certificate(network.own, made.server(f"service-{number}", ["pgbearer.test"]))
                network.service.await_count("new certificate for logins over the network", number)
            await_more(20)
    assert network.service.count("a connection from .* is refused") == 0
    _replace(network.authority.ca_file, successor.ca_file.read_bytes())
    network.service.await_count("new certificate for logins over the network", 4)


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_suffix(".next")
    beside.write_bytes(data)
    beside.rename(file)


def _expired(network: NetworkService) -> None:
    replace_certificate(network.own, network.authority.server("old", ["pgbearer.test"], days=-1))


def _of_version_4(network: NetworkService) -> None:
    der = ssl.PEM_cert_to_DER_cert(network.own.cert_file.read_text())
    other = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1)
    _replace(network.own.cert_file, ssl.DER_cert_to_PEM_cert(other).encode())


def _key_of_another(network: NetworkService) -> None:
    _replace(network.own.key_file, network.authority.server("other").key_file.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_expired, "the certificate has expired"),
        (_key_of_another, "key values mismatch"),
        (_of_version_4, "no certificate that can be read"),
        (lambda network: _replace(network.own.cert_file, b""), "no certificate with its key"),
        (lambda network: _replace(network.own.key_file, b"-----BEGIN"), "no certificate with its key"),
        (lambda network: _replace(network.authority.ca_file, b"nothing"), "and an authority"),
        (lambda network: network.own.key_file.unlink(), "cannot be read"),
        (lambda network: network.own.cert_file.chmod(0o666), "not trusted"),
    ],
    ids=["expired", "key of another", "version 4", "empty", "half a key", "no authority", "gone", "writable by others"],
)
def test_bad_new_files_keep_the_old_ones_in_use_and_are_told_of(
    network: NetworkService, spoil: Callable[[NetworkService], None], said: str
) -> None:
    good = {file: file.read_bytes() for file in (network.own.cert_file, network.own.key_file)}
    ca = network.authority.ca_file.read_bytes()
    context = ssl.create_default_context(cadata=ca.decode())
    context.load_cert_chain(network.pay.cert_file, network.pay.key_file)
    spoil(network)
    network.service.await_line(f"the new certificate is refused, the one before stays in use: .*{said}")
    with context.wrap_socket(network.connect_plainly(), server_hostname="pgbearer.test") as connection:
        body = network.service.encoded()
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(connection).body["decision"] == "allow"
    network.service.await_metric("pgbearer_tls_ok 0.0")
    status, page = network.service.http("/readyz")
    assert (status, json.loads(page)["tls"]["current"]) == (200, False)
    assert said in json.loads(page)["tls"]["fault"]
    network.own.cert_file.chmod(0o644)
    for file, data in good.items():
        _replace(file, data)
        file.chmod(0o600)
    _replace(network.authority.ca_file, ca)
    network.service.await_metric("pgbearer_tls_ok 1.0")
    assert json.loads(network.service.http("/readyz")[1])["tls"]["current"] is True


def test_nothing_starts_with_a_certificate_that_is_of_no_use(start_service: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    own = authority.server("service", days=-1)
    servers = {"local": local_server(tmp_path), "pay": {"certificate": PAY}}
    service = start_service(ready=False, servers=servers, listen={"tls": tls_settings(own, authority)})
    assert service.process.wait(30) == 2
    service.await_line("the certificate has expired")


def test_another_address_takes_a_restart_and_other_files_do_not(network: NetworkService) -> None:
    before = network.service.settings["listen"]["tls"]
    network.service.change(listen={"tls": before | {"address": "127.0.0.2:0"}})
    network.service.await_line(r"listen\.tls\.address.* changed")
    other = Authority(network.service.file.parent / "second", "second")
    own = other.server("service", ["pgbearer.test"])
    network.service.change(listen={"tls": tls_settings(own, other)})
    network.service.await_line("reloaded")
    network.authority = other
    assert network.login(other.client("pay", [PAY]))["decision"] == "allow"


def test_it_stops_without_cutting_logins_and_says_where_it_listens(network: NetworkService) -> None:
    network.service.await_line("serving logins of pay, shop over TLS on 127.0.0.1:")
    with network.connect(network.pay) as connection:
        connection.sendall(HEAD)
        network.service.await_metric("pgbearer_in_flight 1.0")
        network.service.process.terminate()
        network.service.await_line("stopping")
        body = network.service.encoded()
        connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = read_answer(connection)
    assert (answer.status, answer.body["reason"]) == (503, "not_ready")
    assert network.service.stop() == 0


def test_it_stops_without_cutting_a_request_that_comes_with_the_end_of_its_handshake(network: NetworkService) -> None:
    """Whoever is cut then cannot know that nothing was decided, and asks no second time."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(network.authority.ca_file))
    context.load_cert_chain(network.pay.cert_file, network.pay.key_file)
    tls = context.wrap_bio(incoming, outgoing, server_hostname=SERVICE_NAME)
    with network.connect_plainly() as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        network.service.process.terminate()
        network.service.await_line("stopping")
        assert network.service.http("/readyz")[0] == 503  # by now it has seen to those under way
        body = network.service.encoded()
        tls.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.sendall(outgoing.read())
        answer = b""
        while part := connection.recv(65536):
            incoming.write(part)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                answer += tls.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert network.service.stop() == 0


def test_a_handshake_that_never_ends_does_not_keep_it_from_stopping(network: NetworkService) -> None:
    with network.connect_plainly():
        assert network.login(network.pay)["decision"] == "allow"
        network.service.process.terminate()
        network.service.await_line("no handshake in 5 s")
        assert network.service.stop() == 0
