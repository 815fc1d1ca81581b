"""The programmable issuer over TLS, with its own CA."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer import CertificateAuthority, Issuer, certificate_authority

__all__ = ["issuer", "issuer_ca"]


@pytest.fixture(scope="session")
def issuer_ca() -> CertificateAuthority:
    """One CA a run."""
    return certificate_authority()


@pytest.fixture
def issuer(tmp_path: Path, issuer_ca: CertificateAuthority) -> Iterator[Issuer]:
    """An issuer that serves metadata and keys, until it is told otherwise."""
    with Issuer(tmp_path, ca=issuer_ca) as serving:
        yield serving
