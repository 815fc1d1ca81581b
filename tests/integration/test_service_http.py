"""The health listener under callers who mean no good: it shares a process with the logins, and must cost it nothing."""

import contextlib
import socket

import pytest

from tests.integration.fix_service import PATIENCE, Service

BEGINNING = b"GET /healthz HTTP/1.1\r\nHost: health\r\n"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.http_port), timeout=PATIENCE)


def test_headers_without_end_are_cut(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(BEGINNING)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # memory would take all of it
            connection.sendall((b"x: " + b"y" * 2**10 + b"\r\n") * 2**16)


def test_a_request_that_does_not_come_is_cut(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(BEGINNING)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1024) == b""


def test_those_who_only_connect_keep_nobody_out(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(service)).sendall(BEGINNING)
        assert service.http("/healthz")[0] == 200
        assert service.login()["decision"] == "allow"


def test_one_exchange_a_connection(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(BEGINNING + b"\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in said.lower()
