"""Where logins are kept, for real: files and folders with their owners and modes, locks between processes."""

import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pgbearer.client import AccessToken, FileStore, Grant, Secret, StoreError, TokenKey
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from tests.parts.needs import ROOT

KEY = TokenKey("https://sso.test/realms/corp", "pgbearer-cli", "openid db:demo")
OTHER = TokenKey("https://sso.test/realms/other", "pgbearer-cli", None)
GRANT = Grant(AccessToken("the.access.token", expires_at=4e9), "pgbearer-cli", Secret("the-refresh-token"))
NEWER = Grant(AccessToken("a.newer.token", expires_at=4e9), "pgbearer-cli", Secret("another-refresh-token"))

forked = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "above" / "pgbearer"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(folder: Path, said: list[str]) -> FileStore:
    return FileStore(StateFolder(PrivateFolder(folder)), notice=said.append)


def record(folder: Path) -> Path:
    """The one record in it."""
    (found,) = folder.glob("*.json")
    return found


def test_a_login_is_kept_for_the_next_process(store: FileStore, folder: Path) -> None:
    assert (store.load(KEY), store.keys()) == (None, ())
    store.save(KEY, GRANT)
    again = FileStore(StateFolder(PrivateFolder(folder)))
    assert again.load(KEY) == GRANT
    assert again.load(OTHER) is None
    store.remove(KEY)
    store.remove(KEY)
    assert again.load(KEY) is None


def test_nobody_else_can_read_it(store: FileStore, folder: Path) -> None:
    os.umask(0)
    try:
        store.save(KEY, GRANT)
        store.save(KEY, NEWER)
        held = store.try_lock(KEY)
    finally:
        os.umask(0o022)
    assert held is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2
    assert record(folder).name.startswith("sso.test-")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770])
def test_a_folder_that_is_open_to_others_is_refused(store: FileStore, folder: Path, mode: int) -> None:
    store.save(KEY, GRANT)
    folder.chmod(mode)
    for use in (lambda: store.load(KEY), lambda: store.save(KEY, NEWER), lambda: store.try_lock(KEY), store.keys):
        with pytest.raises(StoreError, match=rf"open to others \(mode {mode:04o}\)"):
            use()
    folder.chmod(0o700)
    assert store.load(KEY) == GRANT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_is_open_to_others_is_refused(store: FileStore, folder: Path, mode: int) -> None:
    store.save(KEY, GRANT)
    record(folder).chmod(mode)
    with pytest.raises(StoreError, match="open to others") as caught:
        store.load(KEY)
    assert f"chmod 0600 {record(folder)}" in str(caught.value)


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_what_belongs_to_somebody_else_is_refused(
    need: Callable[..., None], store: FileStore, folder: Path, whose: str
) -> None:
    need(ROOT)
    store.save(KEY, GRANT)
    os.chown(folder if whose == "folder" else record(folder), 65534, -1)
    with pytest.raises(StoreError, match="belongs to uid 65534"):
        store.load(KEY)


def test_links_are_not_followed(store: FileStore, folder: Path, tmp_path: Path) -> None:
    store.save(KEY, GRANT)
    elsewhere = tmp_path / "elsewhere.json"
    file = record(folder)
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="a link"):
        store.load(KEY)
    store.save(KEY, NEWER)  # takes the link's place, and leaves alone what it led to
    assert store.load(KEY) == NEWER
    assert "the.access.token" in elsewhere.read_text()
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match="a link"):
        store.load(KEY)


def test_what_is_no_file_does_not_hold_us_up(store: FileStore, folder: Path) -> None:
    store.save(KEY, GRANT)
    file = record(folder)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(StoreError, match="not an ordinary file"):
        store.load(KEY)


def test_an_endless_file_is_not_read(store: FileStore, folder: Path) -> None:
    store.save(KEY, GRANT)
    os.truncate(record(folder), 1024**4)
    with pytest.raises(StoreError, match="longer than"):
        store.load(KEY)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version":2}', b"\xff" * 100])
def test_a_damaged_record_is_set_aside_and_said(store: FileStore, folder: Path, said: list[str], damage: bytes) -> None:
    store.save(KEY, GRANT)
    file = record(folder)
    file.write_bytes(damage)
    assert store.load(KEY) is None
    (aside,) = folder.glob("*.corrupt-*")
    assert aside.read_bytes() == damage
    assert re.fullmatch(rf"{re.escape(str(file))} is not a login .*; it is set aside as {aside.name}", said.pop())
    assert (store.load(KEY), said) == (None, [])
    store.save(KEY, GRANT)
    assert store.load(KEY) == GRANT
    store.remove(KEY)
    assert list(folder.iterdir()) == []


def test_the_record_of_another_key_is_not_used(store: FileStore, folder: Path) -> None:
    store.save(KEY, GRANT)
    mine = record(folder)
    store.save(OTHER, NEWER)
    (theirs,) = set(folder.glob("*.json")) - {mine}
    theirs.replace(mine)
    assert store.load(KEY) is None


def test_a_full_disk_leaves_what_was_there(store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(KEY, GRANT)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.save(KEY, NEWER)
    assert store.load(KEY) == GRANT
    assert len(list(folder.iterdir())) == 1


def test_a_first_login_in_a_file_is_announced_once(folder: Path, said: list[str]) -> None:
    store = FileStore(StateFolder(PrivateFolder(folder)), announce=True, notice=said.append)
    store.save(KEY, GRANT)
    store.save(KEY, NEWER)
    assert said == [f"there is no system keyring here, so the login is kept in {record(folder)} (mode 0600)"]


def test_a_file_store_lists_the_keys_it_was_asked_for(store: FileStore, folder: Path) -> None:
    for key in (KEY, OTHER):
        held = store.try_lock(key)
        assert held is not None
        held.release()
    (folder / "junk.lock").write_bytes(b"junk")
    (folder / "junk.lock").chmod(0o600)
    assert set(store.keys()) == {KEY, OTHER}


# locks between processes


def _hold(folder: Path, connection: Connection) -> None:
    held = StateFolder(PrivateFolder(folder)).try_lock(KEY)
    connection.send(held is not None)
    if connection.poll(60):
        connection.recv()
    if held is not None:
        held.release()
        connection.send("released")
        connection.poll(60)


def test_one_process_has_the_lock_and_a_killed_one_has_it_no_more(store: FileStore, folder: Path) -> None:
    ours, theirs = forked.Pipe()
    other = forked.Process(target=_hold, args=(folder, theirs))
    other.start()
    try:
        assert ours.recv() is True
        assert store.try_lock(KEY) is None
        elsewhere = store.try_lock(OTHER)
        assert elsewhere is not None
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)
        other.join()
        held = store.try_lock(KEY)
        assert held is not None
    finally:
        other.kill()
        other.join()


def test_a_released_lock_is_the_next_ones(store: FileStore, folder: Path) -> None:
    ours, theirs = forked.Pipe()
    other = forked.Process(target=_hold, args=(folder, theirs))
    other.start()
    try:
        assert ours.recv() is True
        ours.send("release")
        assert ours.recv() == "released"
        held = store.try_lock(KEY)
        assert held is not None
        assert store.try_lock(KEY) is None
        held.release()
        assert store.try_lock(KEY) is not None
    finally:
        other.kill()
        other.join()


def test_a_killed_process_leaves_the_lock_to_its_own_child(store: FileStore, folder: Path) -> None:
    """Which was forked while it had the lock, as workers of a server are, and lives on."""
    hears, ends = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        held = StateFolder(PrivateFolder(folder)).try_lock(KEY)
        if os.fork() == 0:
            os.write(hears[1], b"held" if held is not None else b"not")
            os.close(ends[1])
            os.read(ends[0], 1)
            os._exit(0)
        signal.pause()
    try:
        assert os.read(hears[0], 4) == b"held"
        assert store.try_lock(KEY) is None
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        again = store.try_lock(KEY)
        assert again is not None
        again.release()
    finally:
        for end in (*hears, *ends):
            os.close(end)


def test_a_child_does_not_release_its_parents_lock(store: FileStore) -> None:
    held = store.try_lock(KEY)
    assert held is not None
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert store.try_lock(KEY) is None
    held.release()
    assert store.try_lock(KEY) is not None


@pytest.mark.parametrize(("call", "fault"), [("fcntl.flock", 37), ("os.ftruncate", 30), ("os.pwrite", 28)])
def test_what_cannot_be_locked_is_said_and_not_locked_for_ever(
    store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: int
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patch:
        patch.setattr(call, refuses)
        with pytest.raises(StoreError, match=f"cannot be locked: {os.strerror(fault)}"):
            store.try_lock(KEY)
    again = store.try_lock(KEY)
    assert again is not None
    again.release()
    assert store.keys() == (KEY,)


def test_a_lock_that_is_released_is_not_kept_by_a_program_that_was_started(store: FileStore) -> None:
    held = store.try_lock(KEY)
    assert held is not None
    program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, close_fds=False) as child:
        held.release()
        again = store.try_lock(KEY)
        child.communicate()
    assert again is not None
