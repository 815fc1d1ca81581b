"""The certificate, key and authority of the network listener: taken whole if they are good, refused in plain sight."""

import asyncio
import hashlib
import logging
import ssl
import time
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from pgbearer.config.permissions import HOW_TO_MEND, read_trusted
from pgbearer.config.settings import ListenTls
from pgbearer.errors import UsageError
from pgbearer.service.metrics import Metrics
from pgbearer.service.tls_context import server_context

__all__ = ["TlsFiles"]

MAX_BYTES: Final = 256 * 1024
"""Of each file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The files at one moment: SHA-256 over their bytes, the service's certificate, why not to trust them."""

    digest: str
    certificate: bytes
    untrusted: tuple[str, ...]


class TlsFiles:
    """The TLS context for new connections, and when it ends. A change of the files makes another, if they are good.

    Args:
        settings: names the files.

    Raises:
        UsageError: they cannot be used.
    """

    def __init__(self, settings: ListenTls) -> None:
        self.settings = settings
        self.fault: str | None = None
        """Why the files as they stand are not in use; None if they are."""
        self._seen = _read(settings)
        self.context, self.expires = _context(settings, self._seen)
        """What new connections are met with; until when its certificate is good, epoch seconds."""

    async def renew_if_changed(self, metrics: Metrics) -> None:
        """Read the files, and use them if they have changed and are good. Never raises for what is in them."""
        try:
            reading = await asyncio.to_thread(_read, self.settings)
            if reading == self._seen and self.fault is None:
                return
            self.context, self.expires = await asyncio.to_thread(_context, self.settings, reading)
        except UsageError as error:
            if self.fault != (fault := error.diagnostics()):  # once, not every second
                metrics.tls_renewals.labels("refused").inc()
                _log.error("the new certificate is refused, the one before stays in use: %s", fault)
            self.fault = fault
            return
        self._seen, self.fault = reading, None
        metrics.tls_renewals.labels("accepted").inc()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires))
        _log.info("new certificate for logins over the network, good until %s", until)


def _read(settings: ListenTls) -> _Reading:
    """The three files.

    Raises:
        UsageError: one cannot be read.
    """
    digest = hashlib.sha256()
    parts: list[bytes] = []
    untrusted: list[str] = []
    for file in (settings.certificate_file, settings.key_file, settings.client_ca_file):
        try:
            data, reasons = read_trusted(file, MAX_BYTES)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror or error}", where=str(file)) from None
        digest.update(hashlib.sha256(data).digest())
        parts.append(data)
        untrusted += reasons
    return _Reading(digest.hexdigest(), parts[0], tuple(untrusted))


def _context(settings: ListenTls, reading: _Reading) -> tuple[ssl.SSLContext, float]:
    """What the files come to, and until when, epoch seconds.

    Raises:
        UsageError: the files are no pair, no authority, not in force, not ours alone, or just being changed.
    """
    where = str(settings.certificate_file)
    if reading.untrusted:
        raise UsageError(
            f"not trusted: {reading.untrusted[0]}",
            hint=HOW_TO_MEND,
        )
    try:
        context = server_context(settings.certificate_file, settings.key_file, settings.client_ca_file)
    except (OSError, ValueError) as error:
        raise UsageError(f"no certificate with its key and an authority: {_said(error)}", where=where) from None
    expires = _in_force(reading.certificate, where)
    if _read(settings) != reading:
        raise UsageError("the files are being changed", where=where, hint="They are read again in a second.")
    return context, expires


def _in_force(certificate: bytes, where: str) -> float:
    """Until when, epoch seconds.

    Raises:
        UsageError: it is not.
    """
    try:
        own = x509.load_pem_x509_certificates(certificate)[0]
    except (ValueError, x509.InvalidVersion):  # OpenSSL has taken it: it does not look at the version
        raise UsageError("no certificate that can be read", where=where) from None
    begins, ends, now = own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp(), time.time()
    if not begins <= now < ends:
        raise UsageError(
            "the certificate has expired" if now >= ends else "the certificate is not yet good", where=where
        )
    return ends


def _said(error: Exception) -> str:
    """In OpenSSL's words, which name no content."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "malformed").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or "malformed"
