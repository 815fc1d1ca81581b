"""Logins in a real Secret Service, and what happens where it is locked, absent, or only pretends."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import KeyringLocked

from pgbearer.client import AccessToken, Grant, KeyringStore, StoreError, TokenKey, open_store
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from pgbearer.client.store.system_keyring import find_keyring
from tests.parts.needs import SECRET_SERVICE
from tests.parts.secret_service import with_secret_service

KEY = TokenKey("https://sso.test/realms/corp", "pgbearer-cli", "openid")
GRANT = Grant(AccessToken("the.access.token", expires_at=4e9), "pgbearer-cli")

PROGRAM = """
import json, sys
from pathlib import Path
from pgbearer.client import AccessToken, Grant, Secret, StoreError, TokenKey, open_store

key = TokenKey("https://sso.test/realms/corp", "pgbearer-cli", "openid")
said = []
try:
    store = open_store(sys.argv[1], folder=Path(sys.argv[2]), notice=said.append)
    before = store.load(key)
    match sys.argv[3]:
        case "save":
            store.save(key, Grant(AccessToken("a." + "x" * 8_000, expires_at=4e9), "pgbearer-cli", Secret("r" * 4_000)))
        case "damage":
            name = "https://sso.test/realms/corp (pgbearer-cli, openid)"
            store._backend.set_password("pgbearer", name, '{"version":1')
        case "remove":
            store.remove(key)
    after = store.load(key)
    kept = [None if grant is None else len(grant.access.reveal()) for grant in (before, after)]
    print(json.dumps({"where": store.where, "kept": kept, "said": said}))
except StoreError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture
def session(need: Callable[..., None], tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Do something with a store in a session with a Secret Service of its own."""
    need(SECRET_SERVICE)
    home = tmp_path / "home"
    home.mkdir()

    def run(what: str, kind: str = "auto", *, unlocked: bool = True, service: bool = True) -> dict[str, object]:
        command = [sys.executable, "-c", PROGRAM, kind, str(tmp_path / "state"), what]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DBUS_", "XDG_"))}
        if service:
            done = with_secret_service(command, home=home, env=env, unlocked=unlocked)
        else:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert "x" * 100 not in done.stdout + done.stderr
        said: dict[str, object] = json.loads(done.stdout)
        return said

    return run


def test_a_login_is_in_the_keyring_and_not_in_a_file(session: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    assert session("save") == {
        "where": "the system's keyring (SecretService Keyring)",
        "kept": [None, 8_002],
        "said": [],
    }
    assert session("read")["kept"] == [8_002, 8_002]
    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert kept
    assert not any(b"x" * 100 in file.read_bytes() for file in kept)
    assert session("remove")["kept"] == [8_002, None]
    assert session("read", "keyring-only")["kept"] == [None, None]


def test_a_damaged_record_is_set_aside(session: Callable[..., dict[str, object]]) -> None:
    session("save")
    done = session("damage")
    assert done["kept"] == [8_002, None]
    assert "it is set aside as https://sso.test/realms/corp (pgbearer-cli, openid).corrupt" in str(done["said"])
    assert session("save")["kept"] == [None, 8_002]


@pytest.mark.parametrize("kind", ["auto", "keyring-only"])
def test_a_locked_keyring_is_an_error_and_no_reason_for_a_file(
    session: Callable[..., dict[str, object]], tmp_path: Path, kind: str
) -> None:
    session("save")
    error = str(session("save", kind, unlocked=False)["error"])
    assert "the system's keyring refused" in error
    assert "Unlock it and try again" in error
    assert not list((tmp_path / "state").glob("*.json"))


def test_without_a_keyring_a_file_is_used_and_said(session: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    done = session("save", service=False)
    assert (done["where"], done["kept"]) == (str(tmp_path / "state"), [None, 8_002])
    assert "there is no system keyring here" in str(done["said"])
    error = str(session("save", "keyring-only", service=False)["error"])
    assert "there is no system keyring here, and this profile keeps logins nowhere else" in error


def pretend(module: str) -> KeyringBackend:
    """A backend from elsewhere, such as those of keyrings.alt, which write plain text."""
    kind = type("Plain", (keyring.backends.null.Keyring,), {"__module__": module})
    made: KeyringBackend = kind()
    return made


@pytest.mark.parametrize(
    "module",
    ["keyring.backends.fail", "keyring.backends.null", "keyrings.alt.file", "keyring.backends.chainer"],
)
def test_what_only_passes_for_a_keyring_is_none(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(ChainerBackend, "backends", [pretend("keyrings.alt.file")])
    found = ChainerBackend if module.endswith("chainer") else lambda: pretend(module)
    monkeypatch.setattr("keyring.get_keyring", found)
    assert find_keyring() is None


def test_a_real_one_among_several_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pretend("keyring.backends.SecretService")
    monkeypatch.setattr(ChainerBackend, "backends", [pretend("keyrings.alt.file"), real])
    monkeypatch.setattr("keyring.get_keyring", ChainerBackend)
    assert find_keyring() is real


@pytest.fixture
def over(tmp_path: Path) -> Callable[[KeyringBackend], KeyringStore]:
    return lambda backend: KeyringStore(backend, StateFolder(PrivateFolder(tmp_path / "state")), patience=0.1)


def test_a_keyring_that_waits_for_somebody_is_not_waited_for_for_ever(
    over: Callable[[KeyringBackend], KeyringStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    backend = pretend("keyring.backends.SecretService")
    monkeypatch.setattr(backend, "get_password", lambda *_: answered.wait(60) and None)
    with pytest.raises(StoreError, match=r"did not answer within 0\.1 s"):
        over(backend).load(KEY)
    answered.set()


def test_a_keyring_that_refuses(
    over: Callable[[KeyringBackend], KeyringStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = pretend("keyring.backends.SecretService")

    def refuse(*_: str) -> None:
        raise KeyringLocked("dismissed")

    monkeypatch.setattr(backend, "set_password", refuse)
    with pytest.raises(StoreError, match="refused: KeyringLocked: dismissed"):
        over(backend).save(KEY, GRANT)


def test_memory_needs_no_keyring_and_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pgbearer.client.store.choose.find_keyring", lambda: pytest.fail("asked for a keyring"))
    store = open_store("memory", folder=tmp_path / "state")
    held = store.try_lock(KEY)
    assert held is not None
    assert not (tmp_path / "state").exists()
    assert open_store("file", folder=tmp_path / "state").where == str(tmp_path / "state")
