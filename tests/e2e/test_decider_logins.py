"""Whole logins to PostgreSQL, each decided by a real decider as its page in docs/deciders shows it."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from tests.e2e.fix_decided import PGBEARER, Decided, settings_on
from tests.e2e.fix_keycloak import IssuedToken

People = Callable[[str], IssuedToken]

PAGES: Final = {
    "Keycloak's authorization services": ("keycloak", "Can Keycloak decide?", "not_authorized"),
    "Keycloak's AuthZEN": ("authzen", "Keycloak", None),
    "Cerbos": ("authzen", "Cerbos", "matched policy resource.database.vdefault"),
    "OPA": ("opa", "Can our Rego decide?", "the token lacks the role app_readwrite"),
}


@pytest.fixture(scope="module", params=list(PAGES.values()), ids=list(PAGES))
def page(request: pytest.FixtureRequest, decided: Decided) -> Iterator[tuple[Decided, Mapping[str, Any], str | None]]:
    """A server whose logins are decided as one page shows, those settings, and what a refusal is told to be for."""
    name, heading, reason = request.param
    shown = settings_on(name, heading)
    with decided.by(shown):
        yield decided, shown, reason


Page = tuple[Decided, Mapping[str, Any], str | None]


def inquiry_in(record: Mapping[str, Any]) -> Mapping[str, Any]:
    (asked,) = record["asked"]
    found: Mapping[str, Any] = asked
    return found


@pytest.mark.parametrize(
    ("username", "role"), [("alice", "app_readonly"), ("bob", "app_readonly"), ("bob", "app_readwrite")]
)
def test_who_may_is_let_in(page: Page, people: People, username: str, role: str) -> None:
    decided, shown, _ = page

    assert decided.reason(people(username), role) == "allowed"

    asked = inquiry_in(decided.decisions()[-1])
    (name,) = shown["deciders"]
    assert (asked["decider"], asked["answer"], asked["from"]) == (name, "yes", "decider")


def test_who_may_not_is_refused_for_the_deciders_reason(page: Page, people: People) -> None:
    decided, shown, reason = page

    assert decided.reason(people("alice"), "app_readwrite") == "decider_denied"

    record = decided.decisions()[-1]
    asked = inquiry_in(record)
    (name,) = shown["deciders"]
    assert (asked["decider"], asked["answer"], asked["reason"]) == (name, "no", reason)


def test_explain_says_what_the_decider_said(page: Page, people: People) -> None:
    decided, shown, reason = page
    decided.reason(people("alice"), "app_readwrite")
    decision = decided.decisions()[-1]["decision_id"]

    command = [PGBEARER, "explain", "--decision", decision, "--socket", decided.admin_socket]
    explained = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert explained.returncode == 0, explained.stderr
    (name,) = shown["deciders"]
    assert re.search(rf"^ +FAILED +deciders +.*{name}", explained.stdout, re.MULTILINE), explained.stdout
    assert reason is None or reason in explained.stdout


def test_whom_no_rule_lets_in_is_asked_about_nowhere_unless_the_rule_is_for_all(page: Page, people: People) -> None:
    decided, shown, _ = page
    (rule,) = shown["rules"]

    reason = decided.reason(people("carol"), "app_readonly")

    asked = decided.decisions()[-1].get("asked", [])
    if "any_role" in rule:
        assert (reason, asked) == ("no_rule", [])
    else:
        assert (reason, [one["answer"] for one in asked]) == ("decider_denied", ["no"])


def test_no_token_is_logged_or_recorded(page: Page, people: People) -> None:
    decided, _, _ = page
    decided.reason(people("alice"), "app_readonly")

    assert "eyJ" not in decided.logs()
    assert "demo-secret" not in decided.logs()
