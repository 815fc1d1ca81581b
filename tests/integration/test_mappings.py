"""Both ways from an identity to a role, as docs/policy.md works them through, with the lines that stand there."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.fix_chain import Chain, whole_chain
from tests.parts.authority import Authority
from tests.parts.postgres import Installation

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Which role is it in the end") : PAGE.index("## Why was it refused?")]
HBA, IDENT = (block for block in re.findall(r"```text\n(.*?)```", SECTION, re.DOTALL) if "people" in block)
MAPPED = 'local mapped all oauth issuer="{issuer}" scope="db:demo" map=people'
RULES = [{"name": "readers", "any_role": ["db-read"], "databases": ["appdb", "mapped"], "roles": ["app_*"]}]


@pytest.fixture(scope="module")
def chain(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """One with two databases: `appdb` delegates the mapping, `mapped` asks pg_ident.conf as well."""
    ident = [line.replace("corp:", "demo:") for line in IDENT.splitlines() if not line.startswith("#")]
    with whole_chain(postgres, issuer_authority, hba=[MAPPED], ident=ident, rules=RULES) as running:
        running.server.sql("CREATE DATABASE mapped")
        yield running


def test_the_lines_on_the_page_are_those_that_are_tried() -> None:
    assert "map=people" in HBA
    assert "delegate_ident_mapping=1" in HBA


@pytest.mark.parametrize("role", ["app_readonly", "app_readwrite"])
def test_delegated_the_rules_decide_alone(chain: Chain, role: str) -> None:
    with chain.login(role) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)


def test_mapped_the_line_of_that_identity_is_needed_too(chain: Chain) -> None:
    with chain.login("app_readonly", "mapped") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app_readonly",)


def test_mapped_a_role_without_a_line_is_refused_by_postgresql_after_our_allow(chain: Chain) -> None:
    before = len(chain.server.log)
    with pytest.raises(psycopg.OperationalError):
        chain.login("app_readwrite", "mapped").close()
    assert 'no match in usermap "people"' in chain.server.log[before:]
    assert chain.service.decisions()[-1]["decision"] == "allow"


def test_mapped_a_line_gives_nothing_that_the_rules_do_not(chain: Chain) -> None:
    token = chain.issuer.token(realm_access={"roles": []})
    assert chain.refusal("app_readonly", "mapped", token=token) == "no_rule"
