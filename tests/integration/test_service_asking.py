"""Deciders through the real service and a real PostgreSQL login: what is asked, recorded, shown and counted."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgbearer.service.explaining import rehearse
from pgbearer.wire import encode_request
from tests.integration.fix_chain import Chain, whole_chain
from tests.integration.fix_decider import decider_section
from tests.integration.fix_service import Service, Start
from tests.lying_decider import KINDS, LyingDecider
from tests.parts.authority import Authority
from tests.parts.postgres import Installation

READERS: dict[str, Any] = {
    "name": "readers",
    "any_role": ["db-read"],
    "databases": ["appdb"],
    "roles": ["app_readonly"],
}
WRITERS: dict[str, Any] = READERS | {"name": "writers", "roles": ["app_readwrite"], "ask": {"all": ["it"]}}


def section(kind: str, decider: LyingDecider, **changes: Any) -> dict[str, Any]:
    own = {"issuer": "demo"} if kind == "keycloak" else {}
    return {"it": decider_section(kind, decider, **own) | changes}


def asking(start: Start, kind: str, decider: LyingDecider, *rules: dict[str, Any], **changes: Any) -> Service:
    """A service whose rules ask."""
    return start(deciders=section(kind, decider, **changes), rules=list(rules or (READERS, WRITERS)))


def writes(service: Service, **changes: Any) -> dict[str, Any]:
    return service.login(service.request(role="app_readwrite", **changes))


@pytest.fixture(scope="module")
def decider(issuer_authority: Authority) -> Iterator[LyingDecider]:
    with LyingDecider(issuer_authority) as serving:
        yield serving


@pytest.fixture(scope="module")
def chain(postgres: Installation, issuer_authority: Authority, decider: LyingDecider) -> Iterator[Chain]:
    """PostgreSQL and a service that asks each kind of decider, for one rule each."""
    kinds = {f"{kind}-pdp": section(kind, decider)["it"] for kind in KINDS}
    both = WRITERS | {"name": "both", "ask": {"all": sorted(kinds)}}
    with whole_chain(postgres, issuer_authority, deciders=kinds, rules=[READERS, both]) as running:
        yield running


@pytest.fixture(autouse=True)
def good(decider: LyingDecider) -> None:
    decider.mend()
    decider.questions.clear()


def test_a_login_that_every_kind_says_yes_to(chain: Chain, decider: LyingDecider) -> None:
    with chain.login("app_readwrite") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app_readwrite",)
    record = chain.service.decisions()[-1]
    assert [(one["decider"], one["answer"], one["from"]) for one in record["asked"]] == [
        ("authzen-pdp", "yes", "decider"),
        ("keycloak-pdp", "yes", "decider"),
        ("opa-pdp", "yes", "decider"),
    ]
    assert {one.id for one in decider.questions} == {record["decision_id"]}
    assert record["rules"] == ["both"]


def test_a_login_that_needs_nobody_asks_nobody(chain: Chain, decider: LyingDecider) -> None:
    decider.down()
    with chain.login("app_readonly") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert chain.service.decisions()[-1]["asked"] == []


def test_a_no_and_a_fault_are_refused_each_with_its_reason(chain: Chain, decider: LyingDecider) -> None:
    decider.deny()
    assert chain.refusal("app_readwrite") == "decider_denied"
    decider.html()
    assert chain.refusal("app_readwrite") == "decider_unavailable"
    decider.status(404)
    assert chain.refusal("app_readwrite") == "decider_misconfigured"
    decider.hang()
    assert chain.refusal("app_readwrite") == "decider_unavailable"
    assert chain.service.decisions()[-1]["rules"] == ["both"]


def test_a_decider_that_hangs_holds_up_nobody_who_does_not_ask(chain: Chain, decider: LyingDecider) -> None:
    decider.hang()
    refused: list[str] = []

    def write() -> None:
        try:
            chain.login("app_readwrite").close()
        except psycopg.OperationalError as error:
            refused.append(str(error))

    waiting = threading.Thread(target=write)
    waiting.start()
    decider.await_questions(3)
    with chain.login("app_readonly") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert waiting.is_alive(), "it was let in while the other was still waiting"
    waiting.join()
    assert len(refused) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_recorded_shown_and_counted(start_service: Start, decider: LyingDecider, kind: str) -> None:
    service = asking(start_service, kind, decider)
    decider.deny()
    answer = writes(service)
    assert (answer["decision"], answer["reason"]) == ("deny", "decider_denied")
    record = service.decisions()[-1]
    (asked,) = record["asked"]
    reason = "not_authorized" if kind == "keycloak" else "not on duty"
    assert (asked["decider"], asked["answer"], asked["reason"]) == ("it", "no", reason)
    assert (asked["from"], asked["breaker"], asked["last_yes_age"]) == ("decider", "closed", None)
    assert asked["ms"] > 0
    assert record["detail"] == f"it: no ({reason})"
    explained = service.admin(f"/v1/decisions/{record['decision_id']}/explanation").body
    (step,) = [step for step in explained["steps"] if step["step"] == "deciders"]
    assert step["outcome"] == "failed"
    assert f"it said no ({reason})" in step["saw"]
    assert explained["now"] is None, "asked again with what the decider said, the policy says the same"
    assert service.admin(f"/v1/decisions/{record['decision_id']}").body["asked"] == [asked]
    service.await_metric('pgbearer_decider_questions_total{answer="no",decider="it",source="decider"} 1.0')
    service.await_metric('pgbearer_decider_breaker_open{decider="it"} 0.0')
    assert 'pgbearer_decider_seconds_count{decider="it"} 1.0' in service.http("/metrics")[1]


def test_a_fault_is_shown_and_does_not_make_the_service_unready(start_service: Start, decider: LyingDecider) -> None:
    service = asking(start_service, "opa", decider, breaker={"failures": 2, "open_for": "1h"})
    decider.down()
    for _ in range(3):
        assert writes(service)["reason"] == "decider_unavailable"
    assert service.decisions()[-1]["asked"][0]["from"] == "breaker"
    status, report = service.http("/readyz")
    assert status == 200
    assert '"breaker": "open"' in report
    assert "cannot connect" in report
    service.await_metric('pgbearer_decider_breaker_open{decider="it"} 1.0')
    assert service.login()["decision"] == "allow"
    assert service.count("decider it:") == 1, "said once, not for every login"


def test_an_answer_is_used_again_until_a_reload_or_a_revocation(start_service: Start, decider: LyingDecider) -> None:
    service = asking(start_service, "opa", decider, cache="5m")
    token = service.issuer.token()
    for _ in range(3):
        assert writes(service, token=token)["decision"] == "allow"
    assert [line["asked"][0]["from"] for line in service.decisions()] == ["decider", "cache", "cache"]
    assert len(decider.questions) == 1
    service.change(defaults={"session": {"until": "sso", "max": "9h"}})
    service.await_line("reloaded")
    assert writes(service, token=token)["decision"] == "allow"
    assert len(decider.questions) == 2
    assert service.command("/v1/revocations", sid="5f3a7c1e", issuer="demo").status == 200
    assert writes(service, token=token)["reason"] == "token_revoked"
    (revoked,) = service.admin("/v1/revocations").body["revocations"]
    assert service.command(f"/v1/revocations/{revoked['id']}/lift").status == 200
    assert writes(service, token=token)["decision"] == "allow"
    assert len(decider.questions) == 3, "what was said before the revocation is forgotten, also after it is lifted"


def test_the_last_yes_until_a_revocation(start_service: Start, decider: LyingDecider) -> None:
    rule = WRITERS | {"ask": {"all": ["it"], "on_fault": {"last_known": {"max_age": "1h"}}}}
    service = asking(start_service, "authzen", decider, rule)
    assert writes(service)["decision"] == "allow"
    decider.down()
    assert writes(service)["decision"] == "allow"
    asked = service.decisions()[-1]["asked"][0]
    assert (asked["answer"], asked["from"]) == ("unavailable", "decider")
    assert asked["last_yes_age"] >= 0
    command = {"sub": service.issuer.claims()["sub"], "issuer": "demo"}
    revoked = service.command("/v1/revocations", **command)
    assert revoked.status == 200, revoked
    (entry,) = service.admin("/v1/revocations").body["revocations"]
    assert service.command(f"/v1/revocations/{entry['id']}/lift").status == 200
    assert writes(service)["reason"] == "decider_unavailable"


def test_a_veto_holds_where_another_rule_allows(start_service: Start, decider: LyingDecider) -> None:
    veto = READERS | {"name": "on duty", "ask": {"all": ["it"], "veto": True}}
    service = asking(start_service, "opa", decider, READERS, veto)
    assert service.login()["decision"] == "allow"
    assert service.decisions()[-1]["rules"] == ["on duty", "readers"]
    decider.deny()
    assert service.login()["reason"] == "decider_denied"
    decider.down()
    assert service.login()["reason"] == "decider_unavailable"


def test_logins_under_way_are_answered_by_the_settings_they_began_with(
    start_service: Start, decider: LyingDecider
) -> None:
    service = asking(start_service, "opa", decider, timeout="3s")
    decider.hang()
    with service.connect() as connection:
        body = encode_request(service.request(role="app_readwrite"))
        head = b"POST /v1/login HTTP/1.1\r\nHost: pgbearer\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        connection.sendall(head % len(body) + body)
        decider.await_questions(1)
        service.change(rules=[READERS])
        service.await_line("reloaded")
        decider.mend()
        assert service.read(connection).body["reason"] in ("decider_unavailable", "allowed")
    assert writes(service)["reason"] == "role_not_allowed"


async def test_a_rehearsal_asks_too(start_service: Start, decider: LyingDecider) -> None:
    service = asking(start_service, "keycloak", decider)
    token = service.issuer.token()
    said: dict[str, Any] = {"role": "app_readwrite", "database": "appdb", "server": None, "address": None}
    explained = await rehearse(service.file, token, **said)
    assert explained["verdict"]["reason"] == "allowed"
    decider.deny()
    explained = await rehearse(service.file, token, **said)
    assert explained["verdict"]["reason"] == "decider_denied"
    (step,) = [step for step in explained["steps"] if step["step"] == "deciders"]
    assert "it said no (not_authorized)" in step["saw"]
    assert token not in str(explained)
    assert len(decider.questions) == 2


def test_a_certificate_without_its_key_keeps_the_file_from_being_used(
    start_service: Start, decider: LyingDecider, issuer_authority: Authority
) -> None:
    service = start_service()
    one, other = (issuer_authority.client(f"asking-{name}") for name in ("one", "other"))
    files = {"client_cert_file": str(one.cert_file), "client_key_file": str(other.key_file)}
    service.change(deciders=section("opa", decider, **files), rules=[READERS, WRITERS])
    service.await_line("the one before stays in force.*cannot use certificate and key")
    assert service.login()["decision"] == "allow"
    assert writes(service)["reason"] == "role_not_allowed"
