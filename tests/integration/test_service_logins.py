"""Logins through the real service: allowed, and refused for every reason that a request or a caller can have."""

from tests.integration.fix_service import Service


def test_a_good_login_is_allowed_and_recorded(service: Service) -> None:
    request = service.request()
    answer = service.login(request)
    assert answer["decision"] == "allow"
    assert answer["identity"] == "demo:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"
    assert answer["request_id"] == request.access.request_id
    (record,) = [line for line in service.audit() if line["kind"] == "decision"]
    assert record["decision_id"] == answer["decision_id"]
    assert record["identity"] == answer["identity"]
    assert record["server"] == "local"
