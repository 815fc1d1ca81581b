"""A service that listens for servers on other hosts, with an authority of its own, and a server played by plain TLS."""

import os
import re
import shutil
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgbearer.wire import encode_request
from tests.integration.fix_service import Answer, Service, Start, local_server, read_answer
from tests.parts.authority import Authority, Certificate

__all__ = [
    "PAY",
    "SERVICE_NAME",
    "NetworkService",
    "StartNetwork",
    "replace_certificate",
    "replace_file",
    "start_network",
    "tls_settings",
]

SERVICE_NAME = "pgbearer.test"
PAY = "spiffe://prod.test/postgres/pay"
"""Who `pay` is under ``servers:``; `shop.test` is `shop`."""
PATIENCE = 30.0


def tls_settings(own: Certificate, authority: Authority) -> dict[str, Any]:
    """``listen.tls``, on any port."""
    return {
        "address": "127.0.0.1:0",
        "certificate_file": str(own.cert_file),
        "key_file": str(own.key_file),
        "client_ca_file": str(authority.ca_file),
    }


def replace_certificate(present: Certificate, new: Certificate) -> None:
    """Put the new files in the place of the present ones, each at once, as a careful administrator does."""
    for source, target in ((new.key_file, present.key_file), (new.cert_file, present.cert_file)):
        replace_file(target, source.read_bytes())


def replace_file(target: Path, content: bytes) -> None:
    """Give a file another content at once, with the owner and mode that it has."""
    beside = target.with_suffix(".next")
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    shutil.copymode(target, beside)
    os.chown(beside, target.stat().st_uid, -1)
    beside.rename(target)


@dataclass
class NetworkService:
    """The service, its authority, and certificates: `own` of the service, `pay` and `shop` of two servers."""

    service: Service
    authority: Authority
    own: Certificate
    pay: Certificate
    shop: Certificate

    @property
    def port(self) -> int:
        return int(self.service.await_line(r"over TLS on 127\.0\.0\.1:(\d+)")[1])

    def connect_plainly(self, whence: str = "127.0.0.1") -> socket.socket:
        """TCP from that address of loopback, and nothing said yet."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE, (whence, 0))

    def connect(
        self, certificate: Certificate | None, *, maximum: ssl.TLSVersion | None = None, whence: str = "127.0.0.1"
    ) -> ssl.SSLSocket:
        """TLS, the service's certificate checked."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if maximum is not None:
            context.maximum_version = maximum
        if certificate is not None:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
        plain = self.connect_plainly(whence)
        try:
            return context.wrap_socket(plain, server_hostname=SERVICE_NAME)
        except BaseException:
            plain.close()
            raise

    def send(self, certificate: Certificate | None, data: bytes) -> Answer:
        """Send exactly these bytes, and read until the service closes."""
        with self.connect(certificate) as connection:
            connection.sendall(data)
            return read_answer(connection)

    def post(self, certificate: Certificate | None, body: bytes) -> Answer:
        """POST a login."""
        head = b"POST /v1/login HTTP/1.1\r\nHost: pgbearer\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        return self.send(certificate, head % len(body) + body)

    def known_ends(self) -> dict[str, float]:
        """Until when the certificates are good that servers showed last, by server, as the metric has it."""
        name = "pgbearer_caller_certificate_expires_timestamp_seconds"
        found = re.findall(rf'^{name}\{{server="(\w+)"\}} (\S+)$', self.service.http("/metrics")[1], re.MULTILINE)
        return {server: float(until) for server, until in found}

    def login(self, certificate: Certificate, **changes: Any) -> dict[str, Any]:
        """What the module would be answered; anything but a decision fails the test."""
        answer = self.post(certificate, encode_request(self.service.request(**changes)))
        assert answer.status == 200, answer
        return answer.body  # type: ignore[no-any-return]

    def refused(self, reason: str) -> int:
        """How many connections were refused for `reason`."""
        sample = f'pgbearer_tls_refused_total{{reason="{reason}"}}'
        lines = self.service.http("/metrics")[1].splitlines()
        return next((int(float(line.split()[1])) for line in lines if line.startswith(sample)), 0)


class StartNetwork:
    """Call it for a service on the network; `changes` replace sections of its settings."""

    def __init__(self, folder: Path, start: Start) -> None:
        self.folder = folder
        self._start = start

    def __call__(self, **changes: Any) -> NetworkService:
        authority = Authority(self.folder / "tls", "pgbearer network test")
        own = authority.server("service", [SERVICE_NAME])
        servers = {
            "local": local_server(self.folder),
            "pay": {"certificate": PAY},
            "shop": {"certificate": "shop.test"},
        }
        sections = {"servers": servers, "listen": {"tls": tls_settings(own, authority)}} | changes
        service = self._start(**sections)
        return NetworkService(
            service, authority, own, authority.client("pay", [PAY]), authority.client("shop", ["shop.test"])
        )


@pytest.fixture
def start_network(tmp_path: Path, start_service: Start) -> StartNetwork:
    """Start services that listen for servers on other hosts."""
    return StartNetwork(tmp_path, start_service)
