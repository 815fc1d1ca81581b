"""libpq's one hook for OAuth tokens, and how each connection gets its own token through it.

PQsetAuthDataHook is global to the process, and its callback learns only the address of a PGconn. An address says
nothing before psycopg has made the connection and may be another's after it is freed; "the thread's current token"
would be wrong in async code, where one thread runs many connections. So the connection itself carries the name of its
token: each `offer` draws 192 random bits, `connect` sets them as ``oauth_client_secret`` (which only libpq's own device
flow would use, and which is never sent to a server), and the callback reads them back from the PGconn that is asking.
No name, no token; a name is good for one offer and dies with it.

Rules of ctypes that matter here: the callback object must outlive its last call, so it is kept for the life of the
process; it takes the GIL itself, so it may be called with or without; no exception can cross C, so each is kept on the
offer, libpq hears "failed", and `connect` raises it on the other side. ctypes' own answer to an exception would be 0,
"not handled", and libpq would go on to other flows.
"""

import atexit
import ctypes
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pgbearer.client.connection import libpq
from pgbearer.client.connection.pinned import check_channel, check_server_issuer
from pgbearer.client.token import AccessToken

__all__ = ["CARRIER", "NothingToGiveError", "Offer", "offer"]

CARRIER: Final = "oauth_client_secret"
"""The connection option that carries an offer's name."""

_PREFIX: Final = "pgbearer-offer-"
_NOT_HANDLED, _HANDED_OVER, _FAILED = 0, 1, -1


class NothingToGiveError(Exception):
    """The server asked for a token of the pinned issuer, and the offer has none: it was made to hear just that."""


class Offer:
    """A token that is to be had, under a name, by connections of one call of `connect`; or none, to hear what is asked.

    After the connection attempt it tells what happened; but for `believed`, nothing else may change it.
    """

    def __init__(self, token: AccessToken | None, issuer: str) -> None:
        self._token = token
        self._issuer = issuer
        self._lent: list[ctypes.Array[ctypes.c_char]] = []
        self.name = _PREFIX + secrets.token_urlsafe(24)
        self.believed: str | None = None
        """The metadata URL that is taken for the server's without asking it; set before the attempt, if at all."""
        self.handed_over = False
        """libpq got the token for a connection that may have it."""
        self.discovery_url: str | None = None
        """The metadata URL that the server named, or that was set as ``oauth_issuer``."""
        self.server_scope: str | None = None
        """The scopes that the server, or ``oauth_scope``, asks for."""
        self.error: BaseException | None = None
        """Why libpq was told "failed"."""

    def give(self, request: libpq.BearerRequest) -> None:
        """Fill in `request`; the buffer is wiped when libpq has made its copy, at the latest by `wipe`.

        Raises:
            UnsafeServerError: the request is for another issuer's token.
            NothingToGiveError: it is for ours, and there is none.
        """
        self.discovery_url = (request.openid_configuration or b"").decode(errors="replace")
        self.server_scope = request.scope.decode(errors="replace") if request.scope is not None else None
        check_server_issuer(self.discovery_url, self._issuer)
        if self._token is None:
            raise NothingToGiveError
        buffer = ctypes.create_string_buffer(self._token.reveal().encode("ascii"))
        self._lent.append(buffer)
        request.token = ctypes.addressof(buffer)
        request.user = len(buffer)
        request.cleanup = _WIPE
        self.handed_over = True

    def wipe(self) -> None:
        """Overwrite every copy made for libpq."""
        for buffer in self._lent:
            ctypes.memset(buffer, 0, len(buffer))

    def __repr__(self) -> str:
        return f"<Offer of {self._token!r} for {self._issuer}>"


@contextmanager
def offer(token: AccessToken | None, issuer: str) -> Iterator[Offer]:
    """Offer `token` to connections that carry the yielded offer's name, for as long as the block runs.

    Installs the hook on first use, in front of whatever hook there is; other connections still reach that one. Any
    number of offers may be open at once, in any threads and tasks.

    Raises:
        LibpqTooOldError: psycopg's libpq is older than 18.
    """
    _install()
    made = Offer(token, issuer)
    _offers[made.name] = made
    try:
        yield made
    finally:
        del _offers[made.name]
        made.wipe()


_offers: dict[str, Offer] = {}  # each operation on it is one atomic step, so that the callback needs no lock
_installing = threading.Lock()
_installed: "_Hook | None" = None


class _Hook:
    """The callback, and what stood in its place before."""

    def __init__(self, library: libpq.Libpq) -> None:
        self._library = library
        self._before = library.auth_data_hook()
        self._chained = libpq.AuthDataHook(self._before)
        self._callback = libpq.AuthDataHook(self._answer)
        self._address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        library.set_auth_data_hook(self._address)
        atexit.register(self._remove)  # no call may reach Python once the interpreter is being taken down

    def _remove(self) -> None:
        if self._library.auth_data_hook() == self._address:  # else another's hook stands on ours
            self._library.set_auth_data_hook(self._before)

    def _answer(self, kind: int, conn: int, data: int) -> int:
        """What libpq calls: PQauthDataHook_type in libpq-fe.h."""
        asked: Offer | None = None
        try:
            options = self._library.options(conn)
            name = options.get(CARRIER, "")
            if not name.startswith(_PREFIX):
                return int(self._chained(kind, conn, data))
            if kind != libpq.BEARER_TOKEN:
                return _NOT_HANDLED  # 19 asks with version 2 first, and then again with the one that we speak
            asked = _offers.get(name)
            if asked is None:
                return _FAILED
            check_channel(
                options,
                unix_socket=self._library.is_unix_socket(conn),
                encrypted=self._library.is_encrypted(conn),
            )
            asked.give(libpq.BearerRequest.from_address(data))
        except BaseException as error:  # noqa: BLE001  carried across C: connect raises it
            if asked is not None:
                asked.error = error
            return _FAILED
        return _HANDED_OVER


def _install() -> None:
    global _installed  # noqa: PLW0603  the hook is one per process, so is this
    with _installing:
        if _installed is None:
            _installed = _Hook(libpq.load())


def _wipe_request(_conn: int, data: int) -> None:
    """The token has been copied by libpq, which wipes its own copy itself (pqClearOAuthToken)."""
    request = libpq.BearerRequest.from_address(data)
    ctypes.memset(request.token, 0, request.user)  # `give` keeps the buffer's length in `user`


_WIPE: Final = libpq.Cleanup(_wipe_request)
