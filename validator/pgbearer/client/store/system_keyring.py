"""Logins kept in the system's keyring: the Secret Service (GNOME, KDE, KeePassXC), KWallet, or macOS's Keychain."""

import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from pgbearer.client.grant import Grant
from pgbearer.client.notice import Notice, notice_on_stderr
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.record import RecordError, read_record, write_record
from pgbearer.client.store.store import StoreError, StoreLock, TokenKey

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

__all__ = ["KeyringStore", "find_keyring"]

T = TypeVar("T")

_SERVICE: Final = "pgbearer"
_PATIENCE: Final = 60.0  # seconds: a locked keyring asks for its password, and a person needs a moment to give it
_REAL: Final = frozenset(
    f"keyring.backends.{name}" for name in ("SecretService", "libsecret", "kwallet", "macOS", "macOS.api")
)
"""Modules of backends that keep secrets from others; not among them: null, fail, and files in plain text."""


def find_keyring(*, patience: float = _PATIENCE) -> "KeyringBackend | None":
    """The system's keyring, or None where there is none, or only something that passes for one.

    ``PYTHON_KEYRING_BACKEND`` and keyringrc.cfg are heard, as everywhere where the package keyring is used: whoever has
    switched it off there has none.

    Raises:
        StoreError: looking for it took longer than `patience` seconds.
    """
    return _bounded(_find, patience)


class KeyringStore:
    """A `TokenStore` in a keyring. Safe in threads and processes; each call takes `patience` seconds at most.

    Args:
        backend: the keyring (`find_keyring`).
        folder: for the locks, and for the names of what is kept; nothing secret is put there.
        notice: told which record was damaged.
        patience: seconds for one call, in which a locked keyring may ask for its password.
    """

    def __init__(
        self,
        backend: "KeyringBackend",
        folder: StateFolder,
        *,
        notice: Notice = notice_on_stderr,
        patience: float = _PATIENCE,
    ) -> None:
        self._backend = backend
        self._folder = folder
        self._notice = notice
        self._patience = patience

    @property
    def where(self) -> str:
        """As `TokenStore.where`."""
        return f"the system's keyring ({self._backend.name})"

    def load(self, key: TokenKey) -> Grant | None:
        """As `TokenStore.load`; a record that is damaged or not of this key is set aside, and as good as none."""
        name = _name(key)
        record = self._ask(lambda: self._backend.get_password(_SERVICE, name))
        if record is None:
            return None
        try:
            return read_record(key, record.encode())
        except RecordError as error:
            self._set_aside(name)
            self._notice(f"{name} in {self.where} is {error}; it is set aside as {name}{_ASIDE}")
            return None
        finally:
            del record  # a traceback that shows locals would show it

    def save(self, key: TokenKey, grant: Grant) -> None:
        """As `TokenStore.save`."""
        self._ask(lambda: self._backend.set_password(_SERVICE, _name(key), write_record(key, grant).decode()))

    def remove(self, key: TokenKey) -> None:
        """As `TokenStore.remove`; what was set aside of it goes too."""
        for name in (_name(key), _name(key) + _ASIDE):
            self._ask(lambda name=name: self._forget(name))  # type: ignore[misc]  # mypy cannot infer the default's type

    def try_lock(self, key: TokenKey) -> StoreLock | None:
        """As `TokenStore.try_lock`."""
        return self._folder.try_lock(key)

    def keys(self) -> tuple[TokenKey, ...]:
        """As `TokenStore.keys`."""
        return self._folder.keys()

    def _set_aside(self, name: str) -> None:
        def move() -> None:
            self._backend.set_password(_SERVICE, name + _ASIDE, self._backend.get_password(_SERVICE, name) or "")
            self._forget(name)

        self._ask(move)

    def _forget(self, name: str) -> None:
        from keyring.errors import PasswordDeleteError

        if self._backend.get_password(_SERVICE, name) is not None:
            try:
                self._backend.delete_password(_SERVICE, name)
            except PasswordDeleteError:  # somebody else was faster
                return

    def _ask(self, call: Callable[[], T]) -> T:
        return _bounded(call, self._patience)


_ASIDE: Final = ".corrupt"


def _name(key: TokenKey) -> str:
    """What a person sees in the keyring's own window."""
    return f"{key.issuer} ({key.client_id}{f', {key.scope}' if key.scope else ''})"


def _find() -> "KeyringBackend | None":
    import keyring
    from keyring.backends.chainer import ChainerBackend

    found = keyring.get_keyring()
    candidates = found.backends if isinstance(found, ChainerBackend) else [found]
    return next((backend for backend in candidates if type(backend).__module__ in _REAL), None)


def _bounded(call: Callable[[], T], patience: float) -> T:
    """What `call` returns, made in a thread of its own: a keyring that waits for somebody cannot be told to stop.

    Raises:
        StoreError: it took too long, or the keyring refused.
    """
    outcome: list[T] = []
    refused: list[str] = []

    def work() -> None:
        try:
            outcome.append(call())
        except _faults() as error:
            refused.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=work, name="pgbearer-keyring", daemon=True)
    thread.start()
    thread.join(patience)
    if outcome:
        return outcome[0]
    what = f"refused: {refused[0]}" if refused else f"did not answer within {patience:g} s"
    raise StoreError(
        f"the system's keyring {what}",
        hint='Unlock it and try again, or keep logins in a file: store = "file" in the profile.',
    )


@cache
def _faults() -> tuple[type[Exception], ...]:
    """What a keyring may fail with: the package's own errors, and what its backends let through."""
    from keyring.errors import KeyringError

    faults: tuple[type[Exception], ...] = (KeyringError, OSError, RuntimeError, ImportError)
    try:
        from jeepney import DBusErrorResponse  # type: ignore[import-untyped]
        from secretstorage.exceptions import SecretStorageException
    except ImportError:  # not on macOS
        return faults
    return (*faults, SecretStorageException, DBusErrorResponse)
