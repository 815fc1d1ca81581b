"""Where servers on other hosts ask, and how both sides know each other."""

from typing import Annotated

from pydantic import Field

from pgbearer.config.section import AbsolutePath, Section

__all__ = ["Address", "CertificateName", "Listen", "ListenTls"]

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")]
"""Address and port: ``127.0.0.1:8431`` or ``[::1]:8431``."""

CertificateName = Annotated[str, Field(min_length=1, max_length=2048)]
"""A SPIFFE ID, or a DNS name."""


class ListenTls(Section):
    """A listener for logins over TLS 1.3 with certificates on both sides. Its files are read again when they change."""

    address: Address
    """Address and port. Another takes a restart."""
    certificate_file: AbsolutePath
    """The service's own certificate (PEM), with whatever stands between it and the authority that the servers trust."""
    key_file: AbsolutePath
    """Its private key (PEM, without a passphrase)."""
    client_ca_file: AbsolutePath
    """The authority (PEM) that the servers' certificates must come from. One for this alone: everybody with a
    certificate from it gets as far as being told that no server is called so."""


class Listen(Section):
    """Where servers on other hosts ask, beside the Unix sockets of `servers`."""

    tls: ListenTls | None = None
