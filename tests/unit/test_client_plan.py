"""A plan is worked out once for equal questions, and anew for every question that could have another answer."""

from pathlib import Path
from typing import Any

import pytest

from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.connection.plan import Plan, Plans

ISSUER = "https://sso.test/realms/corp"


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGDATABASE",
        "PGSSLMODE",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGREQUIREAUTH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def plan(plans: Plans, conninfo: str = "host=db.test user=alice", **other: Any) -> Plan:
    scope, client_id = other.pop("scope", None), other.pop("client_id", None)
    issuers = other.pop("issuers", (ISSUER,))
    return plans.plan(conninfo, other, issuers=issuers, client_id=client_id, scope=scope)


def test_an_equal_question_gets_the_plan_that_was_made() -> None:
    plans = Plans()
    first = plan(plans, port=5433, dbname=None)
    assert plan(plans, port="5433") is first
    assert first.issuer == ISSUER
    assert first.added["sslmode"] == "verify-full"
    assert first.added["require_auth"] == "oauth"


@pytest.mark.parametrize(
    "other",
    [{"conninfo": "host=other.test user=alice"}, {"port": 5433}, {"scope": "db:demo"}, {"client_id": "mine"}],
)
def test_another_question_gets_another_plan(other: dict[str, Any]) -> None:
    plans = Plans()
    first = plan(plans)
    assert plan(plans, **other) != first


def test_another_issuer_gets_another_plan() -> None:
    plans = Plans()
    assert plan(plans).issuer != plan(plans, issuers=("https://sso.test/realms/other",)).issuer


def test_the_environment_is_part_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = Plans()
    before = plan(plans, "user=alice")
    assert "sslmode" not in before.added  # the default: a Unix socket
    monkeypatch.setenv("PGHOST", "db.test")
    assert plan(plans, "user=alice").added["sslmode"] == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "require")
    with pytest.raises(UnsafeServerError):
        plan(plans, "user=alice")


def test_a_service_file_is_read_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans = Plans()
    services = tmp_path / "services"
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    services.write_text("[app]\nhost=/run/postgresql\n")
    assert "sslmode" not in plan(plans, "service=app").added
    services.write_text("[app]\nhost=db.test\n")
    assert plan(plans, "service=app").added["sslmode"] == "verify-full"


def test_a_refusal_is_not_kept_either() -> None:
    plans = Plans()
    for _ in range(2):
        with pytest.raises(UnsafeServerError):
            plan(plans, "host=db.test sslmode=require")


def test_no_secret_is_kept() -> None:
    plans = Plans()
    kept = plan(plans, "host=db.test sslpassword=hunter2")
    assert "hunter2" not in f"{kept} {vars(plans)}"


def test_what_may_lead_to_several_servers_names_none() -> None:
    assert plan(Plans(), "host=a.test,b.test").server is None
    assert plan(Plans(), "host=a.test").server is not None


def test_plans_do_not_pile_up() -> None:
    plans = Plans()
    for port in range(1, 1001):
        plan(plans, port=port)
    assert len(plans._kept) <= 256
