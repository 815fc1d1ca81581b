"""The demo realm as a file: what a reader of it would check before importing it anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from pgbearer.client.login.landing import LANDING_PATH
from pgbearer.client.login.request import BROWSER_CLIENT, DEVICE_CLIENT

REALM: dict[str, Any] = json.loads((Path(__file__).parents[2] / "keycloak-realm" / "demo-realm.json").read_text())
CLIENTS = {client["clientId"]: client for client in REALM["clients"]}
SCOPES = {scope["name"]: scope for scope in REALM["clientScopes"]}
BROWSER, DEVICE = CLIENTS[BROWSER_CLIENT], CLIENTS[DEVICE_CLIENT]
PEOPLE = (BROWSER, DEVICE)
DATABASE = CLIENTS["postgres"]
POLICIES = {policy["name"]: policy for policy in DATABASE["authorizationSettings"]["policies"]}
ROLES = ["app_readonly", "app_readwrite"]


def mappers(scope: str) -> dict[str, dict[str, str]]:
    return {mapper["protocolMapper"]: mapper["config"] for mapper in SCOPES[scope]["protocolMappers"]}


def test_every_client_scope_that_is_used_is_defined() -> None:
    # naming any clientScopes keeps Keycloak from making its built-in ones
    used = {*REALM["defaultDefaultClientScopes"], *REALM["defaultOptionalClientScopes"]}
    for client in CLIENTS.values():
        used |= {*client["defaultClientScopes"], *client["optionalClientScopes"]}

    assert used <= set(SCOPES)


def test_access_tokens_live_five_minutes_everywhere() -> None:
    assert REALM["accessTokenLifespan"] == 300
    for client in CLIENTS.values():
        assert client["attributes"].get("access.token.lifespan", "300") == "300"


def test_device_codes_live_two_minutes() -> None:
    assert REALM["oauth2DeviceCodeLifespan"] == 120
    assert DEVICE["attributes"]["oauth2.device.code.lifespan"] == "120"


def test_passwords_cannot_be_guessed_without_end() -> None:
    assert REALM["bruteForceProtected"] is True
    assert 0 < REALM["failureFactor"] <= 10


def test_users_cannot_register_or_rename_themselves() -> None:
    for switch in ("registrationAllowed", "editUsernameAllowed", "resetPasswordAllowed", "loginWithEmailAllowed"):
        assert REALM[switch] is False


def test_everything_needs_tls() -> None:
    assert REALM["sslRequired"] == "all"


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_no_client_may_do_more_than_it_must(client: dict[str, Any]) -> None:
    assert client["fullScopeAllowed"] is False
    assert client["implicitFlowEnabled"] is False
    assert client["directAccessGrantsEnabled"] is False
    assert not [uri for uri in client["redirectUris"] + client["webOrigins"] if "*" in uri or uri == "+"]
    assert "offline_access" not in client["defaultClientScopes"] + client["optionalClientScopes"]


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_access_tokens_say_what_they_are(client: dict[str, Any]) -> None:
    assert client["attributes"]["access.token.header.type.rfc9068"] == "true"


def test_one_client_logs_in_with_a_browser_only() -> None:
    assert BROWSER["publicClient"] is True
    assert BROWSER["standardFlowEnabled"] is True
    assert BROWSER["serviceAccountsEnabled"] is False
    assert BROWSER["attributes"]["pkce.code.challenge.method"] == "S256"


def test_its_browser_comes_back_to_this_machine_and_to_one_path() -> None:
    # Keycloak takes any port at 127.0.0.1 where none is registered (RFC 8252 section 7.3)
    assert BROWSER["redirectUris"] == [f"http://127.0.0.1{LANDING_PATH}"]


def test_the_other_logs_in_by_device_only() -> None:
    assert DEVICE["publicClient"] is True
    assert DEVICE["standardFlowEnabled"] is False
    assert DEVICE["serviceAccountsEnabled"] is False
    assert DEVICE["redirectUris"] == []
    assert DEVICE["attributes"]["oauth2.device.authorization.grant.enabled"] == "true"


def test_no_other_client_has_the_device_grant() -> None:
    key = "oauth2.device.authorization.grant.enabled"

    assert [name for name, client in CLIENTS.items() if client["attributes"].get(key) == "true"] == [DEVICE_CLIENT]


@pytest.mark.parametrize("client", PEOPLE)
def test_command_line_has_the_scopes_without_which_a_token_is_useless(client: dict[str, Any]) -> None:
    assert {"basic", "roles"} <= set(client["defaultClientScopes"])
    assert client["optionalClientScopes"] == ["db:demo"]
    assert "oidc-sub-mapper" in mappers("basic")


def test_consent_says_database_login() -> None:
    shown = {
        name: scope["attributes"].get("consent.screen.text")
        for name, scope in SCOPES.items()
        if scope["attributes"]["display.on.consent.screen"] == "true"
    }

    assert DEVICE["consentRequired"] is True
    assert shown == {"db:demo": "database login"}


def test_audience_comes_with_the_database_scope_and_with_nothing_else() -> None:
    assert mappers("db:demo")["oidc-audience-mapper"]["included.custom.audience"] == "db:demo"
    for name in set(SCOPES) - {"db:demo"}:
        assert not {kind for kind in mappers(name) if "audience" in kind}


def test_impersonation_shows_in_the_token() -> None:
    note = mappers("db:demo")["oidc-usersessionmodel-note-mapper"]

    assert (note["user.session.note"], note["claim.name"]) == ("IMPERSONATOR_ID", "impersonator.id")


def test_command_line_sees_the_database_roles_and_no_others() -> None:
    assert REALM["clientScopeMappings"] == {
        "postgres": [{"client": name, "roles": ROLES} for name in (BROWSER_CLIENT, DEVICE_CLIENT)]
    }
    assert "scopeMappings" not in REALM


@pytest.mark.parametrize(("username", "roles"), [("alice", ROLES[:1]), ("bob", ROLES), ("carol", None)])
def test_people_have_the_roles_of_the_story(username: str, roles: list[str] | None) -> None:
    (user,) = (user for user in REALM["users"] if user["username"] == username)

    assert user.get("clientRoles", {}).get("postgres") == roles
    assert user["realmRoles"] == []


def test_secrets_look_like_demo_secrets() -> None:
    values = [each["value"] for user in REALM["users"] for each in user.get("credentials", [])]
    values += [client["secret"] for client in CLIENTS.values() if "secret" in client]

    assert len(values) == 4
    assert all(value.startswith("demo-") for value in values)


def test_database_is_a_resource_with_a_scope_for_each_role() -> None:
    (resource,) = DATABASE["authorizationSettings"]["resources"]

    assert resource["name"] == "appdb"
    assert [scope["name"] for scope in resource["scopes"]] == ROLES
    assert DATABASE["authorizationServicesEnabled"] is True
    assert DATABASE["authorizationSettings"]["policyEnforcementMode"] == "ENFORCING"


@pytest.mark.parametrize("role", ROLES)
def test_scope_of_the_database_needs_the_role_of_its_name(role: str) -> None:
    permission = POLICIES[f"appdb as {role}"]["config"]
    (policy_name,) = json.loads(permission["applyPolicies"])

    assert json.loads(permission["resources"]) == ["appdb"]
    assert json.loads(permission["scopes"]) == [role]
    assert json.loads(POLICIES[policy_name]["config"]["roles"]) == [{"id": f"postgres/{role}", "required": True}]
