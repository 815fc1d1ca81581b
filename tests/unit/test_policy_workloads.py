"""What rules mean for workloads: nobody logged in to get their tokens, and their sessions end with them."""

from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config.settings import Issuer
from pgbearer.policy import Allow, Deny, Policy
from pgbearer.wire import Reason
from tests.unit.logins import NOW, ask, settings

RULE = "{name: orders, issuers: [corp], databases: [appdb], roles: [app_readonly]%s}"


def of_workloads(rule: str) -> Policy:
    """The usual policy, but its issuer corp is a cluster."""
    given = settings(rule)
    corp = Issuer.model_validate(
        {
            "profile": "kubernetes",
            "issuer": "https://kubernetes.default.svc",
            "audience": "db:demo",
            "identity": "corp:{sub}",
            "claims": dict(given.issuers["corp"].claims),
            "critical": {"max_age": "10m"},
            "kubernetes": {"api_server": "https://10.0.0.1", "review": "always"},
        }
    )
    return policy.compile(given.model_copy(update={"issuers": given.issuers | {"corp": corp}})).policy


@pytest.mark.parametrize(
    ("more", "ends_at"),
    [("", NOW + 290), (", session: {max: 1m}", NOW + 60), (", session: {until: fixed, max: 1h}", NOW + 3600)],
)
def test_a_session_ends_with_the_token_unless_the_rule_says_otherwise(more: str, ends_at: int) -> None:
    outcome = ask(of_workloads(RULE % more), auth_time=None, acr=None, client=None)
    assert isinstance(outcome, Allow)
    assert outcome.ends_at == ends_at


def test_the_critical_tier_does_not_ask_when_and_how_it_logged_in() -> None:
    outcome = ask(of_workloads(RULE % ", tier: critical"), auth_time=None, acr=None, client=None)
    assert isinstance(outcome, Allow)
    assert outcome.critical


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"issued_at": NOW - 601}, Reason.TOKEN_TOO_OLD), ({"keys_age": 601.0}, Reason.KEYS_STALE)],
)
def test_the_critical_tier_asks_for_the_rest(changes: dict[str, Any], reason: Reason) -> None:
    outcome = ask(of_workloads(RULE % ", tier: critical"), client=None, **changes)
    assert isinstance(outcome, Deny)
    assert outcome.reason is reason
