"""A token that Keycloak bound to a client certificate (RFC 8705), over hostssl, by a rule of the critical tier."""

import base64
import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.e2e.fix_kinds import BOUND_CLIENT, Kinds
from tests.e2e.fix_kinds_door import KindsDoor, thumbprint
from tests.parts.authority import Authority, Certificate
from tests.parts.needs import JAVA, MAVEN

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", autouse=True)
def _keycloak_knows_the_authority(need: Any) -> None:
    need(JAVA, MAVEN)  # in a container it is not told which certificates to trust


@pytest.fixture(scope="module")
def bobs(authority: Authority) -> Certificate:
    return authority.client("bob")


@pytest.fixture(scope="module")
def token(kinds: Kinds, bobs: Certificate) -> str:
    return kinds.of_device(bobs)


def test_keycloak_binds_the_token_to_the_certificate(token: str, bobs: Certificate) -> None:
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    expected = base64.urlsafe_b64encode(thumbprint(bobs)).decode().rstrip("=")
    assert claims["cnf"] == {"x5t#S256": expected}
    assert claims["azp"] == BOUND_CLIENT


@pytest.mark.parametrize("role", ["app_readwrite", "app_readonly"])
def test_whoever_holds_the_certificate_gets_in(kinds_door: KindsDoor, token: str, bobs: Certificate, role: str) -> None:
    for _ in range(2):  # the second time from memory
        with kinds_door.login(token, role, bobs) as connection:
            row = connection.execute("SELECT system_user, current_user").fetchone()
        assert row is not None
        assert (row[0].startswith("oauth:demo:"), row[1]) == (True, role)
    record = kinds_door.records()[-1]
    assert record["facts"]["tls"]["client_cert_sha256"] == thumbprint(bobs).hex()
    assert ("writers" in record["rules"]) == (role == "app_readwrite")


@pytest.mark.parametrize("role", ["app_readwrite", "app_readonly"])
def test_a_stolen_one_is_refused_with_another_certificate_of_the_same_authority(
    kinds_door: KindsDoor, authority: Authority, token: str, role: str
) -> None:
    assert kinds_door.refusal(token, role, authority.client("mallory")) == "sender_constrained"


def test_and_with_none(kinds_door: KindsDoor, token: str) -> None:
    assert kinds_door.refusal(token, "app_readonly") == "sender_constrained"


def test_without_a_certificate_the_line_of_the_critical_role_lets_nobody_ask(kinds_door: KindsDoor, token: str) -> None:
    before = kinds_door.records()
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        kinds_door.login(token, "app_readwrite").close()
    assert kinds_door.records() == before


def test_a_certificate_of_a_stranger_is_none(
    kinds_door: KindsDoor, token: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp(uuid.uuid4().hex)).client("bob")
    with pytest.raises(psycopg.OperationalError, match="unknown ca"):
        kinds_door.login(token, "app_readonly", stranger).close()


def test_a_token_that_is_bound_to_nothing_is_not_enough_for_the_critical_tier(
    kinds_door: KindsDoor, kinds: Kinds, bobs: Certificate
) -> None:
    plain = kinds.of_device()
    assert kinds_door.refusal(plain, "app_readwrite", bobs) == "certificate_required"
    with kinds_door.login(plain, "app_readonly", bobs):
        pass
