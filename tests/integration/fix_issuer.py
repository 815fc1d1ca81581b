"""The programmable issuer over TLS, with its own CA."""

from collections.abc import Iterator

import pytest

from tests.issuer import Issuer
from tests.parts.authority import Authority

__all__ = ["issuer", "issuer_authority"]


@pytest.fixture(scope="session")
def issuer_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One CA a run for programmable issuers."""
    return Authority(tmp_path_factory.mktemp("issuer"), "pgbearer test issuer authority")


@pytest.fixture
def issuer(issuer_authority: Authority) -> Iterator[Issuer]:
    """An issuer that serves metadata and keys, until it is told otherwise."""
    with Issuer(issuer_authority) as serving:
        yield serving
