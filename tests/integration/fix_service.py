"""The real `pgbearer serve` as a process, on Unix sockets of its own, with a module played by plain sockets."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from pgbearer.wire import LoginRequest, encode_request
from tests.issuer import AUDIENCE, CLIENT, Issuer
from tests.parts.authority import Authority
from tests.parts.login import login_request

__all__ = ["Service", "Start", "service", "shared_service", "start_service", "write_settings"]

PATIENCE = 30.0
"""Seconds after which something that must happen is taken for never happening."""
_QUOTED_DATE = re.compile(r'"(\d{4}-\d\d-\d\d)"')


def local_server(folder: Path) -> dict[str, Any]:
    """A server that runs as whoever runs the tests."""
    return {"socket": str(folder / "login" / "login.sock"), "uid": os.getuid(), "group": os.getgid()}


def write_settings(file: Path, issuer: Issuer, **changes: Any) -> dict[str, Any]:
    """One issuer, and one rule: db-read gives app_readonly in appdb. `changes` replace sections."""
    folder = changes.pop("folder", file.parent)
    settings = {
        "version": 1,
        "servers": {"local": local_server(folder)},
        "issuers": {
            "demo": {
                "profile": "keycloak",
                "issuer": issuer.url,
                "audience": AUDIENCE,
                "clients": [CLIENT],
                "identity": "demo:{sub}",
                "ca_file": str(issuer.ca_file),
            }
        },
        "defaults": {"session": {"until": "sso", "max": "10h"}},
        "rules": [{"name": "readers", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readonly"]}],
        "audit": {"file": str(folder / "audit.jsonl")},
        "admin": {"socket": str(folder / "admin" / "admin.sock")},
        "state": {"folder": str(folder / "state")},
        "http": {"address": "127.0.0.1:0"},
    } | changes
    new = file.with_suffix(".new")
    new.write_text(_QUOTED_DATE.sub(r"\1", json.dumps(settings)))  # JSON is YAML, but for dates
    new.chmod(0o600)
    new.rename(file)
    return settings


@dataclass
class Answer:
    """What came back, as it came and decoded; status 0 if nothing did."""

    status: int
    raw: bytes
    body: Any


@dataclass
class Service:
    """A running service. Everything that it ever printed is in `output`."""

    file: Path
    settings: dict[str, Any]
    process: subprocess.Popen[str]
    issuer: Issuer
    output: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def login_socket(self) -> Path:
        return Path(self.settings["servers"]["local"]["socket"])

    @property
    def admin_socket(self) -> Path:
        return Path(self.settings["admin"]["socket"])

    @property
    def audit_file(self) -> Path:
        return Path(self.settings["audit"]["file"])

    def request(self, **changes: Any) -> LoginRequest:
        """A login that is allowed, but for `changes` to it."""
        return login_request(**{"token": self.issuer.token(), "issuer": self.issuer.url} | changes)

    def login(self, request: LoginRequest | None = None, **changes: Any) -> dict[str, Any]:
        """What the module would be answered; anything but a decision fails the test.

        A request that was made before has the present as its time: a module that sends it did read its clock.
        """
        if request is None:
            request = self.request(**changes)
        else:
            request = replace(request, access=replace(request.access, now=int(time.time() * 1000)))
        answer = self.post(encode_request(request))
        assert answer.status == 200, answer
        return answer.body  # type: ignore[no-any-return]

    def encoded(self, **changes: Any) -> bytes:
        """The body of a login that is allowed, its top-level members replaced by `changes`, whatever they are."""
        return json.dumps(json.loads(encode_request(self.request())) | changes).encode()

    def post(self, body: bytes, path: str = "/v1/login") -> Answer:
        """POST to the login socket."""
        head = b"POST %s HTTP/1.1\r\nHost: pgbearer\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        return self.send(head % (path.encode(), len(body)) + body)

    def send(self, data: bytes, to: Path | None = None) -> Answer:
        """Send exactly these bytes, and read until the service closes."""
        with self.connect(to) as connection:
            with contextlib.suppress(BrokenPipeError):  # it may have answered before it read everything
                connection.sendall(data)
            return read_answer(connection)

    def read(self, connection: socket.socket) -> Answer:
        """The answer on a connection of the test's own."""
        return read_answer(connection)

    def connect(self, to: Path | None = None) -> socket.socket:
        """A connection to the login socket, or another."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(to or self.login_socket))
        except OSError:
            connection.close()
            raise
        return connection

    def admin(self, target: str) -> Answer:
        """GET from the admin socket."""
        return self.send(f"GET {target} HTTP/1.1\r\nHost: admin\r\n\r\n".encode(), self.admin_socket)

    def command(self, target: str, **command: Any) -> Answer:
        """POST a command to the admin socket."""
        body = json.dumps(command).encode()
        head = b"POST %s HTTP/1.1\r\nHost: admin\r\nContent-Length: %d\r\n\r\n"
        return self.send(head % (target.encode(), len(body)) + body, self.admin_socket)

    def http(self, path: str) -> tuple[int, str]:
        """GET from the health and metrics listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    @property
    def http_port(self) -> int:
        return int(self.await_line(r"health and metrics on 127\.0\.0\.1:(\d+)")[1])

    @property
    def revocations_file(self) -> Path:
        return Path(self.settings["state"]["folder"]) / "revocations.json"

    def audit(self) -> list[dict[str, Any]]:
        """The lines of the audit file."""
        return [json.loads(line) for line in self.audit_file.read_bytes().splitlines()]

    def decisions(self) -> list[dict[str, Any]]:
        """The audit's decisions."""
        return [line for line in self.audit() if line["kind"] == "decision"]

    def await_metric(self, sample: str) -> None:
        """Wait until the metrics have this line."""
        deadline = time.monotonic() + PATIENCE
        while sample not in self.http("/metrics")[1].splitlines():
            assert time.monotonic() < deadline, sample

    def await_line(self, pattern: str) -> re.Match[str]:
        """The first line of output, so far or to come, that has the pattern in it."""
        with self._news:
            found = self._news.wait_for(lambda: self._search(pattern) or self._ended(), PATIENCE)
        match = self._search(pattern)
        assert match, f"no line with {pattern!r} ({found}) in:\n{''.join(self.output)}"
        return match

    def count(self, pattern: str) -> int:
        """How many lines of output have the pattern in them."""
        return sum(bool(re.search(pattern, line)) for line in self.output)

    def await_count(self, pattern: str, count: int) -> None:
        """Wait until so many lines have the pattern in them."""
        with self._news:
            assert self._news.wait_for(lambda: self.count(pattern) >= count, PATIENCE), "".join(self.output)

    def change(self, **changes: Any) -> None:
        """Replace sections of the file, as an editor does."""
        self.settings = write_settings(self.file, self.issuer, **self.settings | changes)

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def settle(self, **changes: Any) -> None:
        """Replace sections of the file, and wait until they are in force and no reload of them is still to come.

        The service may see the change before it gets the signal, and then reloads twice: the second ends it.
        """
        reloads = self.count("reloaded .* as asked")
        self.change(**changes)
        self.hang_up()
        self.await_count("reloaded .* as asked", reloads + 1)

    def stop(self) -> int:
        """SIGTERM, and wait: the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE)

    def _search(self, pattern: str) -> re.Match[str] | None:
        return next((match for line in self.output if (match := re.search(pattern, line))), None)

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def _read_output(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.output.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def __enter__(self) -> Self:
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()
        assert not re.search(r"eyJ|Traceback", "".join(self.output))


Start = Callable[..., Service]


def read_answer(connection: socket.socket) -> Answer:
    """Read an answer until the end of the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]) if head else 0, data, json.loads(body) if body else None)


def _starter(folder: Path, issuer: Issuer, stack: contextlib.ExitStack) -> Start:
    def start(
        *,
        ready: bool = True,
        wrong_uid: bool = False,
        file: Path = folder / "pgbearer.yaml",
        real_file: Path | None = None,
        stdout: int = subprocess.DEVNULL,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Service:
        if wrong_uid:
            changes["servers"] = {"local": local_server(folder) | {"uid": os.getuid() + 1}}
        settings = write_settings(real_file or file, issuer, **{"folder": folder} | changes)
        command = [str(Path(sys.executable).with_name("pgbearer")), "serve", "-c", str(file), *arguments]
        process = subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        service = stack.enter_context(Service(file, settings, process, issuer))
        if ready:
            service.await_line("serving logins")
        return service

    return start


@pytest.fixture
def start_service(tmp_path: Path, issuer: Issuer) -> Iterator[Start]:
    """Start services; `changes` replace sections of the settings.

    `wrong_uid`: expect the server to run as somebody else; `real_file`: where `file` leads, if it is a link.
    """
    with contextlib.ExitStack() as stack:
        yield _starter(tmp_path, issuer, stack)


@pytest.fixture
def service(start_service: Start) -> Service:
    """A service that is ready to decide."""
    return start_service()


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory, issuer_authority: Authority) -> Iterator[Service]:
    """One for the tests of a file that only ask and change nothing."""
    with contextlib.ExitStack() as stack:
        issuer = stack.enter_context(Issuer(issuer_authority))
        yield _starter(tmp_path_factory.mktemp("service"), issuer, stack)()
