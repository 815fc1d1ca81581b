"""docs/runbooks/certificates.md by the real cert-manager, under logins, each of which must be good."""

import pytest

from tests.e2e.fix_cnpg_certificates import Certified, blocks

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

_, RENEW, _, _, BOTH, ALONE = blocks()[:6]


@pytest.mark.story("certificates", "both", on="operator")
def test_cert_manager_makes_new_certificates(by_cert_manager: Certified) -> None:
    before = by_cert_manager.pair("before")
    by_cert_manager.change(RENEW)
    assert by_cert_manager.admitted(before)  # the authority is the same


@pytest.mark.story("certificates", "authority", on="operator")
def test_cert_manager_makes_a_new_authority(by_cert_manager: Certified) -> None:
    before = by_cert_manager.pair("before")
    assert by_cert_manager.admitted(before)
    by_cert_manager.change(BOTH, RENEW, ALONE)
    assert not by_cert_manager.admitted(before)
    assert by_cert_manager.admitted(by_cert_manager.pair("after"))
