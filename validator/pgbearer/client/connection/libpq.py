"""The libpq that psycopg itself uses, and the few of its functions that psycopg does not wrap."""

import ctypes
import os
import socket
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final

from psycopg import pq

from pgbearer.errors import UsageError

__all__ = [
    "BEARER_TOKEN",
    "AuthDataHook",
    "BearerRequest",
    "Cleanup",
    "Libpq",
    "LibpqTooOldError",
    "load",
]

BEARER_TOKEN: Final = 1
"""PQAUTHDATA_OAUTH_BEARER_TOKEN of PGauthData (libpq-fe.h). PostgreSQL 19 appends _V2 = 2 and asks for that first."""

_FIRST_WITH_OAUTH: Final = 18_00_00

AuthDataHook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
"""PQauthDataHook_type: (PGauthData type, PGconn *conn, void *data) -> 0 not handled, > 0 handled, < 0 failed.

CFUNCTYPE, not PYFUNCTYPE: the callback takes the GIL itself, whether psycopg released it around PQconnectPoll or not.
"""

Cleanup = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
"""The `cleanup` member of PGoauthBearerRequest: (PGconn *conn, PGoauthBearerRequest *request)."""


class BearerRequest(ctypes.Structure):
    """PGoauthBearerRequest (libpq-fe.h of PostgreSQL 18), version 1, which 19 still serves.

    `token` is a plain address, not c_char_p: ctypes would copy the token into a Python bytes on every read.
    """

    _fields_ = (
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("run_async", ctypes.c_void_p),
        ("cleanup", Cleanup),
        ("token", ctypes.c_void_p),
        ("user", ctypes.c_void_p),
    )


class _ConninfoOption(ctypes.Structure):
    """PQconninfoOption (libpq-fe.h)."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )


class LibpqTooOldError(UsageError):
    """psycopg runs on a libpq that knows no OAuth."""


class Libpq:
    """Typed calls into one loaded libpq. Stateless; every call is safe in any thread that may use the PGconn."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._get_hook = _function(library.PQgetAuthDataHook, ctypes.c_void_p)
        self._set_hook = _function(library.PQsetAuthDataHook, None, ctypes.c_void_p)
        self._conninfo = _function(library.PQconninfo, ctypes.POINTER(_ConninfoOption), ctypes.c_void_p)
        self._conninfo_free = _function(library.PQconninfoFree, None, ctypes.POINTER(_ConninfoOption))
        self._socket = _function(library.PQsocket, ctypes.c_int, ctypes.c_void_p)
        self._ssl_in_use = _function(library.PQsslInUse, ctypes.c_int, ctypes.c_void_p)

    def auth_data_hook(self) -> int:
        """Address of the process's hook, never 0: PQdefaultAuthDataHook stands where nobody has set one."""
        return int(self._get_hook() or 0)

    def set_auth_data_hook(self, hook: int) -> None:
        """Set the process's hook to the function at the address `hook`."""
        self._set_hook(hook)

    def options(self, conn: int) -> Mapping[str, str]:
        """The options of the PGconn at the address `conn`, as libpq resolved them; those without a value are absent."""
        first = self._conninfo(conn)
        if not first:
            raise MemoryError("PQconninfo")
        try:
            found: dict[str, str] = {}
            for option in iter(first[index] for index in range(sys.maxsize)):
                if option.keyword is None:
                    break
                if option.val is not None:
                    found[option.keyword.decode()] = option.val.decode(errors="replace")
            return found
        finally:
            self._conninfo_free(first)

    def is_unix_socket(self, conn: int) -> bool:
        """Whether the connection's socket, as the kernel sees it, is a Unix one."""
        descriptor = self._socket(conn)
        if descriptor < 0:
            return False
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:  # asks the kernel for the family
            return duplicate.family == socket.AF_UNIX

    def is_encrypted(self, conn: int) -> bool:
        """Whether the connection is under TLS at this moment."""
        return bool(self._ssl_in_use(conn))


@cache
def load() -> Libpq:
    """The libpq of the running psycopg, whichever implementation is in use.

    Another copy of libpq, as ``find_library("pq")`` would give, has a hook of its own that psycopg never calls.

    Raises:
        LibpqTooOldError: it is older than 18.
    """
    version = pq.version()
    if version < _FIRST_WITH_OAUTH:
        raise LibpqTooOldError(
            f"psycopg runs on libpq {version // 10_000}, and OAuth logins need libpq 18",
            hint="Install psycopg[binary] 3.2.10 or later, which brings it; or upgrade the system's libpq to 18.",
        )
    return Libpq(_library(sys.modules[pq.PGconn.__module__]))


def _library(implementation: ModuleType) -> ctypes.CDLL:
    """The library behind an implementation of psycopg.pq.

    ``binary`` and ``c`` are extension modules linked against libpq. A symbol looked up in a dlopen handle is searched
    in that object and then in what it depends on (dlsym(3)): the module's own file, opened once more, leads to exactly
    the libpq that it was linked with, wherever that lies. ``python`` keeps its handle; we share the handle but not the
    CDLL object, on which psycopg has set prototypes of its own.
    """
    library = getattr(getattr(implementation, "impl", None), "pq", None)
    if isinstance(library, ctypes.CDLL):
        return ctypes.CDLL(library._name, handle=library._handle)  # noqa: SLF001  the only way to share a handle
    return ctypes.CDLL(str(implementation.__file__))


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype = result
    function.argtypes = arguments
    return function
