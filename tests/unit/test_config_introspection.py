"""What settings of introspection must agree on with the issuer's, by table."""

from datetime import date
from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load

FILE = """\
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli, pgbearer-device]
    critical: {clients: [pgbearer-cli]}
    identity: "corp:{sub}"
    introspection:
      endpoint: https://sso.example.com/realms/corp/introspect
      client_id: db:pay-eu
      client_secret_file: SECRET
      when: critical
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: readers, any_role: [db-read], databases: [appdb], roles: [app_readonly]}
"""


def found(folder: Path, old: str = "", new: str = "", *, mode: int = 0o600) -> list[str]:
    secret, path = folder / "secret", folder / "pgbearer.yaml"
    assert old in FILE
    for file, text in ((secret, "s"), (path, FILE.replace(old, new, 1).replace("SECRET", str(secret)))):
        file.write_text(text)
        file.chmod(0o600)
    secret.chmod(mode)
    try:
        problems = load(path, policy.compile, today=date(2026, 11, 23)).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix(f"{path}:") for problem in problems]


def test_good(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(tmp_path, "      when: critical\n") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "    critical: {clients: [pgbearer-cli]}\n",
            "",
            'introspection.when: issuer "corp" does not say what is critical',
        ),
        (
            "https://sso.example.com/realms/corp/i",
            "https://evil.example/i",
            "endpoint: warning: is not on the issuer's own",
        ),
        (
            "https://sso.example.com/realms/corp/i",
            "https://sso.example.com:8443/i",
            "is not on the issuer's own origin",
        ),
        ("https://sso.example.com/realms/corp/i", "http://sso.example.com/i", "endpoint: must be an https URL"),
        ("      client_id: db:pay-eu\n", "", "introspection.client_id: required, but not given"),
        ("      client_secret_file: SECRET\n", "", "introspection.client_secret_file: required, but not given"),
        ("client_secret_file", "client_secret", 'unknown key "client_secret"; did you mean "client_secret_file"?'),
        ("SECRET", "/nowhere/secret", "introspection.client_secret_file: /nowhere/secret cannot be read: No such file"),
        ("when: critical", "when: never", "introspection.when: must be 'always' or 'critical'"),
        ("when: critical", "timeout: 11s", "introspection.timeout: must be at most 10s"),
        ("when: critical", "cache: 61s", "introspection.cache: must be at most 1m"),
    ],
)
def test_found(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert any(problem in one for one in found(tmp_path, old, new))


def test_a_secret_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, mode=0o620)
    assert "introspection.client_secret_file: not trusted" in problem


def test_a_secret_that_others_can_read_is_found(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, mode=0o644)
    assert "introspection.client_secret_file: warning: everybody on this machine can read it; chmod o-r" in problem


def test_who_cannot_be_asked_is_not(tmp_path: Path) -> None:
    problems = found(tmp_path, "profile: keycloak", "profile: github-actions")
    assert any(
        "introspection: means nothing for profile github-actions: there is nobody to ask" in one for one in problems
    )
