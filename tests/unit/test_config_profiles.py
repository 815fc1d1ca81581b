"""What settings must say for Entra, Okta and GitHub Actions, by table."""

from datetime import date
from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.config.about_profiles import CLIENTS_REQUIRED, tenant_of
from pgbearer.tokens.profiles import PROFILES

ENTRA = """\
profile: entra
issuer: https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0
clients: [00001111-aaaa-2222-bbbb-3333cccc4444]
identity: "entra:{oid}"
claims: {oid: string}
"""
OKTA = """\
profile: okta
issuer: https://example.okta.com/oauth2/default
clients: [nmdP1fcyvdVO11AL7ECm]
identity: "okta:{uid}"
claims: {uid: string}
"""
GITHUB = """\
profile: github-actions
issuer: https://token.actions.githubusercontent.com
clients: ["65"]
identity: "ci:{repository_id}"
claims: {repository_id: string, ref: string}
"""
RULE = "when: claims.ref == 'refs/heads/main', "


def found(folder: Path, issuer: str, rule: str = "any_role: [db-read], ") -> list[str]:
    path = folder / "pgbearer.yaml"
    lines = "".join(f"    {line}\n" for line in issuer.splitlines())
    path.write_text(
        f"version: 1\nissuers:\n  x:\n{lines}    audience: db:pay-eu\n"
        "defaults: {session: {until: token, max: 1h}}\n"
        f"rules:\n  - {{name: r, {rule}databases: [appdb], roles: [app_readonly]}}\n"
    )
    path.chmod(0o600)
    try:
        problems = load(path, policy.compile, today=date(2026, 11, 23)).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix(f"{path}:") for problem in problems]


@pytest.mark.parametrize("issuer", [ENTRA, OKTA])
def test_good(tmp_path: Path, issuer: str) -> None:
    assert found(tmp_path, issuer) == []


def test_good_with_a_condition(tmp_path: Path) -> None:
    assert found(tmp_path, GITHUB, RULE) == []


@pytest.mark.parametrize(
    ("issuer", "old", "new", "problem"),
    [
        (ENTRA, "aaaabbbb-0000-cccc-1111-dddd2222eeee", "common", "issuers.x.issuer: names no tenant by its id; https"),
        (
            ENTRA,
            "[00001111-aaaa",
            "[pgbearer-cli, 00001111-aaaa",
            '.clients[0]: "pgbearer-cli" is no id of an application',
        ),
        (GITHUB, '["65"]', '["65", octo-org]', 'issuers.x.clients[1]: "octo-org" is no id of an owner of repositories'),
        (ENTRA, "aaaabbbb", "AAAABBBB", "issuers.x.issuer: names no tenant by its id"),
        (ENTRA, "/v2.0", "/x/v2.0", "issuers.x.issuer: names no tenant by its id"),
        (
            ENTRA,
            "clients: [00001111-aaaa-2222-bbbb-3333cccc4444]\n",
            "",
            "issuers.x.clients: required for profile entra",
        ),
        (ENTRA, "{oid}", "{client}", "issuers.x.identity: warning: does not hold {oid}, which alone is stable"),
        (
            OKTA,
            "clients: [nmdP1fcyvdVO11AL7ECm]\n",
            "",
            "issuers.x.clients: required for profile okta: the ids of clients",
        ),
        (OKTA, "/oauth2/default", "", "issuers.x.issuer: warning: names no custom authorization server"),
        (OKTA, "{uid}", "{sub}", "issuers.x.identity: warning: does not hold {uid}, which alone is stable"),
        (OKTA, "profile", "implied_scopes: [db]\nprofile", "tokens of profile okta say their scopes themselves"),
        (
            GITHUB,
            'clients: ["65"]\n',
            "",
            "issuers.x.clients: required for profile github-actions: the ids of repositories",
        ),
        (GITHUB, "{repository_id}", "{sub}", "issuers.x.identity: warning: does not hold {repository_id}, which alone"),
    ],
)
def test_found(tmp_path: Path, issuer: str, old: str, new: str, problem: str) -> None:
    assert old in issuer
    (first, *_) = found(tmp_path, issuer.replace(old, new), RULE if issuer is GITHUB else "any_role: [db-read], ")
    assert problem in first


def test_a_rule_for_any_job_of_an_owner_is_found(tmp_path: Path) -> None:
    assert any("warning: any job of any repository of the owner may come" in one for one in found(tmp_path, GITHUB))


def test_profiles_that_require_clients_do_so_in_both_places() -> None:
    assert {name for name, profile in PROFILES.items() if profile.clients_required} == set(CLIENTS_REQUIRED)


@pytest.mark.parametrize(
    ("issuer", "tenant"),
    [
        ("https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", True),
        ("https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/", True),
        ("https://login.microsoftonline.us/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", True),
        ("https://login.microsoftonline.com/organizations/v2.0", False),
        ("https://login.microsoftonline.com/v2.0", False),
        ("https://login.microsoftonline.com/", False),
    ],
)
def test_an_issuer_names_one_tenant(issuer: str, tenant: bool) -> None:
    assert tenant_of(issuer) == ("aaaabbbb-0000-cccc-1111-dddd2222eeee" if tenant else None)
