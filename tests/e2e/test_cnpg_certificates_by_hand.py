"""docs/runbooks/certificates.md where certificates are made by openssl, under logins, each of which must be good."""

import pytest

from tests.e2e.fix_cnpg_certificates import Certified, blocks

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

_, _, RENEW, _, _, _, BOTH, SIGN, ALONE, _ = blocks()


@pytest.mark.story("certificates", "both", on="operator")
def test_certificates_are_made_anew(by_hand: Certified) -> None:
    before = by_hand.pair("before")
    by_hand.change(RENEW)
    assert by_hand.admitted(before)


@pytest.mark.story("certificates", "authority", on="operator")
def test_an_authority_is_made_anew(by_hand: Certified) -> None:
    before = by_hand.pair("before")
    by_hand.change(BOTH, SIGN, ALONE)
    assert not by_hand.admitted(before)
    assert by_hand.admitted(by_hand.pair("after"))
