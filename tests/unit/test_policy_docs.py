"""The rules shown in docs/policy.md are good ones, and the table of reasons names real ones."""

import re
from datetime import date
from pathlib import Path
from textwrap import indent

import pytest

from pgbearer import policy
from pgbearer.config import load
from pgbearer.wire import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
HEAD = """\
version: 1
servers: {pay-eu: {}}
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli, pgbearer-device]
    critical: {clients: [pgbearer-cli], acr: [mfa]}
    identity: "corp:{sub}"
    claims: {acr: string, department: string}
defaults: {session: {until: sso, max: 10h}}
rules:
"""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search("name: (.*)", block)[1])  # type: ignore[index]
def test_rules_on_the_page_are_good(block: str, tmp_path: Path) -> None:
    path = tmp_path / "pgbearer.yaml"
    path.write_text(HEAD + indent(block, "  "))
    path.chmod(0o600)
    warnings = load(path, policy.compile, today=date(2026, 12, 1)).warnings
    assert [problem for problem in warnings if problem.severity != "notice"] == []


@pytest.mark.parametrize("block", re.findall(r"```yaml policy.d\n(.*?)```", PAGE, re.DOTALL))
def test_files_on_the_page_are_good(block: str, tmp_path: Path) -> None:
    (tmp_path / "policy.d").mkdir(mode=0o700)
    for name, text in (("pgbearer.yaml", HEAD + "  []\n"), ("policy.d/team.yaml", block)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    loaded = load(tmp_path / "pgbearer.yaml", policy.compile, today=date(2026, 12, 1))
    assert loaded.warnings == ()
    assert loaded.settings.rules


def test_reasons_on_the_page_exist() -> None:
    table = PAGE[PAGE.index("| reason |") : PAGE.index("## What a check finds")]
    names = re.findall(r"`([a-z_]+)`", table)
    assert len(names) == 10
    assert set(names) <= set(Reason)
