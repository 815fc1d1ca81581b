"""Commands to revoke: what makes sense, that they are recorded before they act, and a file that forgets nothing."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgbearer.audit import AuditLog, AuditUnavailable, Recent
from pgbearer.errors import UsageError
from pgbearer.service.admin import AdminHandler
from pgbearer.service.exchange import Peer, Request
from pgbearer.service.health import Health
from pgbearer.service.metrics import Metrics
from pgbearer.service.revocation_file import FILE, RevocationFile, StoreUnavailable
from pgbearer.tokens import MOST_REVOCATIONS, Revocation, Revocations
from tests.unit.logins import settings

NOW = 1_800_000_000


class FakeAudit:
    """Keeps notes, unless its disk is full."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.full = False

    def note(self, kind: str, **members: Any) -> None:
        if self.full:
            raise AuditUnavailable("No space left on device")
        self.notes.append({"kind": kind, **members})


@pytest.fixture
def audit() -> FakeAudit:
    return FakeAudit()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[RevocationFile]:
    opened = RevocationFile(folder)
    opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def handler(store: RevocationFile, audit: FakeAudit, monkeypatch: pytest.MonkeyPatch) -> AdminHandler:
    monkeypatch.setattr("time.time", lambda: float(NOW))
    state = SimpleNamespace(settings=settings(), revocations=store)
    health = cast("Health", SimpleNamespace(state=state, shadow=None))
    return AdminHandler(Recent(), health, cast("AuditLog", audit), Metrics())


async def post(handler: AdminHandler, target: str = "/v1/revocations", **command: Any) -> tuple[int, Any]:
    body = json.dumps(command).encode()
    response = await handler.respond(Request("POST", target, body, Peer(1, 26, 26)))
    return response.status, json.loads(response.body)


async def listed(handler: AdminHandler) -> list[dict[str, Any]]:
    response = await handler.respond(Request("GET", "/v1/revocations", b"", Peer(1, 0, 0)))
    found: list[dict[str, Any]] = json.loads(response.body)["revocations"]
    return found


@pytest.mark.parametrize(
    ("command", "kind", "seconds"),
    [
        ({"kid": "key-1"}, "kid", None),
        ({"sub": "alice"}, "sub", None),
        ({"sub": "alice", "before": NOW}, "sub", None),
        ({"sub": "alice", "for": "90d"}, "sub", 90 * 86400),
        ({"sid": "s"}, "sid", 30 * 86400),
        ({"jti": "t", "for": "25h"}, "jti", 25 * 3600),
        ({"before": NOW}, "before", 30 * 86400),
        ({"before": NOW + 300}, "before", 30 * 86400),
    ],
    ids=str,
)
async def test_a_command_is_stored_listed_and_recorded_with_who_and_what(
    handler: AdminHandler,
    audit: FakeAudit,
    store: RevocationFile,
    command: dict[str, Any],
    kind: str,
    seconds: int | None,
) -> None:
    status, made = await post(handler, ticket="INC-7", issuer="corp", **command)
    assert status == 200
    (entry,) = store.current().entries
    assert (entry.kind, entry.until, entry.made_at) == (kind, seconds and NOW + seconds, NOW)
    assert (entry.issuer, entry.peer_uid, entry.ticket) == ("https://sso.example.com/realms/corp", 26, "INC-7")
    assert await listed(handler) == [made]
    first, second, _ = audit.notes
    assert first == {"kind": "revoke", "peer_uid": 26, "revocation": made}
    assert (second["kind"], second["method"], second["status"]) == ("admin", "POST", 200)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ({}, "say one of"),
        ({"kid": "a", "sub": "b"}, "say one of"),
        ({"sid": "a", "before": NOW}, "--before stands alone"),
        ({"before": NOW + 301}, "nobody could log in"),
        ({"before": "now"}, "before"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 1025}, "sub"),
        ({"sub": "a", "issuer": "crop"}, "no issuer 'crop'; there is batch, corp"),
        ({"jti": "a", "for": "24h"}, "at least 25h"),
        ({"jti": "a", "for": "0s"}, "at least 25h"),
        ({"jti": "a", "for": "367d"}, "for"),
        ({"jti": "a", "for": "forever"}, "for: must be a duration"),
        ({"jti": "a", "ticket": "x" * 257}, "ticket"),
        ({"user": "alice"}, "user"),
    ],
    ids=str,
)
async def test_a_command_that_makes_no_sense_changes_nothing(
    handler: AdminHandler, audit: FakeAudit, store: RevocationFile, command: dict[str, Any], said: str
) -> None:
    status, body = await post(handler, **command)
    assert status == 400
    assert said in body["error"]
    assert len(store.current()) == 0
    assert [(note["kind"], note["status"]) for note in audit.notes] == [("admin", 400)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"sub":"a"} x'])
async def test_a_body_that_is_none_changes_nothing(handler: AdminHandler, body: bytes) -> None:
    response = await handler.respond(Request("POST", "/v1/revocations", body, Peer(1, 0, 0)))
    assert response.status == 400
    assert await listed(handler) == []


async def test_lifting_is_recorded_with_who_and_what(
    handler: AdminHandler, audit: FakeAudit, store: RevocationFile
) -> None:
    _, made = await post(handler, sub="alice")
    audit.notes.clear()
    assert await post(handler, f"/v1/revocations/{made['id']}/lift", ticket="INC-8") == (200, made)
    assert len(store.current()) == 0
    assert audit.notes[0] == {"kind": "lift", "peer_uid": 26, "revocation": made, "ticket": "INC-8"}
    assert (await post(handler, f"/v1/revocations/{made['id']}/lift"))[0] == 404
    assert (await post(handler, f"/v1/revocations/{made['id']}"))[0] == 404


async def test_what_cannot_be_recorded_is_not_done(
    handler: AdminHandler, audit: FakeAudit, store: RevocationFile
) -> None:
    _, made = await post(handler, sub="alice")
    audit.full = True
    for target, command in (("", {"sub": "bob"}), (f"/{made['id']}/lift", {})):
        status, body = await post(handler, f"/v1/revocations{target}", **command)
        assert status == 503
        assert "No space" in body["error"]
    assert [entry.value for entry in store.current().entries] == ["alice"]


async def test_what_cannot_be_stored_is_not_done_and_recorded_as_refused(
    handler: AdminHandler, audit: FakeAudit, store: RevocationFile, folder: Path
) -> None:
    _, made = await post(handler, sub="alice")
    before = (folder / FILE).read_bytes()
    (folder / f"{FILE}.new").mkdir()  # so that not even root can make that file
    for target, command in (("", {"sub": "bob"}), (f"/{made['id']}/lift", {})):
        status, body = await post(handler, f"/v1/revocations{target}", **command)
        assert status == 503
        assert body["error"].startswith("nothing was changed: cannot write")
        assert audit.notes[-1]["status"] == 503
    assert [entry.value for entry in store.current().entries] == ["alice"]
    assert (folder / FILE).read_bytes() == before


async def test_there_is_a_most(handler: AdminHandler, store: RevocationFile) -> None:
    await store.change(lambda _: Revocations(entry("jti", f"t{n}") for n in range(MOST_REVOCATIONS)))
    status, body = await post(handler, sub="alice")
    assert status == 409
    assert "lift some" in body["error"]
    assert len(store.current()) == MOST_REVOCATIONS


async def test_expired_ones_are_not_listed(handler: AdminHandler, store: RevocationFile) -> None:
    await store.change(lambda _: Revocations([entry("jti", "old", until=NOW), entry("jti", "new", until=NOW + 1)]))
    assert [one["value"] for one in await listed(handler)] == ["new"]


def entry(kind: str, value: str, **changes: Any) -> Revocation:
    usual = {"id": "0" * 12, "made_at": NOW, "until": None, "peer_uid": 0}
    return Revocation.model_validate({"kind": kind, "value": value, **usual, **changes})


async def test_another_process_finds_what_this_one_stored(store: RevocationFile, folder: Path) -> None:
    stored = (entry("sub", "älice", ticket="x\u202e"), entry("before", "", before=NOW, until=NOW + 1))
    await store.change(lambda _: Revocations(stored))
    await store.aclose()
    again = RevocationFile(folder)
    again.open()
    assert again.current().entries == stored
    await again.aclose()


async def test_nobody_else_can_read_it(store: RevocationFile, folder: Path) -> None:
    await store.change(lambda present: present.adding(entry("sub", "alice")))
    modes = {name: (folder / name).lstat().st_mode & 0o777 for name in (".", FILE, "lock")}
    assert modes == {".": 0o700, FILE: 0o600, "lock": 0o600}


async def test_changes_at_the_same_time_are_both_made(store: RevocationFile) -> None:
    await asyncio.gather(
        *(store.change(lambda present, n=n: present.adding(entry("jti", f"t{n}"))) for n in range(20))  # type: ignore[misc]
    )
    assert {one.value for one in store.current().entries} == {f"t{n}" for n in range(20)}


@pytest.fixture
def slow_disk(store: RevocationFile, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Writes wait for this."""
    gate = threading.Event()
    write = store._write

    def waiting(revocations: Revocations) -> None:
        assert gate.wait(30)
        write(revocations)

    monkeypatch.setattr(store, "_write", waiting)
    yield gate
    gate.set()


async def test_who_leaves_before_it_is_stored_leaves_it_whole(
    store: RevocationFile, slow_disk: threading.Event, folder: Path
) -> None:
    asked = asyncio.create_task(store.change(lambda present: present.adding(entry("sub", "alice"))))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    slow_disk.set()
    await store.aclose()
    again = RevocationFile(folder)
    again.open()
    assert [one.value for one in again.current().entries] == ["alice"]
    await again.aclose()


async def test_it_is_in_force_only_once_it_is_stored(store: RevocationFile, slow_disk: threading.Event) -> None:
    asked = asyncio.create_task(store.change(lambda present: present.adding(entry("sub", "alice"))))
    await asyncio.sleep(0)
    assert len(store.current()) == 0
    slow_disk.set()
    assert await asked is store.current()
    assert len(store.current()) == 1


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def pipe_instead(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


SPOILT: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": cut,
    "no object": lambda file: file.write_bytes(b"[]"),
    "without the list": lambda file: file.write_bytes(b'{"version":1}'),
    "of another version": lambda file: file.write_bytes(b'{"version":2,"revocations":[]}'),
    "with more": lambda file: file.write_bytes(b'{"version":1,"revocations":[],"more":1}'),
    "with an entry that is none": lambda file: file.write_bytes(b'{"version":1,"revocations":[{}]}'),
    "not UTF-8": lambda file: file.write_bytes(b"\xff"),
    "others may read": lambda file: file.chmod(0o604),
    "the group may write": lambda file: file.chmod(0o620),
    "a folder": folder_instead,
    "a link": lambda file: file.symlink_to(file.rename(file.with_suffix(".moved"))),
    "a pipe": pipe_instead,
    "others may write its folder": lambda file: file.parent.chmod(0o707),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
async def test_a_file_that_may_have_lost_something_stops_the_start(
    store: RevocationFile, folder: Path, spoil: Callable[[Path], object]
) -> None:
    await store.change(lambda present: present.adding(entry("sub", "alice")))
    await store.aclose()
    spoil(folder / FILE)
    again = RevocationFile(folder)
    with pytest.raises(UsageError):
        again.open()
    with pytest.raises(RuntimeError):
        again.current()


async def test_two_services_do_not_share_a_folder(store: RevocationFile, folder: Path) -> None:
    with pytest.raises(UsageError, match="another service"):
        RevocationFile(folder).open()
    await store.change(lambda present: present.adding(entry("sub", "alice")))


async def test_what_an_interrupted_change_left_is_no_obstacle(store: RevocationFile, folder: Path) -> None:
    await store.aclose()
    (folder / f"{FILE}.new").write_bytes(b'{"version"')
    again = RevocationFile(folder)
    again.open()
    await again.change(lambda present: present.adding(entry("sub", "alice")))
    await again.aclose()


async def test_a_store_that_cannot_write_says_so(store: RevocationFile, folder: Path) -> None:
    (folder / f"{FILE}.new").mkdir()
    with pytest.raises(StoreUnavailable):
        await store.change(lambda present: present.adding(entry("sub", "alice")))
    assert len(store.current()) == 0
