"""docs/network.md, tried as it stands: its certificates are made, and its settings are used with them."""

import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration.fix_module_network import NetworkServer
from tests.integration.fix_service import Start, read_answer

PAGE = (Path(__file__).parents[2] / "docs" / "network.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The one block of the page in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page's commands were run."""
    folder = tmp_path_factory.mktemp("page")
    done = subprocess.run(["sh", "-eu"], input=block("sh"), cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_server_asks_with_the_pages_certificates_and_settings(start_service: Start, certificates: Path) -> None:
    text = block("yaml").replace("/etc/pgbearer/tls", str(certificates)).replace("10.0.0.5:8432", "127.0.0.1:0")
    sections = yaml.safe_load(text)
    service = start_service(**sections)
    port = int(service.await_line(r"serving logins of pay-eu, shop-eu over TLS on 127\.0\.0\.1:(\d+)")[1])
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(certificates / "pay-eu.crt", certificates / "pay-eu.key")
    body = service.encoded()
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="pgbearer.example.com") as connection,
    ):
        connection.sendall(b"POST /v1/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(connection).body["decision"] == "allow"
    assert service.decisions()[-1]["peer_certificate"] == "spiffe://example.com/postgres/pay-eu"


def test_the_servers_settings_are_taken(network_server: NetworkServer) -> None:
    for line in block("ini").splitlines():
        name, _, value = line.partition(" = ")
        if name.startswith("pgbearer."):
            network_server.server.sql(f"ALTER SYSTEM SET {name} = {value}")


@pytest.mark.parametrize("endpoint", re.findall(r"`(tcp://\S+)`", PAGE))
def test_every_endpoint_in_the_text_is_one(network_server: NetworkServer, endpoint: str) -> None:
    network_server.server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{endpoint}'")


def test_the_reasons_it_names_are_reasons() -> None:
    reasons = (Path(__file__).parents[2] / "validator" / "pgmodule" / "reasons.h").read_text(encoding="utf-8")
    table = PAGE[PAGE.index("## When it does not work") :]
    named = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert len(named) > 4
    assert all(f"REASON({name}," in reasons for name in named)
