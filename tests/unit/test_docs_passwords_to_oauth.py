"""The lines by which the runbook moves a Cluster from passwords: whose role has moved gets past them with none."""

import re
from pathlib import Path

import pytest

from pgbearer.cnpg.operator import LAST_LINE, OWN_LINES
from pgbearer.hba import parse, shadowed

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "passwords-to-oauth.md"
OPERATORS = parse(LAST_LINE).lines


def lines() -> str:
    (block,) = re.findall(r"```yaml\n    pg_hba:\n(.*?)```", PAGE.read_text(), re.S)
    return "\n".join([*OWN_LINES, *re.findall(r"^ +- (.*)$", block, re.M)])


@pytest.mark.parametrize("how", ["hostssl", "hostnossl", "hostgssenc"])
def test_who_has_moved_is_asked_for_no_password(how: str) -> None:
    (asked,) = parse(f"{how} all +pgbearer_people all scram-sha-256").lines
    above = shadowed(asked, parse(lines()).lines)
    assert above is not None
    assert above.method == ("oauth" if how == "hostssl" else "reject")


def test_who_has_not_is() -> None:
    (asked,) = parse("hostssl all app all scram-sha-256").lines
    assert shadowed(asked, parse(lines()).lines) is None
    assert shadowed(asked, OPERATORS) is not None
