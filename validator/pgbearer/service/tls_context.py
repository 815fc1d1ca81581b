"""Which TLS is spoken with servers on other hosts. Of the standard library alone: any Python can run it."""

import ssl
from pathlib import Path

__all__ = ["server_context"]


def server_context(certificate_file: Path, key_file: Path, client_ca_file: Path) -> ssl.SSLContext:
    """TLS 1.3 alone, a certificate demanded of everybody, nothing resumed: what has changed acts on the next login.

    The groups for the key exchange are OpenSSL's own choice, which from 3.5 on begins with X25519MLKEM768.

    Args:
        certificate_file: ours, with whatever stands between it and its authority (PEM).
        key_file: its key.
        client_ca_file: whom clients' certificates must come from.

    Raises:
        OSError, ValueError: a file is not what it should be; `ssl.SSLError` has OpenSSL's reason.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.num_tickets = 0  # one exchange a connection: nothing to come back for
    context.load_cert_chain(certificate_file, key_file, password=_no_passphrase)
    context.load_verify_locations(client_ca_file)
    return context


def _no_passphrase() -> str:
    """Without this, OpenSSL would ask whoever sits at the terminal."""
    return ""
