"""The critical tier through the real service: what the token says, which certificate came, how old the keys are."""

import base64
import time
from dataclasses import replace
from typing import Any

import pytest

from pgbearer.wire import LoginRequest, Tls
from tests.integration.fix_service import Service, Start
from tests.issuer import CLIENT

CERTIFICATE = "ab" * 32
BOUND = {"x5t#S256": base64.urlsafe_b64encode(bytes.fromhex(CERTIFICATE)).decode().rstrip("=")}
RULE = {
    "name": "critical",
    "any_role": ["db-read"],
    "databases": ["appdb"],
    "roles": ["app_readonly"],
    "tier": "critical",
}


def with_critical(service: Service, **terms: Any) -> None:
    """A critical rule beside the normal one, for one more client than there was."""
    demo = service.settings["issuers"]["demo"]
    critical = {"clients": [CLIENT], "acr": ["mfa"], **terms}
    service.change(
        issuers={"demo": demo | {"clients": [CLIENT, "device"], "critical": critical}},
        rules=[*service.settings["rules"], RULE],
    )
    service.await_line("reloaded")


def over_tls(login: LoginRequest, certificate: str | None) -> LoginRequest:
    tls = Tls(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", client_cert_sha256=certificate)
    return replace(login, access=replace(login.access, client=replace(login.access.client, tls=tls)))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "allowed"),
        ({"auth_time": None}, "authentication_unknown"),
        ({"auth_time": -7200}, "authentication_too_old"),
        ({"acr": "pwd"}, "authentication_too_weak"),
        ({"azp": "device"}, "client_not_critical"),
    ],
)
def test_what_the_token_says(service: Service, claims: dict[str, Any], reason: str) -> None:
    with_critical(service)
    now = int(time.time())
    said = {"auth_time": -60, "acr": "mfa", **claims}
    auth_time = said.pop("auth_time")
    if auth_time is not None:
        said["auth_time"] = now + auth_time
    answer = service.login(service.request(token=service.issuer.token(**said)))
    assert answer["reason"] == reason
    record = service.decisions()[-1]
    assert record["rules"] == (["critical", "readers"] if reason == "allowed" else ["critical"])
    assert record["facts"]["keys_age"] >= 0
    if reason == "allowed":
        assert answer["ends_at"] <= (now + 300) * 1000, "with the token, not with the sign-on session"


@pytest.mark.parametrize(
    ("cnf", "certificate", "reason"),
    [
        (BOUND, CERTIFICATE, "allowed"),
        (BOUND, "cd" * 32, "sender_constrained"),
        (BOUND, None, "sender_constrained"),
        (None, CERTIFICATE, "certificate_required"),
    ],
)
def test_which_certificate_came(
    service: Service, cnf: dict[str, str] | None, certificate: str | None, reason: str
) -> None:
    with_critical(service, certificate_bound=True)
    claims: dict[str, Any] = {"auth_time": int(time.time()), "acr": "mfa"} | ({"cnf": cnf} if cnf else {})
    login = over_tls(service.request(token=service.issuer.token(**claims)), certificate)
    assert [service.login(login)["reason"] for _ in range(2)] == [reason] * 2, "the second time from memory"


def test_an_issuer_without_a_critical_tier_keeps_the_rule_from_being_used(start_service: Start) -> None:
    service = start_service()
    service.change(rules=[RULE])
    service.await_line("the one before stays in force")
    service.await_line('issuer "demo" does not say what is critical')
    assert service.login()["decision"] == "allow"
