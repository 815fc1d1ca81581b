"""Gives libpq a token: psycopg connections with OAuth, independent of the product's own client.

libpq asks a process-wide hook for the token (PQsetAuthDataHook, fe-auth.c). The hook answers with the token of the
thread that is connecting, so connections of several threads do not mix.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import psycopg_binary

__all__ = ["connect", "supply"]

_BEARER_TOKEN = 1  # PQAUTHDATA_OAUTH_BEARER_TOKEN


class _Request(ctypes.Structure):
    """PGoauthBearerRequest of libpq-fe.h."""


_Cleanup = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Request))
_Hook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Request._fields_ = [
    ("openid_configuration", ctypes.c_char_p),
    ("scope", ctypes.c_char_p),
    ("poll", ctypes.c_void_p),
    ("cleanup", _Cleanup),
    ("token", ctypes.c_void_p),
    ("user", ctypes.c_void_p),
]

_mine = threading.local()
_lent: dict[int, Any] = {}  # by the address of the request: what libpq still points to


def _forget(_conn: object, request: Any) -> None:
    _lent.pop(ctypes.addressof(request.contents), None)


def _answer(kind: int, _conn: object, data: int) -> int:
    token: str | None = getattr(_mine, "token", None)
    if kind != _BEARER_TOKEN or token is None:
        return 0
    request = _Request.from_address(data)
    buffer = ctypes.create_string_buffer(token.encode())
    _lent[data] = buffer
    request.token = ctypes.addressof(buffer)
    request.cleanup = _cleanup
    return 1


_cleanup = _Cleanup(_forget)
_hook = _Hook(_answer)


def _libpq() -> ctypes.CDLL:
    """The very library that psycopg uses: it lies beside its package, loaded already."""
    folder = Path(str(psycopg_binary.__file__)).parents[1] / "psycopg_binary.libs"
    return ctypes.CDLL(str(next(folder.glob("libpq-*"))))


_libpq().PQsetAuthDataHook(_hook)


@contextmanager
def supply(token: str) -> Iterator[None]:
    """Connections that this thread makes inside the block present `token`."""
    _mine.token = token
    try:
        yield
    finally:
        _mine.token = None


def connect(token: str, *, issuer: str, **conninfo: str | int) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect with `token`; `issuer` is that of the HBA line.

    The issuer's whole well-known address spares libpq a first connection that only asks the server for it.

    Raises:
        psycopg.OperationalError: refused.
    """
    options: dict[str, Any] = {
        "oauth_issuer": f"{issuer}/.well-known/openid-configuration",
        "oauth_client_id": "test",
        "oauth_scope": "db",
        "require_auth": "oauth",
        "autocommit": True,
        **conninfo,
    }
    with supply(token):
        return psycopg.connect(**options)
