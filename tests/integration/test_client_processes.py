"""Many processes with one login: one of them renews it or asks, and whoever dies on the way leaves no harm."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgbearer.client import AccessToken, FileStore, Grant, Secret, TokenKey
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from tests.parts.authority import Authority
from tests.session_issuer import SessionIssuer

Start = Callable[..., list["Process"]]
ROOT = Path(__file__).parents[2]


class Process:
    """One of many."""

    def __init__(self, *words: str) -> None:
        program = [sys.executable, "-m", "tests.token_process", *words]
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self._in, self._out = self.child.stdin, self.child.stdout
        assert self._out.readline() == "ready\n"

    def begin(self) -> None:
        """Have it get a token."""
        self._in.write("\n")
        self._in.flush()

    def said(self) -> dict[str, Any]:
        """What came of it; waits until something did."""
        said: dict[str, Any] = json.loads(self._out.readline())
        return said

    def end(self) -> str:
        """End it, and return what it wrote on standard error."""
        self.child.kill()
        return self.child.communicate()[1]


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[SessionIssuer]:
    with SessionIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def issuer(one_issuer: SessionIssuer) -> SessionIssuer:
    one_issuer.begin_anew()
    return one_issuer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(StateFolder(PrivateFolder(folder)))


@pytest.fixture
def start(issuer: SessionIssuer, folder: Path) -> Iterator[Start]:
    started: list[Process] = []

    def start(count: int, how: str = "never") -> list[Process]:
        new = [Process(issuer.url, str(issuer.ca_file), str(folder), how) for _ in range(count)]
        started.extend(new)
        return new

    yield start
    for process in started:
        process.end()


def expire(issuer: SessionIssuer, store: FileStore) -> None:
    """Have the kept token end; the login goes on."""
    key = TokenKey(issuer.url, "cli", None)
    kept = store.load(key)
    refresh = Secret(issuer.begin_session().refresh) if kept is None else kept.refresh
    ended = AccessToken(issuer.token(exp=int(time.time()) - 1), expires_at=time.time() - 1)
    store.save(key, Grant(ended, "pgbearer-device", refresh))


def test_ten_processes_renew_once_in_each_round(issuer: SessionIssuer, store: FileStore, start: Start) -> None:
    processes = start(10)
    for round_ in range(1, 6):
        expire(issuer, store)
        for process in processes:
            process.begin()
        refs = {process.said()["ref"] for process in processes}
        assert refs == {AccessToken(issuer.issued[-1]).ref}
        assert (issuer.refreshes, issuer.reuses) == (round_, 0)


def test_ten_processes_ask_once(issuer: SessionIssuer, start: Start) -> None:
    issuer.polls.extend(["authorization_pending"] * 2)
    processes = start(10, "device")
    for process in processes:
        process.begin()
    refs = {process.said()["ref"] for process in processes}
    assert refs == {AccessToken(issuer.issued[0]).ref}
    assert issuer.logins == 1
    said = [process.end() for process in processes]
    assert sum("enter the code" in text for text in said) == 1
    assert sum("waiting for another process, which is getting a token of" in text for text in said) == 9


def test_a_session_that_was_ended_is_asked_for_once_by_all(
    issuer: SessionIssuer, store: FileStore, start: Start
) -> None:
    expire(issuer, store)
    issuer.end_sessions()
    processes = start(5, "device")
    for process in processes:
        process.begin()
    assert {process.said()["ref"] for process in processes} == {AccessToken(issuer.issued[0]).ref}
    assert issuer.logins == 1


def test_who_is_killed_between_renewing_and_keeping_costs_one_login(
    issuer: SessionIssuer, store: FileStore, start: Start
) -> None:
    expire(issuer, store)
    spent, killed = threading.Event(), threading.Event()

    def hold() -> None:
        issuer.before_the_answer = None
        spent.set()
        killed.wait(60)

    issuer.before_the_answer = hold
    victim, quiet, asking = *start(2), *start(1, "device")
    victim.begin()
    assert spent.wait(60)
    victim.end()
    killed.set()
    quiet.begin()
    assert quiet.said() == {"error": "NotLoggedInError"}
    asking.begin()
    assert asking.said() == {"ref": AccessToken(issuer.issued[-1]).ref}
    assert issuer.logins == 1
    quiet.begin()
    assert quiet.said() == {"ref": AccessToken(issuer.issued[-1]).ref}


def test_a_slow_issuer_makes_the_others_wait_and_not_ask(issuer: SessionIssuer, store: FileStore, start: Start) -> None:
    expire(issuer, store)
    issuer.trickle(0.001)
    processes = start(4)
    for process in processes:
        process.begin()
    assert {process.said()["ref"] for process in processes} == {AccessToken(issuer.issued[0]).ref}
    assert (issuer.refreshes, issuer.reuses) == (1, 0)


def test_an_issuer_that_is_down_is_an_error_for_each(issuer: SessionIssuer, store: FileStore, start: Start) -> None:
    expire(issuer, store)
    issuer.down()
    processes = start(3)
    for process in processes:
        process.begin()
    assert [process.said() for process in processes] == [{"error": "UnreachableError"}] * 3
    issuer.mend()
    processes[0].begin()
    assert processes[0].said() == {"ref": AccessToken(issuer.issued[0]).ref}


def test_no_token_is_in_arguments_environment_or_output(issuer: SessionIssuer, store: FileStore, start: Start) -> None:
    expire(issuer, store)
    (process,) = start(1)
    process.begin()
    assert "ref" in process.said()
    seen = [Path(f"/proc/{process.child.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    seen.append(process.end().encode())
    kept = store.load(TokenKey(issuer.url, "cli", None))
    assert kept is not None
    assert kept.refresh is not None
    secrets = (kept.access.reveal(), kept.refresh.reveal(), issuer.issued[0])
    assert not any(secret.encode() in text for secret in secrets for text in seen)
