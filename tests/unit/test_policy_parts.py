"""Names, globs, templates, the index: the small parts that decisions are made of."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.config import TemplateError, parse_template, render_path
from pgbearer.policy.fields import Asked
from pgbearer.policy.match import Question
from pgbearer.policy.names import Glob, expressible, is_glob, nameable
from pgbearer.wire import Replication
from tests.unit.logins import NOW, READERS, compiled, request, verified

MANY = 2_000


@pytest.mark.parametrize("value", ["a", "A1", "_x", "9", "a.b-c_d@e", "a" * 63])
def test_expressible(value: str) -> None:
    assert expressible(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a" * 64,
        ".a",
        "-a",
        "@a",
        "a b",
        "a#b",
        "a,b",
        "a:b",
        "a/b",
        "a*",
        "a\n",
        "a\0",
        "\u00e9",
        "\u0430",
        "a\u200b",
        "\uff41",
    ],
)
def test_not_expressible(value: str) -> None:
    assert not expressible(value)


@given(st.text())
def test_what_is_expressible_is_nameable_ascii_and_no_glob(value: str) -> None:
    if expressible(value):
        assert nameable(value)
        assert value.isascii()
        assert not is_glob(value)


@given(st.text(alphabet="ab*?[]!^.\\\n", max_size=8), st.text(alphabet="ab*?[]!^.\\\n", max_size=8))
def test_globs_know_two_wildcards_and_nothing_else(pattern: str, name: str) -> None:
    expected = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    glob = Glob.of(pattern)
    assert glob.matches(name) == bool(re.fullmatch(expected, name, re.DOTALL))
    if glob.matches(name):
        assert name.startswith(glob.prefix)


def test_globs_take_bounded_time() -> None:
    assert not Glob.of("a*" * 40 + "b").matches("a" * 63)


@pytest.mark.parametrize(
    ("text", "literals", "fields"),
    [
        ("corp:{sub}", ("corp:", ""), ("sub",)),
        ("{sub}", ("", ""), ("sub",)),
        ("{a}{b}x", ("", "", "x"), ("a", "b")),
        ("plain", ("plain",), ()),
        ("team_{claims.department}", ("team_", ""), ("department",)),
        ("{https://example.com/team}", ("", ""), ("https://example.com/team",)),
    ],
)
def test_templates(text: str, literals: tuple[str, ...], fields: tuple[str, ...]) -> None:
    template = parse_template(text)
    assert (template.literals, template.fields) == (literals, fields)
    assert template.render(lambda name: f"{{{name}}}") == text.replace("claims.", "")


@pytest.mark.parametrize("text", ["{", "}", "{}", "a{b", "a}b", "{a b}", "{{a}}", "{a}}"])
def test_no_templates(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


def test_paths_are_written_as_people_write_them() -> None:
    assert render_path(("rules", 2, "when")) == "rules[2].when"
    assert render_path(("issuers", "a.b", "claims", "x y")) == 'issuers["a.b"].claims["x y"]'
    assert render_path(("\u202e\n",)) == '["\\u202e\\n"]', "control and bidi characters are escaped"


def question(**changes: Any) -> Question:
    return Question(Asked(verified=verified(), request=request(**changes), server="local", now=NOW), {})


SHAPES = {
    "teams, databases and roles of their own": "{{name: r{0}, any_role: [t{0}], databases: [db{0}], roles: [r{0}]}}",
    "everybody in databases of their own": "{{name: r{0}, databases: [db{0}], roles: [app_readonly]}}",
    "roles of their own in one database": "{{name: r{0}, databases: [appdb], roles: [r{0}]}}",
    "teams in one database and role": "{{name: r{0}, any_role: [t{0}], databases: [appdb], roles: [app_readonly]}}",
    "globs": "{{name: r{0}, databases: ['db{0}*'], roles: ['*']}}",
    "deny by group": "{{name: r{0}, deny: true, any_group: [/g{0}]}}",
    "roles from the token": "{{name: r{0}, databases: [db{0}], roles_from: {{claim: token_roles}}}}",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_login_looks_at_few_of_many_rules(shape: str) -> None:
    rules = compiled(READERS, *(SHAPES[shape].format(number) for number in range(MANY - 1)))
    assert [rule.name for rule in rules.index.candidates(question())] == ["readers"]


def test_a_rule_with_many_names_does_not_blow_up_the_index() -> None:
    names = ", ".join(f"n{number}" for number in range(1000))
    rule = f"{{name: wide, any_role: [{names}, db-read], databases: [{names}, appdb], roles: [{names}, app_readonly]}}"
    rules = compiled(rule)
    assert [found.name for found in rules.index.candidates(question())] == ["wide"]
    assert len(rules.index._by_place) == 1


def test_physical_replication_looks_at_every_rule() -> None:
    rules = compiled(READERS, "{name: standby, roles: [x], replication: [physical]}")
    asked = question(replication=Replication.PHYSICAL, database="")
    assert [rule.name for rule in rules.index.candidates(asked)] == ["readers", "standby"]
