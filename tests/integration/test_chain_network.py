"""What a login costs the issuer: nothing, seen at the issuer itself and in the service's own count of its fetches."""

import re
from collections.abc import Iterator

import pytest

from tests.integration.fix_chain import Chain


@pytest.fixture
def warm(chain: Chain) -> Iterator[Chain]:
    """The chain, where a first login went well."""
    chain.login().close()
    yield chain
    chain.issuer.mend()


def calls(chain: Chain) -> tuple[int, str]:
    """Requests that the issuer got, and fetches that the service began, whether or not they reached it."""
    found = re.search(
        r'^pgbearer_issuer_fetches_total\{issuer="demo"\} (\S+)$', chain.service.http("/metrics")[1], re.M
    )
    assert found
    return chain.issuer.requests.total(), found[1]


def test_a_warm_login_makes_no_network_call(warm: Chain) -> None:
    before, token = calls(warm), warm.issuer.token()
    for _ in range(10):
        warm.login(token=token).close()
    assert calls(warm) == before


def test_nor_does_one_with_a_token_that_was_never_seen(warm: Chain) -> None:
    before = calls(warm)
    for _ in range(5):
        warm.login(token=warm.issuer.token()).close()
    assert calls(warm) == before


def test_nor_does_a_refusal(warm: Chain) -> None:
    before = calls(warm)
    assert warm.refusal("app_readwrite") == "role_not_allowed"
    assert warm.refusal(token=warm.issuer.token(aud="db:other")) == "audience_mismatch"
    assert warm.refusal(token=warm.issuer.token(exp=1)) == "token_expired"
    assert calls(warm) == before


@pytest.mark.story("keycloak-down", "known", on="socket")
def test_so_logins_go_on_while_the_issuer_is_down(warm: Chain) -> None:
    before = calls(warm)
    warm.issuer.down()
    warm.login().close()
    assert calls(warm) == before


@pytest.mark.story("keycloak-keys", "new", on="socket")
def test_a_call_would_be_seen(warm: Chain) -> None:
    """A key that is not known yet is what makes the service ask."""
    requests, fetches = calls(warm)
    warm.issuer.rotate_keys(keep=True)
    warm.login().close()
    assert calls(warm) == (requests + 2, str(float(fetches) + 1)), "metadata and keys, in one fetch"
