"""Logins through the real service: allowed, and refused for each kind of reason that a request can have."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pgbearer.wire import RoleAttributes
from tests.integration.fix_service import Service
from tests.issuer import ABSENT
from tests.parts.login import login_body


def test_a_good_login_is_allowed_and_recorded(service: Service) -> None:
    request = service.request()
    answer = service.login(request)
    assert answer["decision"] == "allow"
    assert answer["identity"] == "demo:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"
    assert answer["request_id"] == request.access.request_id
    (record,) = service.decisions()
    assert record["decision_id"] == answer["decision_id"]
    assert record["identity"] == answer["identity"]
    assert record["display"] == "alice"
    assert record["rules"] == ["readers"]
    assert record["server"] == "local"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"role": "app_readwrite"}, "role_not_allowed"),
        ({"database": "payroll"}, "no_rule"),
        ({"role": "x" * 64}, "name_not_expressible"),
        ({"role_attributes": RoleAttributes(exists=False)}, "role_unknown"),
        ({"role_attributes": RoleAttributes(exists=True, superuser=True)}, "role_privileged"),
        ({"issuer": "https://other.example.com"}, "issuer_mismatch"),
        ({"scopes": ("openid", "db:other")}, "scope_missing"),
        ({"token": ""}, "token_missing"),
        ({"token": "x" * 40_000}, "token_too_large"),
        ({"token": "not.a.token"}, "token_malformed"),
        ({"now": 0}, "clock_skew"),
        ({"now": int(time.time() * 1000) + 3_600_000}, "clock_skew"),
    ],
)
def test_what_is_asked_can_be_refused(shared_service: Service, asked: dict[str, Any], reason: str) -> None:
    answer = shared_service.login(**asked)
    assert (answer["decision"], answer["reason"]) == ("deny", reason)
    assert shared_service.decisions()[-1]["reason"] == reason


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "token_expired"),
        ({"aud": "db:other"}, "audience_mismatch"),
        ({"azp": "another-client"}, "client_not_allowed"),
        ({"typ": "ID"}, "token_kind"),
        ({"iss": "https://evil.example.com/realms/demo"}, "issuer_unknown"),
        ({"realm_access": {"roles": []}}, "no_rule"),
        ({"sub": ABSENT}, "claim_missing"),
    ],
)
def test_what_the_token_says_can_be_refused(shared_service: Service, claims: dict[str, Any], reason: str) -> None:
    answer = shared_service.login(token=shared_service.issuer.token(**claims))
    assert (answer["decision"], answer["reason"]) == ("deny", reason)


def test_a_changed_signature_is_refused_and_nothing_of_the_token_is_taken_for_true(shared_service: Service) -> None:
    head, payload, signature = shared_service.issuer.token().split(".")
    answer = shared_service.login(token=f"{head}.{payload}.{signature[:-8]}AAAAAAAA")
    assert answer["reason"] == "signature_invalid"
    record = shared_service.decisions()[-1]
    assert record["verified"] is False
    assert record["identity"] is None
    assert record["display"] is None


def test_a_server_is_who_the_kernel_says_whatever_the_body_says(shared_service: Service) -> None:
    body = login_body()["server"] | {"instance": "pay-eu", "name": "pay-eu", "uid": 0}
    shared_service.post(shared_service.encoded(server=body))
    record = shared_service.decisions()[-1]
    assert record["server"] == "local"
    assert record["unverified"]["instance"] == "pay-eu"


def test_a_caller_of_another_uid_is_refused_whatever_it_holds(start_service: Any) -> None:
    service = start_service(wrong_uid=True)
    answer = service.login()
    assert answer["reason"] == "caller_unknown"
    record = service.decisions()[-1]
    assert record["server"] is None
    assert record["verified"] is False


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": 7}, "request_invalid"),
        ({"hba": None}, "request_invalid"),
        ({"role_attributes": {"exists": True}}, "request_invalid"),
        ({"v": 2}, "version_unsupported"),
    ],
)
def test_a_request_of_another_shape_is_denied_by_name(
    shared_service: Service, changes: dict[str, Any], reason: str
) -> None:
    answer = shared_service.post(shared_service.encoded(**changes))
    assert answer.status == 200
    assert (answer.body["decision"], answer.body["reason"]) == ("deny", reason)
    assert answer.body["v"] == changes.get("v", 1)


def test_the_request_in_the_documentation_is_one(shared_service: Service) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "protocol.md").read_text()
    (example,) = re.findall(r"<<EOF\n(.*?)\nEOF\n", page, re.DOTALL)
    example = example.replace("$(openssl rand -hex 16)", "ab" * 16).replace("$(date +%s)", str(int(time.time())))
    request = json.loads(example.replace("$TOKEN", shared_service.issuer.token()))
    request["hba"]["issuer"] = shared_service.issuer.url
    answer = shared_service.post(json.dumps(request).encode())
    assert answer.body["decision"] == "allow"
    for member in answer.body:
        assert f"`{member}`" in page


def test_text_is_answered_as_raw_utf8(start_service: Any) -> None:
    rule = {"name": "größe", "any_role": ["db-read"], "databases": ["büro"], "roles": ["*"]}
    service = start_service(rules=[rule])
    answer = service.post(service.encoded(role="größe", database="büro"))
    assert answer.body["role"] == "größe"
    assert b"\\u" not in answer.raw


def test_faster_than_the_limit_is_overloaded(start_service: Any) -> None:
    service = start_service(limits={"per_caller_per_second": 1})
    answers = [service.post(service.encoded()) for _ in range(20)]
    refused = [answer for answer in answers if answer.status == 503]
    assert refused
    assert all(answer.body["reason"] == "overloaded" for answer in refused)


@pytest.mark.story("keycloak-down", "again", on="service")
def test_an_issuer_that_is_down_at_start_denies_until_it_is_there(start_service: Any, issuer: Any) -> None:
    issuer.down()
    service = start_service()
    assert service.login()["reason"] == "keys_unavailable"
    status, page = service.http("/readyz")
    assert status == 503
    assert "no issuer has usable keys" in page
    issuer.mend()
    service.await_line("1 to verify with")
    assert service.login()["decision"] == "allow"
    assert service.http("/readyz")[0] == 200


def test_a_server_that_goes_away_while_a_key_is_looked_for_leaves_a_line(service: Service) -> None:
    service.issuer.rotate_keys()
    service.issuer.hang()
    body = service.encoded()
    with service.connect() as connection:
        connection.sendall(b"POST /v1/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        service.await_metric("pgbearer_in_flight 1.0")
        connection.sendall(b"x")  # whoever keeps to one exchange sends nothing more, so this one is cut off at once
        assert connection.recv(1) == b""
    service.await_metric("pgbearer_in_flight 0.0")
    service.issuer.mend()
    (record,) = service.decisions()
    assert (record["decision"], record["reason"]) == ("deny", "caller_gone")
