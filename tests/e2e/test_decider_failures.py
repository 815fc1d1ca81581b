"""Whole logins to PostgreSQL where a decider is away or does not know us, and where several decide together."""

from collections.abc import Callable

from tests.e2e.fix_decided import Decided, settings_on
from tests.e2e.fix_keycloak import IssuedToken

People = Callable[[str], IssuedToken]

PAGES = (
    ("keycloak", "Can Keycloak decide?"),
    ("authzen", "Keycloak"),
    ("authzen", "Cerbos"),
    ("opa", "Can our Rego decide?"),
)


def test_a_decider_that_is_away_lets_nobody_in(decided: Decided, people: People) -> None:
    shown = settings_on("opa", "Can our Rego decide?")
    away = {**shown, "deciders": {"opa": {**shown["deciders"]["opa"], "url": "https://localhost:1"}}}

    with decided.by(away):
        assert decided.reason(people("alice"), "app_readonly") == "decider_unavailable"


def test_a_decider_that_knows_us_not_lets_nobody_in(decided: Decided, people: People) -> None:
    shown = settings_on("keycloak", "Can Keycloak decide?")
    wrong = {**shown, "deciders": {"keycloak": {**shown["deciders"]["keycloak"], "audience": "nobody"}}}

    with decided.by(wrong):
        assert decided.reason(people("alice"), "app_readonly") == "decider_misconfigured"


def test_an_ended_session_is_refused_at_once_though_its_token_lives_on(
    decided: Decided, fresh: People, end_session: Callable[[IssuedToken], None]
) -> None:
    token = fresh("bob")

    with decided.by(settings_on("keycloak", "Can Keycloak decide?")):
        assert decided.reason(token, "app_readwrite") == "allowed"
        end_session(token)
        assert decided.reason(token, "app_readwrite") == "decider_denied"
        assert decided.decisions()[-1]["asked"][0]["answer"] == "no"


def test_the_answers_of_one_decider_are_not_anothers(decided: Decided, people: People) -> None:
    """All four at once; each must say yes."""
    whole = [settings_on(name, heading) for name, heading in PAGES]
    deciders = {name: decider for shown in whole for name, decider in shown["deciders"].items()}
    rule = {**whole[0]["rules"][0], "name": "as all say", "ask": {"all": list(deciders)}}

    with decided.by({"deciders": deciders, "rules": [rule]}):
        assert decided.reason(people("bob"), "app_readwrite") == "allowed"
        asked = decided.decisions()[-1]["asked"]
        assert {one["decider"]: one["answer"] for one in asked} == dict.fromkeys(deciders, "yes")
        assert decided.reason(people("alice"), "app_readwrite") == "decider_denied"
