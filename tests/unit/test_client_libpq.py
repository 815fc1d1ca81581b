"""The hook goes into the libpq that psycopg uses, and that must know OAuth."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import pq

from pgbearer.client import LibpqTooOldError, connect
from pgbearer.client.connection import libpq


@pytest.fixture
def fresh_look() -> Iterator[None]:
    libpq.load.cache_clear()
    yield
    libpq.load.cache_clear()


@pytest.mark.usefixtures("fresh_look")
def test_libpq_17_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pq, "version", lambda: 17_00_05)
    with pytest.raises(LibpqTooOldError, match="libpq 17, and OAuth logins need libpq 18") as caught:
        connect("host=/nowhere", token="opaque", issuer="https://sso.test")
    assert "psycopg[binary]" in (caught.value.hint or "")
    assert caught.value.exit_code == 2


def test_it_is_the_very_library_that_psycopg_uses() -> None:
    """Two copies would each have a hook: one set through ours must be the one that psycopg's copy reports."""
    library = libpq.load()
    before = library.auth_data_hook()
    hook = libpq.AuthDataHook(lambda _kind, _conn, _data: 0)
    address = ctypes.cast(hook, ctypes.c_void_p).value or 0
    library.set_auth_data_hook(address)
    try:
        mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libpq" in line}
        seen = [ctypes.CDLL(path).PQgetAuthDataHook for path in mapped]
        for function in seen:
            function.restype = ctypes.c_void_p
        assert [function() for function in seen] == [address]
    finally:
        library.set_auth_data_hook(before)


def test_the_structure_is_that_of_the_header() -> None:
    """sizeof and offsets of PGoauthBearerRequest on an LP64 platform: six pointers, in the header's order."""
    assert ctypes.sizeof(libpq.BearerRequest) == 6 * ctypes.sizeof(ctypes.c_void_p)
    assert [name for name, _ in libpq.BearerRequest._fields_] == [
        "openid_configuration",
        "scope",
        "run_async",
        "cleanup",
        "token",
        "user",
    ]
