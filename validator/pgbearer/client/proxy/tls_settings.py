"""TLS to a server as libpq's sslmode=verify-full has it: a context from the connection's options."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.plain import plain
from pgbearer.errors import UsageError

__all__ = ["ALPN", "Tls"]

ALPN: Final = "postgresql"
"""PG_ALPN_PROTOCOL (libpq/pqcomm.h)."""

_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Tls:
    """How to speak TLS to one upstream: the server's name and chain are always verified.

    The files are read when it is made and again when one of them has changed, so that a certificate can be renewed
    under a running proxy. A context is shared by connections: to parse the authorities takes longer than a handshake.

    Args:
        options: resolved connection options.

    Raises:
        UnsafeServerError: there is no authority to verify by.
        UsageError: a file or version is not usable.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self._read_at = self._signs()
        self._context = self._read()

    @property
    def direct(self) -> bool:
        """Whether TLS begins without asking (sslnegotiation=direct)."""
        return self._options.get("sslnegotiation") == "direct"

    def context(self) -> ssl.SSLContext:
        """The context for a connection; raises as the class does if the files have changed and are not usable."""
        signs = self._signs()
        if signs != self._read_at:
            self._context = self._read()
            self._read_at = signs
        return self._context

    def __repr__(self) -> str:
        return f"<Tls by {plain(self._options.get('sslrootcert', 'root.crt'))}>"

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and name
        context.set_alpn_protocols([ALPN])
        context.minimum_version = self._version("ssl_min_protocol_version", "TLSv1.2")
        if self._options.get("ssl_max_protocol_version"):
            context.maximum_version = self._version("ssl_max_protocol_version", "TLSv1.3")
        where = "the connection's TLS files"
        try:
            where = self._trust(context)
            where = self._revoked(context)
            self._certify(context)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"cannot be used: {plain(str(error))}", where=where) from None
        return context

    def _version(self, option: str, default: str) -> ssl.TLSVersion:
        name = self._options.get(option) or default
        for known, version in _VERSIONS.items():
            if known.lower() == name.lower():  # as libpq compares (ssl_protocol_version_to_openssl)
                return version
        raise UsageError(f"invalid {option} value: {plain(name)!r}")

    def _trust(self, context: ssl.SSLContext) -> str:
        """Load the authorities; return where from, for messages about what comes next."""
        named = self._options.get("sslrootcert", "")
        if named == "system":
            context.set_default_verify_paths()
            return named
        file = Path(named) if named else _default("root.crt")
        if not file.exists():
            raise UnsafeServerError(
                "there is no file of authorities to verify the server by",
                where=str(file),
                hint="Give sslrootcert=FILE, or sslrootcert=system for the system's.",
            )
        context.load_verify_locations(cafile=_waits_for_nobody(file))
        return str(file)

    def _revoked(self, context: ssl.SSLContext) -> str:
        file, folder = self._options.get("sslcrl", ""), self._options.get("sslcrldir", "")
        if not file and not folder and _default("root.crl").exists():
            file = str(_default("root.crl"))
        if file or folder:
            context.load_verify_locations(cafile=_waits_for_nobody(Path(file)) if file else None, capath=folder or None)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
        return self._options.get("sslcert") or str(_default("postgresql.crt"))

    def _certify(self, context: ssl.SSLContext) -> None:
        """A certificate of the client's, where there is one."""
        mode = self._options.get("sslcertmode", "allow")
        named = self._options.get("sslcert", "")
        certificate = Path(named) if named else _default("postgresql.crt")
        if mode == "disable" or (mode == "allow" and not named and not certificate.exists()):
            return
        key = Path(self._options.get("sslkey") or _default("postgresql.key"))
        password = self._options.get("sslpassword", "")  # an empty one, so that OpenSSL asks no terminal
        context.load_cert_chain(_waits_for_nobody(certificate), _waits_for_nobody(key), password)

    def _signs(self) -> tuple[tuple[str, int, int], ...]:
        """What changes when one of the files does."""
        named = [self._options.get(name) for name in ("sslrootcert", "sslcrl", "sslcert", "sslkey")]
        files = [Path(name) for name in named if name and name != "system"]
        found = []
        for file in (*files, _default("root.crt"), _default("root.crl"), _default("postgresql.crt")):
            try:
                status = file.stat()
            except OSError:
                continue
            found.append((str(file), status.st_ino, status.st_mtime_ns))
        return tuple(found)


def _waits_for_nobody(file: Path) -> Path:
    """`file`: a pipe would be waited for until somebody writes to it, and all clients of the proxy with it.

    Raises:
        UsageError: it is there, and is no regular file.
    """
    if file.exists() and not file.is_file():
        raise UsageError("is no regular file", where=str(file), hint="Name a file: it is read again when it changes.")
    return file


def _default(name: str) -> Path:
    """Where libpq looks for what is not named (fe-secure-openssl.c)."""
    try:
        home = Path.home()
    except RuntimeError:  # a uid that the system knows nothing of, as in a pod, and no HOME, which then is the root
        home = Path("/")
    return home / ".postgresql" / name
