"""Settings that speak of two issuers, by table: openings, implied scopes, and one issuer taking another's place."""

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
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
  next:
    profile: keycloak
    issuer: https://sso.example.com/realms/next
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "next:{sub}"
NEXT
THIRD
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: readers, any_role: [db-read], databases: [appdb, "pay_*"], roles: [app_readonly]}
"""
THIRD = """\
  third:
    profile: keycloak
    issuer: https://sso.example.com/realms/third
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "third:{sub}"
"""


def found(folder: Path, lines: str = "", third: str = "", *changes: tuple[str, str]) -> list[str]:
    """Every problem of a file whose issuer ``next`` says these lines too."""
    text = FILE.replace("NEXT\n", "".join(f"    {line}\n" for line in lines.split("\n") if line))
    text = text.replace("THIRD\n", third)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "pgbearer.yaml"
    path.write_text(text)
    path.chmod(0o600)
    try:
        problems = load(path, policy.compile, today=date(2026, 11, 23)).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix(f"{path}:") for problem in problems]


@pytest.mark.parametrize(
    "lines", ["", "behind: {corp: [appdb]}", "behind: {corp: [pay_1, appdb]}", "replaces: corp\nuntil: 2027-03-31"]
)
def test_good(tmp_path: Path, lines: str) -> None:
    assert found(tmp_path, lines) == []


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("databases: [appdb]", '15:5 issuers.next.databases: unknown key "databases"'),
        ("behind: [corp]", "15:13 issuers.next.behind: must be a mapping"),
        ("behind: {corp: appdb}", "15:20 issuers.next.behind.corp: must be a list"),
        ("behind: {corp: []}", "15:20 issuers.next.behind.corp: "),
        ("behind: {crop: [appdb]}", 'issuers.next.behind.crop: no "crop" under issuers; did you mean "corp"?'),
        ("behind: {next: [appdb]}", "issuers.next.behind.next: an issuer's own HBA lines need no opening"),
        ("behind: {corp: ['app*']}", "issuers.next.behind.corp[0]: must be an exact name"),
        ("behind: {corp: ['{sub}']}", "issuers.next.behind.corp[0]: must be an exact name"),
        (f"behind: {{corp: [{'p' * 64}]}}", "issuers.next.behind.corp[0]: longer than the 63 bytes"),
        ("behind: {corp: [appdb, appdb]}", 'issuers.next.behind.corp[1]: "appdb" is there twice'),
        (
            "behind: {corp: [appdb, hr]}",
            'issuers.next.behind.corp[1]: warning: no rule lets tokens of issuer "next" into the database "hr"; write',
        ),
        ("implied_scopes: [db]", "issuers.next.implied_scopes: tokens of profile keycloak say their scopes themselves"),
        ("replaces: corp", "15:15 issuers.next.replaces: needs `until`"),
        ("until: 2027-03-31", "15:12 issuers.next.until: means nothing without `replaces`"),
        ("replaces: crop\nuntil: 2027-03-31", 'issuers.next.replaces: no "crop" under issuers; did you mean "corp"?'),
        ("replaces: next\nuntil: 2027-03-31", "issuers.next.replaces: goes in a circle"),
        ("replaces: corp\nuntil: never", "16:12 issuers.next.until: must be a date such as"),
        (
            "replaces: corp\nuntil: 2026-11-22",
            '16:12 issuers.next.until: warning: issuer "corp" has been replaced, its tokens are refused; remove the',
        ),
    ],
)
def test_found(tmp_path: Path, lines: str, problem: str) -> None:
    (first,) = found(tmp_path, lines)
    assert problem in first


MOVE = "replaces: corp\nuntil: 2027-03-31"


def test_issuers_do_not_replace_one_another(tmp_path: Path) -> None:
    circle = (
        "    issuer: https://sso.example.com/realms/corp\n",
        "    issuer: https://x.example\n    replaces: next\n",
    )
    problems = found(tmp_path, MOVE, "", circle)
    assert sum("goes in a circle" in problem for problem in problems) == 2


def test_an_issuer_is_replaced_by_one(tmp_path: Path) -> None:
    third = THIRD + "    replaces: corp\n    until: 2027-03-31\n"
    assert any('"next" replaces "corp" already' in problem for problem in found(tmp_path, MOVE, third))


SAME = ("next:{sub}", "corp:{sub}")


def test_identities_are_shared_in_a_move_and_only_there(tmp_path: Path) -> None:
    assert found(tmp_path, MOVE, "", SAME) == []
    assert "could yield an identity" in found(tmp_path, "", "", SAME)[0]


def test_identities_are_shared_all_along_a_line_of_moves(tmp_path: Path) -> None:
    third = THIRD.replace("third:{sub}", "corp:{sub}")
    moved = third + "    replaces: next\n    until: 2027-03-31\n"
    assert found(tmp_path, MOVE, moved, SAME) == []
    assert sum("could yield an identity" in one for one in found(tmp_path, MOVE, third, SAME)) == 2


@pytest.mark.parametrize("template", ["corp:x{sub}", "corp:{client}:{sub}", "{sub}"])
def test_identities_are_not_half_shared(tmp_path: Path, template: str) -> None:
    assert "could yield an identity" in found(tmp_path, MOVE, "", ("next:{sub}", template))[0]


@pytest.mark.parametrize("template", ["corp:{client}:{sub}", "corp:{team}"])
def test_nothing_but_the_subject_is_shared(tmp_path: Path, template: str) -> None:
    """What is given to others again, such as a name, could be another person's by now."""
    declared = ("    clients:", "    claims: {team: string}\n    clients:")
    problems = found(tmp_path, MOVE, "", ("corp:{sub}", template), ("next:{sub}", template), declared)
    assert any("could yield an identity" in problem for problem in problems)


@pytest.mark.parametrize(("deny", "word"), [("", "is lost"), ("deny: true, ", "is escaped")])
def test_rules_that_do_not_follow_a_move_are_found(tmp_path: Path, deny: str, word: str) -> None:
    rule = f"  - {{name: theirs, {deny}issuers: [corp], databases: [hr], roles: [hr]}}\n"
    (problem,) = found(tmp_path, MOVE, "", ("rules:\n", "rules:\n" + rule))
    assert f'rules[0].issuers: warning: {word} by whoever moves from issuer "corp" to "next"; add "next"' in problem
    both = rule.replace("[corp]", "[corp, next]")
    assert found(tmp_path, MOVE, "", ("rules:\n", "rules:\n" + both)) == []
