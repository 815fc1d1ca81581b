"""A token that somebody else keeps good in a file."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from pgbearer.client.plain import plain
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.printed import printed_token
from pgbearer.client.sources.trusted_file import read_trusted
from pgbearer.client.token import AccessToken

__all__ = ["FileSource"]


class FileSource:
    """Gives the token that is in a file now: read at each use, so that a new one is used as soon as it is there.

    The file holds the token alone, or JSON with ``access_token`` as ``pgbearer token --json`` prints it. It must be
    root's or this user's, and nobody else's to write. Safe in threads and tasks.

    Args:
        file: where it is.
        issuer: whose tokens these are; None if the caller or the connection string says it.
        private: refuse a file that everybody on this machine can read.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        file: Path,
        *,
        issuer: str | None = None,
        private: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._issuer = issuer
        self._private = private
        self._wall = wall

    @property
    def issuer(self) -> str | None:
        """The issuer it was made with."""
        return self._issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`.

        Raises:
            UsageError: the file cannot be read, or not be trusted.
            NoTokenError: there is no token in it, or one that has ended.
        """
        token = printed_token(read_trusted(self._file, private=self._private), where=str(self._file), asked=None)
        now = self._wall()
        if token.expired(now):
            ago = now - (token.expires_at or now)
            raise NoTokenError(
                f"the token in this file ended {ago:.0f} s ago",
                where=plain(str(self._file)),
                hint="Whoever writes the file must renew it in time; or this machine's clock is wrong.",
            )
        return token

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; the file is read in a thread."""
        return await asyncio.to_thread(self.token)
