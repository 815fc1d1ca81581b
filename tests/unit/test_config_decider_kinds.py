"""What each kind of decider must agree with before a file is used."""

from pathlib import Path

import pytest

from pgbearer.config.about_decider_kinds import DECIDER_KIND_CHECKS, QUESTION_FIELDS
from pgbearer.config.settings import Settings
from pgbearer.config.yaml_file import parse_yaml
from pgbearer.deciders import FIELDS
from pgbearer.policy import FIELDS as CONDITIONS

HEAD = """
version: 1
issuers:
  corp: {profile: keycloak, issuer: https://sso.example.com/realms/corp, audience: db:pay-eu, clients: [cli],
         identity: "corp:{sub}", claims: {department: string, replication: string}}
  batch: {profile: rfc9068, issuer: https://batch.example.com, audience: db:pay-eu, clients: [nightly],
          identity: "batch:{sub}"}
defaults: {session: {until: fixed, max: 10h}}
"""
KEYCLOAK = "type: keycloak, url: https://sso.example.com/realms/corp, audience: postgres"
AUTHZEN = "type: authzen, url: https://pdp.example.com"
RULE = "name: r, databases: [appdb], roles: [app], ask: {all: [it]}"


def problems(decider: str, rule: str = f"{RULE}, issuers: [corp], any_role: [db]") -> list[str]:
    """What the checks find, as ``path: message``."""
    document = parse_yaml(f"{HEAD}\ndeciders: {{it: {{{decider}}}}}\nrules: [{{{rule}}}]\n")
    assert not document.problems, document.problems
    settings = Settings.model_validate(document.value)
    found = [problem for check in DECIDER_KIND_CHECKS for problem in check(settings)]
    return [f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in found]


@pytest.mark.parametrize(
    "decider",
    [
        f"{KEYCLOAK}, issuer: corp",
        f'{KEYCLOAK}, issuer: corp, permission: "db-{{server}}-{{database}}#login as {{department}}"',
        AUTHZEN,
        f"{AUTHZEN}, preset: keycloak, metadata: appended",
        f"{AUTHZEN}, preset: cerbos, endpoint: https://pdp.example.com/evaluate",
        f'{AUTHZEN}, subject: {{id: "{{sub}}", properties: {{r: "{{token.roles}}", mfa: true, level: 1}}}}',
        f'{AUTHZEN}, context: {{q: "{{id}}", c: "{{claims.department}}"}}',
        "type: opa, url: https://opa.example.com, path: a/b_2/C",
    ],
)
def test_sound(decider: str) -> None:
    assert problems(decider) == []


@pytest.mark.parametrize(
    "permission",
    ["{database}", "{database}#", "#{role}", "{database}#{role}#x", "a,b#{role}", "{database}#a,b", "#"],
)
def test_a_permission_is_one_resource_with_one_scope(permission: str) -> None:
    said = problems(f'{KEYCLOAK}, issuer: corp, permission: "{permission}"')
    assert said == ["deciders.it.permission: must be one resource with one scope"]


def test_a_permission_is_not_about_a_type() -> None:
    (said,) = problems(f'{KEYCLOAK}, issuer: corp, permission: "resource-type:x#{{role}}"')
    assert "every resource of a type" in said


@pytest.mark.parametrize(
    ("decider", "where"),
    [
        (f'{KEYCLOAK}, issuer: corp, permission: "{{databse}}#{{role}}"', "permission"),
        (f'{KEYCLOAK}, issuer: corp, permission: "{{id}}#{{role}}"', "permission"),
        (f'{AUTHZEN}, subject: {{id: "{{subject}}"}}', "subject.id"),
        (f'{AUTHZEN}, subject: {{properties: {{a: "{{token.role}}"}}}}', "subject.properties.a"),
        (f'{AUTHZEN}, action: {{name: "{{a}}"}}', "action.name"),
        (f'{AUTHZEN}, action: {{properties: {{a: "{{a}}"}}}}', "action.properties.a"),
        (f'{AUTHZEN}, resource: {{type: "{{a}}"}}', "resource.type"),
        (f'{AUTHZEN}, context: {{a: "{{a}}"}}', "context.a"),
    ],
)
def test_a_field_that_there_is_not_is_found(decider: str, where: str) -> None:
    (said,) = problems(decider)
    assert said.startswith(f"deciders.it.{where}: {{")
    assert said.endswith("is neither a field nor a declared claim")


def test_what_is_no_template_is_found() -> None:
    (said,) = problems(f'{AUTHZEN}, action: {{name: "{{role"}}')
    assert "is not a template" in said


def test_a_claim_that_a_field_hides_is_told() -> None:
    (said,) = problems(f'{AUTHZEN}, action: {{name: "{{replication}}"}}')
    assert said.startswith("issuers.corp.claims.replication: ")


def test_a_token_is_shown_to_its_own_realm_only() -> None:
    assert problems(f"{KEYCLOAK}, issuer: cropp") == ['deciders.it.issuer: no issuer "cropp"']
    (said,) = problems(f"{KEYCLOAK}, issuer: corp", f"{RULE}, any_role: [db]")
    assert said == 'rules.0.ask: asks "it", which sees tokens of corp only, about tokens of batch too'


def test_an_address_that_is_not_the_issuers_is_pointed_out() -> None:
    elsewhere = KEYCLOAK.replace("sso.example.com", "keycloak.internal")
    assert problems(f"{elsewhere}, issuer: corp") == [
        "deciders.it.url: is not the address of corp; people's tokens are sent there"
    ]


def test_keycloaks_authzen_is_not_the_only_judge() -> None:
    (said,) = problems(f"{AUTHZEN}, preset: keycloak", RULE)
    assert said.startswith("rules.0.ask: ")
    assert problems(f"{AUTHZEN}, preset: cerbos", RULE) == []


def test_an_endpoint_is_named_once() -> None:
    (said,) = problems(f"{AUTHZEN}, metadata: inserted, endpoint: https://pdp.example.com/x")
    assert said.startswith("deciders.it.endpoint: ")


@pytest.mark.parametrize(
    "credentials",
    [
        "bearer_file: /a, basic: {user: a, password_file: /b}",
        "bearer_file: /a, client_credentials: {token_endpoint: https://a.example, client: a, secret_file: /b}",
    ],
)
def test_we_are_one_person(credentials: str) -> None:
    with pytest.raises(ValueError, match="one of bearer_file"):
        problems(f"{AUTHZEN}, {credentials}")


def test_the_names_of_fields_are_those_that_have_values() -> None:
    assert {*FIELDS, *CONDITIONS} == QUESTION_FIELDS


def test_no_secret_stands_in_the_file_itself() -> None:
    source = Path("validator/pgbearer/config/decider_kinds.py").read_text()
    assert not [word for word in ("password:", "secret:", "token: ") if f"    {word}" in source]
