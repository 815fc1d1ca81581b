"""Logins kept in files of our own, one a key."""

import time

from pgbearer.client.grant import Grant
from pgbearer.client.notice import Notice, notice_on_stderr
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.record import MAX_RECORD_BYTES, RecordError, read_record, write_record
from pgbearer.client.store.store import StoreLock, TokenKey

__all__ = ["FileStore"]


class FileStore:
    """A `TokenStore` of files that only we can read (0600, in a folder of 0700). Safe in threads and processes.

    Args:
        folder: where they are.
        announce: whether to say where, when the first login is kept under a key.
        notice: told that, and which record was damaged.
    """

    def __init__(self, folder: StateFolder, *, announce: bool = False, notice: Notice = notice_on_stderr) -> None:
        self._folder = folder
        self._announce = announce
        self._notice = notice

    @property
    def where(self) -> str:
        """As `TokenStore.where`: the folder."""
        return str(self._folder.files.path)

    def load(self, key: TokenKey) -> Grant | None:
        """As `TokenStore.load`; a record that is damaged or not of this key is set aside, and as good as none."""
        name = self._name(key)
        record = self._folder.files.read(name, MAX_RECORD_BYTES)
        if record is None:
            return None
        try:
            return read_record(key, record)
        except RecordError as error:
            aside = f"{name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            self._folder.files.rename(name, aside)
            self._notice(f"{self.where}/{name} is {error}; it is set aside as {aside}")
            return None
        finally:
            del record  # a traceback that shows locals would show it

    def save(self, key: TokenKey, grant: Grant) -> None:
        """As `TokenStore.save`."""
        name = self._name(key)
        if self._announce and name not in self._folder.files.names(name):
            self._notice(f"there is no system keyring here, so the login is kept in {self.where}/{name} (mode 0600)")
        self._folder.files.write(name, write_record(key, grant))

    def remove(self, key: TokenKey) -> None:
        """As `TokenStore.remove`; what was set aside of it goes too."""
        self._folder.files.remove(self._name(key))

    def try_lock(self, key: TokenKey) -> StoreLock | None:
        """As `TokenStore.try_lock`."""
        return self._folder.try_lock(key)

    def keys(self) -> tuple[TokenKey, ...]:
        """As `TokenStore.keys`."""
        return self._folder.keys()

    def _name(self, key: TokenKey) -> str:
        return f"{self._folder.stem(key)}.json"
