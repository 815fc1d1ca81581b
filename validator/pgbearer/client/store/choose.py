"""Which store a setting means."""

from pathlib import Path
from typing import Literal

import platformdirs

from pgbearer.client.notice import Notice, notice_on_stderr
from pgbearer.client.store.files import FileStore
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.memory import MemoryStore
from pgbearer.client.store.private import PrivateFolder
from pgbearer.client.store.store import StoreError, TokenStore
from pgbearer.client.store.system_keyring import KeyringStore, find_keyring

__all__ = ["StoreKind", "every_store", "open_store"]

StoreKind = Literal["auto", "keyring-only", "file", "memory"]
"""``auto``: the system's keyring where there is one, else a file, which is then said."""


def open_store(
    kind: StoreKind = "auto", *, folder: Path | None = None, notice: Notice = notice_on_stderr
) -> TokenStore:
    """The store that `kind` means.

    A keyring that is there and does not open is an error, not a reason to write a file instead. May block for as long
    as the keyring takes to be found.

    Args:
        kind: which one.
        folder: for files and locks; the platform's folder for pgbearer's state if None.
        notice: told what the person should know of it.

    Raises:
        StoreError: ``keyring-only``, and there is no keyring; or no folder is given, and the user has no home.
    """
    if kind == "memory":
        return MemoryStore()
    state = StateFolder(PrivateFolder(folder or _state_path()))
    backend = None if kind == "file" else find_keyring()
    if backend is not None:
        return KeyringStore(backend, state, notice=notice)
    if kind == "keyring-only":
        raise StoreError(
            "there is no system keyring here, and this profile keeps logins nowhere else",
            hint='Start one (Secret Service: gnome-keyring, KWallet, KeePassXC), or allow a file: store = "auto".',
        )
    return FileStore(state, announce=kind == "auto", notice=notice)


def every_store(*, folder: Path | None = None, notice: Notice = notice_on_stderr) -> tuple[TokenStore, ...]:
    """Where logins of this user may be kept: the system's keyring where there is one, and files in any case.

    Files may be of a profile that keeps them there, of one that did, or of a time before there was a keyring. All have
    one folder of locks, so each knows the keys of the others too.

    Args:
        folder: as for `open_store`.
        notice: likewise.

    Raises:
        StoreError: no folder is given, and the user has no home.
    """
    files = open_store("file", folder=folder, notice=notice)
    first = open_store("auto", folder=folder, notice=notice)
    return (first,) if isinstance(first, FileStore) else (first, files)


def _state_path() -> Path:
    try:
        return platformdirs.user_state_path("pgbearer")
    except RuntimeError:
        raise StoreError(
            "this user has no home folder, where logins would be kept",
            hint='Set HOME or XDG_STATE_HOME, or keep them nowhere: store = "memory".',
        ) from None
