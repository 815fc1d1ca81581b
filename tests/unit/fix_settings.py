"""A good settings file for tests that change one thing of it, and what is said of a file."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load

__all__ = ["GOOD", "TODAY", "found", "write"]

GOOD = """\
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
    claims: {acr: string, department: string, teams: string_list, level: int}
defaults: {session: {until: sso, max: 10h}}
rules:
  - name: readers
    any_role: [db-read]
    databases: [appdb]
    roles: [app_readonly]
"""
TODAY = date(2026, 11, 23)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a file that only its owner can change."""

    def write(text: str) -> Path:
        path = tmp_path / "pgbearer.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


def found(path: Path) -> list[str]:
    """Every problem, as ``LINE:COLUMN path: message``."""
    try:
        problems = load(path, policy.compile, today=TODAY).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix(f"{path}:") for problem in problems]
